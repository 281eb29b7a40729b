"""Codes and points that counts are kept by."""

from __future__ import annotations

import numpy as np
import pytest

from matgen.datasets import PARTS
from matgen.evaluation.tally import MOST_ELEMENTS, Tally, cell_codes, curve_points


def test_codes_hold_part_and_number_of_elements() -> None:
    part, n_elements = (grid.ravel() for grid in np.meshgrid(np.arange(1, 4), np.arange(1, MOST_ELEMENTS + 2)))
    codes = cell_codes(part.astype(np.uint8), n_elements)
    assert len(set(codes.tolist())) == len(codes)
    assert codes.min() == 1 and codes.max() == 255
    assert ((codes.astype(int) - 1) % len(PARTS) + 1 == part).all()
    assert cell_codes(np.array([2]), np.array([118])) == cell_codes(np.array([2]), np.array([MOST_ELEMENTS + 1]))


@pytest.mark.parametrize(
    ("n", "points"),
    [
        (1, [1]),
        (10, [10]),
        (11, [10, 11]),
        (200, [10, 20, 50, 100, 200]),
        (70_000, [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 70_000]),
    ],
)
def test_curve_points(n: int, points: list[int]) -> None:
    assert curve_points(n).tolist() == points


def test_an_empty_tally_says_nothing_but_zeros() -> None:
    tally = Tally(5)
    assert tally.count() == dict.fromkeys(tally.count(), 0) | {"n": 5}
    assert tally.by_n_elements({}) == {}
    assert tally.recovery(0, {})["test"] == {"found": 0, "of": 0, "fraction": None}
    assert tally.near_duplicates() == {"of": 0, "found": 0, "fraction": 0.0, "novel_beyond_substitution": 0.0}
