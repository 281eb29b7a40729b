"""Every verb writes under any encoding, and file names may hold any bytes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matgen.cli import VERBS, main

ENCODINGS = ["utf-8", "cp1252", "ascii", "latin-1", "cp437"]


def run(encoding: str, *words: str) -> tuple[int, str]:
    """Exit status and all output of a verb whose standard streams are of one encoding, strict as Python opens them."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, write_through=True)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            status = main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
    return status, written.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb(verb: str, encoding: str) -> None:
    status, written = run(encoding, verb, "--help")
    assert status == 0 and "usage" in written


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_signs_that_an_encoding_lacks(encoding: str) -> None:
    status, written = run(encoding, "check", "CuSO₄·5H₂O", "水")
    assert status == 2
    assert ("CuSO₄·5H₂O" if encoding == "utf-8" else "CuSO4") in written
    assert "cannot be read" in written


EVALUATE = ["evaluate", "--no-baselines", "--reference", "hybrid-strict"]


@pytest.mark.parametrize(("verb", "encoding"), [*((["screen"], one) for one in ENCODINGS), (EVALUATE, "ascii")])
def test_tables_with_strange_names(verb: list[str], encoding: str, tmp_path: Path) -> None:
    table = tmp_path / "caf\udce9₂·.csv"  # a name in Latin-1
    try:
        table.write_text("formula,name·₂\nNaCl,ä₂\nCuSO₄·5H₂O,水\n", encoding="utf-8")
    except (OSError, UnicodeError):
        pytest.skip("the file system takes no such name")
    out = tmp_path / ("r" if verb[0] == "evaluate" else "r.csv")
    status, written = run(encoding, verb[0], str(table), *verb[1:], "--out", str(out))
    assert status == 0, written
    assert run(encoding, verb[0], str(tmp_path / "no\udce9₂.csv"), "--out", str(tmp_path / "x.csv"))[0] == 2
    if verb[0] == "evaluate":
        assert "caf" in json.loads((out / "report.json").read_text(encoding="utf-8"))["protocol"]["source"]


@pytest.mark.parametrize("words", [EVALUATE, ["predict"], ["sample", "-n", "5"]], ids=lambda words: words[0])
def test_outputs_that_parquet_cannot_be_written_under(words: list[str], predictor, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("formula\nNaCl\n")
    out = tmp_path / ("caf\udce9" if words[0] == "evaluate" else "caf\udce9.csv")
    given = [] if words[0] == "sample" else [str(table)]
    model = {"predict": ["--model", str(predictor.folder)], "sample": ["--model", "hybrid-mix-gptj-tiny"]}
    status, written = run("utf-8", words[0], *given, *words[1:], *model.get(words[0], []), "--out", str(out))
    assert status == 2 and "need a name in UTF-8" in written, written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]


STRANGE = "formula,name·₂,energy\nNaCl,ä₂,-2.1\nCuSO₄·5H₂O,水,-1.5\nα-Al2O3,δ,-3.4\nLiFePO4,b,-2.6\n水,Ω,0.1\n"
QUICK_FIT = [
    *["--target", "energy", "--allow-unreadable", "--epochs", "1", "--layers", "1", "--width", "16"],
    *["--ensemble-size", "1", "--folds", "0", "--batch-size", "32"],
]
ON_A_TABLE = {
    "check": ["check", "CuSO₄·5H₂O", "α-Al2O3", "LiFePO4"],
    "data check": ["data", "check", "TABLE"],
    "data info": ["data", "info", "TABLE"],
    "screen": ["screen", "TABLE", "--out", "OUT.csv"],
    "evaluate": ["evaluate", "TABLE", "--no-baselines", "--reference", "SMALL", "--out", "OUT"],
    "score": ["score", "TABLE", "--model", "hybrid-mix-gptj-tiny", "--out", "OUT.csv"],
    "predict": ["predict", "TABLE", "--model", "PREDICTOR", "--no-hull", "--out", "OUT.csv"],
    "tinker": ["tinker", "CuSO₄·5H₂O", "--mask", "Cu", "--model", "hybrid-mix-gptj-tiny", "--out", "OUT.csv"],
    "sample": ["sample", "-n", "5", "--model", "hybrid-mix-gptj-tiny", "--novel-to", "TABLE", "--out", "OUT.csv"],
    "structure": ["structure", "TABLE", "--no-relax", "--top", "1", "--out", "OUT"],
    "fit": ["fit", "--table", "ENERGIES", *QUICK_FIT, "--out", "OUT"],
    "lift show": ["lift", "show", "--table", "TABLE", "--target", "energy", "--rows", "2"],
}

SLOW = {"fit", "structure"}
"""Verbs that are tried in the two encodings that lack most."""


@pytest.mark.parametrize(
    ("verb", "encoding"),
    [(verb, one) for verb in ON_A_TABLE for one in (("ascii", "cp1252") if verb in SLOW else ENCODINGS)],
)
def test_every_verb_that_reads_formulas(
    verb: str, encoding: str, small_table: Path, predictor, energies_csv: Path, tmp_path: Path
) -> None:
    table = tmp_path / "strange·₂.csv"
    table.write_text(STRANGE, encoding="utf-8")
    energies = tmp_path / "energies₂.csv"
    energies.write_text(
        "".join(energies_csv.read_text(encoding="utf-8").splitlines(True)[:60]) + "CuSO₄·5H₂O,-1\nα-Al2O3,-3\n水,0\n",
        encoding="utf-8",
    )
    places = {
        "TABLE": str(table),
        "SMALL": str(small_table),
        "ENERGIES": str(energies),
        "PREDICTOR": str(predictor.folder),
        "OUT": str(tmp_path / "out₂"),
        "OUT.csv": str(tmp_path / "out₂.csv"),
    }
    status, written = run(encoding, *(places.get(word, word) for word in ON_A_TABLE[verb]))
    assert status == 0, written
    assert "Traceback" not in written
    assert written.strip(), "nothing was said"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_in_a_process_of_its_own(encoding: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "matgen", "data", "list"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"},
        check=False,
    )
    assert found.returncode == 0 and b"hybrid" in found.stdout, found.stderr
