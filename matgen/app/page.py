"""The page: elements and conditions, the table of what was drawn, one formula in detail, the basket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
from nicegui import ui

from matgen.app.formula_view import FormulaView
from matgen.app.periodic_table import FORBIDDEN, REQUIRED, ElementChoice
from matgen.app.session import Session
from matgen.app.status import Status
from matgen.app.widgets import button, in_words, records, region
from matgen.datasets.where import Joined, parse_where
from matgen.errors import MatgenError
from matgen.evaluation.ranking import PROBABILITY
from matgen.sampling import Constraints, Decoding, SampleRequest

_T = TypeVar("_T")

ROWS = 15
"""Rows of the table that are shown at a time."""

PREDICTED = {
    "formation_energy": ("formation energy", "{:.3f}"),
    "energy_above_hull": ("above hull", "{:.3f}"),
    PROBABILITY: ("near hull", "{:.0%}"),
    "band_gap": ("band gap", "{:.2f}"),
    "is_metal_probability": ("metal", "{:.0%}"),
}
"""Predicted columns that are shown where there are any, with their heads."""

MOST = 5_000
"""Compositions that are drawn at a time at most; more is for `matgen sample`."""

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
.conditions .q-field.wide { width: 340px; max-width: 100%; }
.conditions .q-field__label { color: #4a4f59; }
.matgen section.bar { position: fixed; bottom: 0; left: 0; border-radius: 0; padding: 8px 16px; z-index: 9;
  display: flex; flex-direction: row; align-items: center; gap: 12px; justify-content: space-between; }
.error { color: #9c1c1c; font-weight: 600; }
"""


def _shown(form: str, value: Any) -> str:
    """A predicted value as text; a dash where there is none, such as of a hull that lacks an element."""
    return "-" if pd.isna(value) else form.format(value)


