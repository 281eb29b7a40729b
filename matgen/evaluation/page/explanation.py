"""One formula explained to a person: verdicts, reasons, the states behind them, and whether it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch, parse_formulas
from matgen.composition.elements import SYMBOLS
from matgen.datasets.bundled_rows import bundled_rows
from matgen.validity import RARE, Explanation, ValidityRules, explain, state_table
from matgen.validity.commonness import share_text

_SHOWN = ("formation_energy_oqmd", "formation_energy_mp_min", "energy_above_hull_mp")
"""Columns of the bundled table shown for a known composition, all in eV/atom."""

_SOURCES = {"in_oqmd": "OQMD", "in_mp": "the Materials Project"}
"""Columns that say where a composition is, and the names of these places."""


def check_in_words(formulas: Sequence[str], rules: ValidityRules | None = None) -> list[str]:
    """A paragraph of plain text on each formula, of one that cannot be read why.

    Args:
        formulas: at least one.
        rules: how validity is judged.

    Raises:
        DataError: the rules name a table that cannot be read.
    """
    rules = rules or ValidityRules()
    parsed = parse_formulas(formulas)
    paragraphs = {bad.row: f"{bad.formula}\n  cannot be read: {bad.reason}" for bad in parsed.bad}
    if not len(parsed.batch):
        return [paragraphs[row] for row in range(len(formulas))]
    batch = parsed.batch
    explanation = explain(batch, rules)
    mixed = explain(batch, replace(rules, mixed_valence=True))
    known = known_in_words(batch)
    remarks = {one.row: one.remark for one in parsed.remarks}
    for i, (row, name) in enumerate(zip(parsed.rows.tolist(), batch.formulas(), strict=True)):
        lines = _paragraph(formulas[row], str(name), i, explanation, mixed, known[i])
        if row in remarks:
            lines.insert(1, f"  remark: {remarks[row]}")
        paragraphs[row] = "\n".join(lines)
    return [paragraphs[row] for row in range(len(formulas))]


def _paragraph(
    written: str, reduced: str, i: int, explanation: Explanation, mixed: Explanation, known: str
) -> list[str]:
    rules, validity = explanation.rules, explanation.validity
    single = explanation.batch.n_elements[i] == 1
    lines = [_first_line(written if written == reduced else f"{written} (reduced: {reduced})", i, explanation, mixed)]

    def verdict(name: str, holds: bool, why: str = "") -> None:
        lines.append(f"  {name:<28}{'yes' if holds else 'no'}{': ' + why if why else ''}")

    states = "a single element, nothing to balance" if single else explanation.oxidation_states[i]
    if not validity.judged[i]:
        lines.append(f"  not judged: {explanation.reason[i]}")
        return lines
    why = states or explanation.reason[i] or "too many atoms to show an assignment"
    verdict("charge neutral", validity.charge_neutral[i], why.removeprefix("no neutral assignment: "))
    if validity.charge_neutral[i]:
        verdict("electronegativity balanced", validity.electronegativity_balanced[i], explanation.reason[i] or "")
    else:
        verdict("electronegativity balanced", False)
    untested = validity.valid[i] and not validity.electronegativity_balanced[i]
    verdict("valid", validity.valid[i], "metals alone, accepted without a test" if untested else "")
    if not single:
        verdict("balanced by common states", explanation.balanced_common[i])
        lines.append(f"  {'oxidation state score':<28}{_score_in_words(i, explanation, mixed)}")
        lines.append(f"  {'metallicity score':<28}{metallicity_in_words(explanation, i)}")
        lines.append(f"  states tried ({_settings(rules)})")
        table = state_table(rules)
        for z in explanation.batch.elements[i][explanation.batch.elements[i] > 0]:
            symbol = str(SYMBOLS[z])
            lines.append(f"    {symbol:<3}{' '.join(f'{s:+d}' if s else '0' for s in table.of(symbol)) or 'none'}")
    alloy = explanation.batch.all_metal[i] and not rules.include_alloys
    if alloy and not validity.electronegativity_balanced[i]:
        lines.append("  metals alone: valid with --include-alloys, as SMACT has it by default")
    lines.append(f"  {known}")
    return lines


def _first_line(name: str, i: int, explanation: Explanation, mixed: Explanation) -> str:
    """The formula, and that it passes with mixed valence where it passes in no other way."""
    if not _needs_mixing(i, explanation, mixed):
        return name
    states = mixed.oxidation_states[i]
    return f"{name}: passes with mixed valence (--mixed-valence){f', {states}' if states else ''}"


def _needs_mixing(i: int, explanation: Explanation, mixed: Explanation) -> bool:
    balanced = explanation.validity.electronegativity_balanced[i]
    return bool(mixed.validity.electronegativity_balanced[i] and not balanced)


def _score_in_words(i: int, explanation: Explanation, mixed: Explanation) -> str:
    if _needs_mixing(i, explanation, mixed):
        return f"{commonness_in_words(explanation, i)}; with mixed valence {commonness_in_words(mixed, i)}"
    return commonness_in_words(explanation, i)


def commonness_in_words(explanation: Explanation, i: int) -> str:
    """How common the states of one composition's best balanced assignment are, and which is the rarest."""
    common = explanation.commonness
    score = common.score[i]
    if np.isnan(score):
        return "unknown: too many atoms to find an assignment"
    if common.rarest_state[i] is None:
        return f"{score:.0f}" if explanation.batch.n_elements[i] == 1 else "0 (no balanced assignment)"
    share = float(common.rarest_state_share[i])
    words = f"{score:.2f}; rarest is {common.rarest_state[i]}, {share_text(share)} of its element's reports in the ICSD"
    return f"{words}: RARE, doubtful" if share < RARE else words


