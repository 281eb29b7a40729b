"""One formula in detail: its card, its relaxed structure, and what could take each element's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
from nicegui import run, ui

from matgen.app.periodic_table import probabilities
from matgen.app.status import Status, StatusLine
from matgen.app.widgets import button, heading, note, records, region, show
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.evaluation.page.card import Crystal, candidate_cards, cards_html
from matgen.runtime.notebook import formula_html

if TYPE_CHECKING:
    from nicegui.events import GenericEventArguments

    from matgen.app.session import Session
    from matgen.sampling import Tinkered

VARIANTS = 8
"""Variants of a formula that are listed."""

REST_MS = 250
"""How long the mouse must rest on an element before its replacements are asked for."""

_ENTER = f"() => {{ clearTimeout(window.matgenRest); window.matgenRest = setTimeout(() => emit(), {REST_MS}); }}"
_LEAVE = "() => clearTimeout(window.matgenRest)"


class FormulaView:
    """The section of one formula. Its elements show their replacements under the mouse, by a click and by Enter.

    Args:
        section: where it stands.
        session: knows what there is to show.
        status: of the visitor's work.
        add: puts a row into the basket.
        save_inputs: has the browser save the DFT inputs of a formula.
        opened: called with each formula that is opened.
    """

    def __init__(
        self,
        section: ui.element,
        session: Session,
        status: Status,
        add: Callable[[dict[str, Any]], None],
        save_inputs: Callable[[str, StatusLine], Any],
        opened: Callable[[str], None],
    ) -> None:
        self.section, self.session, self.status, self.add = section, session, status, add
        self._save_inputs, self._opened = save_inputs, opened
        self.row: dict[str, Any] = {}
        self._wanted = self._shown = ""
        self._variants: dict[str, Tinkered] = {}
        with self.section:
            heading("Candidate")
            self._hint = note("Choose a formula of the table to see it in detail.")
            self._card = ui.html("", sanitize=False).classes("w-full").on("matgen-card", self._act, args=["detail"])
            self.line = StatusLine(status, "Progress of the candidate")
            self._below = ui.element("div").classes("w-full")

    @property
    def formula(self) -> str:
        """The formula that is open, "" where none is."""
        return str(self.row.get("reduced_formula", ""))

    async def open(self, row: dict[str, Any], *, scroll: bool = True) -> None:
        """Show one formula, with its structure if it was relaxed before."""
        self.row, formula = row, row["reduced_formula"]
        self._wanted, self._shown, self._variants = "", "", {}
        self._opened(formula)
        self._hint.set_visibility(False)
        await self._draw()
        if formula != self.formula:
            return
        self.line.say("")
        self._below.clear()
        with self._below:
            with ui.element("div").classes("buttons"):
                ui.label("What could take the place of")
                for symbol in elements_of(formula):
                    one = button(symbol, lambda s=symbol: self.replace(s), label=f"Replace {symbol}").classes("small")
                    one.on("mouseenter", lambda s=symbol: self._under_mouse(s), js_handler=_ENTER)
                    one.on("mouseleave", js_handler=_LEAVE)
                ui.label("?")
            self._replacements = ui.element("div").classes("w-full")
        if scroll:
            show(self.section)

    async def _draw(self) -> None:
        """The card of the open formula."""
        row, formula = self.row, self.formula
        html = await run.io_bound(lambda: _card(row, self.session.kept_crystals([formula])))
        if html is not None and formula == self.formula:
            self._card.set_content(html)
            self._card.client.run_javascript(f"matgenCards.attach(getHtmlElement({self._card.id}))")

    async def _act(self, event: GenericEventArguments) -> None:
        """A button of the card."""
        action, formula = event.args["detail"]["action"], event.args["detail"]["formula"]
        if formula != self.formula:
            return
        if action == "basket":
            self.add(self.row)
            self.line.say(f"{formula} is in the basket")
        elif action == "dft":
            await self._save_inputs(formula, self.line)
        elif action == "relax":
            await self.relax()

    async def relax(self) -> None:
        """Show the lowest relaxed structure."""
        formula = self.formula
        crystal: Crystal | None = await self.line.do(lambda progress: self.session.crystal(formula, progress))
        if crystal is None:
            return
        if formula != self.formula:
            self.line.say(f"{formula} is relaxed, but not open any more")
            return
        await self._draw()
        self.line.say(f"{formula} is relaxed: a hypothesis, to be checked by DFT")

    async def _under_mouse(self, symbol: str) -> None:
        self._wanted = symbol
        while self._wanted != self._shown and not self.status.busy:  # the mouse may go on to another meanwhile
            await self.replace(self._wanted)

    async def replace(self, symbol: str) -> None:
        """Show what could take an element's place."""
        formula, self._wanted, self._shown = self.formula, symbol, symbol
        variants = self._variants.get(symbol) or await self.line.do(
            lambda progress: self.session.variants(formula, symbol, progress)
        )
        if formula != self.formula:
            return
        if variants is None:  # it failed or was canceled: not again while the mouse rests there
            self._shown = ""
            if self._wanted == symbol:
                self._wanted = ""
            return
        self._variants[symbol] = variants
        rows = [{**row, "reduced_formula": row["formula"]} for row in records(variants.frame)]
        by_symbol = {row["fill_1"]: row for row in rows}
        self._replacements.clear()
        with self._replacements:
            note(f"In the place of {symbol}, by the model's probability:")
            with region("Heat map"):
                probabilities(variants.positions[0], lambda s: self._look(by_symbol[s]["reduced_formula"]))
            with region("Variants"), ui.element("table"), ui.element("tbody"):
                for row in rows[:VARIANTS]:
                    self._variant(row)

    def _variant(self, row: dict[str, Any]) -> None:
        formula = row["reduced_formula"]
        with ui.element("tr"):
            with ui.element("th").props('scope="row"'):
                one = button("", lambda: self._look(formula), label=f"Look at {formula}").classes(replace="formula")
                one.set_content(formula_html(formula))
            for text in (
                f"{row['probability']:.1%}",
                "valid" if row["valid"] else "not valid",
                "novel" if row["novel"] else "known",
            ):
                ui.html(text, sanitize=False, tag="td")

    async def _look(self, formula: str) -> None:
        """Open a formula of which only the name is known."""
        details = await self.line.do(lambda progress: self.session.details(formula, progress))
        if details is not None:
            await self.open(records(details)[0])


def _card(row: dict[str, Any], crystals: dict[str, Crystal]) -> str:
    """The card of a row as HTML."""
    cards = candidate_cards(pd.DataFrame([row]), crystals)
    relax = [] if cards[0].crystal else [("relax", "Relax a structure")]
    return str(cards_html(cards, [*relax, ("dft", "DFT inputs"), ("basket", "Add to basket")]))


def elements_of(formula: str) -> list[str]:
    """Symbols of a formula, by electronegativity."""
    elements = CompositionBatch.from_formulas([formula]).elements[0]
    return [str(symbol) for symbol in SYMBOLS[elements[elements > 0]]]