class Field:
    """A labeled field for a few words."""

    def __init__(self, label: str, value: str = "", *, hint: str = "", wide: bool = False) -> None:
        self._input = ui.input(label, value=value, placeholder=hint).props(
            "outlined dense stack-label autocomplete=off"
        )
        if wide:
            self._input.classes("wide")

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
    """One visitor's view of a session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.frame = pd.DataFrame()
        self.basket: dict[str, dict[str, Any]] = {}
        self.nothing = "None yet: Generate draws some."
        self.first = 0
        ui.add_css(STYLE)
        with ui.element("div").classes("matgen column"):  # NiceGUI has a <main> around it
            with ui.element("h1"):
                ui.label("matgen")
            self.generate_button = self._choices()
            with ui.element("section").props('aria-label="Compositions"'):
                self._results()
            formula_section = ui.element("section").props('aria-label="One formula"')
            with ui.element("section").props('aria-label="Basket"'):
                self._basket()
            self.status = Status()
            self.status.disable_while_busy(self.generate_button)
        self.detail = FormulaView(formula_section, session, self.status, self.add)

    # -- what to draw ---------------------------------------------------------------------------------------------

    def _choices(self) -> Any:
        """The section of conditions; gives the button that draws."""
        with ui.element("section").props('aria-label="Conditions"'):
            with ui.element("h2"):
                ui.label("Which elements? A click requires one, a second forbids it.")
            with ui.element("div").classes("scroll q-my-sm"):
                self.elements = ElementChoice()
            with ui.element("div").classes("conditions"):
                self.n = Field("compositions", "200")
                self.kinds = Field("number of elements", hint="3, 2..4")
                self.most_atoms = Field("max-atoms", hint="20")
                self.anonymous = Field("anonymous formula", hint="ABC3")
                self.counts = Field("count of atoms", hint="O:2..6, Ti:1")
                self.near = Field("near hull, % at least", hint="50")
                self.properties = Field("properties", hint="band_gap > 1 and formation_energy < -1", wide=True)
                self.temperature = Field("temperature", "1.0")
                self.seed = Field("seed", "0")
                self.valid = ui.checkbox("valid ones only")
                generate_button = button("Generate", self.generate, main=True)
                button("Clear elements", self.elements.clear)
        return generate_button

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
            "num_elements": self.kinds.value,
            "max_atoms": self.most_atoms.value,
            "anonymous_formula": self.anonymous.value,
            "count": self.counts.value,
            "valid": self.valid.value,
        }
        given: dict[str, Any] = {name: value for name, value in written.items() if value}
        return SampleRequest(
            n,
            seed=self.seed.number("seed", int),
            decoding=Decoding(self.temperature.number("temperature", float)),
            constraints=Constraints.from_options(**given) if given else None,
        )

    def screen(self) -> str:
        """The conditions on predicted properties, as `matgen sample --screen` has them.

        Raises:
            MatgenError: a condition cannot be read, or a number is none.
        """
        written = self.properties.value
        if written:
            # Before it is joined to another, so that an error quotes what was written.
            written = f"({written})" if any(isinstance(one, Joined) for one in parse_where(written)) else written
        if not self.near.value:
            return written
        near = self.near.number("near hull", float)
        if not 0 <= near <= 100:
            raise MatgenError(f"near hull is {near:g}, it must be from 0 to 100 %")
        return " and ".join(filter(None, (written, f"{PROBABILITY} >= {near / 100}")))

    async def generate(self) -> None:
        """Draw and judge, and show what came."""
        try:
            request, screen = self.request(), self.screen()
        except MatgenError as error:
            self.status.say(str(error), error=True)
            return
        drawn = await self.status.do(lambda progress: self.session.generate(request, progress, screen))
        if drawn is None:
            return
        self.frame, self.first = drawn.frame, 0
        if drawn.frame.empty:
            self.nothing = f"None of {drawn.draws:,} draws meets the conditions on properties."
            self.status.say(self.nothing)
        else:
            good = int((drawn.frame["valid"] & drawn.frame["novel"]).sum())
            why = {"budget": f"; stopped after {drawn.draws:,} draws", "exhausted": "; no others meet the conditions"}
            summary = f"{len(drawn.frame):,} distinct compositions, {good:,} of them valid and novel"
            self.status.say(summary + why.get(drawn.stopped, ""))
        self._results.refresh()

    # -- what came ------------------------------------------------------------------------------------------------

    @ui.refreshable_method
    def _results(self) -> None:
        with ui.element("h2"):
            ui.label("Compositions")
        if self.frame.empty:
            ui.label(self.nothing)
            return
        predicted = [head for name, (head, _) in PREDICTED.items() if name in self.frame]
        heads = ["formula", "valid", "common states", "novel", *predicted, "states or reason", "basket"]
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
            "Energies in eV/atom, band gaps in eV, predicted; near hull: the probability to be at most 0.1 eV/atom "
            "above the hull. Common states: balanced by those with at least 10 % of their element's reports. Novel: "
            "not among the compositions of OQMD and the Materials Project that matgen knows."
        ).classes("text-caption")

    def _row(self, row: dict[str, Any]) -> None:
        formula = row["reduced_formula"]
        with ui.element("tr"):
            with ui.element("td"):
                button(formula, lambda: self.detail.open(row), label=f"Look at {formula}")
            for text in self._cells(row):
                with ui.element("td"):
                    ui.label(text)
            with ui.element("td").classes("wide"):
                ui.label(in_words(row))
            with ui.element("td"):
                button("Add", lambda: self.add(row), label=f"Add {formula} to the basket")

    @staticmethod
    def _cells(row: dict[str, Any]) -> list[str]:
        predicted = [_shown(form, row[name]) for name, (_, form) in PREDICTED.items() if name in row]
        return [*("yes" if row[name] else "no" for name in ("valid", "balanced_common", "novel")), *predicted]

    def _turn(self, by: int) -> None:
        if 0 <= self.first + by < len(self.frame):
            self.first += by
            self._results.refresh()

    # -- the basket -----------------------------------------------------------------------------------------------

    def add(self, row: dict[str, Any]) -> None:
        """Put a composition into the basket."""
        self.basket[row["reduced_formula"]] = row
        self.status.say(f"{row['reduced_formula']} is in the basket")
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
            for format, name in (("cif", "CIF"), (self.session.dft_format, "DFT inputs")):
                button(name, lambda _, f=format: self._save_inputs(f), label=f"Download {name}")

    def _save_table(self) -> None:
        ui.download(self.session.as_csv(pd.DataFrame(list(self.basket.values()))), "basket.csv", "text/csv")

    async def _save_inputs(self, format: str) -> None:
        formulas = list(self.basket)
        packed = await self.status.do(lambda progress: self.session.as_inputs(formulas, format, progress))
        if packed is not None:
            archive, made = packed
            self.status.say(f"{format}: structures of {made} of {len(formulas)} compositions, relaxed")
            ui.download(archive, f"basket-{format}.zip", "application/zip")
