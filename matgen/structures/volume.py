"""The volume of a crystal before any energy is known."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import nnls

from matgen.structures.assignment import Assignment
from matgen.structures.templates import bundled_templates

if TYPE_CHECKING:
    from pymatgen.core import Structure

USUAL_ATOMIC_VOLUME = 20.0
"""Angstrom^3; what an element tends to that no bundled structure holds."""


@lru_cache(maxsize=1)
def atomic_volumes() -> dict[str, float]:
    """The volume that each element takes on average in the bundled structures, angstrom^3.

    Least squares of their volumes over their compositions, no volume negative, drawn weakly to `USUAL_ATOMIC_VOLUME`.
    """
    templates = bundled_templates().templates
    symbols = sorted({symbol for template in templates for symbol in template.counts})
    column = {symbol: place for place, symbol in enumerate(symbols)}
    shares = np.zeros((len(templates), len(symbols)))
    volumes = np.empty(len(templates))
    for row, template in enumerate(templates):
        for symbol, count in template.counts.items():
            shares[row, column[symbol]] = count / template.n_atoms
        volumes[row] = abs(np.linalg.det(template.lattice)) / template.n_atoms
    pull = 0.05
    system = np.vstack([shares, pull * np.eye(len(symbols))])
    fitted, _ = nnls(system, np.r_[volumes, np.full(len(symbols), pull * USUAL_ATOMIC_VOLUME)])
    return dict(zip(symbols, fitted.tolist(), strict=True))


def composition_volume(counts: dict[str, int]) -> float:
    """The sum of the atomic volumes of a cell's content, angstrom^3."""
    volumes = atomic_volumes()
    return sum(count * max(volumes.get(symbol, USUAL_ATOMIC_VOLUME), 1.0) for symbol, count in counts.items())


@lru_cache(maxsize=1)
def _data_mined() -> Any:
    from pymatgen.core.structure_prediction.volume_predictor import DLSVolumePredictor

    return DLSVolumePredictor(min_scaling=0.25, max_scaling=4.0)


def scaled(assignment: Assignment) -> Structure:
    """The structure of an assignment at its predicted volume."""
    structure = assignment.template.structure()
    structure.replace_species(assignment.mapping)
    return at_predicted_volume(structure, composition_volume(assignment.template.counts) / assignment.template.n_atoms)


def at_predicted_volume(structure: Structure, atomic_volume: float) -> Structure:
    """A structure made from another compound's, scaled in place to its predicted volume, and returned.

    The geometric mean of three estimates: the sum of atomic volumes; the volume it has from the other compound times
    the ratio of such sums; and data-mined lattice scaling, from bond lengths (I. H. Chu et al., Comput. Mater. Sci.
    146, 184, 2018), as pymatgen has it. `benchmarks/results/structures.json` says how far each is from known volumes.

    Args:
        structure: with its elements on the sites of the other compound, in that one's cell.
        atomic_volume: what `composition_volume` gives for the other compound, angstrom^3 an atom.
    """
    own = structure.volume
    summed = composition_volume({str(element): n for element, n in structure.composition.as_dict().items()})
    estimates = [summed, own * summed / (atomic_volume * len(structure)), bond_length_volume(structure)]
    structure.scale_lattice(float(np.exp(np.mean(np.log(estimates)))))
    return structure


def bond_length_volume(structure: Structure) -> float:
    """The volume of a structure by data-mined lattice scaling; its own where no atoms are near enough to be bonded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(_data_mined().predict(structure))
        except ValueError:
            return float(structure.volume)
