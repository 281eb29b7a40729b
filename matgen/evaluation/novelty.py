"""How new a composition is: its chemical distance from the nearest known one.

The distance of two compositions is the element mover's distance along the modified Pettifor scale (C. J. Hargreaves,
M. S. Dyer, M. W. Gaultois, V. A. Kurlin and M. J. Rosseinsky, Chem. Mater. 32, 10610, 2020): the places on the scale by
which the average atom of one must be moved to make the other, which on a line is the area between their cumulative
fractions. SrTiO3 and BaTiO3 are 0.2 apart (a fifth of the atoms, one place), NaCl and KCl 0.5, NaCl and MgO 33: what
matters is not how many atoms differ but by what.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS
from matgen.composition.pettifor import MODIFIED_PETTIFOR, PETTIFOR_PLACE
from matgen.runtime.cores import available_cores

_GAPS = len(MODIFIED_PETTIFOR) - 1
"""Steps between neighboring places."""
_BLOCK = 8
"""Neighboring steps that the search takes together."""
_FIRST = 16
"""Known compositions that are looked at first for each."""
_AT_ONCE = 50_000
"""Pairs whose cumulative fractions are held at once."""
_SLACK = 1e-9
"""Distances closer than this count as equal."""

# Step g lies beyond an element whose place is at most g: there its cumulative fraction counts.
_STEPS = np.zeros((N_ELEMENTS + 1, _GAPS))
_STEPS[1:] = np.nan_to_num(PETTIFOR_PLACE[1:, None], nan=np.inf) <= np.arange(_GAPS)
_BLOCKS = np.add.reduceat(_STEPS, np.arange(0, _GAPS, _BLOCK), axis=1)


def chemical_distance(one: CompositionBatch, other: CompositionBatch) -> np.ndarray:
    """Element mover's distance of each composition from the one in the same row, places of the scale, float64 `(n,)`.

    NaN where an element is not on the scale (those beyond lawrencium).
    """
    distance = np.empty(len(one))
    for start in range(0, len(one), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        distance[rows] = np.abs(_weighted(one[rows], _STEPS) - _weighted(other[rows], _STEPS)).sum(axis=1)
    return np.where(_on_scale(one) & _on_scale(other), distance, np.nan)


class NearestKnown:
    """Known compositions, arranged so that the nearest one is found without looking at all.

    A k-d tree holds the cumulative fractions, added up over blocks of the scale. By the triangle inequality distances
    in it are never larger than the true ones, so that what it puts beyond the best true distance can be left out.

    Args:
        known: `m` compositions; those with an element that is not on the scale are never the nearest.
        preferred: of several as near, the one to name: row numbers `(m,)`, the best first; by default as they stand.
    """

    def __init__(self, known: CompositionBatch, preferred: np.ndarray | None = None) -> None:
        order = np.arange(len(known)) if preferred is None else preferred
        self._rows = order[_on_scale(known)[order]]
        self._known = known[self._rows]
        self._tree = cKDTree(_weighted(self._known, _BLOCKS)) if len(self._known) else None

    def of(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the nearest known composition, float64 `(n,)`, and its row, int64 `(n,)`.

        Infinite and -1 where nothing is known, or an element of the composition is not on the scale.
        """
        distance, place = np.full(len(batch), np.inf), np.full(len(batch), -1, dtype=np.int64)
        if self._tree is None:
            return distance, place
        open_rows, k = np.flatnonzero(_on_scale(batch)), min(_FIRST, len(self._known))
        while len(open_rows):
            asked = batch[open_rows]
            bound, found = self._tree.query(_weighted(asked, _BLOCKS), k, p=1, workers=available_cores())
            bound, found = bound.reshape(-1, k), found.reshape(-1, k)
            pairs = chemical_distance(asked[np.repeat(np.arange(len(asked)), k)], self._known[found.ravel()])
            true = pairs.reshape(found.shape)
            least = true.min(axis=1)
            done = (bound[:, -1] > least + _SLACK) | (k == len(self._known))
            first = np.where(true <= least[:, None] + _SLACK, found, len(self._known)).min(axis=1)
            distance[open_rows[done]], place[open_rows[done]] = least[done], first[done]
            open_rows, k = open_rows[~done], min(4 * k, len(self._known))
        return distance, np.where(place >= 0, self._rows[place], -1)


def _on_scale(batch: CompositionBatch) -> np.ndarray:
    places = np.where(batch.elements > 0, PETTIFOR_PLACE[batch.elements], 0.0)
    return np.asarray(np.isfinite(places).all(axis=1))


def _weighted(batch: CompositionBatch, table: np.ndarray) -> np.ndarray:
    """Rows of a table by element, float64 `(119, p)`, averaged over the atoms of each composition: `(n, p)`."""
    fractions = batch.counts / np.maximum(batch.counts.sum(axis=1, keepdims=True), 1)
    mean = np.zeros((len(batch), table.shape[1]))
    for slot in range(batch.elements.shape[1]):
        mean += fractions[:, slot, None] * table[batch.elements[:, slot]]
    return mean
