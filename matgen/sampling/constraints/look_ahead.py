"""Which elements, with how many atoms, may follow a prefix so that some completion satisfies the constraints: exactly.

Formulas are written in matgen's order of elements, so what may follow depends on the last element, the `CountBudget`'s
state, and, where the formula must be balanced, on the charges that the prefix can have. A balanced formula has a cut:
cations before it, anions behind (`matgen.validity.kernel`). Two sets of sums matter of a prefix: those of its
charges where all its elements are cations (*before* the cut), and the positive charge still to be cancelled where the
cut has been made (*behind* it). For every element and budget state, tables hold the sums that some suffix cancels,
computed backwards from the last element; a prefix can be completed where its sums and the table's have one in common.
Sums that the atoms left cannot cancel never fit, so the sets are short.

Single elements are left to the caller: they pass as valid without any charge.

Shapes: `g` prefixes, `u` usable elements (their places are 1 to `u`, 0 is the empty prefix), `n` budget states with the
dead one, `kinds` of sums (2, or 1 where charges do not matter), `words` of 64 bits a set. Charges are in units of e.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from matgen.composition.elements import ELECTRONEGATIVITY, N_ELEMENTS, ORDER_RANK
from matgen.errors import OptionError
from matgen.sampling.constraints.bit_sets import lowered, raised, words_for
from matgen.sampling.constraints.count_budget import CountBudget
from matgen.validity import StateTable

MAX_TABLE_BYTES = 512 * 2**20
"""Largest tables that are built; what needs more is refused."""
MAX_BYTES_BY_COUNT = 160 * 2**20
"""Largest table of single counts; a larger one is not built, and its entries are computed each time."""

_ROWS_AT_ONCE = 32
"""Prefixes whose rows of the large table are looked up together, so that they stay in the processor's cache."""

