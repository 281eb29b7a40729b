"""Formation energies of dopants in ordered supercells, against the elements and against competing phases.

Of a neutral cell with n dopants the energy to make one of them is (C. Freysoldt et al., Rev. Mod. Phys. 86, 253, 2014,
eq. 3, without charge)

    E_f = [E(doped) - E(host) - sum_i n_i (E_i + mu_i)] / n

over the elements whose atoms were added (n_i > 0) or removed (n_i < 0), with the energies E_i of the elements' ground
states and chemical potentials mu_i <= 0 relative to them. Total energies enter as formation energies, in which the E_i
and the Materials Project's corrections are contained already. The host exists only where sum_i x_i mu_i is its own
formation energy, and each other phase stays away only where the sum over its composition is at most the phase's. The
host's and doped cell's energies are the potential's, those of the competing phases labels (`mp2020_phases`): that the
potential is off for the host falls out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, SYMBOLS
from matgen.structures.energies import (
    formation_energies,
    hull_energies,
    mp2020_correction,
    mp2020_phases,
    oxide_type,
)
from matgen.structures.potentials.interface import Potential

if TYPE_CHECKING:
    from pymatgen.core import Structure

COLUMNS = ("dopant_formation_energy", "dopant_formation_energy_min", "dopant_formation_energy_max")
"""What a potential says of a dopant, eV each; its name is appended."""

_PARTICIPATES = 1e-7  # eV, what a phase's bound is worth at least where it limits the chemical potentials
_SLACK = 1e-7  # eV/atom; the solver keeps equations to about this


@dataclass(frozen=True)
class PotentialLimits:
    """What the chemical potentials take from a dopant's formation energy, at two limits of the host's stability.

    Attributes:
        most: largest sum of n_i mu_i per dopant, eV: where the dopant forms most easily before another phase does.
        rich: the same, where the element that is replaced has its largest chemical potential in the host.
        phases: competing phases that are in equilibrium with the host at the first limit, such as `La2O3, TiO2`.
    """

    most: float
    rich: float
    phases: str


def formation_energy_by(potential: Potential, structure: Structure, energy: float) -> float:
    """The formation energy of a structure from its energy by a potential, with the corrections of 2020, eV/atom.

    Args:
        potential: whose energy it is.
        structure: the structure.
        energy: eV/atom.
    """
    batch = CompositionBatch.from_formulas([structure.composition.formula.replace(" ", "")])
    formation = float(formation_energies(batch, np.array([energy]))[0])
    if not potential.corrected:
        formation += float(mp2020_correction(batch, [oxide_type(structure)])[0])
    return formation


def with_dopant_energies(frame: pd.DataFrame, potential: str) -> pd.DataFrame:
    """The structures with formation energies of their dopants; a frame without doped structures as it is.

    Args:
        frame: structures with their formation energies by the potential, as `assemble` makes it.
        potential: its name.

    Returns:
        the frame with the columns of `COLUMNS` (eV per dopant) and `competing_phases`.
    """
    host_energy = f"host_formation_energy_{potential}"
    if host_energy not in frame:
        return frame
    values, phases = np.full((len(frame), len(COLUMNS)), np.nan), np.full(len(frame), None, dtype=object)
    doped = frame[host_energy].notna() & frame[f"formation_energy_{potential}"].notna()
    for place in np.flatnonzero(doped):
        row = frame.iloc[place]
        n_atoms, n_dopants = int(row["n_atoms"]), int(row["n_dopants"])
        host_atoms = n_atoms + int(row["n_vacancies"])
        elements = (n_atoms * row[f"formation_energy_{potential}"] - host_atoms * row[host_energy]) / n_dopants
        site = str(row["mapping"]).split(">")[0]
        added = _added(str(row["formula"]), n_atoms, str(row["host_formula"]), host_atoms)
        limits = potential_limits(
            str(row["host_formula"]), site, tuple(sorted((k, v / n_dopants) for k, v in added.items()))
        )
        values[place] = elements, elements - limits.most, elements - limits.rich
        phases[place] = limits.phases
    columns = {f"{name}_{potential}": values[:, i] for i, name in enumerate(COLUMNS)}
    return frame.assign(**columns, competing_phases=phases)


def _added(formula: str, n_atoms: int, host: str, host_atoms: int) -> dict[str, float]:
    """Atoms of each element that a doped cell has more than the host's, those that changed alone."""
    atoms = {"doped": _counts(formula, n_atoms), "host": _counts(host, host_atoms)}
    every = sorted(set(atoms["doped"]) | set(atoms["host"]))
    more = {symbol: atoms["doped"].get(symbol, 0.0) - atoms["host"].get(symbol, 0.0) for symbol in every}
    return {symbol: round(number, 6) for symbol, number in more.items() if abs(number) > 1e-6}


