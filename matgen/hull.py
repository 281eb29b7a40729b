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

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch, first_occurrence, parse_some
from matgen.composition.elements import N_ELEMENTS, SYMBOLS
from matgen.datasets import load_dataset, read_formula_table
from matgen.datasets.formula_column import find_formula_column
from matgen.datasets.load import find_row, load_task
from matgen.datasets.where import numeric_column
from matgen.errors import DataError, unknown_name
from matgen.io.files import read_json
from matgen.runtime.progress import ProgressFactory, silent

SOURCES = {"oqmd": "formation_energy_oqmd", "mp": "formation_energy_mp_min"}
"""Name of a source to the column of the bundled table with its formation energies."""

OUTLIER_ENERGY = 5.0
"""Formation energies beyond this many eV/atom are failed calculations (one of OQMD's is -198.7), 86 of 341,700."""

_NEGLIGIBLE = 1e-9
"""Fractions of atoms below which a phase takes no part in a mixture."""


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
        self.batch, self.energy, self.source = batch[usable], energy[usable], source
        self._rows_of: dict[tuple[int, ...], np.ndarray] = {}
        systems = np.sort(np.where(self.batch.elements > 0, self.batch.elements, N_ELEMENTS + 1), axis=1)
        distinct, system = np.unique(systems, axis=0, return_inverse=True)
        order = np.argsort(system.ravel(), kind="stable")
        starts = np.searchsorted(system.ravel()[order], np.arange(len(distinct) + 1))
        for elements, start, stop in zip(distinct.tolist(), starts[:-1], starts[1:], strict=True):
            self._rows_of[tuple(z for z in elements if z <= N_ELEMENTS)] = order[start:stop]

    @classmethod
    def of_source(cls, source: str) -> CompetingPhases:
        """The bundled labels of a source, `oqmd` or `mp` (the lowest polymorph of each composition).

        Failed calculations (`OUTLIER_ENERGY`) are left out: one would pull down the hull of its whole system.

        Raises:
            OptionError: an unknown source.
        """
        if source not in SOURCES:
            raise unknown_name("source", source, SOURCES)
        return _of_source(source)

    @classmethod
    def from_entries(cls, path: Path | str) -> CompetingPhases:
        """A user's own phases: a JSON list of pymatgen's `ComputedEntry` (total energies, with all elements).

        Formation energies refer to the lowest entry of each element in the file. Entries say by `run_type` (of
        `parameters`, as the Materials Project writes it) what functional they were calculated with.

        Raises:
            DataError: the file is not such a list, an element has no entry of its own, or energies of functionals meet
                that cannot be compared.
        """
        from pymatgen.entries.computed_entries import ComputedEntry

        content = read_json(path)
        try:
            entries = [ComputedEntry.from_dict(entry) for entry in content]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path} is not a JSON list of pymatgen ComputedEntry: {error}") from error
        _require_comparable(entries, path)
        lowest: dict[str, float] = {}
        for entry in entries:
            if entry.composition.is_element:
                symbol = entry.composition.elements[0].symbol
                lowest[symbol] = min(lowest.get(symbol, np.inf), entry.energy_per_atom)
        missing = {element.symbol for entry in entries for element in entry.composition} - set(lowest)
        if missing:
            raise DataError(f"{path} has no entry of the element {', '.join(sorted(missing))}: add one")
        formation = [
            entry.energy_per_atom
            - sum(lowest[element.symbol] * share for element, share in entry.composition.fractional_composition.items())
            for entry in entries
        ]
        batch = CompositionBatch.from_formulas([entry.composition.reduced_formula for entry in entries])
        return cls(batch, np.array(formation), str(path), np.unique(batch.elements[batch.elements > 0]))

    @classmethod
    def from_table(cls, name_or_path: Path | str, column: str = "formation_energy") -> CompetingPhases:
        """Formation energies (eV/atom) of a table, of a composition that occurs again the lowest.

        Args:
            name_or_path: a file with formulas, or a dataset: `materials-project`, once it was built by API key, holds
                today's corrected energies.
            column: with the energies.

        Raises:
            DataError: the table is missing, has no formulas, or none with an energy.
            OptionError: no such column, or one that holds text.
        """
        name = str(name_or_path)
        if find_row(name) is not None:
            frame = load_task(name)
            formulas = find_formula_column(frame.columns, None, name)
        else:
            frame, formulas = read_formula_table(name_or_path, None)
        energy = numeric_column(frame, column).astype(np.float64)
        parsed = parse_some(frame[formulas])
        phases = cls(parsed.batch, energy[parsed.rows], name, _labeled_elements(parsed.batch, energy[parsed.rows]))
        if not len(phases):
            raise DataError(f"{name} has no compound with a number in {column}")
        return phases

    def __len__(self) -> int:
        return len(self.batch)

    def phases_within(self, elements: tuple[int, ...]) -> np.ndarray:
        """Rows of all phases of these elements (ascending atomic numbers) and no others, int64 `(p,)`."""
        if 1 << len(elements) < len(self._rows_of):
            subsets = (s for size in range(2, len(elements) + 1) for s in itertools.combinations(elements, size))
            systems = [subset for subset in subsets if subset in self._rows_of]
        else:  # more subsets than chemical systems that have phases
            own = set(elements)
            systems = sorted((s for s in self._rows_of if own.issuperset(s)), key=lambda s: (len(s), s))
        rows = [self._rows_of[system] for system in systems]
        return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)

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
        energy = np.zeros(len(batch))
        energy[list(lacking)] = np.nan
        owners, products, fractions = [], [], []
        shares = batch.counts / batch.counts.sum(axis=1, keepdims=True)
        own_keys = batch.keys()
        systems = [tuple(sorted(z for z in row if z)) for row in batch.elements.tolist()]
        with progress(len(batch), "hull", "compositions") as count:
            for rows in _groups(systems):
                elements = systems[rows[0]]
                if rows[0] in lacking:
                    count.update(len(rows))
                    continue
                phases = System(self, elements)
                for i in rows:
                    x = np.zeros(len(elements))
                    present = batch.elements[i] > 0
                    x[np.searchsorted(elements, batch.elements[i][present])] = shares[i][present]
                    energy[i], product, fraction = phases.mixture(x, own_keys[i])
                    owners.append(np.full(len(product), i))
                    products.append(product)
                    fractions.append(fraction)
                count.update(len(rows))
        if not owners:
            nothing = np.zeros(0, dtype=np.int64)
            return Decomposition(energy, nothing, nothing, np.zeros(0), lacking)
        owner, product, fraction = (np.concatenate(parts) for parts in (owners, products, fractions))
        order = np.lexsort((-fraction, owner))
        return Decomposition(energy, owner[order], product[order], fraction[order], lacking)

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


