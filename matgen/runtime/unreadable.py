"""Rows of a reference, dataset or hull table whose formulas cannot be read: said, and past a share of them an error.

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
        raise DataError(f"{unreadable}: mend the table, or add --allow-unreadable to leave such rows out")
    warnings.warn(str(unreadable), MatgenWarning, stacklevel=3)
    return unreadable
