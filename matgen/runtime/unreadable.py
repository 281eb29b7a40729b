"""Rows whose formulas cannot be read, or only with a remark: said, and past a share of a known table an error.

What is missing from a reference makes known compositions novel, and from a hull unstable ones stable, so that rows are
not left out in silence.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from matgen.errors import DataError, MatgenWarning

MOST_UNREADABLE = 0.2
"""Share of unreadable rows above which a table is refused."""

_ALLOWED: ContextVar[bool] = ContextVar("allowed", default=False)


@dataclass(frozen=True)
class Unreadable:
    """How many rows of a table could not be read.

    Attributes:
        name: of the table.
        n: rows that could not be read.
        of: all rows.
        first: the first of them, with its number and the reason.
    """

    name: str
    n: int
    of: int
    first: str

    def __str__(self) -> str:
        return f"{self.n:,} of {self.of:,} rows of {self.name} could not be read, the first: {self.first}"


@contextlib.contextmanager
def allowing_unreadable(allowed: bool = True) -> Iterator[None]:
    """Within the block, tables with any share of unreadable rows are taken."""
    token = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def unreadable_allowed() -> bool:
    """Whether tables with any share of unreadable rows are taken."""
    return _ALLOWED.get()


def report_remarks(n: int, first: Any, name: str = "") -> None:
    """Warn (`MatgenWarning`) of formulas that were read, though they could have been meant otherwise.

    Args:
        n: how many there are.
        first: the first of them, as a message shows it.
        name: of the table.
    """
    if n:
        where = f" of {name}" if name else ""
        formulas = "1 formula" if n == 1 else f"{n:,} formulas"
        warnings.warn(f"{formulas}{where} read with a remark, the first: {first}", MatgenWarning, stacklevel=3)


def report_unreadable(name: str, n: int, of: int, first: Any, *, allowed: bool | None = None) -> Unreadable | None:
    """Warn (`MatgenWarning`) of rows that could not be read; None where there is none.

    Args:
        name: of the table.
        n: rows that could not be read.
        of: all rows.
        first: the first of them, as a message shows it.
        allowed: what `unreadable_allowed` said, for threads, which do not know.

    Raises:
        DataError: more than `MOST_UNREADABLE` of the rows, and not `allowed`.
    """
    if not n:
        return None
    unreadable = Unreadable(name, n, of, str(first))
    if n > MOST_UNREADABLE * of and not (unreadable_allowed() if allowed is None else allowed):
        raise DataError(
            f"{unreadable}: mend the table, or leave them out by --allow-unreadable (allow_unreadable=True in Python)"
        )
    warnings.warn(str(unreadable), MatgenWarning, stacklevel=3)
    return unreadable
