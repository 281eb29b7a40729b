"""Help opens with what people use, and lists every option once."""

from __future__ import annotations

import argparse

import pytest

from matgen.cli import _parser
from matgen.cli.parser import COMMON, MOST_COMMON, Parser

MANY = 8
"""Options from which on a help opens with the common ones."""


def parsers(name: str, parser: Parser) -> list[tuple[str, Parser]]:
    """A parser and those of its verbs and steps, by name."""
    found = [(name, parser)] if name != "matgen" else []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for step, inner in action.choices.items():
                found += parsers(f"{name} {step}", inner)
    return found


ALL = dict(parsers("matgen", _parser()))


def options(parser: Parser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings]


@pytest.mark.parametrize("name", ALL)
def test_each_option_is_in_exactly_one_section(name: str) -> None:
    parser = ALL[name]
    listed = [action for actions in parser.sections().values() for action in actions]
    assert sorted(map(id, listed)) == sorted(map(id, parser._actions))
    shown = parser.format_help()
    for action in options(parser):
        assert f"\n  {action.option_strings[0]}" in shown, action.option_strings


@pytest.mark.parametrize("name", [name for name, parser in ALL.items() if len(options(parser)) > MANY])
def test_a_help_opens_with_at_most_six_options(name: str) -> None:
    parser = ALL[name]
    titles = [title for title, actions in parser.sections().items() if any(one.option_strings for one in actions)]
    assert titles[0] == COMMON
    assert 1 <= len(parser.sections()[COMMON]) <= MOST_COMMON
    assert len(titles) > 2, "the rest stands in groups"
    shown = parser.format_help()
    assert shown.index(f"\n{COMMON}:\n") < min(shown.index(f"\n{title}:\n") for title in titles[1:])
    assert shown.startswith(f"usage: {name}") and "[options]" in shown.split("\n\n")[0]


def test_groups_keep_what_belongs_together() -> None:
    sections = {title: {one.dest for one in actions} for title, actions in ALL["matgen sample"].sections().items()}
    assert {"temperature", "top_k", "top_p", "min_p"} <= sections["decoding"]
    assert {"chemsys", "within", "exclude"} <= sections["constraints (always satisfied; they can be combined)"]
    assert {"quiet", "force", "resume"} <= sections["output"]
    assert {"oxidation_states", "mixed_valence"} <= {one.dest for one in ALL["matgen evaluate"].sections()["judging"]}


def test_what_must_be_given_is_in_the_usage() -> None:
    usage = {name: parser.format_help().split("\n\n")[0] for name, parser in ALL.items()}
    assert usage["matgen lift predict"] == "usage: matgen lift predict table --model FOLDER [options]"
    assert usage["matgen check"] == "usage: matgen check FORMULA [FORMULA ...] [options]"
    assert usage["matgen dft run"] == "usage: matgen dft run folder --engine NAME [options]"


def test_no_more_than_six_are_common_and_all_exist() -> None:
    parser = Parser(prog="matgen x")
    for letter in "abcdefg":
        parser.add_argument(f"--{letter}")
    with pytest.raises(ValueError, match="7 common options of matgen x, more than 6"):
        parser.common(*(f"--{letter}" for letter in "abcdefg"))
    with pytest.raises(KeyError):
        parser.common("--none")
