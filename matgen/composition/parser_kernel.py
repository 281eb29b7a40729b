"""Reading plain formulas straight from the bytes of a string column, and hashing compositions, compiled by numba.

The same results as `parser.parse_plain` with `CompositionBatch.from_tokens`, and as `CompositionBatch.keys`,
many times faster; for large batches, since numba takes a moment to load. A few plain formulas, such as those with a
hundred atoms of an element, are left to `parse_plain`, which finds mass numbers among them. The functions hold no lock,
so threads may work on different chunks.
"""

from __future__ import annotations

import numba
import numpy as np

MAX_SYMBOLS = 24
"""Symbols of a formula that are read here; longer formulas go to the exact reader."""

# So that an amount times a bracket's factor, below 10^18, fits an int64.
_MAX_DIGITS = 9
_FEW_ATOMS = 3  # most atoms beside a light element's mass number, see `isotopes.MASS_NUMBERS`

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def _digit(byte):
    # 48 to 57 are the digits.
    return 48 <= byte <= 57


@_jit
def _capital(byte):
    # 65 to 90 are A to Z.
    return 65 <= byte <= 90


@_jit
def _number(data, position, end):
    """A whole number at a position: `(number, position after it)`; 1 where there is none, -1 where it is too long.

    Leading zeros, which may stand for the letter O, give -1 too.
    """
    if position >= end or not _digit(data[position]):
        return np.int64(1), position
    if data[position] == 48:
        leads = position + 1 < end and _digit(data[position + 1])
        return np.int64(-1 if leads else 0), position + 1
    begin, number = position, np.int64(0)
    while position < end and 48 <= data[position] <= 57:
        if position - begin == _MAX_DIGITS:
            return np.int64(-1), position
        number = number * 10 + np.int64(data[position]) - 48
        position += 1
    return number, position


@_jit
def _tokens(data, position, end, symbol_table, endings, elements, amounts, limit):
    """Symbols and amounts of one formula in the order of the text; returns how many, or -1 where it is not plain."""
    begin = position
    n, opened = 0, -1  # `opened`: how many symbols there were before the bracket that is open
    # K2Cr207, and NaN: the exact reader has something to say of them. 48 is the zero, N, a and N are 78, 97 and 78.
    if end - position > 3 and data[end - 2] == 48 and _digit(data[end - 1]) and _digit(data[end - 3]):
        return -1
    if end - position == 3 and data[position] == 78 and data[position + 1] == 97 and data[position + 2] == 78:
        return -1
    # YBCO and other short names end in certain capital letters (`abbreviations`).
    if 3 <= end - position <= 5 and _capital(data[end - 1]) and _capital(data[end - 2]) and _capital(data[end - 3]):
        last, middle = np.int64(data[end - 1]) - 65, np.int64(data[end - 2]) - 65
        if endings[((np.int64(data[end - 3]) - 65) * 26 + middle) * 26 + last]:
            return -1
    while position < end:
        byte = np.int64(data[position])
        position += 1
        # A to Z begins a symbol; one of a to z may follow. `Co` is cobalt, `CO` carbon and oxygen.
        if 65 <= byte <= 90:
            # II, IV and, inside a formula, VI may be oxidation states, and so may (I) and (V). I and V are 73 and 86.
            if (byte == 73 or byte == 86) and position - 1 > begin:
                before = data[position - 2]
                if before == 40 and position < end and data[position] == 41:
                    return -1
                # Behind V, I is the end of a state only before O, F or C (79, 70, 67).
                following = data[position] if position < end else 0
                six = before == 86 and byte == 73 and position - 2 > begin
                if before == 73 or (six and (following == 79 or following == 70 or following == 67)):
                    return -1
            second = np.int64(0)  # 0: no second letter, 1 to 26: a to z
            if position < end and 97 <= data[position] <= 122:
                second = np.int64(data[position]) - 96
                position += 1
            element = symbol_table[(byte - 65) * 27 + second]
            amount, position = _number(data, position, end)
            # Anything that is no plain formula is left to the exact reader, which also says what is wrong with it.
            # 100 and more atoms may be or hold a mass number (`U235O2`, `H218O`). Without a sign, 0 and -1 are huge.
            if element == 0 or np.uint64(amount - 1) >= np.uint64(99) or n == len(elements):
                return -1
            # In `NH40H` the zero may be the letter O.
            if element == 1 and n > 0 and elements[n - 1] == 1 and amounts[n - 1] > 9 and amounts[n - 1] % 10 == 0:
                return -1
            elements[n], amounts[n] = element, amount
            n += 1
        # ( and ), one level deep; a bracket in a bracket falls through to the last branch.
        elif byte == 40 and opened < 0:
            opened = n
        # An empty bracket does too.
        elif byte == 41 and opened >= 0 and n > opened:
            factor, position = _number(data, position, end)
            if factor <= 0:
                return -1
            for i in range(opened, n):
                amounts[i] *= factor  # at most 10^18
                if amounts[i] > limit:
                    return -1
            opened = -1
        else:
            return -1
    if n <= 2:
        # Ten atoms and more of one element alone (`H20`) may have a zero for the letter O.
        if n == 1 and end > 1 and _digit(data[end - 1]) and _digit(data[end - 2]):
            return -1
        # C13, N15, O18, Si29 and Fe57 beside few atoms may be isotopes.
        if n == 2 and min(amounts[0], amounts[1]) <= _FEW_ATOMS and max(amounts[0], amounts[1]) > 12:
            return -1
    return n if opened < 0 else -1


