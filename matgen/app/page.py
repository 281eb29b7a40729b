"""The page: elements and conditions, the table of what was drawn, one formula in detail, the basket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
from nicegui import run, ui

from matgen.app.desk import Cancelled, Desk, Watch
from matgen.app.periodic_table import FORBIDDEN, REQUIRED, ElementChoice, probabilities
from matgen.app.structure_view import show_structure
from matgen.chemistry import SYMBOLS
from matgen.composition import CompositionBatch
from matgen.errors import MatgenError
from matgen.sample import Constraints, Decoding, SampleRequest

_T = TypeVar("_T")

ROWS = 15
"""Rows of the table that are shown at a time."""

MOST = 5_000
"""Compositions that are drawn at a time at most; more is for `matgen sample`."""

VARIANTS = 8
"""Variants of a formula that are listed."""

STYLE = """
body { background: #f6f7f9; color: #1b1b1b; }
.matgen { max-width: 1180px; margin: 0 auto; padding: 8px 16px 88px; width: 100%; gap: 16px; }
.matgen h1 { font-size: 1.6rem; font-weight: 700; line-height: 1.2; margin: 8px 0 0; }
.matgen h2 { font-size: 1.15rem; font-weight: 600; line-height: 1.3; margin: 0; }
.matgen section { background: #fff; border: 1px solid #d5d9e0; border-radius: 8px; padding: 16px; width: 100%; }
.scroll { overflow-x: auto; width: 100%; }
.periodic { display: grid; grid-template-columns: repeat(18, minmax(34px, 1fr)); gap: 3px; min-width: 664px; }
.element { height: 34px; border: 1px solid #767c88; border-radius: 4px; background: #fff; color: #1b1b1b; }
.element.required { background: #0b5394; color: #fff; font-weight: 700; }
.element.forbidden { background: #5f6570; color: #fff; text-decoration: line-through; }
.element:disabled { border-color: #d5d9e0; }
.matgen button:focus-visible { outline: 3px solid #d9730d; outline-offset: 1px; }
.matgen table { border-collapse: collapse; width: 100%; }
.matgen th, .matgen td { text-align: left; padding: 5px 8px; border-bottom: 1px solid #e3e6ea; white-space: nowrap; }
.matgen td.wide { white-space: normal; min-width: 200px; }
.plain { border: 1px solid #767c88; border-radius: 4px; padding: 5px 10px; background: #fff; color: #0b3d6e; }
.plain.main { background: #0b5394; color: #fff; }
.plain:disabled { background: #eceef1; color: #5a5f69; }
.conditions { display: flex; flex-wrap: wrap; gap: 12px; align-items: end; }
.conditions .q-field { width: 138px; }
.conditions .q-field__label { color: #4a4f59; }
.matgen section.bar { position: fixed; bottom: 0; left: 0; border-radius: 0; padding: 8px 16px; z-index: 9;
  display: flex; flex-direction: row; align-items: center; gap: 12px; justify-content: space-between; }
.error { color: #9c1c1c; font-weight: 600; }
"""


def button(text: str, act: Callable[..., Any], *, main: bool = False, label: str | None = None) -> ui.element:
    """A plain button of HTML, which the keyboard and screen readers know."""
    made = ui.element("button").classes("plain main" if main else "plain").props('type="button"').on("click", act)
    if label is not None:
        made.props(f'aria-label="{label}"')
    with made:
        ui.label(text)
    return made


def region(label: str) -> ui.element:
    """Room that scrolls sideways where the window is narrow, by keys too."""
    return ui.element("div").classes("scroll q-my-sm").props(f'tabindex="0" role="region" aria-label="{label}"')


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by names of columns."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


class Field:
    """A labelled field for a few words."""

    def __init__(self, label: str, value: str = "", *, hint: str = "") -> None:
        self._input = ui.input(label, value=value, placeholder=hint).props(
            "outlined dense stack-label autocomplete=off"
        )

    @property
    def value(self) -> str:
        """What is written there."""
        return str(self._input.value or "").strip()

    def number(self, name: str, kind: Callable[[str], _T]) -> _T:
        """The value as a number.

        Raises:
            MatgenError: it is none.
        """
        try:
            return kind(self.value)
        except ValueError:
            raise MatgenError(f"{name} is {self.value!r}, it must be a number") from None


class Page:
    """One visitor's view of a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.frame = pd.DataFrame()
        self.basket: dict[str, dict[str, Any]] = {}
        self.first = 0
        self.watch: Watch | None = None
        ui.add_css(STYLE)
        with ui.element("div").classes("matgen column"):  # NiceGUI has a <main> around it
            with ui.element("h1"):
                ui.label("matgen")
            self._choices()
            with ui.element("section").props('aria-label="Compositions"'):
                self._results()
            with ui.element("section").props('aria-label="One formula"') as self.detail:
                ui.label("Choose a formula of the table to see it in detail.")
            with ui.element("section").props('aria-label="Basket"'):
                self._basket()
            with ui.element("section").classes("bar").props('aria-label="What is going on"'):
                self.said = ui.label("").classes("said").props('role="status"')
                self.cancel_button = button("Cancel", self.cancel).props("disabled")
        ui.timer(0.3, self._tell_progress)

    # -- what to draw ---------------------------------------------------------------------------------------------

    def _choices(self) -> None:
        with ui.element("section").props('aria-label="Conditions"'):
            with ui.element("h2"):
                ui.label("Which elements? A click requires one, a second forbids it.")
            with ui.element("div").classes("scroll q-my-sm"):
                self.elements = ElementChoice()
            with ui.element("div").classes("conditions"):
                self.n = Field("compositions", "200")
                self.kinds = Field("kinds of elements", hint="3, 2..4")
                self.most_atoms = Field("atoms at most", hint="20")
                self.anonymous = Field("formula type", hint="ABC3")
                self.near = Field("near hull, % at least", hint="50")
                self.temperature = Field("temperature", "1.0")
                self.seed = Field("seed", "0")
                self.valid = ui.checkbox("valid ones only")
                self.generate_button = button("Generate", self.generate, main=True)
                button("Clear elements", self.elements.clear)

    def request(self) -> SampleRequest:
        """What the conditions ask for.

        Raises:
            MatgenError: a condition makes no sense.
        """
        n = self.n.number("compositions", int)
        if not 1 <= n <= MOST:
            raise MatgenError(f"compositions is {n}, here it must be from 1 to {MOST:,}; `matgen sample` draws more")
        written = {
            "contains": ",".join(self.elements.chosen(REQUIRED)),
            "exclude": ",".join(self.elements.chosen(FORBIDDEN)),
            "elements": self.kinds.value,
            "max_atoms": self.most_atoms.value,
            "anonymous": self.anonymous.value,
            "valid": self.valid.value,
        }
        given: dict[str, Any] = {name: value for name, value in written.items() if value}
        return SampleRequest(
            n,
            seed=self.seed.number("seed", int),
            decoding=Decoding(self.temperature.number("temperature", float)),
            constraints=Constraints.from_options(**given) if given else None,
        )

    async def generate(self) -> None:
        """Draw and judge, and show what came."""

        def work(watch: Watch) -> pd.DataFrame:
            return self.desk.generate(request, watch)

        try:
            request = self.request()
            least = self.near.number("near hull", float) / 100 if self.near.value else 0.0
        except MatgenError as error:
            self._say(str(error), error=True)
            return
        found = await self._do(work)
        if found is not None:
            good = int((found["valid"] & found["novel"]).sum())
            said = f"{len(found):,} distinct compositions, {good:,} of them valid and novel"
            if least and "probability_hull_0.1" in found:
                found = found[found["probability_hull_0.1"] >= least]
                said += f"; {len(found):,} near the hull with {least:.0%} at least"
            self.frame, self.first = found, 0
            self._say(said)
            self._results.refresh()

    def cancel(self) -> None:
        """End what is being done."""
        if self.watch is not None:
            self.watch.cancel()

    async def _do(self, work: Callable[[Watch], _T]) -> _T | None:
        """Work in another thread; None where it failed or was cancelled, which is said."""
        if self.watch is not None:
            self._say("something is being done already: wait or cancel it", error=True)
            return None
        self.watch = watch = Watch()
        self.cancel_button.props(remove="disabled")
        self.generate_button.props("disabled")
        try:
            return await run.io_bound(work, watch)
        except Cancelled:
            self._say("cancelled")
        except (MatgenError, OSError) as error:
            self._say(str(error), error=True)
        finally:
            self.watch = None
            self.cancel_button.props("disabled")
            self.generate_button.props(remove="disabled")
        return None

    def _say(self, text: str, *, error: bool = False) -> None:
        self.said.set_text(text)
        self.said.classes(replace="said error" if error else "said")

    def _tell_progress(self) -> None:
        if self.watch is not None:
            share = "" if self.watch.share is None else f" {self.watch.share:.0%}"
            self._say(f"{self.watch.label or 'Working'}{share} ...")

    # -- what came ------------------------------------------------------------------------------------------------

    @ui.refreshable_method
    def _results(self) -> None:
        with ui.element("h2"):
            ui.label("Compositions")
        if self.frame.empty:
            ui.label("None yet: Generate draws some.")
            return
        heads = [
            "formula",
            "valid",
            "novel",
            "formation energy",
            "above hull",
            "near hull",
            "states or reason",
            "basket",
        ]
        with region("Table"), ui.element("table"):
            with ui.element("thead"), ui.element("tr"):
                for head in heads:
                    with ui.element("th").props('scope="col"'):
                        ui.label(head)
            with ui.element("tbody"):
                for row in records(self.frame.iloc[self.first : self.first + ROWS]):
                    self._row(row)
        last = min(self.first + ROWS, len(self.frame))
        with ui.row().classes("items-center q-mt-sm"):
            button("Earlier", lambda: self._turn(-ROWS))
            ui.label(f"{self.first + 1:,} to {last:,} of {len(self.frame):,}")
            button("Later", lambda: self._turn(ROWS))
        ui.label(
            "Energies in eV/atom, predicted; near hull: the probability to be at most 0.1 eV/atom above the hull. "
            "Novel: not among the compositions of OQMD and the Materials Project that matgen knows."
        ).classes("text-caption")

    def _row(self, row: dict[str, Any]) -> None:
        formula = row["reduced_formula"]
        with ui.element("tr"):
            with ui.element("td"):
                button(formula, lambda: self.open(row), label=f"Look at {formula}")
            for text in self._cells(row):
                with ui.element("td"):
                    ui.label(text)
            with ui.element("td").classes("wide"):
                ui.label(in_words(row))
            with ui.element("td"):
                button("Add", lambda: self.add(row), label=f"Add {formula} to the basket")

    @staticmethod
    def _cells(row: dict[str, Any]) -> list[str]:
        energies = [f"{row[name]:.3f}" if name in row else "" for name in ("formation_energy", "energy_above_hull")]
        near = f"{row['probability_hull_0.1']:.0%}" if "probability_hull_0.1" in row else ""
        return ["yes" if row["valid"] else "no", "yes" if row["novel"] else "no", *energies, near]

    def _turn(self, by: int) -> None:
        if 0 <= self.first + by < len(self.frame):
            self.first += by
            self._results.refresh()

    # -- one formula ----------------------------------------------------------------------------------------------

    def open(self, row: dict[str, Any]) -> None:
        """Show one formula in detail."""
        formula = row["reduced_formula"]
        self.detail.clear()
        with self.detail:
            with ui.element("h2"):
                ui.label(formula)
            ui.label(in_words(row))
            with ui.row().classes("items-center q-my-sm"):
                ui.label("What could take the place of")
                for symbol in elements_of(formula):
                    button(symbol, lambda _, s=symbol: self.tinker(formula, s), label=f"Replace {symbol}")
                ui.label("?")
                button("Relax a structure", lambda: self.relax(formula))
            self.below = ui.element("div").classes("w-full")
        ui.run_javascript(f"getHtmlElement({self.detail.id}).scrollIntoView({{behavior: 'smooth'}})")

    async def tinker(self, formula: str, symbol: str) -> None:
        """Show what could take an element's place."""
        found = await self._do(lambda watch: self.desk.variants(formula, symbol))
        if found is None:
            return
        self._say(f"elements in the place of {symbol} in {formula}")
        rows = [{**row, "reduced_formula": row["formula"]} for row in records(found.frame)]
        by_symbol = {row["fill_1"]: row for row in rows}
        self.below.clear()
        with self.below:
            with region("Heat map"):
                probabilities(found.positions[0], lambda s: self.open(by_symbol[s]))
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

    async def relax(self, formula: str) -> None:
        """Show the lowest relaxed structure."""
        structure = await self._do(lambda watch: self.desk.structure(formula, watch))
        if structure is None:
            return
        self._say(f"{formula} relaxed by CHGNet: a hypothesis, to be checked by DFT")
        self.below.clear()
        with self.below:
            show_structure(structure)

    # -- the basket -----------------------------------------------------------------------------------------------

    def add(self, row: dict[str, Any]) -> None:
        """Put a composition into the basket."""
        self.basket[row["reduced_formula"]] = row
        self._say(f"{row['reduced_formula']} is in the basket")
        self._basket.refresh()

    def _drop(self, formula: str) -> None:
        self.basket.pop(formula, None)
        self._basket.refresh()

    @ui.refreshable_method
    def _basket(self) -> None:
        with ui.element("h2"):
            ui.label(f"Basket: {len(self.basket)}")
        if not self.basket:
            ui.label("Empty: Add puts a composition here.")
            return
        with ui.row().classes("q-my-sm"):
            for formula in self.basket:
                button(f"{formula} ×", lambda _, f=formula: self._drop(f), label=f"Remove {formula}")
        with ui.row():
            button("CSV", self._save_table, label="Download as CSV")
            for format, name in (("cif", "CIF"), (self.desk.dft_format, "DFT inputs")):
                button(name, lambda _, f=format: self._save_inputs(f), label=f"Download {name}")

    def _save_table(self) -> None:
        ui.download(self.desk.as_csv(pd.DataFrame(list(self.basket.values()))), "basket.csv", "text/csv")

    async def _save_inputs(self, format: str) -> None:
        formulas = list(self.basket)
        packed = await self._do(lambda watch: self.desk.as_inputs(formulas, format, watch))
        if packed is not None:
            self._say(f"{format}: structures of {len(formulas)} compositions, relaxed by CHGNet where one was found")
            ui.download(packed, f"basket-{format}.zip", "application/zip")


def in_words(row: dict[str, Any]) -> str:
    """Oxidation states of a valid composition, or what stands in the way."""
    said = row["oxidation_states"] if row["valid"] else row["reason"]
    return said if isinstance(said, str) else ""


def elements_of(formula: str) -> list[str]:
    """Symbols of a formula, by electronegativity."""
    found = CompositionBatch.from_formulas([formula]).elements[0]
    return [str(symbol) for symbol in SYMBOLS[found[found > 0]]]
