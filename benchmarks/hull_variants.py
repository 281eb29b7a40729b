"""Distances of known compounds to hulls of other phases: of labels, of a potential's own energies, and between the two.

Used by `benchmarks.structure_energies`; each compound is left out of its hull.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.hull import CompetingPhases
from matgen.structures.energies import anion_class, mp2020_phases
from matgen.structures.phase_energies import PhaseEnergies
from matgen.structures.relaxed_hull import RelaxedHull

VARIANTS = {
    "labels": "labels",
    "relaxed": "phases relaxed by the potential where their structures are bundled, else labels",
    "relaxed_compounds": "the same, elements as tabulated",
    "relaxed_only": "phases without bundled structures left out",
    "relaxed_shifted": "labels of the other phases shifted by the potential's mean error of their anion",
    "shifted": "all labels shifted by the potential's mean error of their anion, nothing relaxed",
}
"""Hulls that are compared."""

THRESHOLDS = (0.02, 0.05, 0.1)


def distances(
    batch: CompositionBatch, label: np.ndarray, said: np.ndarray, anions: np.ndarray, energies: PhaseEnergies
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True distances and those that a potential says by each variant of the hull, eV/atom, `(n,)` each.

    Args:
        batch: `n` compounds.
        label: formation energies with the corrections of 2020, `(n,)`.
        said: the potential's, `(n,)`.
        anions: class of each, `(n,)`.
        energies: the potential's energies of other phases.
    """
    phases = mp2020_phases()
    by_labels = phases.decompose(batch).energy
    compounds = energies.names & set(phases.batch.formulas().tolist())
    elements = {name for name in energies.names if name in ATOMIC_NUMBER}
    columns = {
        "labels": by_labels,
        "relaxed": _relaxed(phases, energies, compounds | elements, batch),
        "relaxed_compounds": _relaxed(phases, energies, compounds, batch),
        "relaxed_shifted": _shifted(phases, energies, compounds | elements, batch, said - label, anions),
        "shifted": _shifted(phases, energies, set(), batch, said - label, anions),
        "relaxed_only": _relaxed(_only(phases, compounds), energies, compounds | elements, batch),
    }
    return label - by_labels, {name: said - columns[name] for name in VARIANTS}


def _relaxed(
    phases: CompetingPhases, energies: PhaseEnergies, names: Collection[str], batch: CompositionBatch
) -> np.ndarray:
    return RelaxedHull(phases, energies.formation, names).below(batch, own=False).decomposition.energy


def _only(phases: CompetingPhases, names: set[str]) -> CompetingPhases:
    taken = np.flatnonzero([name in names for name in phases.batch.formulas()])
    return CompetingPhases(phases.batch[taken], phases.energy[taken], phases.source, np.flatnonzero(phases.knows)[1:])


def _shifted(
    phases: CompetingPhases, energies: PhaseEnergies, names: Collection[str], batch: CompositionBatch,
    error: np.ndarray, anions: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """The hull where labels are moved by the mean error of their anion, found on the other half of the compounds."""
    classes = anion_class(phases.batch)
    half = np.arange(len(batch)) % 2 == 0
    energy = np.full(len(batch), np.nan)
    for rows in (half, ~half):
        moved = phases.energy.copy()
        for name in set(anions):
            of_class = (anions == name) & ~rows
            if of_class.any():
                moved[classes == name] += error[of_class].mean()
        hull = RelaxedHull(phases, energies.formation, names)
        hull.energy[: len(phases)] = moved
        energy[rows] = hull.below(batch[np.flatnonzero(rows)], own=False).decomposition.energy
    return energy


def scores(true: np.ndarray, said: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Errors of each variant's distances, and how many stable and unstable compounds it tells as such.

    Args:
        true: distances by labels, at most 0 where stable, eV/atom.
        said: distances by each variant.
    """
    known = np.isfinite(true)
    stable = true[known] <= 0
    content = {}
    for name, values in said.items():
        error = (values - true)[known]
        within = {f"stable_within_{t}": int((values[known][stable] <= t).sum()) for t in (0.0, *THRESHOLDS)}
        content[name] = {
            "n": int(known.sum()), "bias": round(float(error.mean()), 4), "mae": round(float(np.abs(error).mean()), 4),
            "median": round(float(np.median(np.abs(error))), 4), "stable": int(stable.sum()), **within,
            "unstable_said_stable": int((values[known][~stable] <= 0).sum()),
        }  # fmt: skip
    return content
