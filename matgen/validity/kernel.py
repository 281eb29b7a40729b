"""Charge neutrality and electronegativity balance as bit sets, compiled by numba.

The charges that atoms can add up to are a set of integers; as a bit set, adding an element is a few shifts and ors.
*Balanced*: with elements in order of electronegativity, every assignment that passes the Pauling test has a cut, below
which no state is negative and above which none is positive, and no two elements of equal electronegativity are on
different sides of it. So a formula is balanced where for some cut the positive charges below and the negative ones
above have a common sum. *Neutral*: the same without a cut, sums counted from the lowest. Mixed valence adds an element
atom by atom, so that nothing limits the number of combinations.

All functions take a batch in matgen's order: `elements` uint8 `(n, k)`, `counts` int32 `(n, k)`, zero padded, and a
`StateTable`'s arrays. They hold no lock, so that threads may share a batch. Formulas whose charges do not fit are left
to `exact`, which has no limit.
"""

from __future__ import annotations

import numba
import numpy as np

WORDS = 64
"""64-bit words of a bit set."""

TOO_LARGE, BALANCED, NEUTRAL, UNBALANCEABLE = -1, 2, 1, 0
"""Verdicts: not decided here; neutral and balanced; neutral alone; neither."""

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def _or_shifted(target, source, shift, words):
    """target |= source << shift, over the first `words` words; bits beyond are lost."""
    whole, part = shift >> 6, np.uint64(shift & 63)
    rest = np.uint64(64) - part
    if part == 0:
        for w in range(words - 1, whole - 1, -1):
            target[w] |= source[w - whole]
        return
    for w in range(words - 1, whole, -1):
        target[w] |= (source[w - whole] << part) | (source[w - whole - 1] >> rest)
    if whole < words:
        target[whole] |= source[0] << part


@_jit
def _add_element(reach, scratch, states, n_states, atoms, single, sign, base, words):
    """Replace the reachable sums by those after adding one element; returns False where none is left.

    Args:
        reach, scratch: uint64, the bit set and as much space.
        states: int8 `(s,)`, `n_states` of them valid.
        atoms: atoms of the element.
        single: True where all atoms share a state.
        sign: +1 takes states >= 0, -1 takes states <= 0 (as positive charges), 0 takes all, less `base`.
        base: lowest state, for `sign` 0.
        words: of the bit set in use.
    """
    steps, each = (1, atoms) if single else (atoms, 1)
    for _ in range(steps):
        for w in range(words):
            scratch[w] = np.uint64(0)
        for s in range(n_states):
            charge = np.int64(states[s])
            if sign == 0:
                charge -= base
            elif charge * sign < 0:
                continue
            else:
                charge *= sign
            _or_shifted(scratch, reach, charge * each, words)
        left = np.uint64(0)
        for w in range(words):
            reach[w] = scratch[w]
            left |= scratch[w]
        if left == 0:
            return False
    return True


@_jit
def _is_balanced(z, c, m, states, n_states, chi, mixed, most_positive, most_negative, reach, scratch, above):
    """True where some cut balances; the caller has made sure that the sums fit."""
    limit = min(most_positive, most_negative)
    words = (limit >> 6) + 1
    above[m, :words] = 0
    above[m, 0] = 1
    lowest_cut = 0
    for j in range(m - 1, -1, -1):
        above[j, :words] = above[j + 1, :words]
        single = c[j] == 1 or not mixed[z[j]]
        if not _add_element(above[j], scratch, states[z[j]], n_states[z[j]], c[j], single, -1, 0, words):
            lowest_cut = j + 1
            break
    reach[:words] = 0
    reach[0] = 1
    for j in range(m + 1):
        if j >= lowest_cut and (j == 0 or j == m or chi[z[j - 1]] < chi[z[j]]):
            for w in range(words):
                if reach[w] & above[j, w]:
                    return True
        if j < m:
            single = c[j] == 1 or not mixed[z[j]]
            if not _add_element(reach, scratch, states[z[j]], n_states[z[j]], c[j], single, 1, 0, words):
                return False
    return False


@_jit
def _is_neutral(z, c, m, states, n_states, mixed, most_negative, reach, scratch):
    """True where some assignment sums to zero. Charges are counted from each element's lowest state."""
    words = (most_negative >> 6) + 1
    reach[:words] = 0
    reach[0] = 1
    for j in range(m):
        single = c[j] == 1 or not mixed[z[j]]
        base = np.int64(states[z[j], 0])
        if not _add_element(reach, scratch, states[z[j]], n_states[z[j]], c[j], single, 0, base, words):
            return False
    return (reach[most_negative >> 6] >> np.uint64(most_negative & 63)) & np.uint64(1) == np.uint64(1)


@_jit
def judge(elements, counts, states, n_states, chi, mixed, verdicts):
    """Write each formula's verdict.

    Args:
        elements: uint8 `(n, k)`.
        counts: int32 `(n, k)`.
        states: int8 `(119, s)`, ascending, of which `n_states` int64 `(119,)` are valid.
        n_states: see `states`.
        chi: float64 `(119,)`, electronegativity, NaN where missing: then nothing is balanced, as in SMACT.
        mixed: bool `(119,)`, elements whose atoms may differ in state.
        verdicts: int8 `(n,)`, written.
    """
    n, k = elements.shape
    reach = np.empty(WORDS, dtype=np.uint64)
    scratch = np.empty(WORDS, dtype=np.uint64)
    above = np.empty((k + 1, WORDS), dtype=np.uint64)
    z = np.empty(k, dtype=np.int64)
    c = np.empty(k, dtype=np.int64)
    for i in range(n):
        m = 0
        known, comparable = True, True
        positive, negative, lowest = np.int64(0), np.int64(0), np.int64(0)
        highest = np.int64(0)
        while m < k and elements[i, m] > 0:
            z[m], c[m] = elements[i, m], counts[i, m]
            if n_states[z[m]] == 0:
                known = False
            else:
                low, high = np.int64(states[z[m], 0]), np.int64(states[z[m], n_states[z[m]] - 1])
                positive += max(high, 0) * c[m]
                negative -= min(low, 0) * c[m]
                lowest += low * c[m]
                highest += high * c[m]
            comparable &= not np.isnan(chi[z[m]])
            m += 1
        if m == 1:
            verdicts[i] = BALANCED  # a single element, as in SMACT
        elif not known or lowest > 0 or highest < 0:
            verdicts[i] = UNBALANCEABLE
        elif max(min(positive, negative), -lowest) >= 64 * WORDS:
            verdicts[i] = TOO_LARGE
        elif comparable and _is_balanced(
            z, c, m, states, n_states, chi, mixed, positive, negative, reach, scratch, above
        ):
            verdicts[i] = BALANCED
        elif _is_neutral(z, c, m, states, n_states, mixed, -lowest, reach, scratch):
            verdicts[i] = NEUTRAL
        else:
            verdicts[i] = UNBALANCEABLE
