"""Best mixtures of competing phases, compiled by numba: a revised simplex method for many small linear programs.

At a composition of k elements the program has k equations, one for each element's share of the atoms, and a column for
each phase: min e.a with C a = x, a >= 0. The elements, at 0 eV/atom, are k unit columns, so that they form the first
basis, a = x > 0, and no first stage is needed. A step prices all columns, d = e - y.C with y = e_B B^-1, takes the one
with the lowest d into the basis and another out of it. (V. Chvatal, Linear Programming, 1983, chapters 7 and 8.)

Columns are never gathered: those of a chemical system lie side by side, and a phase has as many entries as elements.

All functions hold no lock, so that threads may share a batch.
"""

from __future__ import annotations

import numba
import numpy as np

from matgen.hull.linear_program import NEGLIGIBLE

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)

_OPTIMAL = 1e-11
"""eV/atom: as fractions sum to 1, no mixture is lower by more than this than one whose columns all price above it."""

_PIVOT = 1e-10  # the smallest entry of a column that another may be divided by
_REFRESH = 40  # steps after which the inverse is made anew, against rounding
_PATIENCE = 200  # steps without Bland's rule, which never cycles but takes more of them
_MOST_STEPS = 100_000

# Multipliers of a hash of two words, odd and without pattern: SplitMix64's.
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@_jit
def slot_of(low, high, mask):
    """Where a table of `mask + 1` places looks first for a set of elements (bits of two words)."""
    mixed = (low ^ (high * _MIX[0])) * _MIX[1]
    mixed ^= mixed >> np.uint64(29)
    mixed *= _MIX[0]
    mixed ^= mixed >> np.uint64(32)
    return np.int64(mixed & np.uint64(mask))


@_jit
def fill_table(sets, table):
    """Put the places of distinct sets `(s, 2)` into a table of -1, int64 `(t,)`, t a power of two above s."""
    mask = len(table) - 1
    for s in range(len(sets)):
        at = slot_of(sets[s, 0], sets[s, 1], mask)
        while table[at] >= 0:
            at = (at + 1) & mask
        table[at] = s


@_jit
def _find(low, high, sets, table):
    """Place of a set, -1 where it is not in the table."""
    mask = len(table) - 1
    at = slot_of(low, high, mask)
    while table[at] >= 0:
        s = table[at]
        if sets[s, 0] == low and sets[s, 1] == high:
            return s
        at = (at + 1) & mask
    return -1


@_jit
def _systems_within(elements, sets, table, found):
    """Places of the chemical systems with these elements `(k,)` and no others, into `found`; how many."""
    k = len(elements)
    n = 0
    if k < 62 and (np.int64(1) << k) < len(sets):
        for subset in range(3, np.int64(1) << k):
            if subset & (subset - 1) == 0:  # an element alone
                continue
            low, high = np.uint64(0), np.uint64(0)
            for j in range(k):
                if (subset >> j) & 1:
                    low, high = _with_bit(low, high, elements[j])
            s = _find(low, high, sets, table)
            if s >= 0:
                found[n] = s
                n += 1
        return n
    low = high = np.uint64(0)  # more subsets than systems: look at every system instead
    for j in range(k):
        low, high = _with_bit(low, high, elements[j])
    for s in range(len(sets)):
        if sets[s, 0] & ~low == 0 and sets[s, 1] & ~high == 0:
            found[n] = s
            n += 1
    return n


@_jit
def _with_bit(low, high, z):
    if z < 64:
        return low | (np.uint64(1) << np.uint64(z)), high
    return low, high | (np.uint64(1) << np.uint64(z - 64))


