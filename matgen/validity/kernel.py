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

from matgen.validity.exact import BALANCED, NEUTRAL, UNBALANCEABLE, UNDECIDED

WORDS = 64
"""64-bit words of a bit set."""

# First axis of the tables of charges that `_split_states` makes.
_CATION, _ANION, _ANY = 0, 1, 2

# What is combined with a uint64 is made np.uint64: numba's type for uint64 with int64 is signed, or float64.
_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def _or_shifted(target, source, shift, words):
    """target |= source << shift, over the first `words` words; bits beyond are lost."""
    # Bit i of a set is bit i & 63 of word i >> 6.
    word_shift, bit_shift = shift >> 6, np.uint64(shift & 63)
    rest = np.uint64(64) - bit_shift
    # Apart, because `source >> 64` has no defined value in compiled code.
    if bit_shift == 0:
        for w in range(words - 1, word_shift - 1, -1):
            target[w] |= source[w - word_shift]
        return
    # Each word takes the low bits of one source word and the bits that ran over from the word below.
    for w in range(words - 1, word_shift, -1):
        target[w] |= (source[w - word_shift] << bit_shift) | (source[w - word_shift - 1] >> rest)
    if word_shift < words:
        target[word_shift] |= source[0] << bit_shift


@_jit
def _split_states(states, n_states):
    """Charges by kind, all >= 0 and ascending or not, int64 `(3, 119, s)`, and how many there are, int64 `(3, 119)`.

    Kind 0 are the states >= 0, kind 1 the states <= 0 without their sign, kind 2 all states above the lowest.
    """
    # (kind, Z, place), in elementary charges; rows are filled to n[kind, Z].
    charges = np.zeros((3, states.shape[0], states.shape[1]), dtype=np.int64)
    n = np.zeros((3, states.shape[0]), dtype=np.int64)
    for z in range(states.shape[0]):
        for s in range(n_states[z]):
            state = np.int64(states[z, s])
            # A state of zero is in both: such an element may stand on either side of the cut.
            if state >= 0:
                charges[_CATION, z, n[_CATION, z]] = state
                n[_CATION, z] += 1
            if state <= 0:
                charges[_ANION, z, n[_ANION, z]] = -state
                n[_ANION, z] += 1
            # Counted from the lowest state, no charge is negative and every step is a shift to the left.
            charges[_ANY, z, s] = state - states[z, 0]
        n[_ANY, z] = n_states[z]
    return charges, n


@_jit
def _add_to_word(reach, charges, n, atoms, single):
    """The sums of one word after adding an element's atoms, all of one charge where `single`."""
    # Of one atom, or without mixed valence, the element adds one of `n` charges times its atoms.
    if single:
        sums = np.uint64(0)
        for s in range(n):
            shift = charges[s] * atoms
            # Beyond the word lie only sums above `limit` or `wanted`; and a shift by 64 has no defined value.
            if shift < 64:
                sums |= reach << np.uint64(shift)
        return sums
    # In mixed valence each atom takes a charge of its own: the set grows atom by atom, whatever the combinations.
    for _ in range(atoms):
        sums = np.uint64(0)
        for s in range(n):
            if charges[s] < 64:
                sums |= reach << np.uint64(charges[s])
        reach = sums
    return reach


@_jit
def _add_to_words(reach, scratch, charges, n, atoms, single, words):
    """The same in place for sums of `words` words; returns False where none is left."""
    # One step of all atoms at once, or one step an atom.
    steps, each = (1, atoms) if single else (atoms, 1)
    for _ in range(steps):
        scratch[:words] = 0
        for s in range(n):
            _or_shifted(scratch, reach, charges[s] * each, words)
        left = np.uint64(0)
        for w in range(words):
            reach[w] = scratch[w]
            left |= scratch[w]
        # No sum is left within the words, so none can be matched: the caller stops.
        if left == 0:
            return False
    return True


@_jit
def _is_cut(z, chi, m, j):
    """True where the first `j` elements may be cations and the rest anions: no equals on different sides."""
    return j == 0 or j == m or chi[z[j - 1]] < chi[z[j]]


@_jit
def _is_balanced_word(z, c, m, charges, n, chi, single, above):
    """True where some cut balances; sums that fit one word."""
    # above[j]: sums of the negative charges, without their sign, of elements j to m - 1; above[m] is {0}.
    above[m, 0] = 1
    lowest_cut = 0
    for j in range(m - 1, -1, -1):
        above[j, 0] = _add_to_word(above[j + 1, 0], charges[_ANION, z[j]], n[_ANION, z[j]], c[j], single[j])
        if above[j, 0] == 0:
            # With element j as an anion no sum is in reach, so the cut lies after it; above[:j] is not filled.
            lowest_cut = j + 1
            break
    # Sums of the positive charges of the elements before the cut at j.
    reach = np.uint64(1)
    for j in range(m + 1):
        # A common bit is a sum that both sides reach: the charges cancel.
        if j >= lowest_cut and reach & above[j, 0] and _is_cut(z, chi, m, j):
            return True
        if j < m:
            reach = _add_to_word(reach, charges[_CATION, z[j]], n[_CATION, z[j]], c[j], single[j])
            if reach == 0:
                return False
    return False


