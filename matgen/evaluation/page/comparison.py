"""A comparison of reports to read: Markdown, a page, and the rows that the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from matgen.evaluation.labels import DISTRIBUTIONS, METRICS
from matgen.evaluation.page import figures as page_figures
from matgen.evaluation.page import heatmap as page_heatmap
from matgen.evaluation.page import html as pages
from matgen.evaluation.page import markdown as page_markdown
from matgen.evaluation.page import svg as figures
from matgen.evaluation.page import tables as page_tables
from matgen.evaluation.page.svg import Series
from matgen.evaluation.page.tables import PARTS, Table, percent

EXPLANATION = (
    "Below each value its 95 % interval, and how it stands to the first report: higher or lower means that sampling "
    "alone would make such a difference in fewer than 5 of 100 cases (p), within noise that it may well."
)


def names(content: Mapping[str, Any]) -> list[str]:
    """What each report is called."""
    return [report["name"] for report in content["reports"]]


def warning(content: Mapping[str, Any]) -> str | None:
    """One line that says which settings differ, or None."""
    if not content["differing_settings"]:
        return None
    differing = ", ".join(_setting_name(row["setting"]) for row in content["differing_settings"])
    return f"The protocols differ in {differing}: not all numbers below are measured alike."


def setting_rows(content: Mapping[str, Any]) -> Table:
    """Settings that differ."""
    rows = [
        [_setting_name(row["setting"]), *(page_tables.setting(value) for value in row["values"])]
        for row in content["differing_settings"]
    ]
    return ["Setting", *names(content)], rows


def metric_rows(content: Mapping[str, Any], separator: str = "\n") -> Table:
    """Metrics and recovery: in each cell the value, its interval, and how it stands to the first report.

    Args:
        content: of the comparison.
        separator: between the pieces of a cell.
    """
    rows = []
    for name, label in METRICS.items():
        metric = content["metrics"][name]
        cells = zip(metric["values"], metric["intervals"], metric["tests"], strict=True)
        rows.append([label.title, *(separator.join(_pieces(value, bounds, test)) for value, bounds, test in cells)])
    for part, label in PARTS.items():
        metric = content["recovery"][part]
        tested = zip(metric["values"], metric["tests"], strict=True)
        rows.append([label.title, *(separator.join(_pieces(value, None, test)) for value, test in tested)])
    return ["Metric", *names(content)], rows


def equal_n_rows(content: Mapping[str, Any]) -> Table:
    """Values at the same number of candidates; no rows where all reports have the same number anyway."""
    at = content["at_equal_n"]
    if at is None:
        return ["Metric", *names(content)], []
    rows = [[METRICS[name].title, *map(percent, at[name])] for name in METRICS if name in at]
    rows += [[label.title, *(percent(value, 3) for value in at["recovery"][part])] for part, label in PARTS.items()]
    return [f"After {at['n']:,} candidates", *names(content)], rows


def distribution_rows(content: Mapping[str, Any]) -> Table:
    """Jensen-Shannon distances to each report's own reference, with what chance alone makes."""
    rows = []
    for name, distribution in content["distributions"].items():
        pairs = zip(distribution["jensen_shannon"], distribution["jensen_shannon_floor"], strict=True)
        cells = [f"{page_tables.distance(value)} ({page_tables.distance(floor)})" for value, floor in pairs]
        rows.append([DISTRIBUTIONS[name].title, *cells])
    return ["Distance to the reference (by chance alone)", *names(content)], rows


def other_rows(content: Mapping[str, Any]) -> Table:
    """Chemical systems, near-duplicates and the copy check."""
    systems, near, memorization = content["chemical_systems"], content["near_duplicates"], content["memorization"]
    rows = [
        ["Chemical systems", *(f"{one['distinct']:,}" for one in systems)],
        ["Systems new to the reference", *(f"{one['novel']:,}" for one in systems)],
        ["Novel, one element swap from a known one", *(percent(one["fraction"]) for one in near)],
        ["Novel beyond that, of distinct", *(percent(one["novel_beyond_substitution"]) for one in near)],
        ["Memorization", *(str(one["verdict"]) for one in memorization)],
    ]
    return ["", *names(content)], rows


def protocol_rows(content: Mapping[str, Any]) -> Table:
    """All settings of all reports."""
    protocols = [dict(page_tables.protocol_rows(report)) for report in content["reports"]]
    settings = dict.fromkeys(name for protocol in protocols for name in protocol)
    rows = [[name, *(protocol.get(name, "-") for protocol in protocols)] for name in settings]
    return ["Setting", *names(content)], rows