@_jit
def _canonical(n, elements, amounts, order_rank):
    """Sort symbols by rank in place, add up repeats and drop zeros; returns how many are left."""
    # Insertion: a formula has a few symbols, mostly in order already.
    for i in range(1, n):
        element, amount, j = elements[i], amounts[i], i
        while j > 0 and order_rank[elements[j - 1]] > order_rank[element]:
            elements[j], amounts[j] = elements[j - 1], amounts[j - 1]
            j -= 1
        elements[j], amounts[j] = element, amount
    kept = 0
    for i in range(n):
        if amounts[i] == 0:
            continue
        # Repeats, such as the O of CH3COOH, lie side by side once sorted.
        if kept and elements[kept - 1] == elements[i]:
            amounts[kept - 1] += amounts[i]
        else:
            elements[kept], amounts[kept] = elements[i], amounts[i]
            kept += 1
    return kept


@_jit
def most_symbols(data, offsets):
    """The largest number of capital letters in a row, at most `MAX_SYMBOLS` and at least 1."""
    most = 1
    for row in range(len(offsets) - 1):
        n = 0
        for position in range(offsets[row], offsets[row + 1]):
            # Each symbol has one capital, so this bounds the width `k` before anything is parsed.
            n += 65 <= data[position] <= 90
        most = max(most, n)
    return min(most, MAX_SYMBOLS)


@_jit
def read_plain(data, offsets, symbol_table, endings, order_rank, limit, elements, counts, n_elements):
    """Read the plain formulas among `n` rows of text.

    Args:
        data: uint8, the text of all rows; row `i` is `data[offsets[i]:offsets[i + 1]]`.
        offsets: integers `(n + 1,)`.
        symbol_table: uint8 `(26 * 27,)`, capital and second letter to atomic number.
        endings: uint8 `(26**3,)`, 1 for the last letters of short names, see `abbreviations.ENDINGS`.
        order_rank: uint8 `(119,)`, matgen's order of the elements.
        limit: atoms of a formula, as written, beyond which it is left to the exact reader.
        elements: uint8 `(n, k)`, `k` as `most_symbols` says, filled with atomic numbers in matgen's order, zero padded.
        counts: int32 `(n, k)`, filled with counts divided by their greatest common divisor, zero padded.
        n_elements: uint8 `(n,)`, filled with the number of elements, 0 where a row is left to the exact reader.
    """
    # Of one formula, reused: symbols as they are met, then as elements in order.
    numbers = np.empty(MAX_SYMBOLS, dtype=np.uint8)
    amounts = np.empty(MAX_SYMBOLS, dtype=np.int64)
    width = elements.shape[1]
    for row in range(len(n_elements)):
        # The caller's arrays are not zeroed.
        for slot in range(width):
            elements[row, slot], counts[row, slot] = 0, 0
        n_elements[row] = 0
        n = _tokens(data, offsets[row], offsets[row + 1], symbol_table, endings, numbers, amounts, limit)
        if n <= 0:
            continue
        n = _canonical(n, numbers, amounts, order_rank)
        total, divisor = np.int64(0), np.int64(0)
        for slot in range(n):
            total += amounts[slot]
            # Euclid; the divisor begins at 0, and gcd(a, 0) is a.
            a, b = amounts[slot], divisor
            while b:
                a, b = b, a % b
            divisor = a
        # The exact reader words the error, or reduces what is too large only as written.
        if total > limit or n > width:
            continue
        for slot in range(n):
            elements[row, slot] = numbers[slot]
            counts[row, slot] = amounts[slot] // divisor
        n_elements[row] = n


@_jit
def _mix(x):
    """The finalizer of SplitMix64."""
    # Products wrap around at 2^64, as they should.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@_jit
def hash_rows(elements, counts, seeds, keys):
    """Fill `keys`, uint64 `(n, 2)`, as `CompositionBatch.keys` describes them; `seeds` uint64 `(2,)`."""
    for row in range(len(elements)):
        # Two seeds make two hashes of 64 bits that are independent of each other.
        for lane in range(2):
            state = seeds[lane]
            for slot in range(elements.shape[1]):
                # Padding is passed over, so that the key does not depend on the width of the batch.
                if elements[row, slot]:
                    # Atomic number in the upper 32 bits, count (below 2^31) in the lower.
                    code = (np.uint64(elements[row, slot]) << np.uint64(32)) | np.uint64(counts[row, slot])
                    state = _mix(state ^ _mix(code + seeds[lane]))
            keys[row, lane] = state
