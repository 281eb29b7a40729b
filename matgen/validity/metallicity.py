"""SMACT's metallicity score: how much a composition looks like a metal or an intermetallic, for whole batches.

Oxidation states say little of an intermetallic, although many find a balanced assignment (Co2MnSi with Si4-). The score
says so apart from `valid`, which does not depend on it.
"""

from __future__ import annotations

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ELECTRONEGATIVITY, IS_D_BLOCK, IS_METAL, VALENCE_ELECTRONS

INTERMETALLIC = 0.7
"""Score from which on a composition counts as intermetallic: `metallicity_threshold` of SMACT's `smact_validity`."""

_WEIGHT = {"metals": 0.3, "d_block": 0.2, "distinct_metals": 0.2, "valence_electrons": 0.15, "electronegativity": 0.15}
_ENOUGH_METALS = 3
_IDEAL_VALENCE_ELECTRONS = 8.0
_LARGEST_DIFFERENCE = 3.0
_UNKNOWN = 0.5
"""A term whose data are missing for an element, as in SMACT."""

_LAST_OF_SMACT = 103


def metallicity_score(batch: CompositionBatch) -> np.ndarray:
    """`smact.metallicity.metallicity_score` of SMACT 4 for each composition, float64 `(n,)`, 0 (ionic) to 1 (metallic).

    A weighted sum of five terms: the share of atoms that are metals (0.3) and d-block metals (0.2), the number of
    distinct metals, three or more counting as 1 (0.2), the valence electrons per atom, 1 at eight (0.15), and 1 minus
    a third of the mean difference in electronegativity over all pairs of elements (0.15).

    Args:
        batch: `n` compositions. Those with an element beyond lawrencium, which SMACT does not know, get NaN.
    """
    elements, counts = batch.elements, batch.counts.astype(np.float64)
    present = elements > 0
    atoms = np.maximum(counts.sum(axis=1), 1.0)
    score = (
        _WEIGHT["metals"] * (counts * IS_METAL[elements]).sum(axis=1) / atoms
        + _WEIGHT["d_block"] * (counts * IS_D_BLOCK[elements]).sum(axis=1) / atoms
        + _WEIGHT["distinct_metals"] * np.minimum(IS_METAL[elements].sum(axis=1) / _ENOUGH_METALS, 1.0)
        + _WEIGHT["valence_electrons"] * _valence_term(elements, counts, atoms)
        + _WEIGHT["electronegativity"] * _electronegativity_term(elements, present)
    )
    score = np.clip(score, 0.0, 1.0)
    score[(elements > _LAST_OF_SMACT).any(axis=1)] = np.nan
    return np.asarray(score)


def _valence_term(elements: np.ndarray, counts: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    per_atom = (counts * np.where(elements > 0, VALENCE_ELECTRONS[elements], 0.0)).sum(axis=1) / atoms
    term = 1.0 - np.abs(per_atom - _IDEAL_VALENCE_ELECTRONS) / _IDEAL_VALENCE_ELECTRONS
    return np.asarray(np.where(np.isnan(per_atom), _UNKNOWN, term))


def _electronegativity_term(elements: np.ndarray, present: np.ndarray) -> np.ndarray:
    chi = np.where(present, ELECTRONEGATIVITY[elements], 0.0)
    n = present.sum(axis=1, keepdims=True)
    # Elements ascend in electronegativity: the j-th is the larger one of j pairs and the smaller one of n - 1 - j.
    place = np.arange(elements.shape[1])
    total = (chi * (2 * place - n + 1)).sum(axis=1)
    pairs = np.maximum(n * (n - 1) / 2, 1.0)[:, 0]
    term = 1.0 - np.minimum(total / pairs / _LARGEST_DIFFERENCE, 1.0)
    return np.asarray(np.where(np.isnan(total), _UNKNOWN, term))
