"""The basket: compositions that a visitor keeps, and files of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from nicegui import ui

from matgen.app.session import Session
from matgen.app.status import Status, StatusLine
from matgen.app.widgets import button, heading, note


class Basket:
    """Rows by formula; made where it is to stand.

    Args:
        session: makes the files.
        status: of the visitor's work.
        changed: called when something came or went.
    """

    def __init__(self, session: Session, status: Status, changed: Callable[[], None]) -> None:
        self._session, self._changed = session, changed
        self.rows: dict[str, dict[str, Any]] = {}
        self._place = ui.element("div").classes("w-full")
        self._line = StatusLine(status, "Progress of the basket's files")
        self._show()

    def add(self, row: dict[str, Any]) -> None:
        """Put a composition into the basket."""
        if row["reduced_formula"] not in self.rows:
            self.turn(row)

    def turn(self, row: dict[str, Any]) -> None:
        """Put a composition into the basket, or take it out if it is there."""
        formula = row["reduced_formula"]
        if self.rows.pop(formula, None) is None:
            self.rows[formula] = row
        self._show()
        self._changed()

    def fill(self, rows: dict[str, dict[str, Any]]) -> None:
        """Have these compositions and no others."""
        self.rows = dict(rows)
        self._show()

    async def save_inputs(self, formulas: list[str], format: str, line: StatusLine) -> None:
        """Have the visitor's browser save CIFs or inputs for DFT; what has no structure yet is relaxed first."""
        packed = await line.do(lambda progress: self._session.as_inputs(formulas, format, progress))
        if packed is not None:
            archive, made = packed
            line.say(f"{format}: relaxed structures of {made} of {len(formulas)} compositions")
            name = formulas[0] if len(formulas) == 1 else "basket"
            ui.download(archive, f"{name}-{format}.zip", "application/zip")

    def _show(self) -> None:
        self._place.clear()
        with self._place:
            heading(f"Basket: {len(self.rows)}")
            if not self.rows:
                note("Empty: Add puts a composition here.")
                return
            with ui.element("div").classes("buttons"):
                for formula, row in self.rows.items():
                    button(f"{formula} ×", lambda one=row: self.turn(one), label=f"Remove {formula}").classes("small")
            with ui.element("div").classes("buttons"):
                button("CSV", self._save_table, label="Download as CSV", title="All columns, as a table")
                for format, name in (("cif", "CIF"), (self._session.dft_format, "DFT inputs")):
                    title = "What has no structure yet is relaxed first"
                    button(name, lambda one=format: self._save(one), label=f"Download {name}", title=title)

    async def _save(self, format: str) -> None:
        await self.save_inputs(list(self.rows), format, self._line)

    def _save_table(self) -> None:
        ui.download(self._session.as_csv(pd.DataFrame(list(self.rows.values()))), "basket.csv", "text/csv")