@_jit
def _invert(basis, position, elements, shares, inverse, work):
    """The inverse of the basis' columns by Gauss and Jordan with partial pivoting; False where it has none."""
    k = len(basis)
    work[:k, :k] = 0.0
    inverse[:k, :k] = 0.0
    for j in range(k):
        inverse[j, j] = 1.0
        if basis[j] < 0:
            work[position[-basis[j]], j] = 1.0
        else:
            for s in range(shares.shape[1]):
                if elements[basis[j], s] == 0:
                    break
                work[position[elements[basis[j], s]], j] = shares[basis[j], s]
    for j in range(k):
        best = j
        for i in range(j + 1, k):
            if abs(work[i, j]) > abs(work[best, j]):
                best = i
        if abs(work[best, j]) < 1e-14:
            return False
        if best != j:
            for c in range(k):
                work[j, c], work[best, c] = work[best, c], work[j, c]
                inverse[j, c], inverse[best, c] = inverse[best, c], inverse[j, c]
        scale = 1.0 / work[j, j]
        for c in range(k):
            work[j, c] *= scale
            inverse[j, c] *= scale
        for i in range(k):
            factor = work[i, j]
            if i != j and factor != 0.0:
                for c in range(k):
                    work[i, c] -= factor * work[j, c]
                    inverse[i, c] -= factor * inverse[j, c]
    return True


@_jit
def _refresh(numbers, basis, position, elements, shares, energies, x, inverse, work, amount, price):
    """Make inverse, amounts `(k,)` and prices `(119,)` anew from the basis; False where it has no inverse."""
    if not _invert(basis, position, elements, shares, inverse, work):
        return False
    k = len(basis)
    for j in range(k):
        total = 0.0
        for c in range(k):
            total += inverse[j, c] * x[c]
        amount[j] = max(total, 0.0)
    _reprice(numbers, basis, energies, inverse, price)
    return True


@_jit
def _reprice(numbers, basis, energies, inverse, price):
    """Prices of the elements, y = e_B B^-1, eV/atom, by atomic number."""
    for c in range(len(numbers)):
        total = 0.0
        for j in range(len(basis)):
            if basis[j] >= 0:
                total += energies[basis[j]] * inverse[j, c]
        price[numbers[c]] = total


@_jit
def _entering(found, n_found, starts, bound, elements, shares, energies, own, numbers, price, first):
    """The column with the lowest price, or, for Bland's rule, the first below zero; 0 where none is."""
    # Columns are named by row + 1, elements by -atomic number, so that 0 is none of them.
    best, chosen = -_OPTIMAL, 0
    for z in numbers:
        if -price[z] < best:
            best, chosen = -price[z], -int(z)
            if first:
                return chosen
    for f in range(n_found):
        for row in range(starts[found[f]], bound[found[f]]):
            d = energies[row]
            for s in range(elements.shape[1]):
                z = elements[row, s]
                if z == 0:
                    break
                d -= shares[row, s] * price[z]
            if d < best and row != own:
                best, chosen = d, row + 1
                if first:
                    return chosen
    return chosen


@_jit
def _leaving(amount, column, basis, bland):
    """The place in the basis whose amount is first used up as the column comes in; -1 where none is."""
    chosen = -1
    least = np.inf
    for j in range(len(basis)):
        if column[j] <= _PIVOT:
            continue
        ratio = amount[j] / column[j]
        if ratio < least - 1e-13:
            chosen, least = j, ratio
        elif ratio <= least + 1e-13 and chosen >= 0:
            better = basis[j] < basis[chosen] if bland else column[j] > column[chosen]
            if better:
                chosen, least = j, min(ratio, least)
    return chosen


