from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from matgen.api import judgment, options
from matgen.api.arguments import arguments_of, as_asked
from matgen.cli import parser_of
from matgen.errors import DataError, OptionError

FILES = {"help", "n", "column", "resume", "scheduler", "verbose"}
"""What calls leave to the command line, or take otherwise."""

CALLS = [
    ("sample", options.SampleOptions, {"top"}),
    ("score", options.ScoreOptions, set()),
    ("tinker", options.TinkerOptions, set()),
    ("evaluate", judgment._EvaluateOptions, set()),
    ("predict", judgment._PredictOptions, set()),
    ("screen", judgment._ScreenOptions, set()),
    ("discover", options.DiscoverOptions, set()),
    ("structure", options.StructureOptions, set()),
    ("check", options.RuleOptions, {"weight_percent"}),
]


@pytest.mark.parametrize(("verb", "known", "left_out"), CALLS, ids=[call[0] for call in CALLS])
def test_calls_have_the_options_of_their_verb(verb: str, known: type, left_out: set[str]) -> None:
    by_verb = {name for name in parser_of(verb).options() if name != "h"}
    assert set(known.__annotations__) <= by_verb
    assert by_verb - set(known.__annotations__) <= FILES | left_out
    assert not left_out & set(known.__annotations__)


def test_without_options_all_is_as_on_the_command_line() -> None:
    written = vars(parser_of("sample").parse_args([]))
    taken = vars(arguments_of("sample", "sample", options.SampleOptions, {}))
    assert {**written, "quiet": True} == {name: taken[name] for name in written}


def test_values_become_what_the_parser_makes_of_text() -> None:
    given = {
        "contains": ["Li", "O"],
        "num_elements": range(3, 6),
        "count": {"O": (2, 6), "Li": 1, "F": (None, 3)},
        "condition": {"band_gap": (2, None)},
        "novel_to": "hybrid",
        "max_minutes": 2,
        "top_k": "5",
        "unique": True,
        "screen": None,
        "out": "here.csv",
    }
    arguments = arguments_of("sample", "sample", options.SampleOptions, given, n=10)
    words = "-n 10 --num-elements 3..5 --count O:2..6 --count Li:1 --count F:..3 --condition band_gap=2.. --top-k 5"
    words += " --novel-to hybrid --max-minutes 2 --unique --out here.csv"
    written = parser_of("sample").parse_args(shlex.split(words))
    for name, value in vars(written).items():
        if name not in ("contains", "quiet"):
            assert getattr(arguments, name) == value, name
    assert arguments.contains == ["Li", "O"]
    assert arguments.out == Path("here.csv")
    off = arguments_of("predict", "predict", judgment._PredictOptions, {"no_hull": True})
    assert off.hull is False
    assert arguments_of("predict", "predict", judgment._PredictOptions, {"no_hull": False}).hull is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unique", "yes"),
        ("unique", 1),
        ("seed", 1.5),
        ("seed", True),
        ("seed", [1]),
        ("temperature", "hot"),
        ("out", 3),
    ],
)
def test_values_of_the_wrong_kind_are_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"^{name} is .*, it must be "):
        arguments_of("sample", "sample", options.SampleOptions, {name: value})


def test_errors_of_calls_name_their_options() -> None:
    arguments = arguments_of("sample", "sample", options.SampleOptions, {})
    with pytest.raises(DataError, match="^choose another out, or --unknown-option of matgen$"), as_asked(arguments):
        raise DataError("choose another --out, or --unknown-option of matgen")
    with pytest.raises(DataError, match=r"--allow-unreadable \(allow_unreadable=True in Python\)"), as_asked(arguments):
        raise DataError("add --allow-unreadable (allow_unreadable=True in Python)")
