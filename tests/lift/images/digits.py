"""scikit-learn's bundled digits as images: 1,797 of 8 x 8 pixels, or with a border and larger pixels of 28 x 28."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from matgen.lift.images.sources import Images


def small_digits() -> Images:
    loaded = load_digits()
    return Images((loaded.images * 15).astype(np.uint8), loaded.target)


def large_digits(n: int) -> Images:
    """Every pixel three times as wide and high, and two blank ones at each edge."""
    digits = small_digits()
    pixels = np.pad(digits.pixels[:n].repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    return Images(pixels, digits.labels[:n])
