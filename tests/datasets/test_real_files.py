"""Files and formulas as people have them: each is read right, or one line says why not."""

from __future__ import annotations

import gzip
import io
import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from matgen.cli import main
from matgen.composition.batch import parse_formulas
from matgen.datasets import opening
from matgen.datasets.checking import check_table
from matgen.datasets.tables import iterate_formula_table, read_formula_table
from matgen.errors import DataError, MatgenWarning
from tests.data.make_real_files import FOLDER, write

EXPECTED: list[dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


def test_the_files_are_those_of_the_script(tmp_path: Path) -> None:
    write(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in FOLDER.iterdir())
    assert all(content(tmp_path / name) == content(FOLDER / name) for name in names)


def content(path: Path) -> bytes:
    """Bytes of a file, of a packed one unpacked: those of gzip, pyarrow and pandas differ between their releases."""
    packed = path.read_bytes()
    if path.suffix in (".parquet", ".feather") and "damaged" not in path.name:
        return (pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_feather(path)).to_csv().encode()
    if path.name == "table.json":
        return json.dumps(json.loads(packed)["data"]).encode()
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


@pytest.mark.parametrize("case", [one for one in EXPECTED if "table" in one], ids=lambda case: case["table"])
def test_tables(case: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    path = FOLDER / case["table"]
    frame, column = read_formula_table(path)
    assert parse_formulas(frame[column]).batch.formulas().tolist() == ["NaCl", "MgO"] and len(frame) == 2
    values = frame[case["column"]]
    if case["values"] is None:
        assert not pd.api.types.is_numeric_dtype(values.dtype)
    else:
        assert pd.api.types.is_numeric_dtype(values.dtype) and values.tolist() == case["values"]
    for formula_only in (False, True):
        chunks = list(iterate_formula_table(path, rows_per_chunk=1, formula_only=formula_only))
        assert [chunk[name].tolist() for chunk, name in chunks] == [[one] for one in frame[column]]
        assert formula_only or [chunk[case["column"]].tolist() for chunk, _ in chunks] == [[one] for one in values]
    assert main(["data", "check", str(path)]) == 0
    shown = capsys.readouterr()
    assert all(part in shown.out for part in case["told"]) and not shown.err


@pytest.mark.parametrize("case", [one for one in EXPECTED if "table" in one], ids=lambda case: case["table"])
def test_guesses_are_told_once(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / case["table"]
    path.write_bytes((FOLDER / case["table"]).read_bytes())
    guesses = check_table(path).guesses
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        read_formula_table(path)
        list(iterate_formula_table(path, rows_per_chunk=1))
    assert [str(one.message) for one in told] == [f"{path}: {'; '.join(guesses)}"] * bool(guesses)


@pytest.mark.parametrize("case", [one for one in EXPECTED if "table" in one], ids=lambda case: case["table"])
def test_tables_from_standard_input(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    path = FOLDER / case["table"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    opening.standard_input.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MatgenWarning)
        frame, column = read_formula_table("-")
        expected, _ = read_formula_table(path)
    opening.standard_input.cache_clear()
    assert column in frame
    pd.testing.assert_frame_equal(frame, expected)


def test_nothing_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("GaN 3.4\nMgO 7.8\n")
    assert main(["data", "check", str(tmp_path / "a.txt")]) == 2
    shown = capsys.readouterr().out
    assert "formulas read: 0" in shown and "2: row 1: 'GaN 3.4': blank before a number" in shown
