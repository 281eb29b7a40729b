"""How a report opens: what was found in a sentence, and the cards of the first candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.evaluation.page.card import CandidateCard, Crystal, candidate_cards
from matgen.evaluation.page.structures import StructureSection
from matgen.evaluation.page.tables import percent
from matgen.evaluation.ranking import PROBABILITY, chosen
from matgen.validity import ValidityRules

FIRST = 4
"""Cards that are shown at once; further ones are folded away."""

MOST_FIRST = 8
"""Cards of a ranking beyond those of candidates with a structure."""

_UNRANKED = 4
"""Cards of a table that was neither predicted nor relaxed, in the order of the table."""

_LIKELY = 0.5
"""Probability from which a candidate counts as likely within 0.1 eV/atom of the hull."""


@dataclass(frozen=True)
class Step:
    """A number of the way from candidates to structures.

    Attributes:
        count: how many.
        title: of what.
        note: a share, or by whom.
    """

    count: int
    title: str
    note: str


def headline(content: Mapping[str, Any], ranked: pd.DataFrame | None = None) -> str:
    """Such as `1,164 new, valid compositions; 8 relaxed, 5 of them within 0.1 eV/atom of the hull`.

    Args:
        content: of `report.json`.
        ranked: the ranking, None where nothing was predicted.
    """
    found = content["counts"]["valid_unique_novel"]
    text = f"{found:,} new, valid composition{'' if found == 1 else 's'}" if found else "No new, valid composition"
    structures = content.get("structures")
    if structures is not None:
        return f"{text}; {_relaxed(structures)}"
    if found and ranked is not None and len(ranked) == found:
        return f"{text}, {_likely(ranked):,} of them likely within 0.1 eV/atom of the hull"
    return f"{text} among {content['n']:,} candidates"


def _relaxed(structures: Mapping[str, Any]) -> str:
    n = structures["with_structure"]
    if not n:
        return "none has a structure"
    near, by = _near(structures)
    within = "none" if not near else "it" if n == 1 else f"{near:,} of them"
    return f"{n:,} relaxed, {within} within 0.1 eV/atom of the hull{by}"


def _near(structures: Mapping[str, Any]) -> tuple[int, str]:
    """How many structures are near the hull, and by whom: both potentials where both relaxed all of them."""
    groups = structures.get("by_potential", {})
    if groups and groups["both"]["n"] == structures["with_structure"]:
        return groups["both"]["counts"]["metastable"], " by both potentials"
    return structures["counts"]["metastable"], f" by {structures['protocol']['potential']}" if groups else ""


def _likely(ranked: pd.DataFrame) -> int:
    return int((ranked[PROBABILITY] >= _LIKELY).sum())


def steps(content: Mapping[str, Any], ranked: pd.DataFrame | None) -> list[Step]:
    """From all candidates to those whose structure is near the hull, as far as the report goes.

    Args:
        content: of `report.json`.
        ranked: the ranking, None where nothing was predicted.
    """
    count, n = content["counts"], content["n"]
    found = [
        Step(n, "candidates", f"{count['distinct']:,} distinct"),
        Step(count["valid"], "valid", f"{percent(content['valid'], 1)} of all"),
        Step(count["valid_unique_novel"], "new and valid", f"{percent(content['valid_unique_novel'], 1)} of all"),
    ]
    if ranked is not None and len(ranked):
        found.append(Step(_likely(ranked), "likely near the hull", f"predicted, of {len(ranked):,} ranked"))
    if (structures := content.get("structures")) is not None:
        near, by = _near(structures)
        found.append(Step(structures["with_structure"], "relaxed", f"of {structures['n']:,} chosen"))
        found.append(Step(near, "within 0.1 eV/atom", f"of the hull{by or ', relaxed'}"))
    return found


def lead(content: Mapping[str, Any]) -> str:
    """What the headline stands on: how many were judged, what chance reaches, what each potential says, what is amiss.

    Args:
        content: of `report.json`.
    """
    protocol, count = content["protocol"], content["counts"]
    text = (
        f"{content['n']:,} candidates were judged against {protocol['reference_size']:,} known compositions of "
        f"{protocol['reference']}: {percent(content['valid_unique_novel'], 1)} are valid, unique and novel at once"
    )
    if (times := content["enrichment"].get("valid_unique_novel")) is not None:
        text += f", {times:.1f} times what the best of the random baselines reaches"
    text += "."
    structures = content.get("structures") or {}
    if groups := structures.get("by_potential", {}):
        said = [f"{group['counts']['metastable']:,} of {group['n']:,} by {name}" for name, group in groups.items()]
        text += f" Within 0.1 eV/atom of the hull after relaxation: {', '.join(said[:-1])}, {said[-1]}."
    if count["bad"]:
        text += f" {_rows(count['bad'])} could not be read."
    if count["unjudged"]:
        text += f" {_rows(count['unjudged'])} could not be judged: charges too large to add up."
    return text


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"


def cards(
    content: Mapping[str, Any],
    frame: pd.DataFrame,
    ranked: pd.DataFrame | None,
    structures: StructureSection | None,
    links: Mapping[str, Sequence[tuple[str, str]]],
) -> list[CandidateCard]:
    """The first of the ranking and all with a structure; without either, the first valid and novel rows.

    Args:
        content: of `report.json`, for the rules of validity.
        frame: the judged candidates.
        ranked: the ranking, None where nothing was predicted.
        structures: relaxed structures, None where there are none.
        links: labels and addresses of files beside the report, by reduced formula.
    """
    crystals = {} if structures is None else crystals_by_formula(structures)
    if ranked is not None and len(ranked):
        have = ranked["formula"].isin(list(crystals))
        rows = ranked[have | (ranked.index < MOST_FIRST)]
    elif structures is not None and len(structures.shown()):
        rows = structures.shown()
    else:
        rows = chosen(frame).head(_UNRANKED)
    return candidate_cards(rows, crystals, rules=_rules(content["protocol"]), links=links)


def _rules(protocol: Mapping[str, Any]) -> ValidityRules:
    """How validity was judged; the default where the table of states was a file that is gone."""
    try:
        return ValidityRules(**{field.name: protocol[field.name] for field in fields(ValidityRules)})
    except OptionError:
        return ValidityRules()


def crystals_by_formula(structures: StructureSection) -> dict[str, Crystal]:
    """The structures of a report by reduced formula."""
    rows = structures.frame[structures.frame["structure_id"].isin(list(structures.crystals))]
    if rows.empty:
        return {}
    formulas = CompositionBatch.from_formulas(rows["formula"].astype(str).tolist()).formulas().tolist()
    return dict(zip(formulas, (structures.crystals[id] for id in rows["structure_id"]), strict=True))
