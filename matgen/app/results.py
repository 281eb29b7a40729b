"""The table of what was drawn: sorted by any column, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pandas as pd
from nicegui import ui

from matgen.app.columns import Column, columns_of
from matgen.app.widgets import button, heading, note, records, region
from matgen.runtime.notebook import formula_html

ROWS = 12
"""Rows that are shown at a time."""


class Results:
    """The table; made where it is to stand.

    Args:
        look: opens a row in detail.
        add: puts a row into the basket, or takes it out.
        in_basket: formulas that are in it.
    """

    def __init__(
        self,
        look: Callable[[dict[str, Any]], Any],
        add: Callable[[dict[str, Any]], None],
        in_basket: Callable[[], Collection[str]],
    ) -> None:
        self._look, self._add, self._in_basket = look, add, in_basket
        self._frame = self._sorted = pd.DataFrame()
        self._first, self._more = 0, False
        self._by, self._down = "", False
        self._open = ""
        self._heads: dict[str, ui.element] = {}
        self._rows: dict[str, tuple[ui.element, ui.html, ui.html]] = {}
        heading("Results")
        self._said = note("None yet: choose conditions or an example, then Generate.").props('role="status"')
        self._place = ui.element("div").classes("w-full")

    def show(self, frame: pd.DataFrame, summary: str) -> None:
        """Show other compositions."""
        self._frame = self._sorted = frame
        self._first, self._by = 0, ""
        self._said.set_text(summary)
        self._build()

    def mark(self, formula: str | None = None) -> None:
        """Show anew which formula is open and which are in the basket; the rows stay, and with them the focus."""
        self._open = self._open if formula is None else formula
        basket = self._in_basket()
        for name, (row, look, add) in self._rows.items():
            is_open, kept = name == self._open, name in basket
            row.classes(replace="open" if is_open else "")
            look.props["aria-current"] = "true" if is_open else "false"
            look.update()
            add.props["aria-label"] = f"Remove {name} from the basket" if kept else f"Add {name} to the basket"
            add.set_content("✓ Added" if kept else "Add")
            add.update()

    def _build(self) -> None:
        """The table around the rows, which is not made again when they change: what has the focus keeps it."""
        self._place.clear()
        self._heads, self._rows = {}, {}
        if self._frame.empty:
            return
        columns = columns_of(self._frame, more=self._more)
        with self._place:
            with region("Table of results"), ui.element("table").classes("results"):
                with ui.element("thead"), ui.element("tr"):
                    self._head("reduced_formula", "Formula", "the reduced composition; open it for its card")
                    for one in columns:
                        self._head(one.name, one.head, one.meaning)
                    ui.html("Basket", sanitize=False, tag="th").props('scope="col"')
                self._body = ui.element("tbody")
            with ui.element("div").classes("pages"):
                button("Previous", lambda: self._turn(-ROWS))
                self._where = ui.label()
                button("Next", lambda: self._turn(ROWS))
                button("Fewer columns" if self._more else "More columns", self._columns).classes("right")
            with ui.element("details").classes("more"):
                ui.html("What the columns mean", sanitize=False, tag="summary")
                _definitions(columns)
        self._fill()

    def _head(self, name: str, text: str, meaning: str) -> None:
        with ui.element("th").props('scope="col"') as self._heads[name]:
            button(text, lambda: self._sort(name), title=meaning).classes(replace="sort")

    def _fill(self) -> None:
        columns = columns_of(self._frame, more=self._more)
        self._body.clear()
        with self._body:
            page = records(self._sorted.iloc[self._first : self._first + ROWS])
            self._rows = {row["reduced_formula"]: self._row(row, columns) for row in page}
        self.mark()
        last = min(self._first + ROWS, len(self._frame))
        self._where.set_text(f"{self._first + 1:,} to {last:,} of {len(self._frame):,}")
        for name, head in self._heads.items():
            order = "none" if name != self._by else "descending" if self._down else "ascending"
            head.props(f'aria-sort="{order}"')

    def _row(self, row: dict[str, Any], columns: list[Column]) -> tuple[ui.element, ui.html, ui.html]:
        """The elements of a row: itself, the button that opens it, and that of the basket."""
        formula = row["reduced_formula"]
        with ui.element("tr") as made:
            with ui.element("th").props('scope="row"'):
                look = button("", lambda: self._look(row), label=f"Look at {formula}").classes(replace="formula")
                look.set_content(formula_html(formula))
            for column in columns:
                cell = ui.html(column.html(row), sanitize=False, tag="td")
                cell.classes("wide" if column.wide else "")
            with ui.element("td"):
                add = button("Add", lambda: self._add(row)).classes("small")
        return made, look, add

    def _sort(self, name: str) -> None:
        """By another column, the high values first where it has numbers; by the same one the other way round."""
        text = self._frame[name].dtype == object
        self._down = not self._down if name == self._by else not text
        self._by, self._first = name, 0
        self._sorted = self._frame.sort_values(name, ascending=not self._down, kind="stable", na_position="last")
        self._fill()

    def _turn(self, by: int) -> None:
        if 0 <= self._first + by < len(self._frame):
            self._first += by
            self._fill()

    def _columns(self) -> None:
        self._more = not self._more
        self._build()
        self._place.client.run_javascript(f"getHtmlElement({self._place.id}).querySelector('.pages .right').focus()")


def _definitions(columns: list[Column]) -> None:
    with ui.element("dl"):
        for one in columns:
            ui.html(one.head, sanitize=False, tag="dt")
            ui.html(one.meaning, sanitize=False, tag="dd")
