"""Parts of a decoding step on the CPU, compiled by numba. Where numba is missing, or on a GPU, torch does them.

torch's attention wants the rows of each prefix gathered first, and is made for long sequences; here they are read where
they lie. The kernel runs without the interpreter's lock, so that threads work on tiles of their own.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, fastmath=True, boundscheck=False, error_model="numpy")
def attend(query, stored, rows, scale, out):
    """Write the attention of each token over its prefix.

    Args:
        query: float32 `(b, heads, d)`.
        stored: float32 `(capacity, 2, heads, d)`, keys and values.
        rows: int64 `(b, tokens)`, of each prefix the rows of its tokens.
        scale: of the scores.
        out: float32 `(b, heads, d)`, written.
    """
    b, n_tokens = rows.shape
    heads, d = query.shape[1], query.shape[2]
    score = np.empty(n_tokens, dtype=np.float32)  # of one prefix and head at a time, so that it stays in the cache
    for i in range(b):
        for h in range(heads):
            of_head = query[i, h]  # (d,)
            highest = np.float32(-np.inf)
            for j in range(n_tokens):
                key = stored[rows[i, j], 0, h]
                dot = np.float32(0.0)
                for x in range(d):
                    dot += of_head[x] * key[x]
                score[j] = dot * scale
                highest = max(highest, score[j])
            # A softmax that cannot overflow: the largest exponent is 0.
            total = np.float32(0.0)
            for j in range(n_tokens):
                score[j] = np.exp(score[j] - highest)
                total += score[j]
            attended = out[i, h]  # (d,), a view that is written in place
            for x in range(d):
                attended[x] = 0.0
            # Token by token, so that the inner loop runs along memory.
            for j in range(n_tokens):
                weight = score[j] / total
                value = stored[rows[i, j], 1, h]
                for x in range(d):
                    attended[x] += weight * value[x]
