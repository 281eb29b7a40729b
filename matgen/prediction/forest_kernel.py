"""Sums of decision trees over batches, compiled by numba: the same sums as `forest.Forest` finds without it."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, boundscheck=False)
def add_trees(features, roots, feature, threshold, left, right, value, total):
    """Add to `total` float64 `(n,)` the value of the leaf that each row of `features` ends at, over all trees.

    See `forest.Forest` for the arrays.
    """
    for i in range(features.shape[0]):
        summed = total[i]
        for root in roots:
            node = np.int64(root)
            while feature[node] >= 0:
                node = left[node] if features[i, feature[node]] <= threshold[node] else right[node]
            summed += value[node]
        total[i] = summed