@_jit
def _mixture(numbers, x, own, found, n_found, starts, bound, elements, shares, energies, position, price, basis, amount,
             column, inverse, work):  # fmt: skip
    """Solve one program; the basis and its amounts are left in `basis` and `amount` `(k,)`. False where it gives up."""
    k = len(numbers)
    for j in range(k):
        basis[j] = -np.int64(numbers[j])
        amount[j] = x[j]
        price[numbers[j]] = 0.0
        for c in range(k):
            inverse[j, c] = 1.0 if j == c else 0.0
    since = 0
    for step in range(_MOST_STEPS):
        bland = step > _PATIENCE
        if since == _REFRESH:
            if not _refresh(numbers, basis, position, elements, shares, energies, x, inverse, work, amount, price):
                return False
            since = 0
        entering = _entering(found, n_found, starts, bound, elements, shares, energies, own, numbers, price, bland)
        if entering == 0:
            if since == 0:
                return True
            # The end, by an inverse with the rounding of some steps: look again with a new one.
            if not _refresh(numbers, basis, position, elements, shares, energies, x, inverse, work, amount, price):
                return False
            since = 0
            continue
        for j in range(k):
            if entering < 0:
                column[j] = inverse[j, position[-entering]]
            else:
                total = 0.0
                for s in range(elements.shape[1]):
                    z = elements[entering - 1, s]
                    if z == 0:
                        break
                    total += inverse[j, position[z]] * shares[entering - 1, s]
                column[j] = total
        out = _leaving(amount, column, basis, bland)
        if out < 0:
            return False
        scale = 1.0 / column[out]
        moved = amount[out] * scale
        for j in range(k):
            if j != out:
                amount[j] = max(amount[j] - column[j] * moved, 0.0)
        amount[out] = moved
        for c in range(k):
            inverse[out, c] *= scale
        for j in range(k):
            if j != out and column[j] != 0.0:
                for c in range(k):
                    inverse[j, c] -= column[j] * inverse[out, c]
        basis[out] = entering if entering < 0 else entering - 1
        _reprice(numbers, basis, energies, inverse, price)
        since += 1
    return False


@_jit
def decompose(batch_elements, batch_counts, own, skip, sets, starts, bound, table, elements, shares, energies, energy,
              product, fraction):  # fmt: skip
    """The best mixtures at `n` compositions of at most `k` elements.

    Args:
        batch_elements: uint8 `(n, k)`, zero padded.
        batch_counts: int32 `(n, k)`.
        own: int64 `(n,)`, the phase that is left out, -1 for none.
        skip: bool `(n,)`, compositions to leave alone.
        sets: uint64 `(s, 2)`, elements of each chemical system as bits.
        starts: int64 `(s,)`, where the phases of each begin.
        bound: int64 `(s,)`, where those below 0 eV/atom end.
        table: int64 `(t,)`, as `fill_table` makes it.
        elements: uint8 `(m, w)`, of the phases, zero padded.
        shares: float64 `(m, w)`, their fractions of the atoms.
        energies: float64 `(m,)`, eV/atom.
        energy: float64 `(n,)`, written: eV/atom, NaN where no solution was found.
        product: int64 `(n, k)`, written: phase of each product, -atomic number for an element; 0 is the phase 0, so
            only entries with a fraction count.
        fraction: float64 `(n, k)`, written: their shares of the atoms, 0 where there is none.
    """
    width = batch_elements.shape[1]
    position = np.full(119, -1, np.int64)
    price = np.zeros(119)
    found = np.empty(max(len(sets), 1), np.int64)
    inverse, work = np.empty((width, width)), np.empty((width, width))
    basis_space = np.empty(width, np.int64)
    amount_space, column, x_space = np.empty(width), np.empty(width), np.empty(width)
    numbers_space = np.empty(width, np.int64)
    for i in range(len(batch_elements)):
        fraction[i] = 0.0
        product[i] = 0
        if skip[i]:
            continue
        k = 0
        total = 0.0
        for j in range(width):
            if batch_elements[i, j]:
                numbers_space[k] = batch_elements[i, j]
                x_space[k] = batch_counts[i, j]
                total += batch_counts[i, j]
                position[batch_elements[i, j]] = k
                k += 1
        numbers, x = numbers_space[:k], x_space[:k]
        basis, amount = basis_space[:k], amount_space[:k]
        for j in range(k):
            x[j] /= total
        n_found = _systems_within(numbers, sets, table, found) if k > 1 else 0
        solved = _mixture(numbers, x, own[i], found, n_found, starts, bound, elements, shares, energies, position,
                          price, basis, amount, column, inverse, work)  # fmt: skip
        energy[i] = 0.0 if solved else np.nan
        for j in range(k):
            position[numbers[j]] = -1
            if solved and basis[j] >= 0:
                energy[i] += amount[j] * energies[basis[j]]
            if solved and amount[j] > NEGLIGIBLE:
                product[i, j] = basis[j]
                fraction[i, j] = amount[j]
