from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest
from pymatgen.core import Element

from matgen.composition.elements import N_ELEMENTS, SYMBOLS
from matgen.evaluation.page.heatmap import _CELL, _RATIO_STOPS, _SHARE_STOPS, _color, _ink, place, ratio_map, share_map

SHARES = {"O": 0.4, "Fe": 0.02, "H": 0.5, "Xe": 0.0001}


def cells(svg: str) -> dict[str, tuple[ET.Element, str]]:
    """By symbol: the group of a cell, and its tooltip."""
    groups = list(ET.fromstring(svg).iter("g"))
    return {group.find("title").text.partition(":")[0]: (group, group.find("title").text) for group in groups}


def test_every_element_stands_in_its_period_and_group() -> None:
    for z in range(1, N_ELEMENTS + 1):
        element, (row, column) = Element.from_Z(z), place(z)
        if 57 <= z <= 71 or 89 <= z <= 103:
            start = 57 if z <= 71 else 89
            assert (row > 7, column) == (True, 3 + z - start)
        else:
            assert (row + 1, column + 1) == (element.row, element.group)
    places = {place(z) for z in range(1, N_ELEMENTS + 1)}
    assert len(places) == N_ELEMENTS


def test_shares_are_told_and_colored_by_size() -> None:
    found = cells(share_map("Generated", SHARES, "candidates", 0.5))
    assert len(found) == N_ELEMENTS == len(set(SYMBOLS[1:]))
    assert found["O"][1] == "O: in 40 % of candidates" and found["He"][1] == "He: in none of candidates"
    colors = {symbol: group.find("rect").get("fill") for symbol, (group, _) in found.items()}
    assert colors["H"] == _SHARE_STOPS[-1] and colors["Xe"] == _SHARE_STOPS[0] and colors["He"] is None
    assert [text.text for text in found["Fe"][0].iter("text")] == ["Fe", "2.0"]


def test_ratios() -> None:
    found = cells(ratio_map("r", {"O": 0.4, "Fe": 0.1, "K": 0.05}, {"O": 0.4, "Fe": 0.05, "Na": 0.1, "Xe": 1e-5}, 1000))
    values = {symbol: [text.text for text in group.iter("text")][1:] for symbol, (group, _) in found.items()}
    assert values["O"] == ["1.0"] and values["Fe"] == ["2.0"] and values["K"] == ["new"] and values["Na"] == ["none"]
    assert values["He"] == []
    assert found["O"][0].find("rect").get("fill") == _RATIO_STOPS[4]
    faint = {symbol for symbol, (group, _) in found.items() if group.find("rect").get("fill-opacity")}
    assert faint == {"Xe"}
    assert "too few to tell" in found["Xe"][1]


@pytest.mark.parametrize("stops", [_SHARE_STOPS, _RATIO_STOPS])
def test_numbers_stand_out_from_every_color(stops: tuple[str, ...]) -> None:
    def luminance(color: str) -> float:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for i in range(101):
        color = _color(stops, i / 100)
        pair = sorted((luminance(color), luminance(_ink(color))))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_viridis_is_matplotlibs() -> None:
    from matplotlib import colormaps

    for i in range(11):
        ours = [int(_color(_SHARE_STOPS, i / 10)[j : j + 2], 16) / 255 for j in (1, 3, 5)]
        assert math.dist(ours, colormaps["viridis"](i / 10)[:3]) < 0.08


def test_text_is_escaped_and_sizes_are_sane() -> None:
    svg = share_map("<b>", SHARES, "a & b", 0.5)
    assert "<b>" not in svg and len(svg) < 45_000
    ET.fromstring(svg)
    assert re.search(r'viewBox="0 0 720 ', svg) and _CELL == 40
