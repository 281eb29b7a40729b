from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.evaluation.page.svg import SERIES, Series, bars, curves, dots, parity, scatter, steps

N = [10, 100, 1000]
ALL = {
    "curves": lambda k: curves(
        "C & <b>", [N] * k, [Series(f"run <{i}>", [0.9, None, 0.1 * i]) for i in range(k)], "share / %"
    ),
    "log": lambda k: curves("C", [N] * k, [Series(f"run {i}", [0, 5, 50]) for i in range(k)], "count", log_y=True),
    "bars": lambda k: bars("B", ["1", "2"], [Series(f"run {i}", [3.0, None]) for i in range(k)], "x", "y"),
    "sideways": lambda k: bars("S", ["<A>", "B"], [Series(f"{i}", [3.0, 4]) for i in range(k)], "x", "", sideways=True),
    "steps": lambda k: steps("T", [1, 2, 3], [Series(f"run {i}", [1.0, 2.0, 0.5]) for i in range(k)], "x", "y"),
    "dots": lambda k: dots(
        "D", ["a", "b"], [Series(f"{i}", [1, None]) for i in range(k)], [[(0.5, 1.5), None]] * k, "x"
    ),
    "parity": lambda k: parity("P <>", [-1.0, 2.0], [Series(f"run <{i}>", [-1.5, None]) for i in range(k)], "x", "y"),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("k", [1, 8])
def test_every_figure_is_well_formed_and_of_the_page(name: str, k: int) -> None:
    svg = ALL[name](k)
    root = ET.fromstring(svg.replace("xlink:href", "href"))
    assert root.tag == "svg" and root.get("role") == "img"
    # Only the page's colors, no style that reaches beyond, no date, no other font, nothing from elsewhere.
    assert not re.search(r"#[0-9a-fA-F]{6}|<style|<metadata|DejaVu|https?:|<\?xml", svg)
    assert {f"var(--series-{i})" in svg for i in range(1, k + 1)} == {True}
    assert len(SERIES) == 8 and len(svg) < 60_000
    assert not [link for link in re.findall(r'xlink:href="([^"]*)"', svg) if not link.startswith("#")]


def test_the_same_data_give_the_same_bytes() -> None:
    assert ALL["curves"](3) == ALL["curves"](3)
    assert ALL["sideways"](2) == ALL["sideways"](2)


def test_labels_and_units_are_there_as_text() -> None:
    text = "".join(ET.fromstring(ALL["curves"](2).replace("xlink:href", "href")).itertext())
    assert all(word in text for word in ("C & <b>", "run <0>", "run <1>", "share / %", "1,000", "log scale"))
    text = "".join(ET.fromstring(ALL["sideways"](2).replace("xlink:href", "href")).itertext())
    assert "<A>" in text


def test_matplotlib_is_not_imported_before_a_figure_is_drawn() -> None:
    code = "import sys, matgen.evaluation.page.svg, matgen.evaluation.page.html; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_of_others_are_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    ALL["bars"](2)
    assert dict(matplotlib.rcParams) == before


def names_of(svg: str, names: list[str]) -> dict[str, tuple[float, float, float]]:
    """Place and size in points of those of the names that a figure shows."""
    root = ET.fromstring(svg.replace("xlink:href", "href"))
    found = {}
    for text in root.iter("text"):
        if (text.text or "") in names:
            at = re.search(r"translate\(([-0-9.]+) ([-0-9.]+)\)", text.get("transform", ""))
            x, y = (float(at[1]), float(at[2])) if at else (float(text.get("x")), float(text.get("y")))
            size = re.search(r"([0-9.]+)px", text.get("style", ""))
            found[text.text] = (x, y, float(size[1]))
    return found


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=18), st.lists(st.floats(-1.0, 1.0), max_size=20))
@settings(max_examples=25, deadline=None)
def test_no_name_of_a_scatter_stands_over_another(heights: list[float], others: list[float]) -> None:
    names = [f"Name{i}O" for i in range(len(heights))]
    y = [*heights, *others]
    svg = scatter("S", [0.1 * i for i in range(len(y))], y, names, "x", "y")
    places = names_of(svg, names)
    assert set(places) == set(names)
    lines = sorted(at for _, at, _ in places.values())
    size = max(size for *_, size in places.values())
    assert all(below - above >= size for above, below in pairwise(lines))
    width, height = map(float, re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg).groups())
    assert all(x < width and size / 2 < at < height for x, at, _ in places.values())


def test_a_scatter_names_no_more_than_it_has_room_for() -> None:
    names = [f"Name{i}O" for i in range(40)]
    assert set(names_of(scatter("S", range(40), [0.0] * 40, names, "x", "y"), names)) == set(names[:18])
