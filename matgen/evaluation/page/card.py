"""A candidate at a glance: one card, the same in the report, in the app and in a notebook.

A card says what the composition rests on (oxidation states, each by how common it is), how stable it is by everyone who
was asked, what it would decompose into, what is known that is near it, and what its elements cost; a relaxed structure
is drawn where there is one. What nobody has worked out is left out. It is a template, a script and a style sheet of
`templates/`, which this module fills; whoever shows cards has `CARD_STYLE` and `CARD_SCRIPTS` on the page once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from matgen.composition.batch import CompositionBatch
from matgen.evaluation.facts import facts
from matgen.evaluation.page.assets import asset, environment
from matgen.evaluation.page.candidates import embedded_json
from matgen.evaluation.page.explanation import known_in_words
from matgen.evaluation.page.ions import Ion, ions_of
from matgen.evaluation.page.reaction import reaction
from matgen.evaluation.page.still import still
from matgen.evaluation.ranking import ABOVE_HULL, MADE, PROBABILITY, SUPPLY
from matgen.runtime.notebook import formula_html
from matgen.screening import supply
from matgen.validity import Explanation, ValidityRules, explain

CARD_STYLE = "card.css"
CARD_SCRIPTS = ("3Dmol-min.js", "card.js")
"""Assets that a page with cards has once; the second draws the structures by the first."""

DISAGREE = 0.1
"""eV/atom: distances to the hull farther apart than this are marked."""

_LABELS = {"": "predicted", "_dft": "PBE (DFT)", "_mp": "Materials Project"}
_TITLES = {
    "formation_energy_oqmd": "formation energy in OQMD",
    "formation_energy_mp_min": "in the Materials Project",
    "energy_above_hull_mp": "above its hull",
}
_NUMBERS = ("rank", "cost", "formation_energy", "potential_spread", "chemical_distance", PROBABILITY, MADE,
            "nearest_known_energy_above_hull")  # fmt: skip
"""Columns of numbers that a card shows, besides the distances to the hull."""

_SCALE = (-0.1, 0.3)  # eV/atom, of the bar beside each distance


@dataclass(frozen=True)
class Crystal:
    """A structure of a candidate, as plain data.

    Attributes:
        id: as the folder of structures calls it.
        scene: what the viewer draws, as `matgen.structures.picture.scene` gives it.
        words: space group, atoms and origin, in a line.
        cif: the conventional cell as a CIF file.
        poscar: the same as a POSCAR file.
        energies: name of a potential to its energy above the hull, eV/atom.
    """

    id: str
    scene: Mapping[str, Any]
    words: str
    cif: str
    poscar: str
    energies: Mapping[str, float]

    @property
    def picture(self) -> Markup:
        """A still picture of it, for where no script draws it."""
        return still(self.scene)

    def files(self, formula: str) -> list[tuple[str, str, str]]:
        """Downloads: label, file name, address that holds the file itself."""
        stem = "".join(letter if letter.isalnum() else "_" for letter in formula)
        kinds = (
            ("CIF", f"{stem}.cif", "chemical/x-cif", self.cif),
            ("POSCAR", f"{stem}.vasp", "text/plain", self.poscar),
        )
        return [(label, name, f"data:{kind};charset=utf-8,{quote(text)}") for label, name, kind, text in kinds]


@dataclass(frozen=True)
class Verdict:
    """A word or two on a candidate: `kind` is `good`, `warn`, `bad` or `plain`; `meaning` is for the pointer."""

    text: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Distance:
    """How far a candidate lies above the hull by one who was asked.

    Attributes:
        by: `predicted`, a potential's name, or a database.
        value: eV/atom.
        note: an uncertainty or a probability, in words.
    """

    by: str
    value: float
    note: str = ""

    @property
    def beyond(self) -> str:
        """`low` or `high` where it lies beyond the ends of the bar, else ""."""
        low, high = _SCALE
        return "low" if self.value < low else "high" if self.value > high else ""

    @property
    def place(self) -> float:
        """Where it stands on the bar, in percent; at its end where it lies beyond."""
        low, high = _SCALE
        return round(100 * min(max((self.value - low) / (high - low), 0.0), 1.0), 1)

    @property
    def kind(self) -> str:
        """`good` on the hull, `warn` within 0.1 eV/atom of it, `bad` above."""
        return "good" if self.value <= 0 else "warn" if self.value <= 0.1 else "bad"


@dataclass(frozen=True)
class CandidateCard:
    """What a card shows of one composition.

    Attributes:
        formula: reduced.
        rank: in a ranking, None outside of one.
        verdicts: valid and by which rule, made or new, hazards.
        ions: of the assignment with the commonest states, empty where no states are neutral.
        states_note: why there are none, or that they mean little.
        distances: to the hull, as predicted and by each potential.
        remark: where those who were asked disagree.
        facts: name and text: decomposition, nearest known compound, cost.
        crystal: its structure, None where none was made.
        links: label and address of files beside the page.
    """

    formula: str
    rank: int | None
    verdicts: list[Verdict]
    ions: list[Ion]
    states_note: str
    distances: list[Distance]
    remark: str
    facts: list[tuple[str, str | Markup]]
    crystal: Crystal | None
    links: list[tuple[str, str]]

    @cached_property
    def title(self) -> Markup:
        """The formula with subscripts."""
        return Markup(formula_html(self.formula))

    @property
    def command(self) -> str:
        """What makes and relaxes its structures on the command line."""
        stem = "".join(letter if letter.isalnum() else "_" for letter in self.formula)
        return f"echo '{self.formula}' | matgen structure - --out {stem}"

    def data(self) -> Markup:
        """What the script draws, as JSON."""
        return embedded_json(None if self.crystal is None else dict(self.crystal.scene))


def candidate_cards(
    frame: pd.DataFrame,
    crystals: Mapping[str, Crystal] | None = None,
    *,
    rules: ValidityRules | None = None,
    links: Mapping[str, Sequence[tuple[str, str]]] | None = None,
) -> list[CandidateCard]:
    """A card for each row, in order.

    Args:
        frame: with `formula` (or `reduced_formula`), and any of the columns of `ranked.csv`, of `matgen predict` and of
            `structures.parquet`.
        crystals: structures by reduced formula.
        rules: how validity is judged.
        links: labels and addresses of files, by reduced formula.

    Raises:
        FormulaError: a formula cannot be read.
        DataError: the rules name a table that cannot be read.
    """
    if frame.empty:
        return []
    column = "formula" if "formula" in frame else "reduced_formula"
    batch = CompositionBatch.from_formulas(frame[column].astype(str).tolist())
    rules = rules or ValidityRules()
    explanation, mixed = explain(batch, rules), explain(batch, replace(rules, mixed_valence=True))
    known, made = known_in_words(batch), facts(batch)["made"].tolist()
    crystals, links = crystals or {}, links or {}
    cards = []
    for i, (formula, row) in enumerate(zip(batch.formulas().tolist(), _rows(frame, batch), strict=True)):
        ions, note = ions_of(explanation, mixed, i)
        distances = list(_distances(row, crystals.get(formula)))
        cards.append(
            CandidateCard(
                formula=formula,
                rank=None if row.get("rank") is None else int(row["rank"]),
                verdicts=[*_validity(explanation, mixed, i), _made(known[i], made[i]), *_hazards(row)],
                ions=ions,
                states_note=note,
                distances=distances,
                remark=_remark(distances, row),
                facts=list(_facts(formula, row, known[i])),
                crystal=crystals.get(formula),
                links=list(links.get(formula, ())),
            )
        )
    return cards


def _rows(frame: pd.DataFrame, batch: CompositionBatch) -> list[dict[str, Any]]:
    """Each row's values that are there, by column; prices and hazards are added.

    A user's own column may have the name of one of ours: where ours holds numbers, what is none is left out.
    """
    numbers = [name for name in frame.columns if name in _NUMBERS or str(name).startswith(ABOVE_HULL)]
    frame = frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in numbers})
    costs = supply(batch)[list(SUPPLY)].to_dict("records")
    rows = []
    for own, cost in zip(frame.to_dict("records"), costs, strict=True):
        there = {str(name): value for name, value in own.items() if value is not None and value == value}
        rows.append({**{str(name): value for name, value in cost.items()}, **there})
    return rows


def cards_html(cards: Sequence[CandidateCard], actions: Sequence[tuple[str, str]] = ()) -> Markup:
    """Cards as HTML, without the style sheet and the scripts.

    Args:
        cards: in order.
        actions: name and label of further buttons; each sends an event `matgen-card` up the page with the name as
            `detail.action` and `detail.formula`.
    """
    return Markup(environment().get_template("card.html").render(cards=cards, actions=actions, scale=_SCALE))


def card_page(cards: Sequence[CandidateCard]) -> Markup:
    """Cards with their style sheet, for a notebook: without scripts, so that structures are files and are not drawn."""
    return Markup("<style>{}</style>{}").format(Markup(asset(CARD_STYLE)), cards_html(cards))


def _validity(explanation: Explanation, mixed: Explanation, i: int) -> Iterator[Verdict]:
    """Valid or not and by which rule."""
    validity, table = explanation.validity, explanation.rules.oxidation_states
    if explanation.batch.n_elements[i] == 1:
        yield Verdict("element", "plain", "a single element has nothing to balance")
        return
    if validity.electronegativity_balanced[i]:
        common = bool(explanation.balanced_common[i])
        how = "by states of at least 10 % of their element's reports in the ICSD" if common else f"by states of {table}"
        yield Verdict("valid, common states" if common else "valid, uncommon states", "good" if common else "warn",
                      f"charge neutral and balanced by electronegativity {how}")  # fmt: skip
    elif validity.valid[i]:
        yield Verdict("valid as an alloy", "plain", "metals alone, accepted without a test of oxidation states")
    elif mixed.validity.electronegativity_balanced[i]:
        yield Verdict("valid with mixed valence", "warn", "balanced where one element has two states at once")
    else:
        yield Verdict("not valid", "bad", explanation.reason[i] or f"no balanced assignment by {table}")
    if explanation.intermetallic[i]:
        score = explanation.metallicity_score[i]
        yield Verdict("intermetallic", "plain", f"SMACT's metallicity score is {score:.2f}: states say little of it")


def _made(known: str, made: bool) -> Verdict:
    if made:
        return Verdict("made", "good", known)
    if known.startswith("known"):
        return Verdict("known, not known to be made", "plain", known)
    return Verdict("new", "plain", known)


def _hazards(row: Mapping[str, Any]) -> Iterator[Verdict]:
    """Toxic and radioactive elements, marked by a sign and a word."""
    for name, sign in (("toxic", "☠"), ("radioactive", "☢")):
        if row.get(name) in (True, 1, 1.0):
            yield Verdict(f"{sign} {name}", "bad", f"contains an element of the group {name} of `matgen screen`")


def _distances(row: Mapping[str, Any], crystal: Crystal | None) -> Iterator[Distance]:
    """To the hull: as predicted first, then by each potential."""
    found = {by: float(row[name]) for name, by in distance_columns(row).items() if isinstance(row[name], int | float)}
    if crystal is not None:
        found |= {name: float(value) for name, value in crystal.energies.items() if value is not None}
    for by in sorted(found, key=lambda by: by != "predicted"):
        if math.isfinite(found[by]):
            yield Distance(by, found[by], _uncertainty(row) if by == "predicted" else "")


def distance_columns(names: Iterable[str]) -> dict[str, str]:
    """Columns of distances to the hull, each with the name of who gives it: `predicted`, a potential, a database."""
    ends = {name: name.removeprefix(ABOVE_HULL) for name in names if name.startswith(ABOVE_HULL)}
    return {
        name: _LABELS.get(end, end.removeprefix("_").replace("_", "-"))
        for name, end in ends.items()
        if end not in ("_std", "_lower", "_upper")
    }


def _uncertainty(row: Mapping[str, Any]) -> str:
    notes = []
    if (spread := row.get(f"{ABOVE_HULL}_std")) is not None:
        notes.append(f"± {spread:.3f}")
    if (probability := row.get(PROBABILITY)) is not None:
        notes.append(f"P(within 0.1) {100 * probability:.0f} %")
    if row.get("in_domain") in (False, 0):
        notes.append("unlike anything learned from")
    return ", ".join(notes)


def _remark(distances: Sequence[Distance], row: Mapping[str, Any]) -> str:
    """Where those who were asked disagree, in a sentence; "" where they do not."""
    predicted = [one.value for one in distances if one.by == "predicted"]
    relaxed = [one.value for one in distances if one.by not in _LABELS.values()]
    remarks = []
    if predicted and relaxed and abs(predicted[0] - relaxed[-1]) > DISAGREE:
        remarks.append(f"predicted and relaxed differ by {abs(predicted[0] - relaxed[-1]):.2f} eV/atom")
    apart = row.get("potential_spread")
    apart = max(relaxed) - min(relaxed) if apart is None and len(relaxed) > 1 else apart
    if apart is not None and apart > DISAGREE:
        remarks.append(f"the potentials differ by {apart:.2f} eV/atom")
    return "; ".join(remarks)


def _facts(formula: str, row: Mapping[str, Any], known: str) -> Iterator[tuple[str, str | Markup]]:
    if known.startswith("known"):
        yield "Known", _in_titles(known.removeprefix("known: "))
    if row.get("decomposition"):
        yield "Competing phases", Markup(formula_html(_decomposition(formula, row)))
    if row.get("nearest_known"):
        yield "Nearest known", Markup(formula_html(_nearest(row)))
    if (probability := row.get(MADE)) is not None:
        yield (
            "Like made compounds",
            Markup("{:.0f} %, by a classifier; no prediction of synthesis").format(100 * probability),
        )
    if (energy := row.get("formation_energy")) is not None:
        yield "Formation energy", f"{energy:.3f} eV/atom, predicted"
    if (cost := row.get("cost")) is not None and math.isfinite(cost):
        scarce = f"; the scarcest element is {row['scarcest_element']}" if row.get("scarcest_element") else ""
        yield "Price of the elements", f"{float(f'{cost:.3g}'):,g} USD/kg{scarce}"


def _in_titles(text: str) -> str:
    """Names of columns as words."""
    for name, title in _TITLES.items():
        text = text.replace(name, title)
    return text


def _decomposition(formula: str, row: Mapping[str, Any]) -> str:
    text = reaction(formula, str(row["decomposition"]))
    above = row.get(ABOVE_HULL)
    if above is None or text is None:
        return text or str(row["decomposition"])
    return f"{text}: {'releases' if above > 0 else 'costs'} {abs(above):.3f} eV/atom, predicted"


def _nearest(row: Mapping[str, Any]) -> str:
    parts = []
    if (made := row.get("nearest_known_made")) is not None:
        parts.append("made" if made in (True, 1) else "not known to be made")
    if (above := row.get("nearest_known_energy_above_hull")) is not None:
        parts.append(f"{above:.3f} eV/atom above the hull")
    if (distance := row.get("chemical_distance")) is not None:
        parts.append(f"chemical distance {distance:.2f}")
    of_it = ", ".join(parts)
    return f"{row['nearest_known']} ({of_it})" if parts else str(row["nearest_known"])
