"""Still pictures of crystals: every atom in the picture, what is nearer drawn later, nothing read as HTML."""

from __future__ import annotations

import re

import numpy as np
from pymatgen.core import Lattice, Structure

from matgen.evaluation.page.still import _MOST_ATOMS, still
from matgen.structures.picture import scene

SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def circles(svg: str) -> list[tuple[float, float, float, str]]:
    found = re.findall(r'<circle cx="(\S+)" cy="(\S+)" r="(\S+)" fill="(\S+)"/>', svg)
    return [(float(x), float(y), float(r), fill) for x, y, r, fill in found]


def test_all_of_a_crystal_is_in_the_picture() -> None:
    made = scene(SALT)
    svg = str(still(made))
    drawn = circles(svg)
    assert len(drawn) == len(made["atoms"]) == 27 and svg.count("<path d=") == len(made["bonds"])
    colors = sorted(made["elements"][symbol]["color"] for symbol, *_ in made["atoms"])
    assert sorted(fill for *_, fill in drawn) == colors
    assert all(r <= x <= 320 - r and r <= y <= 240 - r for x, y, r, _ in drawn)
    (cell,) = re.findall(r'class="cell" d="([^"]+)"', svg)
    assert cell.count("M") == 12


def test_what_is_nearer_covers_what_is_farther() -> None:
    elements = {name: {"color": color, "radius": 1.0} for name, color in (("Na", "#aa0000"), ("Cl", "#00bb00"))}
    cube = (4 * np.eye(3)).tolist()
    for near, far in (("Na", "Cl"), ("Cl", "Na")):  # the eye is at +z; turned a little, so that 3 of z is nearer
        atoms = [[near, 2, 2, 3], [far, 2, 2, 0]]
        drawn = circles(str(still({"elements": elements, "atoms": atoms, "bonds": [], "cell": cube})))
        assert [fill for *_, fill in drawn] == [elements[far]["color"], elements[near]["color"]]


def test_the_first_view_is_from_the_right_and_above() -> None:
    """Turned by 20 degrees about y and 12 about x, as `card.js` turns: what is at +z moves to the right and down."""
    elements = {name: {"color": color, "radius": 0.1} for name, color in (("Na", "#aa0000"), ("Cl", "#00bb00"))}
    atoms = [["Na", 0, 0, 0], ["Cl", 0, 0, 4]]
    far, near = circles(
        str(still({"elements": elements, "atoms": atoms, "bonds": [], "cell": (4 * np.eye(3)).tolist()}))
    )
    assert near[0] > far[0] and near[1] > far[1]
    ratio = (near[0] - far[0]) / (near[1] - far[1])
    expected = np.sin(np.radians(20)) / (np.cos(np.radians(20)) * np.sin(np.radians(12)))
    assert abs(ratio - expected) < 0.1  # pixels are whole


def test_nothing_or_too_much_is_no_picture() -> None:
    one = {"elements": {"Na": {"color": "#aa0000", "radius": 1.0}}, "bonds": [], "cell": np.eye(3).tolist()}
    assert still({**one, "atoms": []}) == "" and still({**one, "atoms": [["Na", 0, 0, 0]] * (_MOST_ATOMS + 1)}) == ""


def test_a_color_is_no_html() -> None:
    hostile = '"><script>window.hacked=1</script>'
    one = {"elements": {"Na": {"color": hostile, "radius": 1.0}}, "bonds": [], "cell": np.eye(3).tolist()}
    assert "<script" not in still({**one, "atoms": [["Na", 0, 0, 0]]})
