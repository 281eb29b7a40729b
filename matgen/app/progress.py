"""How work in another thread is counted, and how it is ended."""

from __future__ import annotations

import threading
from typing import Self

from matgen.runtime.progress import Progress, SilentProgress


class Cancelled(Exception):
    """The user does not want the result any more."""


class CancellableProgress:
    """A factory of counts for another thread to read, and to end the work by.

    Attributes:
        label: of the current stage.
        share: done of what is counted in it, from 0 to 1; None where its length is unknown.
    """

    def __init__(self) -> None:
        self.label = ""
        self.share: float | None = None
        self._ended = threading.Event()

    def cancel(self) -> None:
        """End the work at its next step."""
        self._ended.set()

    def stage(self, label: str) -> Self:
        """Begin another stage.

        Raises:
            Cancelled: the work was ended.
        """
        self.label, self.share = label, None
        self.check()
        return self

    def __call__(self, total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
        """A count, see `ProgressFactory`; beginning and updating it raise as `stage` does."""
        self.check()
        return _Count(self, total, done)

    def unseen(self, total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
        """A count inside of one that is shown: it only ends the work."""
        self.check()
        return _Count(self, None, 0, shown=False)

    def check(self) -> None:
        """Raise `Cancelled` if the work was ended."""
        if self._ended.is_set():
            raise Cancelled


class _Count(SilentProgress):
    """What is counted in a stage."""

    def __init__(self, stage: CancellableProgress, total: int | None, done: int, *, shown: bool = True) -> None:
        self._stage, self._total, self._done, self._shown = stage, total, done, shown
        self._show()

    def update(self, n: int = 1, rate: float | None = None) -> None:
        self._done += n
        self._show()
        self._stage.check()

    def _show(self) -> None:
        if self._shown:
            self._stage.share = self._done / self._total if self._total and self._done else None
