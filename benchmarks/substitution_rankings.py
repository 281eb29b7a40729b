"""Rankings of elements for an open place that need no language model: what the field does by hand or by table.

Each gives a score of every element for every query, float64 `(q, 119)`, higher is better; what a ranking cannot judge
is minus infinity.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from benchmarks.substitution_queries import Queries, Sites
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS, SYMBOLS
from matgen.composition.keys import KeySet, find_keys
from matgen.validity import explain

Ranking = Callable[[Queries], np.ndarray]

MAX_STATE = 9
"""Largest oxidation state, of either sign; tables below have a column for each."""

_COORDINATIONS = (
    "VI",
    "VII",
    "V",
    "VIII",
    "IV",
    "IVSQ",
    "IVPY",
    "IX",
    "III",
    "IIIPY",
    "X",
    "II",
    "XI",
    "XII",
    "I",
    "XIV",
)
"""As pymatgen's table writes them, from six on outwards."""


def rankings(train: CompositionBatch) -> dict[str, Ranking]:
    """The rankings by name, their tables ready."""
    any_state, same_state = mined_probabilities()
    radii, mendeleev = shannon_radii(), mendeleev_numbers()
    pairs = training_pairs(train)
    return {
        "pymatgen_any_state": lambda queries: any_state[queries.replaced, states(queries) + MAX_STATE],
        "pymatgen_same_state": lambda queries: same_state[queries.replaced, states(queries) + MAX_STATE],
        "ionic_radius": lambda queries: _nearest_radius(queries, radii),
        "mendeleev_number": lambda queries: _negative_distance(mendeleev, mendeleev[queries.replaced]),
        "frequency": frequency(train),
        "training_pairs": lambda queries: pairs[queries.replaced],
    }


def known_ions(queries: Queries) -> np.ndarray:
    """Queries whose replaced ion is in pymatgen's table of substitutions, bool `(q,)`."""
    any_state, _ = mined_probabilities()
    return np.isfinite(any_state[queries.replaced, states(queries) + MAX_STATE]).any(axis=1)


def states(queries: Queries) -> np.ndarray:
    """Oxidation state of the element that is replaced, int64 `(q,)`, of most of its atoms; 0 where there is none.

    It is the one of matgen's witness: the most common states that balance the parent, or come nearest.
    """
    ions = explain(queries.parents).ions
    of_site = np.flatnonzero(ions.element == queries.replaced[ions.row])
    of_site = of_site[np.lexsort((-ions.count[of_site], ions.row[of_site]))]
    rows, first = np.unique(ions.row[of_site], return_index=True)
    results = np.zeros(len(queries), dtype=np.int64)
    results[rows] = ions.state[of_site[first]]
    return results


@lru_cache
def mined_probabilities() -> tuple[np.ndarray, np.ndarray]:
    """Ln probability that an ion is replaced by an element, in any state and in the same, float64 `(119, 19, 119)`.

    Both are indexed by element and state + `MAX_STATE` of the ion and by the other element. The
    probabilities are pymatgen's (Hautier et al. 2011, Inorg. Chem. 50 656), mined from structures of the ICSD; ions
    that its table lacks are minus infinity.
    """
    from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability

    table = SubstitutionProbability()
    species = [one for one in table.species if one.symbol in ATOMIC_NUMBER]
    number = np.array([ATOMIC_NUMBER[one.symbol] for one in species])
    state = np.array([int(one.oxi_state) for one in species])
    log_prob = np.log([[table.prob(one, other) for other in species] for one in species])
    any_state = np.full((N_ELEMENTS + 1, 2 * MAX_STATE + 1, N_ELEMENTS + 1), -np.inf)
    same_state = any_state.copy()
    ion = np.arange(len(species))[:, None]
    place = (number[ion], state[ion] + MAX_STATE, number[None, :])
    np.maximum.at(any_state, place, log_prob)
    kept = state[:, None] == state[None, :]
    row, column = np.nonzero(kept)
    same_state[number[row], state[row] + MAX_STATE, number[column]] = log_prob[kept]
    return any_state, same_state


