"""Near-duplicates: compositions one step from a known one, by an element swapped for its neighbor in its group.

Sr to Ba or Ca in SrTiO3 gives such a step; a model that only substitutes makes many "novel" compositions that way.
The neighbors of an element are the ones directly above and below it in groups 1 to 18 of IUPAC's periodic table; of a
lanthanide or an actinide, the f-block partner in the same column (Ce and Th ... Lu and Lr). Group 3 holds Sc and Y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS, ORDER_RANK
from matgen.evaluation.widths import by_width

GROUPS: tuple[str, ...] = (
    "H Li Na K Rb Cs Fr",
    "Be Mg Ca Sr Ba Ra",
    "Sc Y",
    "Ti Zr Hf Rf",
    "V Nb Ta Db",
    "Cr Mo W Sg",
    "Mn Tc Re Bh",
    "Fe Ru Os Hs",
    "Co Rh Ir Mt",
    "Ni Pd Pt Ds",
    "Cu Ag Au Rg",
    "Zn Cd Hg Cn",
    "B Al Ga In Tl Nh",
    "C Si Ge Sn Pb Fl",
    "N P As Sb Bi Mc",
    "O S Se Te Po Lv",
    "F Cl Br I At Ts",
    "He Ne Ar Kr Xe Rn Og",
)
"""Groups 1 to 18 from top to bottom (IUPAC; as pymatgen's `Element.group`, which puts all f elements in group 3)."""

F_BLOCK: tuple[str, ...] = (
    "La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
    "Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr",
)
"""Lanthanides and actinides, partners below one another."""

BLOCK = 50_000
"""Compositions whose swaps are held at once."""


def _table() -> np.ndarray:
    columns = [group.split() for group in GROUPS]
    columns += [list(pair) for pair in zip(*(row.split() for row in F_BLOCK), strict=True)]
    table = np.zeros((N_ELEMENTS + 1, 2), dtype=np.uint8)
    for column in columns:
        for above, below in pairwise(column):
            table[ATOMIC_NUMBER[above], 1] = ATOMIC_NUMBER[below]
            table[ATOMIC_NUMBER[below], 0] = ATOMIC_NUMBER[above]
    return table


NEIGHBORS: np.ndarray = _table()
"""Atomic numbers of the neighbors above and below, uint8 `(119, 2)`, 0 where there is none."""


@dataclass(frozen=True)
class Swapped:
    """Compositions with one element swapped for a neighbor.

    Attributes:
        rows: int64 `(m,)`, the row of the batch that each comes from, ascending; within a row by the element swapped
            out (matgen's order), the neighbor above before the one below.
        batch: the `m` compositions.
    """

    rows: np.ndarray
    batch: CompositionBatch


def swapped(batch: CompositionBatch) -> Swapped:
    """All compositions that differ by one element swapped for a neighbor which is not in the composition."""
    elements, counts = batch.elements, batch.counts
    present = np.zeros((len(batch), N_ELEMENTS + 1), dtype=bool)
    present[np.arange(len(batch))[:, None], elements] = True
    neighbors = NEIGHBORS[elements]  # (n, k, 2)
    possible = (neighbors > 0) & ~present[np.arange(len(batch))[:, None, None], neighbors]
    rows, slots, sides = np.nonzero(possible)
    made = elements[rows]
    made[np.arange(len(rows)), slots] = neighbors[rows, slots, sides]
    rank = np.where(made > 0, ORDER_RANK[made], 255)
    order = np.argsort(rank, axis=1, kind="stable")
    made, counts = np.take_along_axis(made, order, axis=1), np.take_along_axis(counts[rows], order, axis=1)
    return Swapped(rows, CompositionBatch(made, counts))


def near_duplicates(batch: CompositionBatch, contains: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """For each composition the first of its `swapped` ones that is known: its formula, or None; object `(n,)`.

    Args:
        batch: `n` compositions.
        contains: says which keys, uint64 `(m, 2)`, are known, bool `(m,)`, as `KeySet.contains` does.
    """
    nearest = np.full(len(batch), None, dtype=object)
    for block_rows, block in by_width(batch, BLOCK):
        one_step = swapped(block)
        hits = np.flatnonzero(contains(one_step.batch.keys()))
        rows, first = np.unique(one_step.rows[hits], return_index=True)
        if len(rows):
            nearest[block_rows[rows]] = one_step.batch[hits[first]].formulas()
    return nearest
