"""The formula column of tables that are not the one a user asks about: references, datasets, competing phases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_NAME: ContextVar[str | None] = ContextVar("reference column", default=None)


@contextlib.contextmanager
def naming_reference_column(name: str | None) -> Iterator[None]:
    """Within the block, the formula column of references that are files has this name; None finds it by its name."""
    token = _NAME.set(name)
    try:
        yield
    finally:
        _NAME.reset(token)


def reference_column() -> str | None:
    """The name that was given, if any."""
    return _NAME.get()
