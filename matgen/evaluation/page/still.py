"""A crystal as a still picture: where no script runs, before the viewer has drawn it, on paper and without WebGL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

_SIZE = (320.0, 240.0)
_MARGIN = 14.0
_TURN = (12.0, 20.0)  # degrees about x and y, as the viewer of `card.js` first shows a crystal
_ATOM = 0.45  # of the covalent radius, likewise
_MOST_ATOMS = 400  # of larger scenes there is no still picture


def still(scene: Mapping[str, Any]) -> Markup:
    """An SVG of a crystal in parallel projection, what is nearer over what is farther; "" for none or too many atoms.

    Args:
        scene: as `matgen.structures.picture.scene` gives it.
    """
    symbols = [atom[0] for atom in scene["atoms"]]
    if not 0 < len(symbols) <= _MOST_ATOMS:
        return Markup("")
    atoms = _turned([atom[1:] for atom in scene["atoms"]])
    corners = _turned(_edges(np.array(scene["cell"], dtype=float)).reshape(-1, 3))
    radii = np.array([_ATOM * scene["elements"][symbol]["radius"] for symbol in symbols])
    low = np.minimum((atoms[:, :2] - radii[:, None]).min(axis=0), corners[:, :2].min(axis=0))
    high = np.maximum((atoms[:, :2] + radii[:, None]).max(axis=0), corners[:, :2].max(axis=0))
    scale = min((np.array(_SIZE) - 2 * _MARGIN) / np.maximum(high - low, 1e-6))

    def placed(points: np.ndarray) -> np.ndarray:
        """Pixels of the picture, `(n, 2)` integers, the y axis downward."""
        x, y = ((points[:, :2] - (low + high) / 2) * scale).T
        return np.stack([_SIZE[0] / 2 + x, _SIZE[1] / 2 - y], axis=1).round().astype(int)

    cell = "".join("M{} {}L{} {}".format(*pair) for pair in placed(corners).reshape(-1, 4).tolist())
    pieces = [(-np.inf, Markup('<path class="cell" d="{}"/>').format(cell))]
    at = placed(atoms).tolist()
    for one, other in scene["bonds"]:
        d = "M{} {}L{} {}".format(*at[one], *at[other])
        pieces.append((min(atoms[one, 2], atoms[other, 2]), Markup('<path d="{}"/>').format(d)))
    for i, symbol in enumerate(symbols):
        circle = Markup('<circle cx="{}" cy="{}" r="{:.1f}" fill="{}"/>')
        pieces.append((atoms[i, 2], circle.format(*at[i], scale * radii[i], scene["elements"][symbol]["color"])))
    drawn = Markup("").join(piece for _, piece in sorted(pieces, key=lambda piece: piece[0]))
    return Markup('<svg class="matgen-still" viewBox="0 0 {:.0f} {:.0f}" aria-hidden="true">{}</svg>').format(
        *_SIZE, drawn
    )


def _turned(points: Any) -> np.ndarray:
    """Points as the viewer looks at them, `(n, 3)`: x to the right, y up, z toward the eye."""
    (a, b) = np.radians(_TURN)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turned: np.ndarray = np.asarray(points, dtype=float).reshape(-1, 3) @ (about_x @ about_y).T
    return turned


def _edges(cell: np.ndarray) -> np.ndarray:
    """The twelve edges of a cell, `(12, 2, 3)`."""
    ends = []
    for axis in range(3):
        others = [cell[other] for other in range(3) if other != axis]
        for i in (0, 1):
            for j in (0, 1):
                start = i * others[0] + j * others[1]
                ends.append((start, start + cell[axis]))
    return np.array(ends)
