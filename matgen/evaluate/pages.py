"""A report to read: Markdown, and one HTML page that needs nothing beside it and no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd

from matgen.evaluate.labels import BASELINES, COLUMNS, GROUPS, METRICS

_SHOWN = 200
"""Candidates listed on the page."""

_BAD_SHOWN = 20

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.wide { overflow-x: auto; }
.note { opacity: .75; }
@media print { body { margin: 0; max-width: none; } }
"""

Rows = list[list[str]]


def percent(value: float | None) -> str:
    """A fraction as text, `-` where there is none."""
    return "-" if value is None else f"{100 * value:.2f} %"


def times(value: float | None) -> str:
    """An enrichment as text, `-` where there is none."""
    return "-" if value is None else f"{value:.2f} x"


def metric_rows(content: dict[str, Any], *, units: bool = True) -> tuple[list[str], Rows]:
    """Head and rows of the table of metrics: value, interval, strongest baseline, enrichment.

    Args:
        content: of the report.
        units: say beside each metric what it is a share of.
    """
    rows = []
    for name, label in METRICS.items():
        low, high = content["intervals"].get(name, (None, None))
        interval = "-" if low is None else f"{100 * low:.2f} to {100 * high:.2f} %"
        baseline, enrichment = content["baseline"].get(name), content["enrichment"].get(name)
        title = f"{label.title} ({label.unit})" if units else label.title
        rows.append([title, percent(content[name]), interval, percent(baseline), times(enrichment)])
    return ["Metric", "Value", "95 % interval", "Best random", "Enrichment"], rows


def group_rows(content: dict[str, Any]) -> tuple[list[str], Rows]:
    """Head and rows of the table of ionic and all-metal compositions."""
    metrics = [name for name in METRICS if name != "parsed"]
    rows = [
        [GROUPS[name].title, f"{group['n']:,}", *(percent(group[metric]) for metric in metrics)]
        for name, group in content["groups"].items()
    ]
    return ["Group", "Rows", *(METRICS[metric].head for metric in metrics)], rows


def baseline_rows(content: dict[str, Any]) -> tuple[list[str], Rows]:
    """Head and rows of the table of random baselines; no rows where they were left out."""
    metrics = [name for name in METRICS if name != "parsed"]
    rows = [
        [BASELINES[name].title, f"{values['n']:,}", *(percent(values[metric]) for metric in metrics)]
        for name, values in content["baselines"].items()
    ]
    return ["Random formulas", "Rows", *(METRICS[metric].head for metric in metrics)], rows


def recovery_rows(content: dict[str, Any]) -> tuple[list[str], Rows]:
    """Head and rows of the table of recovered reference compositions."""
    rows = []
    for part, found in content["counts"]["recovery"].items():
        also_valid = content["counts"]["recovery_valid"][part]["fraction"]
        rows.append([part, f"{found['found']:,} of {found['of']:,}", percent(found["fraction"]), percent(also_valid)])
    return ["Reference split", "Recovered", "Share", "Recovered and valid"], rows


def protocol_rows(content: dict[str, Any]) -> Rows:
    """Settings that the numbers depend on, as name and value."""
    protocol = content["protocol"]
    rows = [[name.replace("_", " "), str(value)] for name, value in protocol.items() if name != "versions"]
    return [*rows, ["versions", ", ".join(f"{name} {value}" for name, value in protocol["versions"].items())]]


def markdown(content: dict[str, Any]) -> str:
    """The report as Markdown; text from the input is escaped."""
    count = content["counts"]
    parts = [
        "# Evaluation",
        f"{content['n']:,} candidates, {count['bad']:,} of them unreadable, {count['unjudged']:,} not judged. "
        f"{_markdown_cell(content['protocol']['novel_means'])}.",
        "## Metrics",
        _markdown_table(*metric_rows(content)),
        "## Not all metal, and all metal",
        _markdown_table(*group_rows(content)),
        "## Recovery",
        _markdown_table(*recovery_rows(content)),
    ]
    if content["baselines"]:
        parts += ["## Random baselines", _markdown_table(*baseline_rows(content)), *_baseline_notes(content)]
    if content["bad"]:
        bad = [[str(row["row"] + 1), row["formula"], row["reason"]] for row in content["bad"][:_BAD_SHOWN]]
        parts += [
            f"## Unreadable rows (first {len(bad)} of {count['bad']:,}, numbered from 1)",
            _markdown_table(["Row", "Formula", "Reason"], bad),
        ]
    parts += ["## Protocol", _markdown_table(["Setting", "Value"], protocol_rows(content))]
    return "\n\n".join(parts) + "\n"


def html(content: dict[str, Any], frame: pd.DataFrame) -> str:
    """The report as one self-contained page; every text is escaped."""
    count = content["counts"]
    body = [
        "<h1>Evaluation</h1>",
        f"<p>{content['n']:,} candidates, {count['bad']:,} of them unreadable, {count['unjudged']:,} not judged. "
        f"{escape(content['protocol']['novel_means'])}.</p>",
        "<h2>Metrics</h2>",
        _html_table(*metric_rows(content)),
        "<h2>Not all metal, and all metal</h2>",
        _html_table(*group_rows(content)),
        "<h2>Recovery</h2>",
        _html_table(*recovery_rows(content)),
    ]
    if content["baselines"]:
        body += ["<h2>Random baselines</h2>", _html_table(*baseline_rows(content))]
        body += [f'<p class="note">{escape(note)}</p>' for note in _baseline_notes(content)]
    if content["bad"]:
        bad = [[str(row["row"] + 1), row["formula"], row["reason"]] for row in content["bad"][:_BAD_SHOWN]]
        body += [
            f"<h2>Unreadable rows (first {len(bad)} of {count['bad']:,}, numbered from 1)</h2>",
            _html_table(["Row", "Formula", "Reason"], bad, numbers=False),
        ]
    shown = frame.head(_SHOWN)
    body += [
        f"<h2>Candidates (first {len(shown):,} of {len(frame):,})</h2>",
        _html_table(*_candidate_rows(shown), numbers=False),
        "<h2>Protocol</h2>",
        _html_table(["Setting", "Value"], protocol_rows(content), numbers=False),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # No request at all: an icon too would be asked for.
        '<link rel="icon" href="data:,">\n'
        f"<title>matgen: evaluation</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _baseline_notes(content: dict[str, Any]) -> list[str]:
    return [f"{BASELINES[name].title}: {BASELINES[name].meaning}." for name in content["baselines"]]


def _candidate_rows(frame: pd.DataFrame) -> tuple[list[str], Rows]:
    """The input's columns and ours, as text."""
    names = [str(name) for name in frame.columns]
    head = [COLUMNS[name].title if name in COLUMNS else name for name in names]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return head, rows


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if str(value) in ("True", "False"):
        return "yes" if str(value) == "True" else "no"
    return str(value)[:200]


def _html_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for row in rows:
        cells = [f"<td>{escape(row[0])}</td>"]
        cells += [f'<td class="number">{escape(c)}</td>' if numbers else f"<td>{escape(c)}</td>" for c in row[1:]]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _markdown_cell(text: str) -> str:
    """Text that Markdown and the HTML inside it show as it is, on one line."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(one_line, quote=False))
