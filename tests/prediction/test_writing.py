from __future__ import annotations

import gzip
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.entries.computed_entries import ComputedEntry

from matgen.cli import main
from matgen.datasets import opening
from matgen.errors import DataError, MatgenWarning, OptionError, OutputError
from matgen.io.files import read_json
from matgen.prediction import Predictor, writing
from matgen.prediction.predicting import predict_table
from matgen.prediction.writing import predict_file
from tests.progress import Recorder

N = 60


@pytest.fixture
def table() -> pd.DataFrame:
    """Rows with what user tables have: gaps, flags, repeated and unreadable formulas, a column with a late value."""
    rng = np.random.default_rng(0)
    symbols = np.array(["Li", "Na", "K", "Mg", "Ca", "Al", "Ti", "Fe", "O", "F", "S", "Cl"])
    formulas = [
        "".join(f"{s}{rng.integers(1, 5)}" for s in rng.choice(symbols, rng.integers(1, 5), replace=False))
        for _ in range(N)
    ]
    formulas[7], formulas[40], formulas[41] = "no formula", formulas[0], "NaCl2x"
    formulas[50] = "TiO2_rutile"  # only its part has notes
    return pd.DataFrame(
        {
            "formula": formulas,
            "number": [float(i) if i % 3 else np.nan for i in range(N)],
            "flag": [bool(i % 2) if i != 5 else None for i in range(N)],
            "late": [None] * (N - 1) + ["here"],
        }
    )


