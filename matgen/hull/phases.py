"""How far above the convex hull of competing phases a composition lies, from labeled compositions of one source.

At a composition x the hull's energy is the lowest that any mixture of phases with the same atoms can have: the linear
program min sum(a_i e_i) over fractions of atoms a_i >= 0 with sum(a_i c_i) = x, where e_i are formation energies in
eV/atom and c_i the atomic fractions of the phases. Elements are phases at 0 eV/atom. Its solution names the products of
decomposition. Each composition is left out of its own hull, so that a stable one gets a negative distance: the energy
that it wins over its competitors (Bartel et al., npj Comput. Mater. 6, 97, 2020).

Labels of different sources never meet: OQMD's and the Materials Project's formation energies of the same compounds
differ by 0.117 eV/atom on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch, first_occurrence, sort_keys
from matgen.composition.elements import N_ELEMENTS, SYMBOLS
from matgen.composition.keys import find_keys
from matgen.hull.entries import formation_energies_of
from matgen.hull.linear_program import System
from matgen.hull.systems import ChemicalSystems
from matgen.runtime.compiled import load_kernel
from matgen.runtime.cores import available_cores
from matgen.runtime.progress import ProgressFactory, silent

_AT_ONCE = 4096  # compositions that a thread takes at a time


@dataclass(frozen=True)
class Decomposition:
    """What competes with `n` compositions.

    Attributes:
        energy: float64 `(n,)`, formation energy of the best mixture of competing phases, eV/atom; NaN where `lacking`
            names an element.
        owner: int64 `(m,)`, the composition that each product belongs to, ascending.
        product: int64 `(m,)`, row of a product in `CompetingPhases.batch`, or -atomic number for an element.
        fraction: float64 `(m,)`, the product's share of the atoms.
        lacking: of compositions with elements of which the source has no energy: which, such as `Na, Cl`.
    """

    energy: np.ndarray
    owner: np.ndarray
    product: np.ndarray
    fraction: np.ndarray
    lacking: dict[int, str] = field(default_factory=dict)


class CompetingPhases:
    """Labeled compositions of one source, by chemical system.

    Args:
        batch: `m` compositions; of one that occurs again the lowest energy counts.
        energy: float64 `(m,)`, formation energies in eV/atom; rows without one (NaN) are left out.
        source: what to call them.
        elements: atomic numbers of the elements that the source knows; None for all. A composition with another
            element has no distance to the hull: its competitors are missing.
    """

    def __init__(
        self, batch: CompositionBatch, energy: np.ndarray, source: str, elements: np.ndarray | None = None
    ) -> None:
        energy = np.asarray(energy, dtype=np.float64)
        self.knows = np.ones(N_ELEMENTS + 1, dtype=bool)
        if elements is not None:
            self.knows[1:] = False
            self.knows[elements] = True
        usable = np.flatnonzero(np.isfinite(energy) & (batch.n_elements > 1))
        usable = usable[np.argsort(energy[usable], kind="stable")]
        usable = usable[first_occurrence(batch[usable].keys()) == np.arange(len(usable))]
        self.systems = ChemicalSystems(batch.elements[usable], energy[usable])
        usable = usable[self.systems.order]
        self.batch, self.energy, self.source = batch[usable], energy[usable], source

    @classmethod
    def from_entries(cls, path: Path | str) -> CompetingPhases:
        """A user's own phases: a JSON list of pymatgen's `ComputedEntry` (total energies, with all elements).

        Formation energies refer to the lowest entry of each element in the file. Entries say by `run_type` (of
        `parameters`, as the Materials Project writes it) what functional they were calculated with.

        Raises:
            DataError: the file is not such a list, an element has no entry of its own, or energies of functionals meet
                that cannot be compared.
        """
        batch, energy = formation_energies_of(path)
        return cls(batch, energy, str(path), np.unique(batch.elements[batch.elements > 0]))

    def __len__(self) -> int:
        return len(self.batch)

    def phases_within(self, elements: Sequence[int]) -> np.ndarray:
        """Rows of all phases of these elements (atomic numbers) and no others, int64 `(p,)`."""
        return self.systems.within(np.array(elements))

    def rows_of(self, batch: CompositionBatch) -> np.ndarray:
        """The row of each composition's own phase, int64 `(n,)`, -1 where it has none."""
        order, keys = self._by_key
        place = find_keys(keys, batch.keys())
        return np.where(place >= 0, order[place] if len(order) else -1, -1)

    @cached_property
    def _by_key(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows in order of their keys, and these keys."""
        keys = self.batch.keys()
        order, _ = sort_keys(keys)
        return order, keys[order]

    @cached_property
    def _compiled(self) -> tuple[Any, ...] | None:
        """The compiled solver and its tables, None where there is no numba."""
        kernel = load_kernel("hull.kernel")
        if kernel is None:
            return None
        systems = self.systems
        table = np.full(1 << int(2 * len(systems.sets) + 1).bit_length(), -1, dtype=np.int64)
        kernel.fill_table(systems.sets, table)
        shares = self.batch.counts / np.maximum(self.batch.counts.sum(axis=1, keepdims=True), 1)
        return kernel, systems.sets, systems.starts, systems.bound, table, self.batch.elements, shares, self.energy

    def lacking(self, batch: CompositionBatch) -> dict[int, str]:
        """Rows with elements that the source does not know to these elements, such as `Na, Cl`."""
        return {
            int(i): ", ".join(SYMBOLS[z] for z in batch.elements[i] if not self.knows[z])
            for i in np.flatnonzero(~self.knows[batch.elements].all(axis=1))
        }

    def decompose(self, batch: CompositionBatch, *, progress: ProgressFactory = silent) -> Decomposition:
        """The best mixtures of competing phases at each composition, itself left out.

        A composition with an element that the source does not know has none, and the energy NaN.

        Args:
            batch: `n` compositions.
            progress: counts the compositions.
        """
        lacking = self.lacking(batch)
        own = self.rows_of(batch)
        energy = np.full(len(batch), np.nan)
        product = np.zeros(batch.elements.shape, dtype=np.int64)
        fraction = np.zeros(batch.elements.shape)
        skip = np.zeros(len(batch), dtype=bool)
        skip[list(lacking)] = True

        def solve(part: slice) -> int:
            if self._compiled is not None:
                kernel, *tables = self._compiled
                kernel.decompose(batch.elements[part], batch.counts[part], own[part], skip[part], *tables, energy[part],
                                 product[part], fraction[part])  # fmt: skip
            for i in part.start + np.flatnonzero(np.isnan(energy[part]) & ~skip[part]):
                energy[i] = self._by_scipy(batch, i, own[i], product[i], fraction[i])
            return part.stop - part.start

        parts = [slice(start, min(start + _AT_ONCE, len(batch))) for start in range(0, len(batch), _AT_ONCE)]
        with progress(len(batch), "hull", "compositions") as count, ThreadPoolExecutor(available_cores()) as pool:
            for done in pool.map(solve, parts):
                count.update(done)
        owner, slot = np.nonzero(fraction)
        product, fraction = product[owner, slot], fraction[owner, slot]
        order = np.lexsort((-fraction, owner))
        return Decomposition(energy, owner[order], product[order], fraction[order], lacking)

    def _by_scipy(self, batch: CompositionBatch, i: int, own: int, product: np.ndarray, fraction: np.ndarray) -> float:
        """The energy of the best mixture at one composition; products and fractions `(k,)` are written."""
        present = batch.elements[i] > 0
        order = np.argsort(batch.elements[i][present])
        elements = batch.elements[i][present][order].astype(np.int64)
        x = batch.counts[i][present][order] / batch.counts[i].sum()
        rows = self.phases_within(elements)
        rows = rows[(self.energy[rows] < 0) & (rows != own)]  # others take part in no best mixture
        energy, products, shares = System(elements.tolist(), self.batch, self.energy, rows).best_mixture(x)
        product[: len(products)], fraction[: len(products)] = products, shares
        return energy

    def in_words(self, decomposition: Decomposition, n: int) -> list[str]:
        """The products of each of `n` compositions: `0.60 Li2O + 0.40 Fe2O3`, fractions of atoms, most first.

        Of a composition without a distance to the hull, the reason: `not known: oqmd has no energy of Ra`.
        """
        names = self.batch[decomposition.product[decomposition.product >= 0]].formulas().tolist()
        following = iter(names)
        texts: list[list[str]] = [[] for _ in range(n)]
        for i, product, fraction in zip(
            decomposition.owner, decomposition.product, decomposition.fraction, strict=True
        ):
            name = next(following) if product >= 0 else str(SYMBOLS[-product])
            texts[i].append(f"{fraction:.2f} {name}")
        for i, elements in decomposition.lacking.items():
            texts[i] = [f"not known: {self.source} has no energy of {elements}"]
        return [" + ".join(parts) for parts in texts]


def hull_distances(batch: CompositionBatch, energy: np.ndarray, *, progress: ProgressFactory = silent) -> np.ndarray:
    """How far labeled compositions lie above the hull of all others, below 0 where they would be new vertices.

    Args:
        batch: `n` compositions.
        energy: float64 `(n,)`, their formation energies, eV/atom; NaN where there is none.
        progress: counts the compositions.

    Returns:
        float64 `(n,)`, eV/atom; elements lie at their energy; NaN where there is no energy.
    """
    labeled = np.flatnonzero(np.isfinite(energy))
    of_others = CompetingPhases(batch, energy, "labels").decompose(batch[labeled], progress=progress).energy
    distance = np.full(len(batch), np.nan)
    distance[labeled] = energy[labeled] - of_others
    return distance
