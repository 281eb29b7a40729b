"""Reading token sequences into compositions, and writing compositions as formulas, compiled by numba.

The same results as `tokenizer.decode` and `CompositionBatch.formulas` give without it, many times faster; for large
batches, since numba takes a moment to load. The functions hold no lock.
"""

from __future__ import annotations

import numpy as np

from matgen.composition.parser_kernel import _canonical, _jit

MOST_BYTES = 12
"""Longest text of a symbol and its count."""


@_jit
def _divisor(counts, n):
    """Greatest common divisor of the first `n` counts, which are above 0."""
    divisor = np.int64(0)
    for i in range(n):
        a, b = np.int64(counts[i]), divisor
        while b:
            a, b = b, a % b
        divisor = a
    return divisor


@_jit
def read_sequences(ids, special, atomic_number, count, order_rank, elements, counts, n_elements, canonical):
    """Read sequences `<bos> tokens <eos> ...`.

    Args:
        ids: integers `(n, length)`.
        special: int64 `(3,)`, ids of `<bos>` and `<eos>`, and the largest count of a token.
        atomic_number, count: int64 `(vocabulary,)`, of each token, 0 for special ones.
        order_rank: uint8 `(119,)`, matgen's order of the elements.
        elements: uint8 `(n, length)`, filled with atomic numbers in matgen's order, zero padded.
        counts: int64 `(n, length)`, filled with counts divided by their greatest common divisor, zero padded.
        n_elements: int64 `(n,)`, filled with the number of elements, 0 where a sequence cannot be read.
        canonical: bool `(n,)`, filled with True where the sequence is the one of its composition.
    """
    length = ids.shape[1]
    for row in range(len(ids)):
        own_elements, own_counts = elements[row], counts[row]
        n, ended, in_order = 0, False, ids[row, 0] == special[0]
        readable = in_order
        for place in range(1, length):
            token = ids[row, place]
            if token == special[1]:
                ended = True
                break
            z = atomic_number[token]
            if z == 0:
                readable = False
                break
            if n:
                # In order: ranks ascend, and an element goes on after full tokens only.
                before = own_elements[n - 1]
                full = own_counts[n - 1] == special[2]
                in_order &= order_rank[z] > order_rank[before] or (z == before and full)
            own_elements[n], own_counts[n] = z, count[token]
            n += 1
        kept = _canonical(n, own_elements, own_counts, order_rank) if readable and ended else 0
        for slot in range(kept, length):
            own_elements[slot], own_counts[slot] = 0, 0
        n_elements[row] = kept
        divisor = _divisor(own_counts, kept)
        for slot in range(kept):
            own_counts[slot] //= divisor
        canonical[row] = kept > 0 and in_order and divisor == 1


@_jit
def _write(data, end, symbol, count):
    """Append a symbol (none where it is empty) and a count above 1; returns the new end."""
    for byte in symbol:
        if byte:
            data[end] = byte
            end += 1
    if count > 1:
        digits = 1
        rest = count // 10
        while rest:
            digits += 1
            rest //= 10
        for i in range(digits):
            data[end + digits - 1 - i] = 48 + count % 10
            count //= 10
        end += digits
    return end


@_jit
def write_formulas(elements, counts, formula_rank, symbols, electronegativity, largest_gap, data, offsets):
    """Write each composition as `CompositionBatch.formulas` does, before what pymatgen writes unreduced.

    Args:
        elements: uint8 `(n, k)`, zero padded.
        counts: int32 `(n, k)`.
        formula_rank: uint8 `(119,)`, order of the elements in a written formula.
        symbols: uint8 `(119, 2)`, bytes of each symbol, zero padded.
        electronegativity: float64 `(119,)`, NaN where missing.
        largest_gap: in electronegativity, of two last elements that are put in brackets.
        data: uint8, filled with the text of all rows; of at least `n * (k * MOST_BYTES + MOST_BYTES)` bytes.
        offsets: int32 `(n + 1,)`, filled: row `i` is `data[offsets[i]:offsets[i + 1]]`.
    """
    n, k = elements.shape
    own_elements, own_counts = np.empty(k, dtype=np.uint8), np.empty(k, dtype=np.int64)
    nothing = np.zeros(2, dtype=np.uint8)
    end = 0
    offsets[0] = 0
    for row in range(n):
        m = 0
        for slot in range(k):
            if elements[row, slot]:
                own_elements[m], own_counts[m] = elements[row, slot], counts[row, slot]
                m += 1
        m = _canonical(m, own_elements, own_counts, formula_rank)
        divisor = np.int64(1)
        if m >= 3:
            gap = electronegativity[own_elements[m - 1]] - electronegativity[own_elements[m - 2]]
            if gap < largest_gap:  # a missing electronegativity compares False
                divisor = _divisor(own_counts[m - 2 :], 2)
        for slot in range(m - 2 if divisor > 1 else m):
            end = _write(data, end, symbols[own_elements[slot]], own_counts[slot])
        if divisor > 1:
            data[end] = 40
            end += 1
            for slot in range(m - 2, m):
                end = _write(data, end, symbols[own_elements[slot]], own_counts[slot] // divisor)
            data[end] = 41
            end = _write(data, end + 1, nothing, divisor)
        offsets[row + 1] = end
