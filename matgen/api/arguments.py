"""From the options of a call to the arguments of its verb, as the command line would have parsed them."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from matgen.api import options as calls
from matgen.cli import parser_of
from matgen.cli.parser import one_of
from matgen.cli.shared import path, reading_as_asked
from matgen.errors import MatgenError, OptionError, did_you_mean

_JOINED = {"count": ":", "condition": "="}
"""Options that name something and its range, to what stands between the two."""

_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])")


def arguments_of(
    call: str, verb: str, options: type, given: Mapping[str, Any], **positional: Any
) -> argparse.Namespace:
    """The arguments of a verb: what is given, and the command line's defaults for all else.

    Args:
        call: what the user has called, such as `sample`, for messages.
        verb: of the command line.
        options: a class of `matgen.api.options` that names the options the call has.
        given: option to value; None leaves an option as it is by default. Names of tables and numbers may be given as
            the command line has them, as text, or as what they are: lists, dicts, ranges.
        positional: what the call takes before its options, such as `n`, and the verb's arguments that are no options.

    Raises:
        OptionError: an option that the call does not have, or a value of the wrong kind.
    """
    parser = parser_of(verb)
    by_name = parser.options()
    # `options` inherits the names of its bases, in whatever module they stand.
    known = list(options.__annotations__)
    arguments = parser.parse_args(["-"] * sum(not action.option_strings for action in parser._actions))
    vars(arguments).update(verb=verb, quiet=True)
    for name, value in positional.items():
        setattr(arguments, name, _read(name, by_name[name], value) if name in by_name else value)
    former = {old.lstrip("-"): new.lstrip("-").replace("-", "_") for old, new in parser.renamed.items()}
    for name, value in given.items():
        if name not in known:
            raise OptionError(_unknown(call, verb, name, known, former, by_name))
        if value is not None:
            action = by_name[name]
            setattr(arguments, action.dest, _read(name, action, value))
    return arguments


@contextlib.contextmanager
def as_asked(arguments: argparse.Namespace) -> Iterator[None]:
    """Within the block, tables are read as the arguments say, and errors name options as calls do: `allow_unreadable`.

    The same errors tell those at the command line of `--allow-unreadable`.
    """
    try:
        with reading_as_asked(arguments):
            yield
    except MatgenError as error:
        if error.args and isinstance(error.args[0], str) and "in Python" not in error.args[0]:
            error.args = (_OPTION.sub(_in_python, error.args[0]), *error.args[1:])
        raise


def _in_python(option: re.Match[str]) -> str:
    name = option[1].replace("-", "_")
    classes = [one for one in vars(calls).values() if isinstance(one, type)]
    return name if any(name in getattr(one, "__annotations__", {}) for one in classes) else option[0]


def _unknown(
    call: str, verb: str, name: str, known: list[str], former: Mapping[str, str], of_verb: Iterable[str]
) -> str:
    if name in former:
        return f"{name} of matgen.{call} is now {former[name]}"
    if name in of_verb:
        return f"matgen.{call} has no option {name}; the command line has: matgen {verb} --{name.replace('_', '-')}"
    near = did_you_mean(name, known) or ";"
    return f"matgen.{call} has no option {name!r}{near} options: {', '.join(sorted(known))}"


def _read(name: str, action: argparse.Action, value: Any) -> Any:
    """A value as the parser would have made it of text."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise OptionError(f"{name} is {value!r}, it must be True or False")
        return value == action.const
    if action.choices is not None and value not in action.choices:
        near = did_you_mean(str(value), map(str, action.choices)) or ";"
        raise OptionError(f"{name}: unknown value {value!r}{near} known: {one_of(map(str, action.choices))}")
    if isinstance(value, Mapping) and name in _JOINED:
        value = [f"{key}{_JOINED[name]}{_range(one)}" for key, one in value.items()]
    if action.nargs == "+" or isinstance(action, argparse._AppendAction):
        several = value if isinstance(value, list | tuple | set | frozenset) else [value]
        return [_one(name, action, str(one) if isinstance(one, int) else one) for one in several]
    return _one(name, action, value)


def _one(name: str, action: argparse.Action, value: Any) -> Any:
    if action.type is path:
        if not isinstance(value, str | Path):
            raise OptionError(f"{name} is {value!r}, it must be a path")
        return Path(value)
    if action.type in (int, float):
        return _number(name, action.type is int, value)
    if name == "novel_to" and not isinstance(value, str | Path):
        raise OptionError("novel_to takes names of datasets and files: write a table of your own to a file")
    if name == "num_elements":
        return _range(value)
    return value


def _number(name: str, whole: bool, value: Any) -> Any:
    kind = int if whole else float
    try:
        number = kind(value)
        if isinstance(value, bool) or (not isinstance(value, str) and number != value):
            raise ValueError
    except (TypeError, ValueError):
        raise OptionError(f"{name} is {value!r}, it must be a {'whole ' if whole else ''}number") from None
    return number


def _range(value: Any) -> Any:
    """`(3, 5)` and `range(3, 6)` as `3..5`; None in a tuple leaves an end open."""
    if isinstance(value, range) and len(value):
        value = (value[0], value[-1])
    if isinstance(value, tuple | list) and len(value) == 2:
        return "..".join("" if end is None else str(end) for end in value)
    return value if isinstance(value, str | int) else str(value)
