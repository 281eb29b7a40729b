"""Parts of a training step on the CPU, compiled by numba. Where numba is missing, or on a GPU, torch does them.

torch's attention is made for long sequences, its dropout for one random number at a time. Here each prefix attends
over its own tokens where they lie, and a random bit pattern is made from a counter where it is needed, so that the
backward pass makes it again instead of keeping it.
"""

from __future__ import annotations

import numba
import numpy as np

_SETTINGS = {"nogil": True, "cache": True, "boundscheck": False, "error_model": "numpy"}


@numba.njit(inline="always", **_SETTINGS)
def _random_16_bits(seed, counter):
    """16 random bits from a seed and a counter (the mixer `lowbias32` of Wellons' hash-prospector, upper half)."""
    # Every step says uint32: numba would go on in 64 bits, which processors do not multiply side by side.
    z = np.uint32(np.uint32(counter) ^ seed)
    z = np.uint32(z ^ np.uint32(z >> np.uint32(16)))
    z = np.uint32(z * np.uint32(0x7FEB352D))
    z = np.uint32(z ^ np.uint32(z >> np.uint32(15)))
    z = np.uint32(z * np.uint32(0x846CA68B))
    return np.uint32(z >> np.uint32(16))


@numba.njit(fastmath=True, **_SETTINGS)
def drop_and_add(x, y, dropped, scale, seed, start, stop, out):
    """Write `out = x + scale * y`, with random elements of `y` left out.

    Args:
        x, y, out: float32, flat; `x` may be empty for nothing to add to.
        dropped: uint32, how many of 65,536 elements are left out in the mean.
        scale: of what stays.
        seed: uint32; the same seed leaves out the same elements.
        start, stop: elements to write.
    """
    # Slices that are counted from 0 are what the compiler takes sixteen elements at a time of.
    given, written, base = y[start:stop], out[start:stop], np.uint32(start)
    if len(x):
        known = x[start:stop]
        for i in range(len(written)):
            kept = np.float32(_random_16_bits(seed, np.uint32(np.uint32(i) + base)) >= dropped)
            written[i] = known[i] + kept * scale * given[i]
    else:
        for i in range(len(written)):
            kept = np.float32(_random_16_bits(seed, np.uint32(np.uint32(i) + base)) >= dropped)
            written[i] = kept * scale * given[i]


@numba.njit(fastmath=True, **_SETTINGS)
def turn(mixed, angle, place, back, first_head, last_head):
    """Turn queries and keys in place by the angle of their position, or back.

    Args:
        mixed: float32 `(heads, N, 3, d)`.
        angle: float32 `(positions, d / 2, 2)`, cosines and sines; empty for no turn.
        place: int64 `(N,)`.
        back: whether to turn the other way.
        first_head, last_head: of the heads to turn, the last not included.
    """
    if len(angle) == 0:
        return
    for h in range(first_head, last_head):
        for i in range(mixed.shape[1]):
            for part in range(2):  # queries and keys; values are not turned
                vector = mixed[h, i, part]
                for pair in range(angle.shape[1]):
                    cosine, sine = angle[place[i], pair, 0], angle[place[i], pair, 1]
                    if back:
                        sine = -sine
                    # Neighboring columns are a pair, as in GPT-J.
                    even, odd = vector[2 * pair], vector[2 * pair + 1]
                    vector[2 * pair] = even * cosine - odd * sine
                    vector[2 * pair + 1] = odd * cosine + even * sine


@numba.njit(fastmath=True, **_SETTINGS)
def attend(mixed, above, place, scale, dropped, seed, first_head, last_head, weight, out):
    """Write the attention of each prefix's last token over its tokens, and its weights before dropout.

    Args:
        mixed: float32 `(heads, N, 3, d)`, queries, keys and values. Heads come first so that threads, which have some
            each, write to memory far apart.
        above: int64 `(N, L)`, the prefixes that end at each token of a prefix, itself last.
        place: int64 `(N,)`, position of its last token.
        scale: of the scores.
        dropped, seed: of the dropout, as for `drop_and_add`.
        first_head, last_head: of the heads to write, the last not included.
        weight: float32 `(heads, N, L)`, written.
        out: float32 `(N, heads, d)`, written.
    """
    n, length = above.shape
    heads, d = mixed.shape[0], mixed.shape[3]
    kept = np.float32(65536.0) / np.float32(65536 - dropped)  # so that the mean over the noise is that without
    for h in range(first_head, last_head):
        for i in range(n):
            # Scores over the prefix's own tokens; `place[i]` is the last, so no mask is needed.
            query, highest = mixed[h, i, 0], np.float32(-np.inf)
            for j in range(place[i] + 1):
                key, dot = mixed[h, above[i, j], 1], np.float32(0.0)
                for x in range(d):
                    dot += query[x] * key[x]
                weight[h, i, j] = dot * scale
                highest = max(highest, dot * scale)
            # Softmax, less the highest score so that no exponential overflows.
            total = np.float32(0.0)
            for j in range(place[i] + 1):
                weight[h, i, j] = np.exp(weight[h, i, j] - highest)
                total += weight[h, i, j]
            answer = out[i, h]
            for x in range(d):
                answer[x] = 0.0
            for j in range(place[i] + 1):
                weight[h, i, j] /= total
                # The counter names the weight, so that the backward pass leaves out the same ones.
                if dropped and _random_16_bits(seed, (i * heads + h) * length + j) < dropped:
                    continue
                share, value = weight[h, i, j] * kept, mixed[h, above[i, j], 2]
                for x in range(d):
                    answer[x] += share * value[x]


@numba.njit(fastmath=True, **_SETTINGS)
def attend_backward(grad, mixed, weight, above, place, scale, dropped, seed, first_head, last_head, grad_mixed):
    """Add the gradient of queries, keys and values of `attend` to `grad_mixed`.

    Args:
        grad: float32 `(N, heads, d)`, of what `attend` wrote.
        grad_mixed: float32 `(heads, N, 3, d)`, zero before.
    """
    n, length = above.shape
    heads, d = mixed.shape[0], mixed.shape[3]
    kept = np.float32(65536.0) / np.float32(65536 - dropped)
    of_weight = np.empty(length, dtype=np.float32)
    for h in range(first_head, last_head):
        for i in range(n):
            incoming, query, of_query = grad[i, h], mixed[h, i, 0], grad_mixed[h, i, 0]
            mean = np.float32(0.0)  # of the weights' gradients under the weights
            for j in range(place[i] + 1):
                of_weight[j] = 0.0  # of a weight that was left out
                if dropped and _random_16_bits(seed, (i * heads + h) * length + j) < dropped:
                    continue
                value, of_value = mixed[h, above[i, j], 2], grad_mixed[h, above[i, j], 2]
                share, dot = weight[h, i, j] * kept, np.float32(0.0)
                for x in range(d):
                    dot += incoming[x] * value[x]
                    of_value[x] += share * incoming[x]
                of_weight[j] = dot * kept
                mean += weight[h, i, j] * of_weight[j]
            # Softmax: d loss / d score_j = weight_j (d loss / d weight_j - mean). Keys of a head are one thread's, so
            # that prefixes may add to the same ones.
            for j in range(place[i] + 1):
                score = weight[h, i, j] * (of_weight[j] - mean) * scale
                key, of_key = mixed[h, above[i, j], 1], grad_mixed[h, above[i, j], 1]
                for x in range(d):
                    of_query[x] += score * key[x]
                    of_key[x] += score * query[x]
