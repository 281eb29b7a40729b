"""The numbers of a report as rows of text, once for the page, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matgen.evaluation.known_rates import RATES
from matgen.evaluation.labels import BASELINES, DISTRIBUTIONS, GROUPS, KNOWN_RATES, METRICS, Label
from matgen.validity.commonness import RARE, share_text

Rows = list[list[str]]
Table = tuple[list[str], Rows]
"""Head and rows, all text."""

PARTS: dict[str, Label] = {
    "train": Label(
        "Recovery, train", "of the reference's train split", "known compositions that a model may have been trained on"
    ),
    "test": Label("Recovery, test", "of the reference's test split", "known compositions that were held out"),
}
"""Parts of a reference whose compositions may be recovered."""

_GROUPED = [name for name in METRICS if name not in ("parsed", "rare_state", "intermetallic")]
_BAD_SHOWN = 20
_CURVE_ROWS = 15


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as text, `-` where there is none; small ones get the digits they need."""
    if value is None:
        return "-"
    if 0 < abs(value) < 0.5 * 10.0 ** -(digits + 2):
        return f"{100 * value:.1e} %"
    return f"{100 * value:.{digits}f} %"


def times(value: float | None) -> str:
    """An enrichment as text, `-` where there is none."""
    return "-" if value is None else f"{value:.2f} x"


def distance(value: float | None) -> str:
    """A distance between 0 and 1 as text, `-` where there is none."""
    return "-" if value is None else f"{value:.3f}"


def interval(bounds: Iterable[float | None] | None) -> str:
    """A 95 % interval of a fraction as text, `-` where there is none."""
    low, high = bounds or (None, None)
    return "-" if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f} %"


def metric_rows(content: Mapping[str, Any], *, units: bool = True) -> Table:
    """Value, interval, strongest baseline and enrichment of each metric.

    Args:
        content: of the report.
        units: say beside each metric what it is a share of.
    """
    rows = []
    for name, label in METRICS.items():
        title = f"{label.title} ({label.unit})" if units else label.title
        baseline, enrichment = content["baseline"].get(name), content["enrichment"].get(name)
        bounds = interval(content["intervals"].get(name))
        rows.append([title, percent(content[name]), bounds, percent(baseline), times(enrichment)])
    return ["Metric", "Value", "95 % interval", "Best random", "Enrichment"], rows


def known_rate_rows(content: Mapping[str, Any]) -> Table:
    """What compounds that are known to exist reach under the same rules, beside the candidates."""
    sets = {"Candidates": content, **{label.title: content["known_rates"][one] for one, label in KNOWN_RATES.items()}}
    rows = []
    for ending, group in (("", None), (", not all metal", "ionic")):
        for title, values in sets.items():
            shares = values if group is None else values["groups"][group]
            rows.append([f"{title}{ending}", f"{shares['n']:,}", *(percent(shares[rate], 1) for rate in RATES)])
    return ["By the same rules", "Rows", *(METRICS[rate].head for rate in RATES)], rows


def known_rates_note(content: Mapping[str, Any]) -> str:
    """What the rows of known compounds are, and what the rarer columns mean, in a few sentences."""
    sets = "; ".join(f"{label.title}: {label.meaning}" for label in KNOWN_RATES.values())
    columns = "; ".join(
        f"{METRICS[name].head} ({METRICS[name].title}, {METRICS[name].unit}): {METRICS[name].meaning}"
        for name in RATES[3:]
    )
    return f"{sets}. {columns}."


def group_rows(content: Mapping[str, Any]) -> Table:
    """Ionic and all-metal compositions apart."""
    rows = [
        [GROUPS[name].title, f"{group['n']:,}", *(percent(group[metric], 1) for metric in _GROUPED)]
        for name, group in content["groups"].items()
    ]
    return ["Group", "Rows", *(METRICS[metric].head for metric in _GROUPED)], rows


def n_elements_rows(content: Mapping[str, Any]) -> Table:
    """Compositions by their number of elements."""
    rows = [
        [
            name,
            f"{group['n']:,}",
            *(percent(group[metric], 1) for metric in _GROUPED),
            *(percent(group["recovery"].get(part)) for part in PARTS),
        ]
        for name, group in content["by_n_elements"].items()
    ]
    heads = [METRICS[metric].head for metric in _GROUPED]
    return ["Elements", "Rows", *heads, *(part.title for part in PARTS.values())], rows


def baseline_rows(content: Mapping[str, Any]) -> Table:
    """Random baselines; no rows where they were left out."""
    rows = [
        [BASELINES[name].title, f"{values['n']:,}", *(percent(values[metric], 1) for metric in _GROUPED)]
        for name, values in content["baselines"].items()
    ]
    return ["Random formulas", "Rows", *(METRICS[metric].head for metric in _GROUPED)], rows


def baseline_notes(content: Mapping[str, Any]) -> list[str]:
    """What each random baseline is, in a sentence."""
    return [f"{BASELINES[name].title}: {BASELINES[name].meaning}." for name in content["baselines"]]


