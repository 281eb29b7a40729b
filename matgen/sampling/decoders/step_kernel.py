"""Attention of a decoding step on the CPU, compiled by numba. Where that is missing, or on a GPU, torch does it.

torch's attention wants the rows of each prefix gathered first, and is made for long sequences; here they are read where
they lie. The kernels are `runtime.machine_code.Kernel`s, given pointers and numbers. They run without the interpreter's
lock, so that threads work on tiles of their own.
"""

from __future__ import annotations

from math import inf

import numba
import numpy as np
from numba import carray
from numpy.lib.stride_tricks import as_strided


def attend(query, query_step, between, stored, n_stored, rows, b, n_tokens, heads, d, scale, score, out):
    """Write the attention of each token over its prefix, its query part of a wider row.

    Args:
        query: float32 `(b, heads, d)`.
        query_step, between: bytes from one row to the next, and from one number to the next (4).
        stored: float32 `(n_stored, 2, heads, d)`, keys and values.
        n_stored: rows there.
        rows: int64 `(b, n_tokens)`, of each prefix the rows of its tokens.
        b, n_tokens, heads, d: the shape.
        scale: float32, of the scores.
        score: float32 `(n_tokens,)`, room to work in.
        out: float32 `(b, heads, d)`, written.
    """
    # That the steps are numbers, unknown to the compiler, decides in which order it sums: draws depend on it.
    queries = as_strided(carray(query, (b,)), (b, heads, d), (query_step, between * d, between))
    kept = carray(stored, (n_stored, 2, heads, d))
    place, scores, attentions = carray(rows, (b, n_tokens)), carray(score, (n_tokens,)), carray(out, (b, heads, d))
    _attend(queries, kept, place, scale, scores, attentions)


def attend_whole(query, stored, n_stored, rows, b, n_tokens, heads, d, scale, score, out):
    """The same where queries lie one after another."""
    queries, kept = carray(query, (b, heads, d)), carray(stored, (n_stored, 2, heads, d))
    place, scores, attentions = carray(rows, (b, n_tokens)), carray(score, (n_tokens,)), carray(out, (b, heads, d))
    _attend(queries, kept, place, scale, scores, attentions)


@numba.njit(inline="always")
def _attend(queries, kept, place, scale, scores, attentions):
    b, n_tokens = place.shape
    heads, d = queries.shape[1], queries.shape[2]
    for i in range(b):
        for h in range(heads):
            of_head = queries[i, h]  # (d,)
            highest = np.float32(-inf)
            for j in range(n_tokens):
                key = kept[place[i, j], 0, h]
                dot = np.float32(0.0)
                for x in range(d):
                    dot += of_head[x] * key[x]
                scores[j] = dot * scale
                highest = max(highest, scores[j])
            # A softmax that cannot overflow: the largest exponent is 0.
            total = np.float32(0.0)
            for j in range(n_tokens):
                scores[j] = np.exp(scores[j] - highest)
                total += scores[j]
            attended = attentions[i, h]  # (d,), a view that is written in place
            for x in range(d):
                attended[x] = 0.0
            # Token by token, so that the inner loop runs along memory.
            for j in range(n_tokens):
                weight = scores[j] / total
                value = kept[place[i, j], 1, h]
                for x in range(d):
                    attended[x] += weight * value[x]
