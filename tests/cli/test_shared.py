"""Former names of options: read as the present ones, said in one line, absent from the help."""

from __future__ import annotations

from typing import Any

import pytest

from matgen.cli import _parser
from matgen.cli.parser import Parser

RENAMED = [
    (("sample",), "--elements", "--num-elements", ["3..5"]),
    (("sample",), "--anonymous", "--anonymous-formula", ["ABC3"]),
    (("sample",), "--exact", "--rejection", []),
    (("export", "structures/"), "--elements", "--element-references", []),
    (("dft", "run", "dft/", "--engine", "gpaw"), "--again", "--retry-failed", []),
    (("screen", "a.csv"), "--per-family", "--max-per-system", ["3"]),
    (("fit",), "--members", "--ensemble-size", ["5"]),
    (("lift", "fit", "--table", "t.csv", "--target", "y"), "--kinds", "--column-types", ["a=text"]),
    (("lift", "show", "--table", "t.csv"), "--picture", "--plot", ["plane.png"]),
    (("lift", "show", "--table", "t.csv"), "--why", "--explain", []),
]


def read(words: list[str]) -> dict[str, Any]:
    """What the command line holds, but for the functions that carry it out, which are made anew each time."""
    return {name: value for name, value in vars(_parser().parse_args(words)).items() if name not in ("run", "begin")}


@pytest.mark.parametrize(("verb", "old", "new", "value"), RENAMED)
def test_a_former_name_is_read_as_the_present_one(verb, old, new, value, capsys) -> None:
    present = read([*verb, new, *value])
    assert capsys.readouterr().err == ""
    former = read([*verb, old, *value])
    assert former == present
    assert capsys.readouterr().err.count(f"{old} is now {new}") == 1
    if value:
        assert read([*verb, f"{old}={value[0]}"]) == present


def test_help_shows_the_present_name_alone() -> None:
    parser = Parser(prog="matgen")
    parser.add_argument("--num-elements")
    parser.rename("--elements", "--num-elements")
    assert "--elements" not in parser.format_help()
    with pytest.raises(KeyError):
        parser.rename("--a", "--b")
