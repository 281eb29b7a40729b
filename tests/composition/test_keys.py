"""Key sets: exact membership, whatever the lanes do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.errors import DataError

# Few values a lane, so that lane-0 collisions (which no honest hash would give) are everywhere.
_LANE = st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1])
_KEYS = st.lists(st.tuples(_LANE, _LANE), max_size=40)


def _array(keys: list[tuple[int, int]]) -> np.ndarray:
    return np.array(keys, dtype=np.uint64).reshape(-1, 2)


@given(_KEYS, _KEYS)
def test_membership_equals_a_python_set(members: list[tuple[int, int]], queries: list[tuple[int, int]]) -> None:
    keyset = KeySet(_array(members))
    assert len(keyset) == len(set(members))
    assert [tuple(key) for key in keyset.keys.tolist()] == sorted(set(members))
    assert keyset.contains(_array(queries)).tolist() == [query in set(members) for query in queries]


def test_long_run_of_equal_lanes() -> None:
    keys = np.stack([np.full(500, 7, dtype=np.uint64), np.arange(0, 1000, 2, dtype=np.uint64)], axis=1)
    queries = np.stack([np.full(1000, 7, dtype=np.uint64), np.arange(1000, dtype=np.uint64)], axis=1)
    np.testing.assert_array_equal(KeySet(keys[::-1]).contains(queries), np.arange(1000) % 2 == 0)


def test_compositions_by_meaning() -> None:
    keyset = KeySet(CompositionBatch.from_formulas(["SrTiO3", "Fe2O3", "Ti2Sr2O6"]).keys())
    assert len(keyset) == 2
    assert keyset.contains(CompositionBatch.from_formulas(["O3SrTi", "Fe3O4", "Fe4O6"]).keys()).tolist() == [
        True,
        False,
        True,
    ]


def test_sha256_depends_on_the_compositions_alone() -> None:
    one = KeySet(CompositionBatch.from_formulas(["SrTiO3", "Fe2O3"]).keys())
    other = KeySet(CompositionBatch.from_formulas(["Fe4O6", "TiSrO3", "Fe2O3"]).keys())
    assert one.sha256() == other.sha256() == "8216a68838f5e215d3bfef6d990d2d674759b1610039fdfb841566eb7a3229fa"
    assert one.sha256() != KeySet(CompositionBatch.from_formulas(["SrTiO3"]).keys()).sha256()


@pytest.mark.parametrize("keys", [np.zeros(4, np.uint64), np.zeros((2, 3), np.uint64), np.zeros((2, 2), np.int64)])
def test_other_arrays_are_refused(keys: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint64 of shape"):
        KeySet(keys)
