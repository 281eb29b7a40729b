import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matgen.sampling.constraints.bit_sets import lowered, raised, words_for


def words(value: int, n: int) -> np.ndarray:
    return np.array([(value >> (64 * w)) & (2**64 - 1) for w in range(n)], dtype=np.uint64)


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 2**256 - 1), st.integers(0, 400)), min_size=1, max_size=5))
def test_shifts_are_those_of_python_integers(n, rows):
    full = 2 ** (64 * n) - 1
    sets = np.stack([words(value & full, n) for value, _ in rows])
    by = np.array([amount for _, amount in rows])
    assert np.array_equal(raised(sets, by), [words((value & full) << amount & full, n) for value, amount in rows])
    assert np.array_equal(lowered(sets, by), [words((value & full) >> amount, n) for value, amount in rows])


def test_shifts_broadcast():
    sets = np.array([[1, 0], [2**63, 1]], dtype=np.uint64)
    by = np.array([0, 1, 64])
    assert raised(sets[:, None], by).shape == (2, 3, 2)
    assert raised(sets[:, None], by)[1].tolist() == [[2**63, 1], [0, 3], [0, 2**63]]


def test_words():
    assert [words_for(largest) for largest in (0, 63, 64, 127, 128)] == [1, 1, 2, 2, 3]
