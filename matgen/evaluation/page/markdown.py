"""A report as Markdown; text from the input is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from matgen.evaluation.page import opening, structures, tables
from matgen.evaluation.ranking import PROBABILITY

_SYSTEMS = 15
_FIRST = 10
_RANKED = ("formula", "score", PROBABILITY, "energy_above_hull", "novelty")


def markdown(content: Mapping[str, Any], ranked: pd.DataFrame | None = None) -> str:
    """The report as Markdown; text from the input is escaped.

    Args:
        content: of `report.json`.
        ranked: the order in which to look at those that were predicted, None where none were.
    """
    count = content["counts"]
    parts = [f"# {cell(opening.headline(content))}", cell(opening.lead(content, ranked))]
    if ranked is not None and len(ranked):
        first = ranked.head(_FIRST)
        rows = [[str(row[name]) if name == "formula" else f"{row[name]:.3f}" for name in _RANKED]
                for row in first.to_dict("records")]  # fmt: skip
        parts += ["## First candidates", table((list(_RANKED), rows))]
    parts += [
        "## The sample",
        f"{content['n']:,} candidates, {count['bad']:,} of them unreadable, {count['unjudged']:,} not judged. "
        f"{cell(content['protocol']['novel_means'])}.",
        "## Metrics",
        table(tables.metric_rows(content)),
        "## Beside compounds that exist",
        table(tables.known_rate_rows(content)),
        cell(tables.known_rates_note(content)),
        "## As candidates come in",
        table(tables.curve_rows(content)),
        "## Distributions against the reference",
        table(tables.distribution_rows(content)),
        "Distance: Jensen-Shannon, base 2. By chance alone: of as many compositions drawn from the reference.",
        "## By number of elements",
        table(tables.n_elements_rows(content)),
        "## Not all metal, and all metal",
        table(tables.group_rows(content)),
        "## Recovery",
        table(tables.recovery_rows(content)),
    ]
    if "structures" in content:
        parts += [
            "## Structures",
            cell(structures.sentence(content["structures"])),
            table(structures.share_rows(content["structures"])),
            *([table(by_potential)] if (by_potential := structures.potential_rows(content["structures"]))[1] else []),
            table(structures.anion_rows(content["structures"])),
        ]
    if len(content["references"]) > 1:
        parts += ["## References", table(tables.reference_rows(content))]
    if content["baselines"]:
        parts += ["## Random baselines", table(tables.baseline_rows(content)), *tables.baseline_notes(content)]
    systems = content["chemical_systems"]
    parts += [
        "## Top chemical systems",
        f"{systems['distinct']:,} in all, {systems['novel']:,} of them without a composition in the reference.",
        table(tables.system_rows(content, 0, _SYSTEMS)),
        "## Near-duplicates and copies",
        cell(tables.near_duplicate_sentence(content)),
        cell(tables.memorization_sentence(content)),
    ]
    if content["bad"]:
        head, bad = tables.bad_rows(content)
        parts += [f"## Unreadable rows (first {len(bad)} of {count['bad']:,}, numbered from 1)", table((head, bad))]
    parts += ["## Protocol", table((["Setting", "Value"], tables.protocol_rows(content)))]
    return "\n\n".join(parts) + "\n"


def table(content: tables.Table) -> str:
    """A table with every cell escaped."""
    head, rows = content
    lines = ["| " + " | ".join(cell(name) for name in head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell(text) for text in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that Markdown and the HTML inside it show as it is, on one line."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(one_line, quote=False))
