"""The bar at the foot of the page: what is going on, one piece of work at a time, and the button that cancels it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from nicegui import run, ui

from matgen.app.progress import CancellableProgress, Cancelled
from matgen.app.widgets import button
from matgen.errors import MatgenError

_T = TypeVar("_T")


class Status:
    """Runs work in another thread and shows how it goes; made where the bar is to stand."""

    def __init__(self) -> None:
        self.progress: CancellableProgress | None = None
        self._disabled_while_busy: list[Any] = []
        with ui.element("section").classes("bar").props('aria-label="What is going on"'):
            self._text = ui.label("").classes("status").props('role="status"')
            self._cancel_button = button("Cancel", self.cancel).props("disabled")
        ui.timer(0.3, self._show_progress)

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

    async def do(self, work: Callable[[CancellableProgress], _T]) -> _T | None:
        """Work in another thread; None where it failed or was cancelled; the bar says so."""
        if self.progress is not None:
            self.say("something is being done already: wait or cancel it", error=True)
            return None
        self.progress = progress = CancellableProgress()
        self._cancel_button.props(remove="disabled")
        for element in self._disabled_while_busy:
            element.props("disabled")
        try:
            return await run.io_bound(work, progress)
        except Cancelled:
            self.say("cancelled")
        except (MatgenError, OSError) as error:
            self.say(str(error), error=True)
        except Exception as error:  # the page goes on, whatever failed
            logging.getLogger(__name__).exception("what the page asked for failed")
            self.say(f"Unexpected error: {type(error).__name__}: {error}", error=True)
        finally:
            self.progress = None
            self._cancel_button.props("disabled")
            for element in self._disabled_while_busy:
                element.props(remove="disabled")
        return None

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a message to the visitor in the bar."""
        self._text.set_text(text)
        self._text.classes(replace="status error" if error else "status")

    def _show_progress(self) -> None:
        if self.progress is not None:
            share = "" if self.progress.share is None else f" {self.progress.share:.0%}"
            self.say(f"{self.progress.label or 'Working'}{share} ...")