class System:
    """The phases of one chemical system as columns of a linear program, elements first.

    Attributes:
        keys: of the compounds, `(p, ...)` as `CompositionBatch.keys` gives them.
        columns: fractions of atoms of the `k` elements and the `p` compounds, `(k, k + p)`.
        energies: formation energies, `(k + p,)`, eV/atom.
        product: rows of the compounds among the phases, before them -atomic numbers, `(k + p,)`.
    """

    def __init__(self, phases: CompetingPhases, elements: tuple[int, ...]) -> None:
        rows = phases.phases_within(elements)
        elements_of_phases, counts = phases.batch.elements[rows], phases.batch.counts[rows]
        columns = np.zeros((len(elements), len(rows)))
        row, slot = np.nonzero(elements_of_phases)
        columns[np.searchsorted(elements, elements_of_phases[row, slot]), row] = counts[row, slot]
        columns /= np.maximum(columns.sum(axis=0), 1)
        self.keys = phases.batch[rows].keys()
        self.columns = np.hstack([np.eye(len(elements)), columns])
        self.energies = np.concatenate([np.zeros(len(elements)), phases.energy[rows]])
        self.product = np.concatenate([-np.array(elements, dtype=np.int64), rows])

    def mixture(self, x: np.ndarray, key: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Energy, products and fractions of the best mixture at `x` `(k,)`, without the phase of that key."""
        from scipy.optimize import linprog

        n_elements = len(x)
        # A phase above the elements takes part in no best mixture.
        usable = self.energies < 0
        usable[:n_elements] = True
        usable[n_elements:] &= (self.keys != key).any(axis=1)
        columns, energies = self.columns[:, usable], self.energies[usable]
        if columns.shape[1] == n_elements:
            return 0.0, self.product[:n_elements], x
        solved = linprog(energies, A_eq=columns, b_eq=x, bounds=(0, None), method="highs-ds")
        if solved.x is None:  # pragma: no cover - elements alone are always a solution
            raise DataError(f"no mixture of phases found: {solved.message}")
        taking_part = solved.x > _NEGLIGIBLE
        return float(solved.fun), self.product[usable][taking_part], solved.x[taking_part]


@lru_cache(maxsize=len(SOURCES))
def _of_source(source: str) -> CompetingPhases:
    dataset = load_dataset("hybrid")
    energy = dataset.frame[SOURCES[source]].to_numpy(np.float64)
    energy = np.where(np.abs(energy) > OUTLIER_ENERGY, np.nan, energy)
    return CompetingPhases(dataset.batch, energy, source, _labeled_elements(dataset.batch, energy))


def _labeled_elements(batch: CompositionBatch, energy: np.ndarray) -> np.ndarray:
    """Atomic numbers of the elements of rows with an energy, ascending, int64 `(k,)`."""
    elements = batch.elements[np.isfinite(energy)]
    return np.unique(elements[elements > 0]).astype(np.int64)


_FUNCTIONALS = {"GGA": "PBE", "GGA+U": "PBE", "R2SCAN": "r2SCAN", "R2SCAN+U": "r2SCAN", "SCAN": "SCAN", "LDA": "LDA"}
"""Run types of the Materials Project (emmet's `RunType`) to the functional of their energies."""


def _require_comparable(entries: Sequence[Any], path: Path | str) -> None:
    """Raise a `DataError` where entries of several functionals would share a hull.

    PBE and PBE+U share one by the corrections of their +U entries only (Jain et al., Phys. Rev. B 84, 045115, 2011);
    PBE and r2SCAN by pymatgen's mixing scheme (Kingsbury et al., npj Comput. Mater. 8, 195, 2022), which adjusts all
    entries of one of the two.
    """
    run_types = [str((entry.parameters or {}).get("run_type") or "").upper() for entry in entries]
    formulas = [entry.composition.reduced_formula for entry in entries]
    if not any(run_types):
        return
    if not all(run_types):
        raise DataError(
            f"{path}: {run_types.count(''):,} of {len(entries):,} entries have no run_type in their parameters, as "
            f"{formulas[run_types.index('')]}: give it for all, so that no functionals are mixed"
        )
    by_functional = Counter(
        _FUNCTIONALS.get(run_type, run_type)
        for entry, run_type in zip(entries, run_types, strict=True)
        if not any("mixing" in str(adjustment.name).lower() for adjustment in entry.energy_adjustments)
    )
    if len(by_functional) > 1:
        counts = ", ".join(f"{n:,} of {functional}" for functional, n in by_functional.most_common())
        raise DataError(f"{path} mixes functionals (entries: {counts}), whose energies share no hull: split the file")
    without_u = [run_type for run_type in run_types if not run_type.endswith("+U")]
    plain_u = [
        formula
        for entry, formula, run_type in zip(entries, formulas, run_types, strict=True)
        if run_type.endswith("+U") and not entry.correction
    ]
    if without_u and plain_u:
        raise DataError(
            f"{path}: {len(plain_u):,} entries with U have no correction, such as {plain_u[0]}, beside some without: "
            "apply pymatgen's MaterialsProject2020Compatibility to all of them first"
        )


def _groups(systems: list[Any]) -> list[list[int]]:
    """Positions of equal entries, in order of first occurrence."""
    groups: dict[Any, list[int]] = {}
    for i, system in enumerate(systems):
        groups.setdefault(system, []).append(i)
    return list(groups.values())
