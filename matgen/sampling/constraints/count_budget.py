"""How far a formula has got, without its elements: what is left to place, as a finite automaton.

A state is how many elements and atoms there are so far and which primes still divide every count (or, where the
counts of the formula are given, which of them are left). Adding an element with `c` atoms leads to another state, or
nowhere. So look-ahead needs one table per place in the order of elements, not one per prefix.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CountBudget:
    """States `0 .. n - 1`, of which 0 is the empty formula; state `n` is dead.

    Attributes:
        after: int32 `(n + 1, max_atoms + 1)`, the state after one more element with as many atoms as the column says;
            column 0 leaves the state as it is.
        complete: bool `(n + 1,)`, states in which a formula of two or more elements may end.
    """

    after: np.ndarray
    complete: np.ndarray

    @property
    def dead(self) -> int:
        """The state from which nothing can end."""
        return len(self.complete) - 1

    def for_range(self, low: int, high: int) -> np.ndarray:
        """`after` for an element whose count must be from `low` to `high`, of the same shape."""
        count = np.arange(self.after.shape[1])
        inside = (count == 0) | ((count >= low) & (count <= high))
        return np.where(inside, self.after, self.dead).astype(np.int32)

    def for_fixed(self, atoms: int) -> np.ndarray:
        """`after` for an element that takes `atoms` atoms, which the budget does not count."""
        after = np.full_like(self.after, self.dead)
        after[:, 0] = np.arange(len(after))
        if atoms < after.shape[1]:
            after[:, atoms] = after[:, 0]
        return after


def open_budget(max_atoms: int, fewest: int, most: int | None) -> CountBudget:
    """Any counts with at most `max_atoms` atoms, `fewest` to `most` elements (at least two) and no common divisor.

    A state is the elements so far (as far as they matter), the atoms, and the product of the primes that divide every
    count: once it is 1, it stays so.
    """
    fewest = max(fewest, 2)
    cap = fewest if most is None else most
    divisible = np.arange(max_atoms + 1)
    radical = np.ones(max_atoms + 1, dtype=np.int64)
    for prime in range(2, max_atoms + 1):
        if (prime % np.arange(2, prime)).all():
            radical[divisible % prime == 0] *= prime
    radical[0] = 0
    squarefree = radical == divisible
    atoms, common = np.nonzero((divisible[:, None] % np.maximum(divisible, 1) == 0) & squarefree & (divisible > 0))
    atoms, common = atoms[atoms > 0], common[atoms > 0]
    n_elements = np.repeat(np.arange(1, cap + 1), len(atoms))
    atoms, common = np.tile(atoms, cap), np.tile(common, cap)
    possible = atoms >= n_elements
    n_elements, atoms, common = (np.concatenate(([0], part[possible])) for part in (n_elements, atoms, common))

    dead = len(atoms)
    state = np.full((cap + 1, max_atoms + 1, max_atoms + 1), dead, dtype=np.int32)
    state[n_elements, atoms, common] = np.arange(dead)
    count = np.arange(max_atoms + 1)
    more_atoms = atoms[:, None] + count
    more_elements = n_elements[:, None] + (count > 0)
    fits = (more_atoms <= max_atoms) & (more_elements <= (max_atoms if most is None else most))
    after = np.full((dead + 1, max_atoms + 1), dead, dtype=np.int32)
    after[:dead] = np.where(
        fits,
        state[
            np.minimum(more_elements, cap),
            np.minimum(more_atoms, max_atoms),
            np.gcd(common[:, None], radical[None, :]),
        ],
        dead,
    )
    complete = np.append((n_elements >= fewest) & (common == 1), False)
    return CountBudget(after, complete)


def pattern_budget(max_atoms: int, counts: tuple[int, ...]) -> CountBudget:
    """Exactly these counts, in any order, each taken by one element. A state is how many of each are taken."""
    wanted = sorted(Counter(counts).items())
    shape = [times + 1 for _, times in wanted]
    n = int(np.prod(shape, dtype=np.int64))
    taken = np.array(np.unravel_index(np.arange(n), shape)).T if wanted else np.zeros((1, 0), dtype=np.int64)
    after = np.full((n + 1, max_atoms + 1), n, dtype=np.int32)
    after[:, 0] = np.arange(n + 1)
    step = n
    for place, (count, times) in enumerate(wanted):
        step //= times + 1
        left = np.flatnonzero(taken[:, place] < times)
        if count <= max_atoms:
            after[left, count] = left + step
    complete = np.zeros(n + 1, dtype=bool)
    complete[n - 1] = True
    return CountBudget(after, complete)
