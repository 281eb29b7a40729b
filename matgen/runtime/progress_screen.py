"""The one place of a terminal where progress is shown: bars below all that is said, an elapsed time where none is.

There is one screen a process. While it is up, what is written on standard error (and on standard output, where both are
the same terminal) goes above the bars, so that no line ever meets another. A thread redraws it, so that the elapsed
time goes on while the work is silent. Processes that are forked from this one write as if there were none.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

_REFRESHES = 4.0
"""Redrawings a second."""


class Screen:
    """Bars on standard error, one line each; made when the first of them is wanted, gone when the last has ended."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._live: Any = None
        self._waiting: Any = None
        self._open = 0

    def begin(self, total: int | None, description: str, unit: str, done: int) -> Any:
        """Show one more bar; returns its number."""
        with self._lock:
            progress = self._shown()
            self._open += 1
            if self._waiting is not None:
                progress.update(self._waiting, visible=False)
            return progress.add_task(description, total=total, completed=done, unit=unit, rate="")

    def advance(self, task: Any, n: int, rate: str) -> None:
        """Move a bar on."""
        with self._lock:
            if self._live is not None:
                self._live.update(task, advance=n, **({"rate": rate} if rate else {}))

    def end(self, task: Any) -> None:
        """Take a bar away."""
        with self._lock:
            if self._live is None:
                return
            self._live.remove_task(task)
            self._open -= 1
            if self._open == 0 and self._waiting is None:
                self._hide()
            elif self._open == 0:
                self._live.reset(self._waiting, visible=True)

    @contextlib.contextmanager
    def waiting(self, description: str) -> Iterator[None]:
        """Within the block, show how long the work has been silent whenever no bar is there."""
        with self._lock:
            progress = self._shown()
            self._waiting = progress.add_task(description, total=None, unit="", rate="")
        try:
            yield
        finally:
            with self._lock:
                self._waiting, self._open = None, 0
                self._hide()

    def _shown(self) -> Any:
        if self._live is None:
            self._live = _progress()
            self._live.start()
        return self._live

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def forget(self) -> None:
        """In a forked process: write as if there were no screen, whatever its lock and streams are."""
        from rich.file_proxy import FileProxy

        self._lock, self._live, self._waiting, self._open = threading.RLock(), None, None, 0
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, FileProxy):
                setattr(sys, name, stream.rich_proxied_file)


def _progress() -> Any:
    """What draws the bars."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    class Counted(MofNCompleteColumn):
        """The count and its unit; nothing where nothing is counted."""

        def render(self, task: Any) -> Any:
            from rich.text import Text

            if not task.fields["unit"]:
                return Text("")
            of = "" if task.total is None else f"/{int(task.total):,}"
            return Text(f"{int(task.completed):,}{of} {task.fields['unit']}")

    class Bar(BarColumn):
        """A bar of what is counted; nothing where only time goes by."""

        def render(self, task: Any) -> Any:
            from rich.text import Text

            return super().render(task) if task.fields["unit"] else Text("")

    class Left(Remaining):
        """The time that is left; nothing where that cannot be known."""

        def render(self, task: Any) -> Any:
            from rich.text import Text

            return Text("") if task.total is None or task.time_remaining is None else super().render(task)

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        Bar(bar_width=24),
        Counted(),
        TimeElapsedColumn(),
        Left(),
        TextColumn("{task.fields[rate]}", markup=False),
        console=Console(stderr=True, highlight=False),
        refresh_per_second=_REFRESHES,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    )


SCREEN = Screen()
"""The one of this process."""

os.register_at_fork(after_in_child=SCREEN.forget)
