"""Files and formulas as people have them: each is read right, or one line says why not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from matgen.cli import main
from matgen.composition.batch import parse_formulas
from matgen.datasets.checking import check_table
from matgen.datasets.tables import read_formula_table
from matgen.errors import DataError
from tests.data.make_real_files import FOLDER, write

EXPECTED: list[dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


def test_the_files_are_those_of_the_script(tmp_path: Path) -> None:
    write(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in FOLDER.iterdir())
    assert all(content(tmp_path / name) == content(FOLDER / name) for name in names)


def content(path: Path) -> bytes:
    """Bytes of a file, of a packed one unpacked: those of gzip differ between releases of Python."""
    packed = path.read_bytes()
    return gzip.decompress(packed) if path.name == "packed.csv.gz" else packed


@pytest.mark.parametrize("case", [one for one in EXPECTED if "formula" in one], ids=lambda case: case["formula"])
def test_formulas(case: dict[str, Any]) -> None:
    parsed = parse_formulas([case["formula"]])
    assert parsed.batch.formulas().tolist() == ([case["read"]] if case["read"] else [])
    said = [one.reason for one in parsed.bad] or [one.remark for one in parsed.remarks] or [""]
    assert case["says"] in said[0] and bool(case["says"]) == bool(said[0])


@pytest.mark.parametrize("case", [one for one in EXPECTED if "file" in one], ids=lambda case: case["file"])
def test_files(case: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    path = FOLDER / case["file"]
    if case["read"] is None:
        with pytest.raises(DataError) as error:
            check_table(path)
        assert case["says"][0] in str(error.value) and "\n" not in str(error.value)
        assert main(["data", "check", str(path)]) == 2
        return
    frame, column = read_formula_table(path)
    parsed = parse_formulas(frame[column])
    assert parsed.batch.formulas().tolist() == case["read"]
    assert len(parsed.bad) == len(case["says"])
    assert all(part in bad.reason for part, bad in zip(case["says"], parsed.bad, strict=True))
    checked = check_table(path)
    assert (checked.rows, checked.read, checked.column) == (len(frame), len(parsed.batch), column)
    assert checked.distinct == len(set(case["read"]))
    assert sum(n for n, _ in checked.refused.values()) == len(parsed.bad)
    assert main(["data", "check", str(path)]) == 0
    assert f"formula column: {column}" in capsys.readouterr().out


def test_nothing_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("GaN 3.4\nMgO 7.8\n")
    assert main(["data", "check", str(tmp_path / "a.txt")]) == 2
    shown = capsys.readouterr().out
    assert "formulas read: 0" in shown and "2: row 1: 'GaN 3.4': blank before a number" in shown