def metallicity_in_words(explanation: Explanation, i: int) -> str:
    """SMACT's metallicity score of one composition, and what it means for its oxidation states."""
    score = explanation.metallicity_score[i]
    if np.isnan(score):
        return "unknown to SMACT"
    words = "an intermetallic: oxidation states say little of it"
    return f"{score:.2f}: {words if explanation.intermetallic[i] else 'no intermetallic'}"


def states_in_words(formula: str) -> list[tuple[str, bool]]:
    """Lines on how common the oxidation states of one formula are, each with whether it is a warning.

    Raises:
        FormulaError: it cannot be read.
    """
    batch = CompositionBatch.from_formulas([formula])
    if batch.n_elements[0] == 1:
        return []
    explanation, mixed = explain(batch), explain(batch, ValidityRules(mixed_valence=True))
    rare = bool(explanation.commonness.rare[0])
    lines = [
        (f"Balanced by common states: {'yes' if explanation.balanced_common[0] else 'no'}", False),
        (f"Oxidation state score: {_score_in_words(0, explanation, mixed)}", rare),
        (f"Metallicity score: {metallicity_in_words(explanation, 0)}", bool(explanation.intermetallic[0])),
    ]
    if _needs_mixing(0, explanation, mixed):
        lines.insert(0, (f"Passes with mixed valence: {mixed.oxidation_states[0] or 'yes'}", False))
    return lines


def _settings(rules: ValidityRules) -> str:
    parts = [rules.oxidation_states]
    if rules.oxidation_states == "icsd24":
        parts.append(f"at least {rules.consensus} reports")
        parts += [f"commonality {rules.commonality}"] if rules.commonality != "low" else []
    return ", ".join([*parts, *(["mixed valence"] if rules.mixed_valence else [])])


def known_in_words(batch: CompositionBatch) -> list[str]:
    """Whether each composition is in the bundled table, and what is known of it there."""
    formulas = batch.formulas().tolist()
    known = bundled_rows(formulas, (*_SOURCES, *_SHOWN))
    return [
        _facts(known[formula]) if formula in known else "not in the bundled snapshots of OQMD and the Materials Project"
        for formula in formulas
    ]


def _facts(row: dict[str, Any]) -> str:
    sources = [name for column, name in _SOURCES.items() if row[column]]
    facts = [f"{name} {row[name]:.3f} eV/atom" for name in _SHOWN if row[name] is not None]
    return "; ".join([f"known: in {' and '.join(sources)}", *facts])
