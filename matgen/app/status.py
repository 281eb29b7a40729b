"""What is being done for a visitor, one piece of work at a time, and lines that show it beside what asked for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from nicegui import run, ui

from matgen.app.progress import CancellableProgress, Cancelled
from matgen.app.widgets import button
from matgen.errors import MatgenError

_T = TypeVar("_T")

TICK_S = 0.3
"""How often the progress of work is shown, while there is any: an idle page does nothing."""


class Status:
    """The work of one visitor, of which there is one at a time."""

    def __init__(self) -> None:
        self.progress: CancellableProgress | None = None
        self._disabled_while_busy: list[Any] = []

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self.progress is not None

    def disable_while_busy(self, element: Any) -> None:
        """Let a button rest while something is being done."""
        self._disabled_while_busy.append(element)

    def cancel(self) -> None:
        """End what is being done."""
        if self.progress is not None:
            self.progress.cancel()

    def begin(self) -> CancellableProgress:
        """Take the turn."""
        self.progress = CancellableProgress()
        for element in self._disabled_while_busy:
            element.props("disabled")
        return self.progress

    def end(self) -> None:
        """Give the turn back."""
        self.progress = None
        for element in self._disabled_while_busy:
            element.props(remove="disabled")


class StatusLine:
    """A line of text with a bar and a button that cancels; made where it is to stand.

    Args:
        status: whose work it shows: what was begun by this line.
        name: of the bar, for screen readers.
    """

    def __init__(self, status: Status, name: str) -> None:
        self._status = status
        with ui.element("div").classes("status-line"):
            self._text = ui.label("").classes("status").props('role="status"')
            with ui.element("div").classes("working") as self._working:
                self._bar = ui.element("progress").props(f'max="1" aria-label="{name}"')
                button("Cancel", status.cancel)
        self._working.set_visibility(False)

    async def do(self, work: Callable[[CancellableProgress], _T]) -> _T | None:
        """Work in another thread; None where it failed or was canceled; the line says so."""
        if self._status.busy:
            self.say("something is being done already: wait or cancel it", error=True)
            return None
        progress = self._status.begin()
        self._working.set_visibility(True)
        try:
            done = asyncio.ensure_future(run.io_bound(work, progress))
            while not done.done():
                self._show(progress)
                await asyncio.wait([done], timeout=TICK_S)
            self.say("")
            return done.result()
        except Cancelled:
            self.say("canceled")
        except (MatgenError, OSError) as error:
            self.say(str(error), error=True)
        except Exception as error:  # the page goes on, whatever failed
            logging.getLogger(__name__).exception("what the page asked for failed")
            self.say(f"Unexpected error: {type(error).__name__}: {error}", error=True)
        finally:
            self._status.end()
            self._working.set_visibility(False)
        return None

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a message to the visitor."""
        self._text.set_text(text)
        self._text.classes(replace="status error" if error else "status")

    def _show(self, progress: CancellableProgress) -> None:
        label, share = progress.label or "Working", progress.share
        self.say(f"{label} ..." if share is None else f"{label}: {share:.0%}")
        if share is None:
            self._bar.props(remove="value")  # it runs to and fro
        else:
            self._bar.props(f'value="{share:.3f}"')