def written(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("of", [".csv", ".parquet"])
def test_parts_give_the_bytes_of_the_whole(
    of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path, of: str, suffix: str
) -> None:
    candidates = written(table, tmp_path / f"in{of}")
    whole, parts = tmp_path / f"whole{suffix}", tmp_path / f"parts{suffix}"
    counts = Recorder()
    found = predict_file(of_oqmd, candidates, whole, rows_per_part=1_000)
    again = predict_file(of_oqmd, candidates, parts, rows_per_part=7, progress=counts)
    assert found == again and sum(counts.updates) == N
    assert parts.read_bytes() == whole.read_bytes()
    assert read_json(f"{parts}.json") == read_json(f"{whole}.json")
    assert not Path(f"{parts}.parts").exists()
    assert found.n_bad == 2 and "row 8: 'no formula'" in found.first_bad
    assert found.summary["formulas"] == N - 2
    # As the table in memory, and the user's columns as they were.
    expected = predict_table(of_oqmd, table, "formula")
    assert {**found.summary} == expected.summary
    back = pd.read_csv(whole, float_precision="round_trip") if suffix == ".csv" else pd.read_parquet(whole)
    assert back.columns.tolist() == expected.frame.columns.tolist()
    assert back["formula"].tolist() == table["formula"].tolist()
    assert back["formula_note"].notna().tolist() == [i == 50 for i in range(N)]
    assert back["late"].tolist()[-1] == "here" and back["late"].isna().sum() == N - 1
    assert back["flag"].isna().sum() == 1 and back["flag"].dropna().astype(bool).sum() == table["flag"].sum()
    for name in ("number", "formation_energy", "energy_above_hull", "probability_hull_0.05"):
        np.testing.assert_array_equal(back[name].to_numpy(float), expected.frame[name].to_numpy(float))
    assert back["in_domain"].dropna().astype(bool).sum() == N - 2 - found.summary["out_of_domain"]


def test_an_interrupted_run_is_resumed(
    of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates, whole, out = written(table, tmp_path / "in.csv"), tmp_path / "whole.csv", tmp_path / "out.csv"
    predict_file(of_oqmd, candidates, whole, rows_per_part=7)
    work, done = writing._predict_here, []

    def fail_at_the_fourth(predictor, phases, task):
        if task.number == 3:
            raise KeyboardInterrupt
        done.append(task.number)
        return work(predictor, phases, task)

    monkeypatch.setattr(writing, "available_cores", lambda: 1)
    monkeypatch.setattr(writing, "_predict_here", fail_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        predict_file(of_oqmd, candidates, out, rows_per_part=7)
    assert not out.exists() and len(list((tmp_path / "out.csv.parts").glob("part-*"))) == 3
    with pytest.raises(OutputError, match="holds an unfinished run: add --resume"):
        predict_file(of_oqmd, candidates, out, rows_per_part=7)
    with pytest.raises(OutputError, match="holds parts of another request"):
        predict_file(of_oqmd, candidates, out, rows_per_part=7, hull=False, resume=True)
    monkeypatch.setattr(writing, "_predict_here", lambda *task: done.append(task[2].number) or work(*task))
    predict_file(of_oqmd, candidates, out, rows_per_part=7, resume=True)
    assert done == [0, 1, 2, 3, 4, 5, 6, 7, 8]  # each once
    assert out.read_bytes() == whole.read_bytes()


def test_a_folder_whose_tables_differ(of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    table[["formula", "number"]].iloc[:30].to_csv(folder / "a.csv", index=False)
    table[["late", "formula"]].iloc[30:].to_parquet(folder / "b.parquet", index=False)
    found = predict_file(of_oqmd, folder, tmp_path / "out.parquet", hull=False, rows_per_part=20)
    back = pd.read_parquet(tmp_path / "out.parquet")
    assert found.summary["formulas"] == N - 2 and len(back) == N
    assert back.columns.tolist()[:2] == ["formula", "number"] and "late" in back
    assert back["number"].isna().sum() == 10 + 30 and back["late"].dropna().tolist() == ["here"]


def test_columns_of_the_user_and_of_an_earlier_run(of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path) -> None:
    candidates = written(table.assign(formation_energy="old"), tmp_path / "in.csv")
    out, again = tmp_path / "out.csv", tmp_path / "again.csv"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        predict_file(of_oqmd, candidates, out, hull=False, rows_per_part=7)
    assert len([one for one in said if "of its own" in str(one.message)]) == 1  # not one a part
    assert pd.read_csv(out)["formation_energy"].eq("old").all()
    predict_file(of_oqmd, out, again, hull=False, rows_per_part=7)
    assert again.read_bytes() == out.read_bytes()  # matgen's own are made anew


def test_a_column_that_one_table_of_a_folder_has(of_oqmd: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    pd.DataFrame({"formula": ["KBr"]}).to_csv(folder / "a.csv", index=False)
    pd.DataFrame({"formula": ["NaCl"], "formation_energy": ["mine"]}).to_csv(folder / "b.csv", index=False)
    with pytest.warns(MatgenWarning, match="formation_energy of its own"):
        predict_file(of_oqmd, folder, tmp_path / "out.csv", hull=False)
    back = pd.read_csv(tmp_path / "out.csv")
    assert back["formation_energy"].fillna("-").tolist() == ["-", "mine"]
    assert back["formation_energy_matgen"].notna().all()
    columns = read_json(tmp_path / "out.csv.json")["columns"]
    assert "formation_energy_matgen" in columns and "formation_energy" not in columns


def test_parts_without_a_readable_formula(of_oqmd: Predictor, tmp_path: Path) -> None:
    candidates = tmp_path / "in.txt"
    candidates.write_text("?\n!\nNaCl\nKBr\n")
    found = predict_file(of_oqmd, candidates, tmp_path / "out.csv", rows_per_part=2)
    back = pd.read_csv(tmp_path / "out.csv")
    assert found.n_bad == 2 and back["formation_energy"].notna().tolist() == [False, False, True, True]
    candidates.write_text("?\n!\n%\n")
    with pytest.raises(DataError, match="none of the 3 formulas can be read; row 1: '\\?'"):
        predict_file(of_oqmd, candidates, tmp_path / "none.csv", rows_per_part=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.csv", "out.csv.json"]


def test_a_damaged_input_leaves_nothing(of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path) -> None:
    candidates = tmp_path / "in.csv.gz"
    candidates.write_bytes(gzip.compress(b"formula\n" + b"NaCl\n" * 1_500)[:-9])
    with pytest.raises(DataError, match="cannot read"):
        predict_file(of_oqmd, candidates, tmp_path / "out.csv", rows_per_part=100)
    with pytest.raises(DataError, match="no such file"):
        predict_file(of_oqmd, tmp_path / "missing.csv", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv.gz"]


def test_workers_of_a_scheduler_need_a_folder(of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path) -> None:
    candidates = written(table, tmp_path / "in.csv")
    unsaved = Predictor(of_oqmd.members, of_oqmd.metadata, of_oqmd.calibration)
    with pytest.raises(OptionError, match="save it first"):
        predict_file(unsaved, candidates, tmp_path / "out.csv", scheduler="tcp://127.0.0.1:9")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.slow
def test_workers_of_a_scheduler(of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path) -> None:
    from dask.distributed import LocalCluster

    entries = tmp_path / "entries.json"
    mine = [ComputedEntry(one, 0.0) for one in ("Li", "Na", "K", "Mg", "Ca", "Al", "Ti", "Fe", "O2", "F2", "S", "Cl2")]
    entries.write_text(json.dumps([entry.as_dict() for entry in mine], default=str))
    candidates = written(table, tmp_path / "in.parquet")
    predict_file(of_oqmd, candidates, tmp_path / "here.parquet", entries=str(entries), rows_per_part=20)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        command = ["predict", str(candidates), "--model", str(of_oqmd.folder), "--entries", str(entries)]
        command += ["--scheduler", cluster.scheduler_address, "--quiet", "--out", str(tmp_path / "there.parquet")]
        assert main(command) == 0
    here, there = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("here", "there"))
    pd.testing.assert_frame_equal(here, there)


def test_standard_input_is_predicted_as_a_file_is(
    of_oqmd: Predictor, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = written(table, tmp_path / "in.csv")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(candidates.read_bytes())))
    opening.standard_input.cache_clear()
    predict_file(of_oqmd, "-", tmp_path / "piped.csv")
    opening.standard_input.cache_clear()
    predict_file(of_oqmd, candidates, tmp_path / "named.csv")
    assert (tmp_path / "piped.csv").read_bytes() == (tmp_path / "named.csv").read_bytes()