_BEFORE, _BEHIND = 0, 1


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of whole elements, `g` of them.

    Attributes:
        place: int64 `(g,)`, place of the last element among the usable ones, 1 the first; 0 for the empty prefix.
        budget: int64 `(g,)`, state of the `CountBudget`.
        sums: unsigned `(g, kinds, words)`, bit sets of charges before and behind the cut; without charges one bit that
            is always set.
    """

    place: np.ndarray
    budget: np.ndarray
    sums: np.ndarray

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, rows: np.ndarray | slice) -> Prefixes:
        return Prefixes(self.place[rows], self.budget[rows], self.sums[rows])


class LookAhead:
    """The tables, and the steps that use them.

    Args:
        budget: what the counts may be.
        usable: bool `(119,)`, elements that a formula may hold.
        required: bool `(119,)`, those that it must hold.
        after: for some elements, by atomic number, a table in place of `budget.after`.
        states: oxidation states for balanced formulas, None where charges do not matter.
        classes: counts are distinguished up to `classes - 1`, the last class is all from there on.

    Attributes:
        elements: int64 `(u + 1,)`, atomic number of each usable element in matgen's order, 0 first.
        place_of: int64 `(119,)`, the reverse; 0 where an element is not usable.
        max_atoms: most atoms of a formula.

    Raises:
        OptionError: the tables would be too large.
    """

    def __init__(
        self,
        budget: CountBudget,
        usable: np.ndarray,
        required: np.ndarray,
        after: Mapping[int, np.ndarray],
        states: StateTable | None,
        classes: int,
    ) -> None:
        if states is not None:
            # Without a state or an electronegativity an element is in no balanced formula.
            usable = usable & (states.n_states > 0) & ~np.isnan(ELECTRONEGATIVITY)
        in_order = np.argsort(ORDER_RANK[1:]) + 1
        self.elements = np.concatenate(([0], in_order[usable[in_order]]))
        self.place_of = np.zeros(N_ELEMENTS + 1, dtype=np.int64)
        self.place_of[self.elements] = np.arange(len(self.elements))
        self.max_atoms = budget.after.shape[1] - 1
        self.budget, self.classes = budget, classes
        self.required = required[self.elements]
        self.possible = not (required & ~usable).any()
        self.may_follow = self._may_follow()
        special = [z for z in after if usable[z]]
        # Budget tables, (1 + special, n, max_atoms + 1), the common one first; `_which` has the table of each place.
        self._after = np.stack([budget.after, *(after[z] for z in special)])
        self._which = np.zeros(len(self.elements), dtype=np.int64)
        self._which[self.place_of[special]] = 1 + np.arange(len(special))
        self.charged = states is not None
        self.cut_before = self._cut_before()
        self._charges = self._charges_of(states)
        self._build()

    def start(self) -> Prefixes:
        """The empty prefix, alone."""
        sums = np.zeros((1, *self._shape), dtype=self._dtype)
        sums[0, _BEFORE, 0] = 1  # bit 0, the sum 0; there is no cut in front of the first element
        return Prefixes(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), sums)

    def next_elements(self, prefixes: Prefixes) -> np.ndarray:
        """Which elements may come next, with how many atoms: bool `(g, u, classes)`, class 0 for one atom.

        With one class: with any number of atoms.
        """
        g, kinds_and_words = len(prefixes), int(np.prod(self._shape))
        # Sums with which each element would be entered, (g, kinds, u, words): the prefix's own, and behind the cut also
        # those before it, where the cut may lie between the last element and this one.
        entering = np.broadcast_to(prefixes.sums[:, :, None, :], (g, self._shape[0], self._n_usable, self._shape[1]))
        if self.charged:
            cut = self.cut_before[prefixes.place, 1:, None]
            entering = entering.copy()
            entering[:, _BEHIND] |= np.where(cut, entering[:, _BEFORE], 0)
        # The words stand in front of the elements, so that the union over them runs along memory.
        entering = np.moveaxis(entering, 2, 3).reshape(g, kinds_and_words, self._n_usable, 1)
        allowed = np.empty((g, self._n_usable, self.classes), dtype=bool)
        for start in range(0, g, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            # A sum of the prefix that some suffix cancels is a completion; (rows, kinds words, u, classes).
            common = self._cancelled_by_next[prefixes.budget[rows]]
            common &= entering[rows]
            np.not_equal(np.bitwise_or.reduce(common, axis=1), 0, out=allowed[rows])
        allowed &= self.may_follow[prefixes.place][:, 1:, None]
        return allowed

    def enter(self, prefixes: Prefixes, places: np.ndarray) -> Prefixes:
        """The prefixes with `place` set to the next element, whose atoms are still to come.

        `sums` are those before its charge, with the cut made in front of it where it may be. `budget` stays.
        """
        sums = prefixes.sums
        if self.charged:
            sums = sums.copy()
            cut = self.cut_before[prefixes.place, places, None]
            sums[:, _BEHIND] |= np.where(cut, sums[:, _BEFORE], 0)
        return Prefixes(places, prefixes.budget, sums)

    def final_counts(self, entered: Prefixes) -> np.ndarray:
        """How many atoms the entered element may end up with, bool `(m, max_atoms + 1)`."""
        possible = np.zeros((len(entered), self.max_atoms + 1), dtype=bool)
        for start in range(0, len(entered), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            place, budget, sums = entered.place[rows], entered.budget[rows], entered.sums[rows]
            if self._cancelled_by_count is not None:
                common = self._cancelled_by_count[place, budget]  # (rows, kinds words, max_atoms)
                common &= sums.reshape(len(sums), -1, 1)
                possible[rows, 1:] = np.bitwise_or.reduce(common, axis=1) != 0
            else:
                # (rows, max_atoms): for each count, the sums with it against what the suffixes behind it cancel.
                counts = np.arange(1, self.max_atoms + 1)
                budgets = self._after[self._which[place, None], budget[:, None], counts]
                common = self._add(sums[:, None], place[:, None], counts) & self._cancelled[place[:, None], budgets]
                possible[rows, 1:] = common.any(axis=(2, 3))
        return possible

    def close(self, entered: Prefixes, counts: np.ndarray) -> Prefixes:
        """The prefixes with `counts` (m,) atoms of the element that was entered."""
        budget = self._after[self._which[entered.place], entered.budget, counts].astype(np.int64)
        return Prefixes(entered.place, budget, self._add(entered.sums, entered.place, counts))

    def complete(self, prefixes: Prefixes) -> np.ndarray:
        """Where the formula may end, bool `(g,)`."""
        # Bit 0 of the first word: no charge before the cut, or none left to cancel behind it.
        neutral = (prefixes.sums[:, :, 0] & self._dtype(1)).any(axis=1)
        return self.budget.complete[prefixes.budget] & neutral & self._may_end[prefixes.place]

    def count(self, limit: int) -> int:
        """How many formulas there are, at most `limit`; exact only where charges do not matter, else an upper bound."""
        # (n,): completions from each budget state by elements behind the place at hand.
        ways = np.where(self.budget.complete, 1, 0) if self.possible else np.zeros(len(self.budget.complete), dtype=int)
        for place in range(self._n_usable, 0, -1):
            with_it = ways[self._after[self._which[place]][:, 1:]].sum(axis=1)
            ways = np.minimum(with_it if self.required[place] else with_it + ways, limit)
        return int(ways[0])

    @property
    def _n_usable(self) -> int:
        return len(self.elements) - 1

    def _may_follow(self) -> np.ndarray:
        """Whether a place may follow another: it is behind, and no required one lies between. Bool `(u + 1, u + 1)`."""
        places = np.arange(len(self.elements))
        skipped = np.cumsum(self.required) - self.required  # required ones in front of each place
        self._may_end = np.cumsum(self.required) == self.required.sum()
        from_here = np.cumsum(self.required)[:, None]
        return (places[None, :] > places[:, None]) & (skipped[None, :] <= from_here)

    def _cut_before(self) -> np.ndarray:
        """Whether the cut may lie between a place and the next one used, bool `(u + 1, u + 1)`."""
        if not self.charged:
            return np.zeros((len(self.elements), len(self.elements)), dtype=bool)
        # Every cation must be less electronegative than every anion; elements of equal chi fall on one side.
        chi = ELECTRONEGATIVITY[self.elements]  # (u + 1,), ascending
        chi[0] = -np.inf
        return chi[:, None] < chi[None, :]

    def _charges_of(self, states: StateTable | None) -> tuple[list[list[int]], list[list[int]]]:
        """Charges of each place as a cation and, without their sign, as an anion. The empty place has charge 0."""
        if states is None:
            return [], []
        of = [states.states[z, : states.n_states[z]].tolist() for z in self.elements[1:]]
        return (
            [[0], *([s for s in charges if s >= 0] for charges in of)],
            [[0], *([-s for s in charges if s <= 0] for charges in of)],
        )

    def _largest_sum(self) -> int:
        """The largest charge of a prefix, in e, that the atoms left can cancel."""
        cations, anions = (max((max(one, default=0) for one in kind), default=0) for kind in self._charges)
        used = np.arange(self.max_atoms + 1)  # atoms of cations, the rest being anions
        return int(np.minimum(cations * used, anions * used[::-1]).max())

    def _add(self, sums: np.ndarray, places: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Sums after adding `counts` atoms of the elements at `places`: unsigned `(..., kinds, words)`."""
        if not self.charged:
            return np.broadcast_to(sums, (*np.broadcast_shapes(sums.shape[:-2], counts.shape), *sums.shape[-2:]))
        kinds = []
        for kind, move in ((_BEFORE, raised), (_BEHIND, lowered)):
            total = np.zeros((), dtype=np.uint64)
            # All atoms of an element have one state, so each state is one shift of the set, by charge times count.
            for charge in self._padded[kind].T:  # (u + 1,): the k-th state of every element
                total = total | move(sums[..., kind, :], charge[places] * counts)
            kinds.append(total)
        return np.stack(kinds, axis=-2)

    def _build(self) -> None:
        """Fill the tables, from the last place to the first.

        `_cancelled` unsigned `(u + 1, n, kinds, words)`: sums that suffixes behind a place cancel, by budget state.
        `_cancelled_by_next` unsigned `(n, kinds * words, u, classes)`: the same where the suffix begins with an
        element, by the class of its count.
        `_cancelled_by_count` unsigned `(u + 1, n, kinds * words, max_atoms)`: the same for the element of a place
        and each of its counts from 1; None where it would be too large, and is computed each time.
        """
        self._shape = (2, words_for(self._largest_sum())) if self.charged else (1, 1)
        self._dtype: type[np.unsignedinteger] = np.uint64 if self.charged else np.uint8
        n, u = len(self.budget.complete), self._n_usable
        size = n * u * int(np.prod(self._shape)) * (self.classes + 1) * self._dtype().itemsize
        if size > MAX_TABLE_BYTES:
            raise OptionError(
                f"looking ahead over {self.max_atoms} atoms needs tables of {size / 2**20:.0f} MB: lower max-atoms, or "
                "narrow elements"
            )
        if self.charged:
            # A shift by as many bits as the words hold drops every sum: it stands for "no such state".
            self._padded = [_pad(kind, 64 * self._shape[1]) for kind in self._charges]
        self._cancelled = np.zeros((u + 1, n, *self._shape), dtype=self._dtype)
        each_count = (u + 1, n, *self._shape, self.max_atoms)
        small = int(np.prod(each_count)) * self._dtype().itemsize <= MAX_BYTES_BY_COUNT
        by_count = np.zeros(each_count, dtype=self._dtype) if small else None
        by_next = np.zeros((n, *self._shape, u, self.classes), dtype=self._dtype)
        # Sums before the cut, (n, words), that are cancelled by suffixes which begin with a cation, or are empty.
        before = np.zeros((n, self._shape[1]), dtype=self._dtype)
        if self.possible:
            # The end of a formula: nothing is left to cancel, whether there was a cut or not.
            self._cancelled[u, self.budget.complete, :, 0] = 1
            before[self.budget.complete, 0] = 1
        for place in range(u, 0, -1):
            exact = self._cancelled_with(place)  # (n, max_atoms, kinds, words)
            if by_count is not None:
                by_count[place] = np.moveaxis(exact, 1, 3)
            by_class = _by_class(exact, self.classes)  # (n, classes, kinds, words)
            by_next[:, :, :, place - 1] = np.moveaxis(by_class, 1, 3)
            total = np.bitwise_or.reduce(by_class, axis=1)  # (n, kinds, words)
            if not self.required[place]:  # else it may be left out: the suffixes behind it count too
                total |= np.stack([before, self._cancelled[place, :, _BEHIND]], axis=1) if self.charged else 0
                if not self.charged:
                    total[:, _BEFORE] |= before
            before = total[:, _BEFORE]
            self._cancelled[place - 1] = total
            if self.charged:  # or the suffix begins with an anion, right behind the cut
                self._cancelled[place - 1, :, _BEFORE] |= self._cancelled_by_cut(place - 1)
        self._cancelled_by_next = by_next.reshape(n, -1, u, self.classes)
        self._cancelled_by_count = None if by_count is None else by_count.reshape(u + 1, n, -1, self.max_atoms)

    def _cancelled_by_cut(self, place: int) -> np.ndarray:
        """Sums anions alone cancel, behind a cut at the first place after `place` that may have it, `(n, words)`."""
        first = int(np.argmax(np.append(self.cut_before[place], True)))
        if self.required[place + 1 : first].any():
            return np.zeros(self._cancelled.shape[1::2], dtype=self._dtype)
        return self._cancelled[first - 1, :, _BEHIND]

    def _cancelled_with(self, place: int) -> np.ndarray:
        """Sums cancelled by an element and some suffix, by its count from 1: `(n, max_atoms, kinds, words)`."""
        # Sums that suffixes behind the element cancel, by the budget state that each count of it leads to.
        behind = self._cancelled[place][self._after[self._which[place]][:, 1:]]
        if not self.charged:
            return behind
        counts = np.arange(1, self.max_atoms + 1)
        moved = np.zeros_like(behind)
        # The inverse of `_add`: a sum is cancelled by element and suffix if, the element added, the suffix cancels it.
        for kind, move in ((_BEFORE, lowered), (_BEHIND, raised)):
            for charge in self._charges[kind][place]:
                moved[:, :, kind] |= move(behind[:, :, kind], charge * counts)
        return moved


def _by_class(exact: np.ndarray, classes: int) -> np.ndarray:
    """Union over the counts of each class: `(n, max_atoms, ...)` to `(n, classes, ...)`."""
    by_class = np.zeros((len(exact), classes, *exact.shape[2:]), dtype=exact.dtype)
    single = min(classes - 1, exact.shape[1])
    by_class[:, :single] = exact[:, :single]
    if exact.shape[1] > single:
        by_class[:, -1] = np.bitwise_or.reduce(exact[:, single:], axis=1)
    return by_class


def _pad(charges: list[list[int]], beyond: int) -> np.ndarray:
    """Charges as int64 `(u + 1, most)`, padded by one that moves every sum out of the words."""
    width = max(map(len, charges), default=0)
    return np.array([[*of, *[beyond] * (width - len(of))] for of in charges], dtype=np.int64).reshape(-1, width)