def shannon_radii() -> np.ndarray:
    """Shannon's radii in ångström by element and state + `MAX_STATE`, float64 `(119, 19)`, NaN where missing.

    Crystal radii in sixfold coordination, else in the nearest, of two spins the high one. Pymatgen's `ionic_radii` are
    these too, but lack fourteen ions, such as Ni2+ and Cr3+, and recall less.
    """
    from pymatgen.core import Element

    radii = np.full((N_ELEMENTS + 1, 2 * MAX_STATE + 1), np.nan)
    for z in range(1, N_ELEMENTS + 1):
        for state, coordinations in (Element(SYMBOLS[z]).data.get("Shannon radii") or {}).items():
            if state:  # one entry has none
                spins = next(coordinations[name] for name in _COORDINATIONS if name in coordinations)
                radii[z, int(state) + MAX_STATE] = max(spin["crystal_radius"] for spin in spins.values())
    return radii


def mendeleev_numbers() -> np.ndarray:
    """Pettifor's Mendeleev numbers as pymatgen lists them, float64 `(119,)`, NaN where missing."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of every element without one
        results = [Element(symbol).mendeleev_no for symbol in SYMBOLS[1:]]
    return np.array([np.nan, *(np.nan if one is None else one for one in results)], dtype=np.float64)


def training_pairs(train: CompositionBatch) -> np.ndarray:
    """Ln number of pairs of known compounds in which one element stands for the other, float64 `(119, 119)`.

    What pymatgen's table counts in the ICSD, counted in the compositions that the models learn from.
    """
    sites = Sites.of(train)
    shape = (len(sites.keys), N_ELEMENTS + 1)
    holds = csr_array((np.ones(len(sites.row)), (sites.group, sites.element)), shape=shape)
    with np.errstate(divide="ignore"):
        return np.log((holds.T @ holds).toarray())


def frequency(train: CompositionBatch) -> Ranking:
    """By training compounds of the parent's stoichiometry that hold an element with as many atoms as the open place."""
    row, slot = np.nonzero(train.elements)
    place_keys = _place_keys(train, row, train.counts[row, slot])
    kinds = KeySet(place_keys)
    results = find_keys(kinds.keys, place_keys)
    shape = (len(kinds) + 1, N_ELEMENTS + 1)
    # The last row, found as -1, stays empty: for places that no training compound has.
    holding = csr_array((np.ones(len(row)), (results, train.elements[row, slot])), shape=shape)

    def rank(queries: Queries) -> np.ndarray:
        keys = _place_keys(queries.parents, np.arange(len(queries)), queries.count)
        return holding[find_keys(kinds.keys, keys)].toarray()

    return rank


def element_order(train: CompositionBatch) -> np.ndarray:
    """Place of each element by how many training compounds hold it, int64 `(119,)`: the order that breaks ties."""
    holding = np.bincount(train.elements[train.elements > 0], minlength=N_ELEMENTS + 1)
    order = np.argsort(-holding, kind="stable")
    places = np.empty(N_ELEMENTS + 1, dtype=np.int64)
    places[order] = np.arange(N_ELEMENTS + 1)
    return places


def _place_keys(batch: CompositionBatch, row: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Keys of places, uint64 `(m, 2)`: equal where the rows' sorted counts are and the places' own count is."""
    counts = np.column_stack([-np.sort(-batch.counts, axis=1)[row], count]).astype(np.int32)
    return CompositionBatch((counts > 0).astype(np.uint8), counts).keys()


def _nearest_radius(queries: Queries, radii: np.ndarray) -> np.ndarray:
    column = states(queries) + MAX_STATE
    return _negative_distance(radii[:, column].T, radii[queries.replaced, column])


def _negative_distance(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Minus the distance of values, `(119,)` or `(q, 119)`, from each query's own; minus infinity where missing."""
    distance = -np.abs(values - own[:, None])
    return np.where(np.isnan(distance), -np.inf, distance)
