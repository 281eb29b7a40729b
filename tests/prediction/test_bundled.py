"""The predictors that come with matgen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.datasets.labels import labeled_phases
from matgen.errors import CheckpointError
from matgen.prediction import Predictor, bundled_property, measured
from matgen.prediction.locate import bundled_predictors, find_predictor
from matgen.prediction.stability import stability
from matgen.prediction.uncertainty import CONFIDENCES

NAMES = ("band_gap-mp", "formation_energy-mp", "formation_energy-oqmd", "is_metal-mp")


def test_they_are_there_and_small() -> None:
    found = bundled_predictors()
    assert set(found) == set(NAMES)
    files = [path for folder in found.values() for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) < 12e6
    assert {path.suffix for path in files} == {".safetensors", ".json", ".md"}


@pytest.mark.parametrize("name", NAMES)
def test_they_do_as_their_card_says(name: str) -> None:
    predictor = Predictor.load(find_predictor(name))
    assert f"{predictor.name}-{predictor.metadata['source']}" == name
    batch, truth = bundled_property(predictor.name, predictor.metadata["source"]).of("test")
    rows = np.random.default_rng(0).permutation(len(batch))[:2_000]
    found, told = measured(predictor, batch[rows], truth[rows]), predictor.metadata["metrics"]
    if predictor.classifies:
        assert found["roc_auc"] == pytest.approx(told["roc_auc"], abs=0.02)
        return
    assert found["median_absolute_error"] == pytest.approx(told["median_absolute_error"], rel=0.15)
    for confidence in CONFIDENCES:
        band = 4 * np.sqrt(confidence * (1 - confidence) / len(rows))
        assert found["coverage"][str(confidence)] == pytest.approx(confidence, abs=band)


def test_no_test_composition_was_learned_from() -> None:
    told = Predictor.load(find_predictor("formation_energy-oqmd")).metadata
    data = bundled_property("formation_energy", "oqmd")
    assert told["formulas"] == {part: int((data.part == part).sum()) for part in ("train", "valid", "test")}
    assert told["formulas"]["test"] == 51_255  # the official part, whole


def test_as_typed(formulas_csv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = formulas_csv(["NaCl", "SrTiO3", "Cs3NaFe2", "Fe", "MgO"])
    for options, column in (([], "formation_energy"), (["--property", "band_gap"], "band_gap"),
                            (["--property", "is_metal"], "is_metal")):  # fmt: skip
        out = tmp_path / f"{column}.csv"
        assert main(["predict", str(table), *options, "--out", str(out)]) == 0
        assert column in pd.read_csv(out)
    energies = pd.read_csv(tmp_path / "formation_energy.csv")
    assert energies["formation_energy"][0] == pytest.approx(-2.1, abs=0.25)
    assert energies["energy_above_hull"][0] < 0  # left out of its own hull
    assert not energies["in_domain"][3]  # an element alone
    gaps = pd.read_csv(tmp_path / "band_gap.csv")
    assert (gaps["band_gap"] >= 0).all()
    assert gaps["band_gap"][4] > 2
    assert set(gaps["band_gap_source"]) == {"mp"}
    metals = pd.read_csv(tmp_path / "is_metal.csv")
    assert metals["is_metal"].tolist()[:3] == [False, False, True]
    capsys.readouterr()
    assert main(["predict", str(table), "--property", "hardness", "--out", str(tmp_path / "x.csv")]) == 2
    assert "unknown property 'hardness'; known: band_gap, formation_energy" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["formation_energy-oqmd", "formation_energy-mp"])
def test_elements_are_the_zero_of_formation_energies(name: str) -> None:
    predictor = Predictor.load(find_predictor(name))
    batch = CompositionBatch.from_formulas(["F2", "Si", "Mn", "NaCl"])
    frame = predictor.predict(batch)
    exact = frame[[f"formation_energy{end}" for end in ("", "_std", "_low", "_high")]].to_numpy()
    assert (exact[:3] == 0).all() and (exact[3] != 0).all()
    above = stability(batch, frame, predictor, labeled_phases(predictor.metadata["source"]))
    assert above["energy_above_hull"][:3].tolist() == [0, 0, 0]
    assert (above.loc[:2, ["probability_hull_0", "probability_hull_0.1"]] == 1).all(axis=None)


def test_extreme_ratios_are_out_of_domain() -> None:
    predictor = Predictor.load(find_predictor("formation_energy-oqmd"))
    batch = CompositionBatch.from_formulas(["Si99P", "LiO1000", "UBe13", "NaCl"])
    assert predictor.predict(batch)["in_domain"].tolist() == [False, False, True, True]


def test_probabilities_are_corrected_for_selection() -> None:
    for name in ("formation_energy-oqmd", "formation_energy-mp"):
        assert Predictor.load(find_predictor(name)).selection is not None
    with pytest.raises(CheckpointError, match="no predictor band_gap-icsd"):
        find_predictor("band_gap-icsd")


def test_equal_rows_are_predicted_alike() -> None:
    predictor = Predictor.load(find_predictor("band_gap-mp"))
    batch = CompositionBatch.from_formulas(["NaCl", "SrTiO3", "LiFePO4"] * 5)
    mean, _, _ = predictor.spread(batch)
    assert mean[:3] == pytest.approx(mean[-3:], abs=1e-5)