def markdown(content: Mapping[str, Any]) -> str:
    """The comparison as Markdown; text from the inputs is escaped."""
    cell, table = page_markdown.cell, page_markdown.table
    parts = ["# Comparison", f"{len(content['reports'])} reports, each compared with the first one."]
    if line := warning(content):
        parts += [f"**{cell(line)}**", table(setting_rows(content))]
    parts += ["## Metrics", table(metric_rows(content, "; ")), f"Test: {cell(content['test'])}."]
    if content["at_equal_n"] is not None:
        parts += ["## At the same number of candidates", table(equal_n_rows(content))]
    parts += [
        "## Distributions",
        table(distribution_rows(content)),
        "## Systems, near-duplicates, copies",
        table(other_rows(content)),
        "## Protocol",
        table(protocol_rows(content)),
    ]
    return "\n\n".join(parts) + "\n"


def html(content: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> str:
    """The comparison as one self-contained page; every text is escaped.

    Args:
        content: of the comparison.
        reports: content of each `report.json`, in the same order.
    """
    return pages.render(
        "compare.html",
        content=content,
        names=names(content),
        warning=warning(content),
        explanation=EXPLANATION,
        tables={
            "settings": setting_rows(content),
            "metrics": metric_rows(content),
            "equal_n": equal_n_rows(content),
            "distributions": distribution_rows(content),
            "other": other_rows(content),
            "protocol": protocol_rows(content),
        },
        intervals=_intervals(content),
        curves=_curves(content, reports),
        bars=_bars(content, reports),
        maps=_maps(content, reports),
    )


def _pieces(value: float | None, bounds: Sequence[float] | None, test: Mapping[str, Any] | None) -> list[str]:
    pieces = [percent(value, 2 if not value or value >= 0.01 else 3)]
    if bounds is not None:
        pieces.append(f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f}")
    if test is not None:
        p = test["p"]
        pieces.append(
            test["verdict"] if p is None else f"{test['verdict']}, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
        )
    return pieces


def _setting_name(name: str) -> str:
    return {"n": "n (number of candidates)", "name": "name of the protocol"}.get(name, name.replace("_", " "))


def _intervals(content: Mapping[str, Any]) -> page_figures.Drawing:
    title = "Metrics with 95 % intervals"
    # A report of an older version lacks some.
    shown = {name: m for name, m in content["metrics"].items() if None not in m["values"]}
    rows = [METRICS[name].title for name in shown]
    series = [Series(name, [100 * m["values"][i] for m in shown.values()]) for i, name in enumerate(names(content))]
    bounds = [
        [None if m["intervals"][i] is None else tuple(100 * b for b in m["intervals"][i]) for m in shown.values()]
        for i in range(len(series))
    ]
    return page_figures.Drawing(title, Markup(figures.dots(title, rows, series, bounds, "share / %")))


def _curves(content: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> list[page_figures.Drawing]:
    at = [report["curves"]["n"] for report in reports]

    def drawing(title: str, label: str, values: Sequence[Sequence[float | None]]) -> page_figures.Drawing:
        series = [
            Series(name, [None if value is None else 100 * value for value in line])
            for name, line in zip(names(content), values, strict=True)
        ]
        return page_figures.Drawing(title, Markup(figures.curves(title, at, series, label, from_zero=False)))

    shares = [
        drawing(METRICS[name].title, f"{METRICS[name].unit} / %", [report["curves"][name] for report in reports])
        for name in ("unique", "novel", "valid")
    ]
    all_three = [
        [
            count / rows
            for count, rows in zip(report["curves"]["valid_unique_novel"], report["curves"]["n"], strict=True)
        ]
        for report in reports
    ]
    recovery = [
        drawing(label.title, f"{label.unit} / %", [report["curves"]["recovery"][part] for report in reports])
        for part, label in PARTS.items()
    ]
    return [*shares, drawing(METRICS["valid_unique_novel"].title, "of all rows / %", all_three), *recovery]


def _bars(content: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> list[page_figures.Drawing]:
    """Distributions, with the first report's reference last where there is a color left for it."""
    sides = [(name, report["distributions"]) for name, report in zip(names(content), reports, strict=True)]
    if len(sides) == len(figures.SERIES):
        return page_figures.bars(sides)
    reference = content["reports"][0]["protocol"]["reference"]
    return page_figures.bars([*sides, (f"reference: {reference}", sides[0][1])], len(sides))


def _maps(content: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> list[page_figures.Drawing]:
    drawings = []
    for name, report in zip(names(content), reports, strict=True):
        elements = report["distributions"]["elements"]
        drawn = page_heatmap.ratio_map(
            f"{name}: generated over reference",
            elements["generated"],
            elements["reference"],
            report["counts"]["distinct"],
        )
        drawings.append(page_figures.Drawing(name, Markup(drawn)))
    return drawings