def _counts(formula: str, n_atoms: int) -> dict[str, float]:
    """Atoms of each element in a cell of so many atoms."""
    batch = CompositionBatch.from_formulas([formula])
    scale = n_atoms / int(batch.n_atoms[0])
    return {str(SYMBOLS[z]): count * scale
            for z, count in zip(batch.elements[0].tolist(), batch.counts[0].tolist(), strict=True) if z}  # fmt: skip


@lru_cache(maxsize=4096)
def potential_limits(host: str, site: str, added: tuple[tuple[str, float], ...]) -> PotentialLimits:
    """The chemical potentials' part of a dopant's formation energy, by linear programs over the host's stability.

    A host above the hull of the labels is taken as on it. Known phases that are the same host with another share of the
    dopant do not compete.

    Args:
        host: formula of the host.
        site: symbol of the element that is replaced.
        added: symbol and number of the atoms that a dopant adds (removes, where below 0).

    Returns:
        NaN with an element of which no compound is labeled.
    """
    of_host, gain = _counts(host, 1), dict(added)
    symbols = sorted({*of_host, *gain}, key=lambda symbol: ATOMIC_NUMBER[symbol])
    if not mp2020_phases().knows[[ATOMIC_NUMBER[symbol] for symbol in symbols]].all():
        return PotentialLimits(float("nan"), float("nan"), "")
    bounds = _Stability(host, symbols, np.array([gain.get(symbol, 0.0) for symbol in symbols]), site)
    most, names = bounds.largest(bounds.gain)
    only_site = np.array([float(symbol == site) for symbol in symbols])
    rich, _ = bounds.largest(bounds.gain, site_at_least=bounds.largest(only_site)[0] - _SLACK)
    return PotentialLimits(most, rich, ", ".join(names))


class _Stability:
    """The chemical potentials at which a host is stable and no other phase forms, as bounds of a linear program."""

    def __init__(self, host: str, symbols: Sequence[str], gain: np.ndarray, site: str) -> None:
        """Phases of the elements `symbols` `(k,)`, by atomic number; `gain` `(k,)` is the atoms that a dopant adds."""
        phases = mp2020_phases()
        numbers = np.array([ATOMIC_NUMBER[symbol] for symbol in symbols])
        rows = phases.phases_within(tuple(numbers.tolist()))
        batch = phases.batch[rows]
        counts = np.zeros((len(rows), len(symbols)))
        row, slot = np.nonzero(batch.elements)
        counts[row, np.searchsorted(numbers, batch.elements[row, slot])] = batch.counts[row, slot]
        of_host = _counts(host, 1)
        self.gain, self.symbols, self.site = gain, list(symbols), symbols.index(site)
        self.host = np.array([of_host.get(symbol, 0.0) for symbol in symbols])
        competes = ~_doped(counts, self.host, gain, self.site)
        self.names = batch.formulas()[competes]
        self.fractions = counts[competes] / counts[competes].sum(axis=1, keepdims=True)
        self.energies = phases.energy[rows][competes]
        self.is_host = np.isclose(self.fractions, self.host).all(axis=1)
        self.host_energy = hull_energies(CompositionBatch.from_formulas([host]))

    def largest(self, objective: np.ndarray, site_at_least: float | None = None) -> tuple[float, list[str]]:
        """The largest value of a sum over the potentials, eV, and the phases and elements that hold it there."""
        from scipy.optimize import linprog

        limits: list[tuple[float | None, float]] = [(None, 0.0)] * len(self.symbols)
        limits[self.site] = (site_at_least, 0.0)
        solved = linprog(-objective, A_ub=self.fractions, b_ub=self.energies + _SLACK, A_eq=self.host[None, :],
                         b_eq=self.host_energy, bounds=limits, method="highs-ds")  # fmt: skip
        held = (-solved.ineqlin.marginals > _PARTICIPATES) & ~self.is_host
        names = [str(name) for name in self.names[held]]
        names += [symbol for symbol, worth in zip(self.symbols, -solved.upper.marginals, strict=True)
                  if worth > _PARTICIPATES]  # fmt: skip
        return -float(solved.fun), names


def _doped(counts: np.ndarray, host: np.ndarray, gain: np.ndarray, site: int) -> np.ndarray:
    """Which phases, `(p, k)` atoms, are the host with some share of the dopant (and its vacancies), bool `(p,)`."""
    parts, *_ = np.linalg.lstsq(np.stack([host, gain], axis=1), counts.T, rcond=None)  # (2, p)
    same = np.isclose(np.stack([host, gain], axis=1) @ parts, counts.T, atol=1e-6).all(axis=0)
    left = parts[0] * host[site] + parts[1] * gain[site]
    return np.asarray(same & (parts[1] > 1e-6) & (left > 1e-6))
