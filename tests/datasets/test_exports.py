"""Datasets from exports: what is kept, what is left out and counted, and that verbs take the result."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from matgen.cli import main
from matgen.datasets import exports as module
from matgen.datasets import load_dataset
from matgen.datasets.exports import LARGE, ORGANIC, PARTIAL, UNREADABLE, export_dataset
from matgen.datasets.reference import open_reference
from matgen.errors import DataError, MatgenWarning, OptionError, OutputError
from matgen.io.files import read_json
from matgen.runtime.unreadable import allowing_unreadable
from tests.datasets.test_cif_files import FULL, MIXED

ICSD = """CollectionCode,HMS,StructuredFormula,SumFormula,n_entries
1,P m -3 m,Sr (Ti O3),O3 Sr1 Ti1,7
2,P m -3 m,(Ca0.5 Sr0.5) (Ti O3),Ca0.5 O3 Sr0.5 Ti1,7
3,P m -3 m,Sr Ti O3,O3 Sr1 Ti1,7
4,F m -3 m,Fe0.947 O,Fe0.947 O1,7
5,P 1,C H4,C1 H4,7
6,P 1,Xx O,O1 Xx1,7
7,F m -3 m,Na Cl,Cl1.00 Na1.00,7
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "icsd.csv"
    path.write_text(ICSD)
    return path