def recovery_rows(content: Mapping[str, Any]) -> Table:
    """Recovered reference compositions."""
    rows = []
    for part, recovered in content["counts"]["recovery"].items():
        also_valid = content["counts"]["recovery_valid"][part]["fraction"]
        rows.append(
            [
                part,
                f"{recovered['found']:,} of {recovered['of']:,}",
                percent(recovered["fraction"]),
                percent(also_valid),
            ]
        )
    return ["Reference split", "Recovered", "Share", "Recovered and valid"], rows


def reference_rows(content: Mapping[str, Any]) -> Table:
    """Each reference apart."""
    rows = [
        [
            reference["name"],
            f"{reference['size']:,}",
            percent(reference["novel"]),
            *(percent(reference["recovery"].get(part)) for part in PARTS),
        ]
        for reference in content["references"]
    ]
    return ["Reference", "Compositions", "Not in it", *(part.title for part in PARTS.values())], rows


def distribution_rows(content: Mapping[str, Any]) -> Table:
    """Distances to the reference, beside what as many formulas drawn from the reference itself would have."""
    rows = [
        [
            f"{DISTRIBUTIONS[name].title} ({DISTRIBUTIONS[name].unit})",
            distance(distribution["jensen_shannon"]),
            distance(distribution["jensen_shannon_floor"]),
            percent(distribution["coverage"], 1),
            percent(distribution["coverage_floor"], 1),
        ]
        for name, distribution in _known(content["distributions"])
    ]
    return ["Distribution", "Distance (0 to 1)", "By chance alone", "Covered", "Covered by chance alone"], rows


def system_rows(content: Mapping[str, Any], first: int = 0, last: int | None = None) -> Table:
    """The most frequent chemical systems, from the first-th to the last-th."""
    rows = [
        [
            system["chemical_system"],
            *(f"{system[name]:,}" for name in ("n", "distinct", "valid", "novel", "in_reference")),
        ]
        for system in content["chemical_systems"]["top"][first:last]
    ]
    return ["Chemical system", "Candidates", "Distinct", "Valid", "Novel", "Known in the reference"], rows


def rarest_state(row: Mapping[Any, Any]) -> str:
    """The rarest state of a candidate with its share of reports, such as `Pb+1, 0.06 %: rare`; `-` without one."""
    if not isinstance(row["rarest_state"], str):
        return "-"
    share = float(row["rarest_state_share"])
    return f"{row['rarest_state']}, {share_text(share)}{': rare' if share < RARE else ''}"


def curve_rows(content: Mapping[str, Any]) -> Table:
    """The curves as numbers, thinned to some fifteen rows."""
    curves = content["curves"]
    points = range(len(curves["n"]))
    step = max(1, -(-len(points) // _CURVE_ROWS))
    rows = []
    for i in [*points[:-1:step], *points[-1:]]:
        rows.append(
            [
                f"{curves['n'][i]:,}",
                percent(curves["unique"][i], 1),
                percent(curves["novel"][i], 1),
                percent(curves["valid"][i], 1),
                f"{curves['valid_unique_novel'][i]:,}",
                *(percent(curves["recovery"][part][i], 3) for part in PARTS),
            ]
        )
    names = [METRICS[name].head for name in ("unique", "novel", "valid", "valid_unique_novel")]
    return ["Candidates", *names, *(part.title for part in PARTS.values())], rows


def bad_rows(content: Mapping[str, Any]) -> Table:
    """The first rows that could not be read, numbered from 1."""
    rows = [[f"{bad['row'] + 1:,}", bad["formula"], bad["reason"]] for bad in content["bad"][:_BAD_SHOWN]]
    return ["Row", "Formula", "Reason"], rows


def protocol_rows(content: Mapping[str, Any]) -> Rows:
    """Settings that the numbers depend on, as name and value."""
    protocol = content["protocol"]
    rows = [[name.replace("_", " "), setting(value)] for name, value in protocol.items() if name != "versions"]
    return [*rows, ["versions", ", ".join(f"{name} {value}" for name, value in protocol["versions"].items())]]


def setting(value: Any) -> str:
    """A setting as text: yes or no for a switch, `-` where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(setting(one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def near_duplicate_sentence(content: Mapping[str, Any]) -> str:
    """How many novel compositions are a known one with one element swapped."""
    near = content["near_duplicates"]
    return (
        f"{near['found']:,} of {near['of']:,} novel compositions ({percent(near['fraction'], 1)}) are one step from a "
        "known one: a single element replaced by its neighbor above or below in the periodic table. "
        f"{percent(near['novel_beyond_substitution'], 1)} of all distinct compositions are novel beyond that."
    )


def memorization_verdict(content: Mapping[str, Any]) -> str:
    """The verdict on copying as a sentence."""
    verdict = str(content["memorization"]["verdict"]).strip().rstrip(".")
    return f"{verdict[:1].upper()}{verdict[1:]}."


def memorization_sentence(content: Mapping[str, Any]) -> str:
    """Whether the candidates repeat what a model was trained on, with the numbers behind the verdict."""
    memorization = content["memorization"]
    return (
        f"{memorization_verdict(content)} Recovered are {percent(memorization['train_share'], 3)} of the train "
        f"compositions and {percent(memorization['test_share'], 3)} of the held-out ones. Longest run of rows that "
        "repeat the reference in "
        f"its own order: {memorization['longest_run']:,}."
    )


def _known(distributions: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, distributions[name]) for name in DISTRIBUTIONS if name in distributions]
