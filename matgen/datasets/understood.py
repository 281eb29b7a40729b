"""What was understood of a file: told in one line where it was guessed, collected for `matgen data check`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

from matgen.errors import MatgenWarning

_COLLECTED: ContextVar[dict[str, list[str]] | None] = ContextVar("collected", default=None)
_TOLD: set[tuple[object, ...]] = set()
_NAMES: dict[str, str] = {}


@contextlib.contextmanager
def collecting() -> Iterator[dict[str, list[str]]]:
    """Within the block, what is understood of each file goes into the dictionary, and nothing is told."""
    collected: dict[str, list[str]] = {}
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


@contextlib.contextmanager
def called(path: Path, name: str) -> Iterator[None]:
    """Within the block, a temporary file is called by the name that the user knows."""
    _NAMES[str(path)] = name
    try:
        yield
    finally:
        del _NAMES[str(path)]


def name_of(path: Path) -> str:
    """The name by which the user knows a file."""
    return _NAMES.get(str(path), str(path))


def understood(path: Path, kind: str = "", guesses: Sequence[str] = ()) -> None:
    """Note how a file is read.

    Args:
        path: the file.
        kind: such as `text in UTF-8, columns separated by commas`.
        guesses: what could have been meant otherwise; a `MatgenWarning` says it, once for each state of the file.
    """
    name = name_of(path)
    collected = _COLLECTED.get()
    if collected is not None:
        parts = collected.setdefault(name, [])
        parts += [part for part in (kind, *guesses) if part and part not in parts]
        return
    told = (name, path.stat().st_mtime_ns, *guesses)
    if guesses and told not in _TOLD:
        _TOLD.add(told)
        warnings.warn(f"{name}: {'; '.join(guesses)}", MatgenWarning, stacklevel=3)
