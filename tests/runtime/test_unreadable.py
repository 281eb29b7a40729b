"""Rows that cannot be read are said wherever formulas are known ones, and too many of them are an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matgen.cli import main
from matgen.datasets import load_dataset
from matgen.datasets import reference as module
from matgen.datasets.labels import phases_of_table
from matgen.datasets.reference import open_reference
from matgen.errors import DataError, MatgenWarning
from matgen.evaluation import evaluate
from matgen.prediction.training_tables import table_property
from matgen.runtime.unreadable import MOST_UNREADABLE, allowing_unreadable, report_unreadable


def _table(folder: Path, bad: int, good: int = 40) -> Path:
    path = folder / "known.csv"
    rows = [f"Na{n + 1}Cl{n + 2},{n / 10}" for n in range(good)] + ["Fe@SiO2,1.5"] * bad
    path.write_text("\n".join(["formula,formation_energy", *rows]) + "\n")
    return path


READERS = [
    load_dataset,
    lambda path: list(open_reference(path).batches()),
    phases_of_table,
    lambda path: table_property(path, "formation_energy"),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_every_reader_says_so(read, streamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if streamed:
        monkeypatch.setattr(module, "_LOADED_WHOLE_BYTES", 0)
    with pytest.warns(
        MatgenWarning, match=r"2 of 42 rows of .*known.csv could not be read, the first: row 41: 'Fe@SiO2'"
    ):
        read(_table(tmp_path, 2))
    with pytest.raises(
        DataError, match=r"20 of 60 rows .* out by --allow-unreadable \(allow_unreadable=True in Python\)"
    ):
        read(_table(tmp_path, 20))
    with allowing_unreadable(), pytest.warns(MatgenWarning, match="20 of 60 rows"):
        read(_table(tmp_path, 20))


@pytest.mark.filterwarnings("error")
def test_bundled_tables_have_nothing_to_say() -> None:
    assert "NaN" in load_dataset("hybrid").batch.formulas()


def test_the_share_is_of_all_rows() -> None:
    assert report_unreadable("a", 0, 10, None) is None
    with pytest.warns(MatgenWarning):
        assert report_unreadable("a", 2, 10, "x") is not None
    assert MOST_UNREADABLE == 0.2
    with pytest.raises(DataError):
        report_unreadable("a", 3, 10, "x")


def test_the_report_says_so(tmp_path: Path) -> None:
    with pytest.warns(MatgenWarning):
        content = evaluate(["NaCl", "SiO2"], _table(tmp_path, 2), baselines=False).content
    assert content["references"][0]["unreadable"] == 2
    assert "2 of 42 rows of" in content["protocol"]["novel_means"]


def test_the_terminal_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.txt").write_text("NaCl\nSiO2\n")
    words = ["evaluate", str(tmp_path / "c.txt"), "--no-baselines", "--reference", str(_table(tmp_path, 2))]
    assert main([*words, "--out", str(tmp_path / "r")]) == 0
    assert "matgen evaluate: 2 of 42 rows of" in capsys.readouterr().err
    assert "2 of 42 rows" in (tmp_path / "r" / "report.html").read_text()
    assert json.loads((tmp_path / "r" / "report.json").read_text())["references"][0]["unreadable"] == 2
    _table(tmp_path, 20)
    assert main([*words, "--out", str(tmp_path / "s")]) == 2
    assert "--allow-unreadable" in capsys.readouterr().err
    assert main([*words, "--allow-unreadable", "--quiet", "--out", str(tmp_path / "s")]) == 0
    assert not capsys.readouterr().err
