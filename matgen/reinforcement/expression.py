"""Rewards as they are written: arithmetic on columns, `probability_hull_0.05 * balanced_common * (cost < 50)`.

The text is parsed by Python's own parser, but nothing of it is ever run: only the kinds of nodes below are let
through, and arrays are computed from them here. Names of columns may hold dots, and comparisons may be written as in
conditions (`toxic = 0`, `&`, `|`).
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from matgen.composition.elements import ATOMIC_NUMBER
from matgen.composition.groups import group_named
from matgen.errors import OptionError

FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "min": lambda *values: reduce(np.minimum, values),
    "max": lambda *values: reduce(np.maximum, values),
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
}
"""Functions of numbers: `min` and `max` take two or more, the others one."""

OF_ELEMENTS = ("contains", "fraction")
"""Functions of an element or a group: `contains(Li)` is 1 or 0, `fraction(Li)` the share of the atoms."""

_LONGEST = 2_000
_SEVERAL = ("min", "max")
_WORDS = ("and", "or", "not")
_CONSTANTS = {"true": 1.0, "false": 0.0}
_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | `(?P<quoted>[^`]+)`
    | (?P<name>[^\W\d]\w*(?:\.\w+)*)
    | (?P<sign>\*\*|<=|>=|==|!=|&&?|\|\|?|[-+*/()<>=,])""",
    re.VERBOSE,
)
_SIGNS = {"=": "==", "&": " and ", "&&": " and ", "|": " or ", "||": " or "}
_BINARY: dict[type[ast.AST], Callable[..., np.ndarray]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_COMPARE: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class Expression:
    """A reward that was read.

    Attributes:
        text: as the user wrote it.
        columns: names of the columns that it needs, as written, in order of appearance; of what is said of elements
            `contains(Li)`.
    """

    text: str
    columns: tuple[str, ...]
    _tree: ast.expr

    def __call__(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The value of each row, float64 `(n,)`.

        A comparison, `and`, `or` and `not` give 1 or 0; any number but 0 counts as true. A missing value (NaN) fails
        every comparison, `!=` included, and is not true; arithmetic on it is missing.

        Args:
            columns: numbers or bool `(n,)`, by the names in `columns`.
        """
        values = {name: np.asarray(columns[name], dtype=np.float64) for name in self.columns}
        with np.errstate(all="ignore"):
            return np.array(np.broadcast_to(_value(self._tree, values), np.broadcast_shapes(*_shapes(values))))


def parse_reward(text: str) -> Expression:
    """Read a reward: numbers, columns, `+ - * / **`, `< <= > >= == !=`, `and or not`, parentheses and `FUNCTIONS`.

    Precedence is Python's; `1 < band_gap < 3` holds where both comparisons do. Names of columns that hold other signs
    than letters, digits, underscores and dots are written in backticks.

    Raises:
        OptionError: it cannot be read, or holds anything else.
    """
    if len(text) > _LONGEST:
        raise OptionError(f"the reward has {len(text):,} characters, at most {_LONGEST:,} are read")
    code, names = _as_python(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # such as of 1(2), which is refused below
            tree = ast.parse(code, mode="eval").body
        _check(tree, text, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(text, "write it as 'probability_hull_0.05 * balanced_common * (cost < 50)'") from error
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    used = sorted({node.id for node in found if node.id in names}, key=list(names).index)
    return Expression(text.strip(), tuple(dict.fromkeys(names[one] for one in used)), _named(tree, names))


def elements_of(name: str) -> tuple[str, tuple[int, ...]] | None:
    """The function and the atomic numbers that `contains(Li)` stands for; None for an ordinary column."""
    match = re.fullmatch(r"(\w+)\((\w+)\)", name)
    return None if match is None else (match[1], _atomic_numbers(match[2]))


def _as_python(text: str) -> tuple[str, dict[str, str]]:
    """The text with a plain name in place of each column, and those names' columns."""
    code: list[str] = []
    names: dict[str, str] = {}
    position = 0
    while position < len(text):
        of_elements = re.compile(rf"({'|'.join(OF_ELEMENTS)})\s*\(\s*(\w+)\s*\)").match(text, position)
        match = of_elements or _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(text, f"{text[position:].split()[0][:20]!r} is no number, column or sign")
        position = match.end()
        if of_elements:
            _atomic_numbers(of_elements[2])
            code.append(_placeholder(names, f"{of_elements[1]}({of_elements[2]})"))
        elif match["quoted"]:
            code.append(_placeholder(names, match["quoted"].strip()))
        elif (name := match["name"]) is None:
            code.append(_SIGNS.get(match[0], match[0]))
        elif name.lower() in _WORDS:
            code.append(f" {name.lower()} ")
        elif name.lower() in _CONSTANTS:
            code.append(f" {_CONSTANTS[name.lower()]} ")
        elif name in FUNCTIONS and re.match(r"\s*\(", text[position:]):
            code.append(name)
        else:
            code.append(_placeholder(names, name))
    return "".join(code).strip(), names


def _placeholder(names: dict[str, str], column: str) -> str:
    """A name that Python reads for a column, the same one each time."""
    known = next((name for name, one in names.items() if one == column), f"column_{len(names)}")
    names[known] = column
    return f" {known} "


def _atomic_numbers(word: str) -> tuple[int, ...]:
    found = (ATOMIC_NUMBER[word],) if word in ATOMIC_NUMBER else group_named(word)
    if found is None:
        raise OptionError(f"{word!r} is no element and no group of elements, such as transition_metals")
    return found


def _check(node: ast.expr, text: str, names: Mapping[str, str]) -> None:
    """Refuse whatever is not arithmetic."""
    parts: list[ast.expr] = []
    match node:
        case ast.Constant(value=bool() | int() | float() as number):
            if not np.isfinite(float(number)):
                raise _unreadable(text, "a number is too large")
        case ast.Name(id=name) if name in names:
            pass
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            parts = [left, right]
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Not(), operand=operand):
            parts = [operand]
        case ast.BoolOp(values=values):
            parts = values
        case ast.Compare(left=left, ops=signs, comparators=others) if all(type(one) in _COMPARE for one in signs):
            parts = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            if (len(arguments) > 1) != (name in _SEVERAL):
                raise _unreadable(text, f"{name} takes {'two or more numbers' if name in _SEVERAL else 'one number'}")
            parts = arguments
        case _:
            raise _unreadable(text, "only numbers, columns, + - * / **, comparisons, and, or, not and functions count")
    for part in parts:
        _check(part, text, names)


def _named(tree: ast.expr, names: Mapping[str, str]) -> ast.expr:
    """The tree with the columns' own names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            node.id = names[node.id]
    return tree


def _value(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a node that `_check` let through."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return np.asarray(number, dtype=np.float64)
        case ast.Name(id=name):
            return columns[name]
        case ast.BinOp(left=left, op=sign, right=right):
            return _BINARY[type(sign)](_value(left, columns), _value(right, columns))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return (~_true(_value(operand, columns))).astype(np.float64)
        case ast.UnaryOp(op=sign, operand=operand):
            of_operand = _value(operand, columns)
            return -of_operand if isinstance(sign, ast.USub) else of_operand
        case ast.BoolOp(op=joint, values=values):
            join = np.logical_and if isinstance(joint, ast.And) else np.logical_or
            return reduce(join, [_true(_value(one, columns)) for one in values]).astype(np.float64)
        case ast.Compare(left=left, ops=signs, comparators=others):
            sides = [_value(one, columns) for one in (left, *others)]
            holds = [
                _COMPARE[type(sign)](a, b) & ~np.isnan(a) & ~np.isnan(b)
                for sign, a, b in zip(signs, sides, sides[1:], strict=False)
            ]
            return reduce(np.logical_and, holds).astype(np.float64)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(one, columns) for one in arguments))
    raise AssertionError(f"{type(node).__name__} was let through")


def _true(value: np.ndarray) -> np.ndarray:
    return (value != 0) & ~np.isnan(value)


def _shapes(values: Mapping[str, np.ndarray]) -> list[tuple[int, ...]]:
    return [one.shape for one in values.values()] or [()]


def _unreadable(text: str, why: str) -> OptionError:
    shown = text.strip() if len(text) <= 60 else f"{text.strip()[:57]}..."
    return OptionError(f"cannot read the reward {shown!r}: {why}")