@_jit
def _is_balanced_words(z, c, m, charges, n, chi, single, words, reach, scratch, above):
    """The same for sums of `words` words."""
    # (m + 1, words), as in `_is_balanced_word`.
    above[m, :words] = 0
    above[m, 0] = 1
    lowest_cut = 0
    for j in range(m - 1, -1, -1):
        above[j, :words] = above[j + 1, :words]
        if not _add_to_words(above[j], scratch, charges[_ANION, z[j]], n[_ANION, z[j]], c[j], single[j], words):
            lowest_cut = j + 1
            break
    reach[:words] = 0
    reach[0] = 1
    for j in range(m + 1):
        if j >= lowest_cut and _is_cut(z, chi, m, j):
            for w in range(words):
                if reach[w] & above[j, w]:
                    return True
        if j < m and not _add_to_words(
            reach, scratch, charges[_CATION, z[j]], n[_CATION, z[j]], c[j], single[j], words
        ):
            return False
    return False


@_jit
def _is_neutral(z, c, m, charges, n, single, wanted, reach, scratch):
    """True where some assignment, counted from each element's lowest state, adds up to `wanted`."""
    # Bits beyond `wanted` may be lost: sums only grow.
    if wanted < 64:
        word = np.uint64(1)
        for j in range(m):
            word = _add_to_word(word, charges[_ANY, z[j]], n[_ANY, z[j]], c[j], single[j])
        return (word >> np.uint64(wanted)) & np.uint64(1) == np.uint64(1)
    words = (wanted >> 6) + 1
    reach[:words] = 0
    reach[0] = 1
    for j in range(m):
        if not _add_to_words(reach, scratch, charges[_ANY, z[j]], n[_ANY, z[j]], c[j], single[j], words):
            return False
    return (reach[wanted >> 6] >> np.uint64(wanted & 63)) & np.uint64(1) == np.uint64(1)


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
    rows, k = elements.shape
    charges, n = _split_states(states, n_states)
    # Work space of all rows, so that nothing is allocated for a formula.
    reach = np.empty(WORDS, dtype=np.uint64)
    scratch = np.empty(WORDS, dtype=np.uint64)
    above = np.empty((k + 1, WORDS), dtype=np.uint64)
    z = np.empty(k, dtype=np.int64)
    c = np.empty(k, dtype=np.int64)
    single = np.empty(k, dtype=np.bool_)
    for i in range(rows):
        # m: elements of the formula; the batch is padded with zeros.
        m = 0
        known, comparable = True, True
        positive, negative, lowest, highest = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        while m < k and elements[i, m] > 0:
            z[m], c[m] = elements[i, m], counts[i, m]
            single[m] = c[m] == 1 or not mixed[z[m]]
            if n_states[z[m]] == 0:
                known = False
            else:
                # The most that cations, and anions, can bring, and the range of total charges.
                low, high = np.int64(states[z[m], 0]), np.int64(states[z[m], n_states[z[m]] - 1])
                positive += max(high, 0) * c[m]
                negative -= min(low, 0) * c[m]
                lowest += low * c[m]
                highest += high * c[m]
            comparable &= not np.isnan(chi[z[m]])
            m += 1
        # A sum that both sides share is at most what the weaker side can reach.
        limit = min(positive, negative)
        if m == 1:
            verdicts[i] = BALANCED  # a single element, as in SMACT
            continue
        # Without states of some element, or with all totals on one side of zero, nothing needs to be tried.
        if not known or lowest > 0 or highest < 0:
            verdicts[i] = UNBALANCEABLE
            continue
        if max(limit, -lowest) >= 64 * WORDS:
            verdicts[i] = UNDECIDED
            continue
        # Nearly all formulas fit one word, which the registers hold.
        balanced = False
        if comparable and limit < 64:
            balanced = _is_balanced_word(z, c, m, charges, n, chi, single, above)
        elif comparable:
            words = (limit >> 6) + 1
            balanced = _is_balanced_words(z, c, m, charges, n, chi, single, words, reach, scratch, above)
        if balanced:
            verdicts[i] = BALANCED
        elif _is_neutral(z, c, m, charges, n, single, -lowest, reach, scratch):
            verdicts[i] = NEUTRAL
        else:
            verdicts[i] = UNBALANCEABLE
