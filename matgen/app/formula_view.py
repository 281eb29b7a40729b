"""One formula in detail: what could take each element's place, and a relaxed structure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nicegui import ui

from matgen.app.periodic_table import probabilities
from matgen.app.structure_view import show_structure
from matgen.app.widgets import button, in_words, records, region
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.evaluation.page.explanation import states_in_words

if TYPE_CHECKING:
    from matgen.app.session import Session
    from matgen.app.status import Status
    from matgen.sampling import Tinkered

VARIANTS = 8
"""Variants of a formula that are listed."""

REST_MS = 250
"""How long the mouse must rest on an element before its replacements are asked for."""

_ENTER = f"() => {{ clearTimeout(window.matgenRest); window.matgenRest = setTimeout(() => emit(), {REST_MS}); }}"
_LEAVE = "() => clearTimeout(window.matgenRest)"


class FormulaView:
    """The section of one formula. Its elements show their replacements under the mouse, by a click and by Enter."""

    def __init__(
        self, section: ui.element, session: Session, status: Status, add: Callable[[dict[str, Any]], None]
    ) -> None:
        self.section, self.session, self.status, self.add = section, session, status, add
        self.formula = ""
        self._wanted = self._shown = ""
        self._variants: dict[str, Tinkered] = {}
        with self.section:
            ui.label("Choose a formula of the table to see it in detail.")

    def open(self, row: dict[str, Any]) -> None:
        """Show one formula."""
        self.formula = row["reduced_formula"]
        self._wanted, self._shown, self._variants = "", "", {}
        self.section.clear()
        with self.section:
            with ui.element("h2"):
                ui.label(self.formula)
            ui.label(in_words(row))
            for line, warns in states_in_words(self.formula):
                ui.label(line).classes("error" if warns else "")
            with ui.row().classes("items-center q-my-sm"):
                ui.label("What could take the place of")
                for symbol in elements_of(self.formula):
                    one = button(symbol, lambda _, s=symbol: self.replace(s), label=f"Replace {symbol}")
                    one.on("mouseenter", lambda _, s=symbol: self._under_mouse(s), js_handler=_ENTER)
                    one.on("mouseleave", js_handler=_LEAVE)
                ui.label("?")
                button("Relax a structure", self.relax)
            self.below = ui.element("div").classes("w-full")
        # by the section: what was clicked may have been in it, and be gone
        self.section.client.run_javascript(f"getHtmlElement({self.section.id}).scrollIntoView({{behavior: 'smooth'}})")

    async def _under_mouse(self, symbol: str) -> None:
        self._wanted = symbol
        while self._wanted != self._shown and not self.status.busy:  # the mouse may go on to another meanwhile
            await self.replace(self._wanted)

    async def replace(self, symbol: str) -> None:
        """Show what could take an element's place."""
        formula, self._wanted, self._shown = self.formula, symbol, symbol
        variants = self._variants.get(symbol) or await self.status.do(
            lambda progress: self.session.variants(formula, symbol, progress)
        )
        if formula != self.formula:
            if variants is not None:
                self.status.say(f"elements in the place of {symbol} in {formula}, which is not open any more")
            return
        if variants is None:  # it failed or was cancelled: not again while the mouse rests there
            self._shown = ""
            if self._wanted == symbol:
                self._wanted = ""
            return
        self._variants[symbol] = variants
        self.status.say(f"elements in the place of {symbol} in {formula}")
        rows = [{**row, "reduced_formula": row["formula"]} for row in records(variants.frame)]
        by_symbol = {row["fill_1"]: row for row in rows}
        self.below.clear()
        with self.below:
            ui.label(f"In the place of {symbol}:")
            with region("Heat map"):
                probabilities(variants.positions[0], lambda s: self.open(by_symbol[s]))
            with region("Variants"), ui.element("table"), ui.element("tbody"):
                for row in rows[:VARIANTS]:
                    self._variant(row)

    def _variant(self, row: dict[str, Any]) -> None:
        with ui.element("tr"):
            with ui.element("td"):
                button(row["formula"], lambda: self.open(row), label=f"Look at {row['formula']}")
            novel = "novel" if row["novel"] else "known"
            for text in (f"{row['probability']:.1%}", "valid" if row["valid"] else "not valid", novel):
                with ui.element("td"):
                    ui.label(text)
            with ui.element("td"):
                button("Add", lambda: self.add(row), label=f"Add {row['formula']} to the basket")

    async def relax(self) -> None:
        """Show the lowest relaxed structure."""
        formula = self.formula
        relaxed = await self.status.do(lambda progress: self.session.structure(formula, progress))
        if relaxed is None:
            return
        structure, energies = relaxed
        if formula != self.formula:
            self.status.say(f"{formula} is relaxed, but not open any more")
            return
        self._wanted = self._shown = ""
        self.status.say(f"{formula} relaxed ({energies}): a hypothesis, to be checked by DFT")
        text = structure.to(fmt="cif")
        self.below.clear()
        with self.below:
            show_structure(structure)
            button(
                "Save this CIF",
                lambda: ui.download(text.encode(), f"{formula}.cif", "chemical/x-cif"),
                label=f"Download the CIF of {formula}",
            )


def elements_of(formula: str) -> list[str]:
    """Symbols of a formula, by electronegativity."""
    elements = CompositionBatch.from_formulas([formula]).elements[0]
    return [str(symbol) for symbol in SYMBOLS[elements[elements > 0]]]