@pytest.fixture
def cifs(tmp_path: Path) -> Path:
    folder = tmp_path / "cod"
    folder.mkdir()
    files = {
        "1.cif": "data_1\n_chemical_formula_sum 'Na Cl'\n",
        "2.cif": f"data_2\n{FULL}",
        "3.cif": f"data_3\n_chemical_formula_sum 'Ca0.5 Sr0.5 O'\n{MIXED}",
        "4.cif": f"data_4\n_chemical_formula_sum 'Ca1 H1 O4.5 S1'\n{FULL}",  # hemihydrate: all sites are full
        "5.cif": "data_5\n_chemical_formula_sum 'C6 H6'\n",
        "6.cif": "data_6\n_chemical_formula_sum 'Ti O2'\n",
        "7.cif": "no CIF",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("rows_at_once", [2, 250_000])
def test_a_table(table: Path, tmp_path: Path, rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read = module.iterate_formula_table
    monkeypatch.setattr(module, "iterate_formula_table", lambda *a: read(*a, rows_per_chunk=rows_at_once))
    out = tmp_path / "mine.parquet"
    with pytest.warns(MatgenWarning, match="1 of 7 rows"):
        export = export_dataset(table, out, cifs=False)
    assert export.left_out == {
        PARTIAL: (2, "row 2: 'Ca0.5 O3 Sr0.5 Ti1'"),
        ORGANIC: (1, "row 5: 'C1 H4'"),
        UNREADABLE: (1, "row 6: 'O1 Xx1': no element 'Xx'"),
    } if rows_at_once == 2 else dict(export.left_out)  # fmt: skip
    assert {reason: n for reason, (n, _) in export.left_out.items()} == {PARTIAL: 2, ORGANIC: 1, UNREADABLE: 1}
    written = pd.read_parquet(out)
    assert written["formula"].tolist() == ["SrTiO3", "NaCl"]
    assert written["CollectionCode"].tolist() == [1, 7] and written["SumFormula"].tolist()[0] == "O3 Sr1 Ti1"
    assert written["n_entries"].tolist() == [7, 7] and written["n_entries_matgen"].tolist() == [2, 1]
    told = read_json(Path(f"{out}.json"))
    assert (told["entries"], told["entries_kept"], told["compositions"], told["source"]) == (7, 3, 2, "icsd.csv")
    assert load_dataset(out, where="HMS == 'P m -3 m'").batch.formulas().tolist() == ["SrTiO3"]
    assert [len(batch) for batch, _ in open_reference(out).batches()] == [2]


def test_decimals_may_be_kept(table: Path, tmp_path: Path) -> None:
    with pytest.warns(MatgenWarning):
        export = export_dataset(table, tmp_path / "mine.csv", cifs=False, keep_partial=True, keep_organic=True)
    assert export.frame["formula"].tolist() == ["SrTiO3", "SrCaTi2O6", "H4C", "NaCl"]
    assert export.left_out[LARGE] == (1, "row 4: 'Fe0.947 O1'")
    assert export.kept == sum(export.frame["n_entries_matgen"]) == 5
    assert f"  1 {LARGE}; the first: row 4: 'Fe0.947 O1'" in export.lines()


def test_a_folder_of_cifs(cifs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENTRIES_AT_ONCE", 2)
    with pytest.warns(MatgenWarning, match="1 of 7 rows"):
        export = export_dataset(cifs, tmp_path / "mine.parquet", cifs=True)
    frame = export.frame
    assert frame["formula"].tolist() == ["NaCl", "Ca2H2S2O9", "TiO2"]
    assert frame["n_entries"].tolist() == [2, 1, 1] and frame["source"].tolist() == ["1.cif", "4.cif", "6.cif"]
    assert frame["formula_original"].tolist() == ["Na Cl", "Ca1 H1 O4.5 S1", "Ti O2"]
    assert export.left_out == {
        PARTIAL: (1, "3.cif: 'Ca0.5 Sr0.5 O'"),
        ORGANIC: (1, "5.cif: 'C6 H6'"),
        UNREADABLE: (1, "7.cif: no CIF: no data block"),
    }


def test_from_the_command_line(
    cifs: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # said twice: the next numbered file
        assert main(["data", "build", "--cif-folder", str(cifs)]) == 0
    said = capsys.readouterr().err
    assert "7 entries, 3 distinct compositions of 4" in said and "wrote cod.parquet. Next: matgen train" in said
    assert Path("cod.parquet.json").exists() and Path("cod-2.parquet").exists()
    assert main(["data", "build", "--table", str(table), "--partial", "keep", "--out", "mine.csv"]) == 0
    assert "SrCaTi2O6" in Path("mine.csv").read_text()
    assert main(["data", "info", "mine.csv"]) == 0
    assert "compositions: 3" in capsys.readouterr().out
    for words, message in (
        ([], "name a dataset to build"),
        (["hybrid", "--table", "icsd.csv"], "one at a time"),
        (["hybrid", "--partial", "keep"], "--partial is for --cif-folder and --table"),
        (["--cif-folder", "none"], "--cif-folder none: no such folder"),
        (["--cif-folder", "cod", "--column", "x"], "--column is for --table"),
        (["--table", "icsd.csv", "--out", "mine.csv"], "exists"),
        (["--table", "icsd.csv", "--out", "mine.txt"], "must end in .csv or .parquet"),
    ):
        assert main(["data", "build", *words]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1


def test_bad_exports(tmp_path: Path) -> None:
    folder = tmp_path / "cod"
    folder.mkdir()
    out = tmp_path / "mine.csv"
    (folder / "a.cif").write_text("data_5\n_chemical_formula_sum 'C6 H6'\n")
    with pytest.raises(DataError, match="nothing of .*cod is kept: 1 hold carbon and hydrogen"):
        export_dataset(folder, out, cifs=True)
    (folder / "b.cif").write_text("data_5\n_chemical_formula_sum 'Na Cl'\n")
    (folder / "c.cif").write_text("nothing")
    with pytest.raises(DataError, match=r"1 of 3 rows of .*cod could not be read, the first: c.cif: no CIF"):
        export_dataset(folder, out, cifs=True)
    assert not out.exists()
    with allowing_unreadable(), pytest.warns(MatgenWarning):
        export_dataset(folder, out, cifs=True)
    with pytest.raises(OutputError, match="exists"):
        export_dataset(folder, out, cifs=True)
    with pytest.raises(OptionError, match="must end in"):
        export_dataset(folder, tmp_path / "mine.txt", cifs=True)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has no formula column"):
        export_dataset(tmp_path / "x.csv", tmp_path / "y.csv", cifs=False)
