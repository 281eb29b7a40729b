"""How a report opens: what was found in a sentence, and the cards of the first candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.evaluation.page.card import CandidateCard, Crystal, candidate_cards
from matgen.evaluation.page.structures import StructureSection
from matgen.evaluation.page.tables import percent
from matgen.evaluation.ranking import PROBABILITY, chosen
from matgen.validity import ValidityRules

FIRST = 5
"""Cards that are shown at once; those of further structures are folded away."""

_UNRANKED = 4
"""Cards of a table that was neither predicted nor relaxed, in the order of the table."""


def headline(content: Mapping[str, Any]) -> str:
    """Such as `1,164 new, valid compositions; 8 relaxed, 5 of them within 0.1 eV/atom of the hull`."""
    found = content["counts"]["valid_unique_novel"]
    text = f"{found:,} new, valid composition{'' if found == 1 else 's'}"
    structures = content.get("structures")
    if structures is None:
        return f"{text} among {content['n']:,} candidates"
    near = structures["counts"]["metastable"]
    return f"{text}; {structures['with_structure']:,} relaxed, {near:,} of them within 0.1 eV/atom of the hull"


def lead(content: Mapping[str, Any], ranked: pd.DataFrame | None) -> str:
    """What the headline stands on: how many were judged, how many hold by both potentials, and what comes first."""
    protocol, count = content["protocol"], content["counts"]
    text = (
        f"{content['n']:,} candidates were judged against {protocol['reference_size']:,} known compositions of "
        f"{protocol['reference']}: {percent(content['valid_unique_novel'], 1)} are valid, unique and novel at once"
    )
    if (times := content["enrichment"].get("valid_unique_novel")) is not None:
        text += f", {times:.1f} times what the best of the random baselines reaches"
    text += "."
    both = (content.get("structures") or {}).get("by_potential", {}).get("both")
    if both:
        text += (
            f" {both['counts']['metastable']:,} of {both['n']:,} structures that two potentials relaxed lie within "
            "0.1 eV/atom of the hull by both."
        )
    if ranked is not None and len(ranked):
        near = int((ranked[PROBABILITY] >= 0.5).sum())
        text += f" {near:,} of {len(ranked):,} ranked candidates are more likely than not within 0.1 eV/atom of it."
    if count["bad"]:
        text += f" {count['bad']:,} rows could not be read."
    if count["unjudged"]:
        text += f" {count['unjudged']:,} rows were not judged: their charges are too large to add up."
    return text


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
        rows = ranked[have | (ranked.index < FIRST)]
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
