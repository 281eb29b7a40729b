"""Attention among the few elements of a formula, compiled by numba.

Formulas have two to six elements, so that one head's scores are a handful of numbers: torch's attention spends its time
on setting up, four to eight times as much as these loops take. They hold no lock.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, boundscheck=False, fastmath={"reassoc", "contract", "nsz"})
def attend(projected, by_amount, log_fraction, attended):
    """What each token takes in of the others.

    Args:
        projected: float32 `(E, n * k, 3 * W)`, queries, keys and values of the `k` tokens of `n` formulas side by side,
            for each of `E` networks.
        by_amount: float32 `(E, H)`, what each head's scores weigh the logarithm of a fraction by.
        log_fraction: float32 `(n, k)`.
        attended: float32 `(E, n * k, W)`, written.
    """
    members, heads = by_amount.shape
    n, k = log_fraction.shape
    width = attended.shape[2]
    size = width // heads
    scale = np.float32(1.0 / np.sqrt(size))
    score = np.empty(k, np.float32)
    for m in range(members):
        for i in range(n):
            rows, written = projected[m, i * k : (i + 1) * k], attended[m, i * k : (i + 1) * k]
            for h in range(heads):
                first, last = h * size, (h + 1) * size
                for q in range(k):
                    # Slices, whose indices are known to be none below 0: else nothing is vectorized.
                    query, out = rows[q, first:last], written[q, first:last]
                    highest = np.float32(-np.inf)
                    for j in range(k):
                        key = rows[j, width + first : width + last]
                        dot = np.float32(0.0)
                        for d in range(len(query)):
                            dot += query[d] * key[d]
                        score[j] = dot * scale + by_amount[m, h] * log_fraction[i, j]
                        highest = max(highest, score[j])
                    total = np.float32(0.0)
                    for j in range(k):
                        score[j] = np.exp(score[j] - highest)
                        total += score[j]
                    out[:] = np.float32(0.0)
                    for j in range(k):
                        weight = score[j] / total
                        value = rows[j, 2 * width + first : 2 * width + last]
                        for d in range(len(out)):
                            out[d] += weight * value[d]
