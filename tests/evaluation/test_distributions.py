"""Distances against SciPy, and counts whose categories do not all fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from matgen.composition.batch import CompositionBatch
from matgen.evaluation import distributions
from matgen.evaluation.distributions import Census, Counts, compare, jensen_shannon, stoichiometry_codes
from matgen.evaluation.passes import reference_distributions
from matgen.validity import ValidityRules

from .test_oracle import random_compositions

WEIGHTS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=30)


@settings(deadline=None)
@given(WEIGHTS)
def test_distance_is_scipys(pairs: list[tuple[int, int]]) -> None:
    p, q = np.array(pairs).T
    if not p.sum() or not q.sum():
        return
    assert jensen_shannon(p, q) == pytest.approx(float(jensenshannon(p, q, base=2)), abs=1e-7)
    assert jensen_shannon(p, p) == 0.0


def test_disjoint_distributions_are_at_distance_one() -> None:
    assert jensen_shannon(np.array([3, 0]), np.array([0, 5])) == 1.0


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=30), max_size=6),
    st.lists(st.integers(0, 40), unique=True, max_size=10),
    st.integers(0, 12),
)
def test_counts_keep_the_reference_and_the_first_others(
    chunks: list[list[int]], reference: list[int], room: int
) -> None:
    known = Counts()
    known.add(np.array(sorted(reference), dtype=np.uint64), lambda at: np.array(sorted(reference), dtype=object)[at])
    ours = Counts(known, room)
    for chunk in chunks:
        codes = np.array(chunk, dtype=np.uint64)
        ours.add(codes, lambda at, codes=codes: codes[at].astype(object))
    everything = [code for chunk in chunks for code in chunk]
    kept = set(reference)
    for code in everything:  # in order of appearance
        if code not in kept and len(kept - set(reference)) < room:
            kept.add(code)
    assert dict(zip(ours.codes.tolist(), ours.weights.tolist(), strict=True)) == {c: everything.count(c) for c in kept}
    assert ours.names.tolist() == ours.codes.tolist()
    assert ours.others == sum(code not in kept for code in everything)
    assert ours.total == len(everything)


def census_of(formulas: list[str], known: Census | None, most_others: int) -> Census:
    batch = CompositionBatch.from_formulas(list(dict.fromkeys(CompositionBatch.from_formulas(formulas).formulas())))
    census = Census(known, most_others)
    none = np.zeros(0, dtype=np.int64)
    for start in range(0, len(batch), 50):
        census.add(batch[start : start + 50], none, none)
    return census


def test_categories_that_are_not_kept_change_no_number() -> None:
    """Outside the reference only the weight counts, whatever it is spread over."""
    reference = census_of(random_compositions(100, 5), None, 0)
    formulas = [*random_compositions(300, 6), *(f"Fe{i}O{i * i + 1}" for i in range(1, 60))]
    full, cut = (census_of(formulas, reference, room) for room in (10**6, 3))
    assert cut.counts["anonymous_formulas"].others > 50
    with_all, with_few = (compare(ours, reference, reference) for ours in (full, cut))
    for name in ("elements", "n_elements", "n_atoms", "anonymous_formulas"):
        for number in ("jensen_shannon", "coverage"):
            assert with_few[name][number] == pytest.approx(with_all[name][number], abs=1e-12)
        assert with_all[name]["jensen_shannon_floor"] == 0.0 and with_all[name]["coverage_floor"] == 1.0
    # No composition has a witness here: there is nothing to compare.
    assert with_all["oxidation_states"]["jensen_shannon"] is None
    assert with_all["oxidation_states"]["generated"] == {}


def test_stoichiometries_and_their_codes_are_the_same_classes() -> None:
    batch = CompositionBatch.from_formulas(random_compositions(2_000, 8))
    names, codes = batch.anonymous_formulas().astype(str), stoichiometry_codes(batch)
    assert len(set(names)) == len(set(codes.tolist())) == len(set(zip(names, codes.tolist(), strict=True)))
    # Padding does not matter.
    wide = CompositionBatch(np.pad(batch.elements, ((0, 0), (0, 3))), np.pad(batch.counts, ((0, 0), (0, 3))))
    assert (stoichiometry_codes(wide) == codes).all()


def test_the_floor_falls_with_n_and_depends_on_the_seed() -> None:
    sample = CompositionBatch.from_formulas(random_compositions(800, 9))
    sample = sample[np.unique(sample.keys(), axis=0, return_index=True)[1]]
    floors = {}
    for n, seed in ((30, 0), (30, 1), (30_000, 0)):
        reference, floor = reference_distributions(sample, n, seed, ValidityRules())
        floors[n, seed] = compare(floor, reference, floor)
        assert floor.n <= min(n, len(sample)) and reference.n == len(sample)
    for name in distributions.DISTRIBUTIONS:
        few, other, many = (entry[name]["jensen_shannon_floor"] for entry in floors.values())
        assert few > many == pytest.approx(0.0, abs=1e-6)
        assert few != other
        assert floors[30_000, 0][name]["coverage_floor"] == 1.0
        # Candidates that were drawn just so reach the floor.
        assert floors[30, 0][name]["jensen_shannon"] == few
