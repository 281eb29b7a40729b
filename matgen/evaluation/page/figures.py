"""The figures of a report from its content: which numbers, in which units, under which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from matgen.evaluation.labels import DISTRIBUTIONS, METRICS
from matgen.evaluation.page import heatmap as page_heatmap
from matgen.evaluation.page import svg as figures
from matgen.evaluation.page import tables as page_tables
from matgen.evaluation.page.svg import Series

_FORMULAS, _IONS = 12, 16
_MOST_ATOMS, _MOST_ELEMENTS = 60, 12
_MOST_LETTERS = 20
"""Of a category's name; an anonymous formula of dozens of elements would leave no room for bars."""
_MOST_POINTS, _NAMED = 2_000, 8
_LEAST_SHOWN = 1e-3
"""Share below which a number of elements gets no bar beyond the others."""


@dataclass(frozen=True)
class Drawing:
    """A figure of a page: its title, its SVG, and a caption or none."""

    title: str
    drawing: Markup
    caption: str = ""


def curves(content: Mapping[str, Any]) -> list[Drawing]:
    """Shares, found compositions and recovery over the number of candidates."""
    so_far = content["curves"]
    n = so_far["n"]
    all_three = [count / rows for count, rows in zip(so_far["valid_unique_novel"], n, strict=True)]
    shares = {name: so_far[name] for name in ("unique", "novel", "valid")} | {"valid_unique_novel": all_three}
    lines = [Series(METRICS[name].title, _percents(values)) for name, values in shares.items()]
    compositions = [
        Series("found", so_far["valid_unique_novel"]),
        Series("if every candidate were one", n),
    ]
    recovered = [Series(part, _percents(so_far["recovery"][part])) for part in page_tables.PARTS]
    drawings = [
        ("Shares of the candidates so far", lines, "share / %", False, "How quality holds as more are drawn: novel and "
         "unique usually fall. Novel is a share of distinct compositions."),
        ("Valid, unique and novel compositions so far", compositions, "compositions (log scale)", True,
         "A line that bends away from the dashed one says that new ones are getting rarer."),
        ("Known compositions found again so far", recovered, "share of the split / %", False,
         "Train: known to most models. Test: held out. A train curve far above the test curve hints at copying."),
    ]  # fmt: skip
    return [
        Drawing(title, Markup(figures.curves(title, [n] * len(series), series, y_label, log_y=log_y)), caption)
        for title, series, y_label, log_y, caption in drawings
    ]


def maps(content: Mapping[str, Any]) -> dict[str, Drawing]:
    """Heat maps by element: `ratio`, `generated` and `reference`."""
    elements, distinct = content["distributions"]["elements"], content["counts"]["distinct"]
    generated, reference = elements["generated"], elements["reference"]
    most = max([*generated.values(), *reference.values()], default=1.0)
    ratio = page_heatmap.ratio_map("Generated over reference", generated, reference, distinct)
    return {
        "ratio": Drawing(
            "How many times as often as in the reference",
            Markup(ratio),
            "Blue: more often among the candidates than in the reference; orange: less often. 'new': never in the "
            "reference; 'none': never generated. Faint: fewer than five compositions found and expected, too few.",
        ),
        "generated": Drawing(
            "Generated: share of distinct candidates, in %",
            Markup(page_heatmap.share_map("Generated", generated, "distinct candidates", most)),
        ),
        "reference": Drawing(
            "Reference: share of known compositions, in %",
            Markup(page_heatmap.share_map("Reference", reference, "reference compositions", most)),
        ),
    }


def ranking(ranked: pd.DataFrame) -> Drawing:
    """Predicted distance to the hull against novelty, the first of the ranking named."""
    known = ranked[ranked["energy_above_hull"].notna()]  # not where the hull lacks an element
    shown = known.head(_MOST_POINTS)
    title = "Energy above the hull against novelty"
    drawing = figures.scatter(
        title,
        shown["novelty"].tolist(),
        shown["energy_above_hull"].tolist(),
        shown["formula"].head(_NAMED).astype(str).tolist(),
        "novelty: chemical distance from the nearest known composition, 0 to 1",
        "predicted energy above the hull / eV/atom",
    )
    most = f"The first {len(shown):,} of {len(known):,}" if len(shown) < len(known) else f"All {len(known):,}"
    return Drawing(title, Markup(drawing), f"{most} ranked candidates; the first {_NAMED} are named. Below the line: "
                   "predicted to be more stable than anything known at that composition.")  # fmt: skip


