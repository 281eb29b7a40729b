"""The form of conditions: elements on a periodic table, fields, examples; what it asks for, and that as an address."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from nicegui import ui

from matgen.app.periodic_table import FORBIDDEN, REQUIRED, ElementChoice
from matgen.app.widgets import button, note
from matgen.datasets.where import Joined, parse_where
from matgen.errors import MatgenError
from matgen.evaluation.ranking import PROBABILITY
from matgen.sampling import Constraints, Decoding, SampleRequest

_T = TypeVar("_T")

MOST = 5_000
"""Compositions that are drawn at a time at most; more is for `matgen sample`."""


@dataclass(frozen=True)
class _Field:
    """A field of the form: its label, its meaning for the pointer, what is in it at first, and what could be."""

    label: str
    meaning: str
    value: str = ""
    hint: str = ""
    wide: bool = False


_FIELDS = {
    "n": _Field("Compositions", f"How many to draw, {MOST:,} at most; what is drawn twice is listed once", "200"),
    "num_elements": _Field("Number of elements", "A number or a range", hint="3 or 2..4"),
    "max_atoms": _Field("Atoms at most", "Atoms in the reduced formula", hint="20"),
    "near": _Field(
        "P(within 0.1 eV/atom), %",
        "The least predicted probability of lying at most 0.1 eV/atom above the hull of known phases",
        hint="50",
    ),
    "screen": _Field(
        "Predicted properties", "Conditions on predicted properties, joined by and, or", hint="band_gap > 1", wide=True
    ),
}
_MORE = {
    "within": _Field(
        "Only these elements", "Elements and groups of elements that may occur", hint="Li-Mn-Fe-O", wide=True
    ),
    "anonymous_formula": _Field("Anonymous formula", "Proportions, with letters for elements", hint="ABC3"),
    "count": _Field("Atoms of an element", "How many atoms of an element the formula has", hint="O:2..6, Ti:1"),
    "temperature": _Field("Temperature", "Of sampling: lower is closer to what is most probable", "1.0"),
    "seed": _Field("Seed", "The same seed draws the same compositions", "0"),
}
_DEFAULTS = {name: field.value for name, field in (_FIELDS | _MORE).items()}

EXAMPLES: dict[str, dict[str, str]] = {
    "Li cathode": {
        "contains": "Li,O",
        "within": "Li-O-P-F-Ti-V-Cr-Mn-Fe-Co-Ni",
        "num_elements": "3..4",
        "max_atoms": "20",
        "near": "50",
        "n": "50",
        "valid": "1",
    },
    "Lead-free perovskite": {
        "exclude": "Pb",
        "within": "alkali-Ca-Sr-Ba-Ge-Sn-Bi-Sb-In-Ag-Cu-Zn-Mg-Cl-Br-I",
        "anonymous_formula": "ABC3",
        "screen": "band_gap > 1",
        "n": "20",
        "valid": "1",
    },
    "Wide-gap oxide": {
        "contains": "O",
        "num_elements": "2..3",
        "max_atoms": "20",
        "screen": "band_gap > 4",
        "near": "50",
        "n": "50",
        "valid": "1",
    },
}
"""Conditions to start from, named as in the address."""


class Conditions:
    """The form; Enter in any of its fields does what its button does.

    Args:
        known: symbols of the elements that the model knows; None: all.
        written: conditions to begin with, as `query` gives them; what has no field is ignored.
        submit: what the button does.
    """

    def __init__(self, known: Collection[str] | None, written: Mapping[str, str], submit: Callable[[], Any]) -> None:
        self._fields: dict[str, ui.input] = {}
        self.remark = ""
        with ui.element("form").on("submit.prevent", submit, args=[]).props('aria-label="Conditions"'):
            with ui.element("div").classes("examples").props('role="group" aria-label="Examples"'):
                ui.label("Examples:")
                for name, example in EXAMPLES.items():
                    button(name, lambda one=example: self.fill(one), title=", ".join(example.values()))
            note("A click requires an element, a second forbids it. Arrow keys move in the table.")
            with ui.element("div").classes("scroll"):
                self._elements = ElementChoice(known)
            with ui.element("div").classes("fields"):
                self._add(_FIELDS)
                self._valid = ui.checkbox("Valid ones only")
                with self._valid:
                    ui.tooltip("Charge neutral and balanced by electronegativity (SMACT)")
            with ui.element("details").classes("more") as self._details:
                ui.html("More conditions", sanitize=False, tag="summary")
                with ui.element("div").classes("fields"):
                    self._add(_MORE)
            with ui.element("div").classes("buttons"):
                self.button = button("Generate", main=True)
                button("Clear", lambda: self.fill({}))
        self.fill(written)

    def _add(self, fields: Mapping[str, _Field]) -> None:
        for name, field in fields.items():
            made = ui.input(field.label, placeholder=field.hint).props("outlined dense stack-label autocomplete=off")
            made.classes("wide" if field.wide else "")
            with made:
                ui.tooltip(field.meaning)
            self._fields[name] = made

    def fill(self, written: Mapping[str, str]) -> None:
        """Set all conditions; those that are not named are as at first."""
        for name, field in self._fields.items():
            field.set_value(written.get(name, _DEFAULTS[name]))
        self._valid.set_value(written.get("valid") == "1")
        chosen = [[one for one in written.get(name, "").split(",") if one] for name in ("contains", "exclude")]
        unknown = self._elements.choose(*chosen)
        self.remark = f"the model does not know {', '.join(unknown)}" if unknown else ""
        if any(self._text(name) != field.value for name, field in _MORE.items()):
            self._details.props("open")

    def query(self) -> str:
        """All conditions that are not as at first, as the part of an address after its question mark."""
        written = {name: self._text(name) for name in self._fields if self._text(name) != _DEFAULTS[name]}
        chosen = {"contains": self._elements.chosen(REQUIRED), "exclude": self._elements.chosen(FORBIDDEN)}
        written |= {name: ",".join(symbols) for name, symbols in chosen.items() if symbols}
        return urlencode(written | ({"valid": "1"} if self._valid.value else {}), safe=",:.")

    def request(self) -> SampleRequest:
        """What the conditions ask for.

        Raises:
            MatgenError: a condition makes no sense.
        """
        n = self._number("n", int)
        if not 1 <= n <= MOST:
            raise MatgenError(f"Compositions is {n}, here it must be from 1 to {MOST:,}; `matgen sample` draws more")
        names = ("num_elements", "max_atoms", "within", "anonymous_formula", "count")
        written = {
            **{name: self._text(name) for name in names},
            "contains": ",".join(self._elements.chosen(REQUIRED)),
            "exclude": ",".join(self._elements.chosen(FORBIDDEN)),
            "valid": self._valid.value,
        }
        given: dict[str, Any] = {name: value for name, value in written.items() if value}
        return SampleRequest(
            n,
            seed=self._number("seed", int),
            decoding=Decoding(self._number("temperature", float)),
            constraints=Constraints.from_options(**given) if given else None,
        )

    def screen(self) -> str:
        """The conditions on predicted properties, as `matgen sample --screen` has them.

        Raises:
            MatgenError: a condition cannot be read, or a number is none.
        """
        written = self._text("screen")
        if written:
            # Before it is joined to another, so that an error quotes what was written.
            written = f"({written})" if any(isinstance(one, Joined) for one in parse_where(written)) else written
        if not self._text("near"):
            return written
        near = self._number("near", float)
        if not 0 <= near <= 100:
            raise MatgenError(f"P(within 0.1 eV/atom) is {near:g}, it must be from 0 to 100 %")
        return " and ".join(filter(None, (written, f"{PROBABILITY} >= {near / 100}")))

    def _text(self, name: str) -> str:
        return str(self._fields[name].value or "").strip()

    def _number(self, name: str, kind: Callable[[str], _T]) -> _T:
        """The value of a field as a number.

        Raises:
            MatgenError: it is none.
        """
        try:
            return kind(self._text(name))
        except ValueError:
            label = (_FIELDS | _MORE)[name].label.removesuffix(", %")
            raise MatgenError(f"{label} is {self._text(name)!r}, it must be a number") from None
