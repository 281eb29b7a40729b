"""The report on the terminal: what a user sees after `evaluate`."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from matgen.evaluation.page import comparison as page_compare
from matgen.evaluation.page.structures import anion_rows, potential_rows, sentence, share_rows
from matgen.evaluation.page.tables import (
    distance,
    group_rows,
    known_rate_rows,
    known_rates_note,
    memorization_verdict,
    metric_rows,
    near_duplicate_sentence,
    recovery_rows,
)


def summary(content: dict[str, Any]) -> RenderableType:
    """Tables of metrics, groups and recovery from a report's content (`Report.content` or `report.json`)."""
    protocol = content["protocol"]
    alloys = "accepted without a test" if protocol["include_alloys"] else "tested"
    rules = f"{protocol['oxidation_states']}, alloys {alloys}"
    parts: list[RenderableType] = [
        _table(_title(content), *metric_rows(content, units=False)),
        _table("Beside compounds that exist", *known_rate_rows(content)),
        _table("Not all metal, and all metal", *group_rows(content)),
        _table("Recovery", *recovery_rows(content)),
        Text(f"oxidation states: {rules}{', mixed valence' if protocol['mixed_valence'] else ''}"),
        Text("parsed, neutral, balanced, valid: of all rows; unique: of parsed rows; novel: of distinct compositions"),
        Text("all three: distinct compositions that are valid and novel, of all rows"),
        Text(known_rates_note(content)),
        Text(protocol["novel_means"]),
        Text(near_duplicate_sentence(content)),
        Text(f"{memorization_verdict(content)} {_elements_in_words(content)}"),
    ]
    if "structures" in content:
        parts += [
            _table("Structures", *share_rows(content["structures"])),
            *(
                [_table("By each potential, and by both", *by_potential)]
                if (by_potential := potential_rows(content["structures"]))[1]
                else []
            ),
            _table("By anion, and how far the potential is off", *anion_rows(content["structures"])),
            Text(sentence(content["structures"])),
        ]
    return Group(*parts, *_not_judged(content))


def _title(content: dict[str, Any]) -> str:
    """What was judged, against what."""
    protocol = content["protocol"]
    return f"{content['n']:,} candidates against {protocol['reference']} ({protocol['reference_size']:,} compositions)"


def _not_judged(content: dict[str, Any]) -> list[RenderableType]:
    """What could not be read or judged, a line each."""
    lines: list[RenderableType] = []
    if content["bad"]:
        first = content["bad"][0]
        # A formula is the input's text: a Text is never read as markup, and repr keeps control characters harmless.
        where = f"row {first['row'] + 1}: {first['formula'][:40]!r}: {first['reason']}"
        lines.append(Text(f"{content['counts']['bad']:,} rows could not be read; first: {where}"))
    if unjudged := content["counts"]["unjudged"]:
        lines.append(Text(f"{unjudged:,} rows were not judged: their charges are too large to add up"))
    return lines


def brief(content: dict[str, Any]) -> RenderableType:
    """What a report's content comes to: the metrics, what they say in a sentence, and what was not read."""
    parts: list[RenderableType] = [
        _table(_title(content), *metric_rows(content, units=False)),
        Text(f"{memorization_verdict(content)} {_elements_in_words(content)}"),
    ]
    if "structures" in content:
        parts += [_table("Structures", *share_rows(content["structures"])), Text(sentence(content["structures"]))]
    return Group(*parts, *_not_judged(content))


def _elements_in_words(content: dict[str, Any]) -> str:
    elements = content["distributions"]["elements"]
    return (
        f"Elements: Jensen-Shannon distance {distance(elements['jensen_shannon'])} to the reference "
        f"({distance(elements['jensen_shannon_floor'])} by chance alone)."
    )


def print_summary(content: dict[str, Any], console: Console | None = None, *, verbose: bool = True) -> None:
    """Print `summary`, or with `verbose` off `brief`, by default on standard output."""
    (console or Console()).print(summary(content) if verbose else brief(content))


def _table(title: str, head: list[str], rows: list[list[str]]) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", header_style="bold", padding=(0, 0))
    for place, name in enumerate(head):
        table.add_column(Text(name), justify="right" if place else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def comparison_summary(content: dict[str, Any]) -> RenderableType:
    """Tables of a comparison's content (`Comparison.content` or `compare.json`), differing settings first."""
    parts: list[RenderableType] = []
    if line := page_compare.warning(content):
        parts += [Text(line, style="bold"), _table("Settings that differ", *page_compare.setting_rows(content))]
    parts.append(_table("Metrics, each report against the first", *page_compare.metric_rows(content)))
    if content["at_equal_n"] is not None:
        parts.append(_table("At the same number of candidates", *page_compare.equal_n_rows(content)))
    parts += [
        _table("Distributions", *page_compare.distribution_rows(content)),
        Text(f"test: {content['test']}"),
    ]
    return Group(*parts)


def print_comparison(content: dict[str, Any], console: Console | None = None) -> None:
    """Print `comparison_summary` of a comparison's content, by default on standard output."""
    (console or Console()).print(comparison_summary(content))
