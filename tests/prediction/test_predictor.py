from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from matgen.composition.batch import CompositionBatch
from matgen.errors import CheckpointError, OutputError
from matgen.io.files import read_json
from matgen.prediction import Predictor, fit_predictor, measured, table_property
from matgen.runtime.progress import Progress, silent
from tests.progress import StopAfter
from tests.quick_predictor import QUICK


def test_it_learns_and_says_how_well(predictor: Predictor, energies_csv: Path) -> None:
    metrics = predictor.metadata["metrics"]
    assert metrics["mae"] < 0.6 * metrics["mae_of_the_median"]
    assert metrics["mae"] <= np.mean(metrics["mae_of_members"]) + 1e-9  # an average is no worse than its parts
    data = table_property(energies_csv, "energy")
    batch, target = data.of("test")
    again = measured(Predictor.load(predictor.folder), batch, target)
    assert again["mae"] == pytest.approx(metrics["mae"], abs=1e-6)


def test_saved_and_opened(predictor: Predictor) -> None:
    folder = predictor.folder
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "calibration.safetensors",
        "member-0.safetensors",
        "member-1.safetensors",
        "predictor.json",
    }
    opened = Predictor.load(folder)
    batch = CompositionBatch.from_formulas(["NaCl", "SrTiO3", "Fe2O3"])
    frame = opened.predict(batch)
    assert list(frame) == ["energy", "energy_std", "energy_low", "energy_high", "energy_source", "in_domain"]
    assert (frame["energy_low"] < frame["energy"]).all()
    assert (frame["energy"] < frame["energy_high"]).all()
    assert frame["energy"].to_numpy() == pytest.approx(predictor.predict(batch)["energy"].to_numpy(), abs=1e-5)
    assert not predictor.predict(batch[:0]).shape[0]
    assert all(tensor.dtype.itemsize == 2 for tensor in load_file(folder / "member-0.safetensors").values())


def test_blocks_do_not_matter(predictor: Predictor, energies_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = table_property(energies_csv, "energy").batch
    whole = predictor.spread(batch)
    monkeypatch.setattr("matgen.prediction.learned._BLOCK", 7)
    for a, b in zip(whole, predictor.spread(batch), strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_the_largest_usual_share_is_that_of_all_but_one_in_a_thousand(predictor: Predictor, energies_csv: Path) -> None:
    train, _ = table_property(energies_csv, "energy").of("train")
    shares = sorted(max(c) / sum(c) for c in train.counts.tolist() if sum(n > 0 for n in c) > 1)
    beyond = sum(share > predictor.metadata["largest_usual_share"] for share in shares)
    assert predictor.metadata["largest_usual_share"] in shares and beyond <= len(shares) / 1000


def test_what_was_never_seen_is_flagged(predictor: Predictor) -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "UCl4", "OgF2", "Fe", "NaCl500"])
    assert predictor.predict(batch)["in_domain"].tolist() == [True, False, False, False, False]


@pytest.mark.slow
def test_interrupted_and_resumed_is_as_uninterrupted(predictor: Predictor, energies_csv: Path, tmp_path: Path) -> None:
    def kill_second(total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
        factory = StopAfter(notes=1) if description == "member 2" else silent
        return factory(total, description, unit, done=done)

    data = table_property(energies_csv, "energy")
    with pytest.raises(KeyboardInterrupt):
        fit_predictor(data, QUICK, tmp_path / "p", progress=kill_second)
    with pytest.raises(CheckpointError, match="has no predictor.json"):
        Predictor.load(tmp_path / "p")
    with pytest.raises(OutputError, match="exists"):
        fit_predictor(data, QUICK, tmp_path / "p")
    found = fit_predictor(data, QUICK, tmp_path / "p", resume=True)
    assert found.metadata["metrics"] == predictor.metadata["metrics"]


def test_damaged_folders(predictor: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(predictor.folder, folder)
    (folder / "member-1.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match="cannot open the predictor"):
        Predictor.load(folder)
    (folder / "predictor.json").unlink()
    with pytest.raises(CheckpointError, match="make a predictor with `matgen fit"):
        Predictor.load(folder)
    assert len(read_json(predictor.folder / "predictor.json")["members"]) == 2