def bars(reports: Sequence[tuple[str, Mapping[str, Any]]], of_reference: int | None = None) -> list[Drawing]:
    """Figures of the numbers of elements and atoms, of anonymous formulas and of ions.

    Args:
        reports: names and distributions (of a report's content); the categories shown are the most frequent of any.
        of_reference: place of the one of which the reference's shares are drawn, not the generated ones.
    """
    sides = []
    for place, (name, distributions) in enumerate(reports):
        side = "reference" if place == of_reference else "generated"
        sides.append((name, {key: shares[side] for key, shares in distributions.items()}))
    drawings = [
        _whole_number_bars(sides, "n_elements", "elements in the composition"),
        _whole_number_steps(sides, "n_atoms", "atoms in the reduced formula"),
        _most_frequent(sides, "anonymous_formulas", _FORMULAS),
    ]
    # No formula may have a witness.
    if any(shares["oxidation_states"] for _, shares in sides):
        drawings.append(_most_frequent(sides, "oxidation_states", _IONS))
    return drawings


_Sides = Sequence[tuple[str, Mapping[str, Mapping[str, float]]]]


def _whole_number_bars(sides: _Sides, key: str, x_label: str) -> Drawing:
    shown = [int(category) for _, shares in sides for category, share in shares[key].items() if share >= _LEAST_SHOWN]
    numbers = range(1, min(max(shown, default=1), _MOST_ELEMENTS) + 1)
    title = DISTRIBUTIONS[key].title
    drawing = figures.bars(title, [str(x) for x in numbers], _of_numbers(sides, key, numbers), x_label, _unit(key))
    return Drawing(title, Markup(drawing), _beyond(sides, key, numbers, "elements"))


def _whole_number_steps(sides: _Sides, key: str, x_label: str) -> Drawing:
    numbers = range(1, min(max(_reach(shares[key]) for _, shares in sides), _MOST_ATOMS) + 1)
    title = DISTRIBUTIONS[key].title
    drawing = figures.steps(title, numbers, _of_numbers(sides, key, numbers), x_label, _unit(key))
    return Drawing(title, Markup(drawing), _beyond(sides, key, numbers, "atoms"))


def _of_numbers(sides: _Sides, key: str, numbers: range) -> list[Series]:
    return [Series(name, _percents([shares[key].get(str(x), 0.0) for x in numbers])) for name, shares in sides]


def _beyond(sides: _Sides, key: str, numbers: range, of: str) -> str:
    """What the figure leaves out at its right end."""
    beyond = []
    for name, shares in sides:
        share = 1.0 - sum(shares[key].get(str(x), 0.0) for x in numbers)
        beyond.append(f"{name} {page_tables.percent(share if share > 1e-6 else 0.0, 1)}")
    return f"With more than {numbers[-1]} {of}: {', '.join(beyond)}."


def _most_frequent(sides: _Sides, key: str, most: int) -> Drawing:
    """The categories with the largest share on any side."""
    largest: dict[str, float] = {}
    for _, shares in sides:
        for category, share in shares[key].items():
            largest[category] = max(share, largest.get(category, 0.0))
    shown = sorted(largest, key=lambda category: (-largest[category], category))[:most]
    series = [Series(name, _percents([shares[key].get(category, 0.0) for category in shown])) for name, shares in sides]
    title = DISTRIBUTIONS[key].title
    names = [name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…" for name in shown]
    drawing = figures.bars(title, names, series, _unit(key), "", sideways=True)
    return Drawing(title, Markup(drawing), f"{sentence(DISTRIBUTIONS[key].meaning)}; the {len(shown)} most frequent.")


def sentence(words: str) -> str:
    """With a capital at its beginning."""
    return words[:1].upper() + words[1:]


def _unit(key: str) -> str:
    return f"{DISTRIBUTIONS[key].unit} / %"


def _reach(shares: Mapping[str, float]) -> int:
    """The smallest whole number up to which 98 % of the shares lie."""
    total, so_far = sum(shares.values()), 0.0
    for number in sorted(int(category) for category in shares):
        so_far += shares[str(number)]
        if so_far >= 0.98 * total:
            return number
    return 1


def _percents(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else 100 * value for value in values]
