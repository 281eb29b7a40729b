"""Masks on the decoding state: the tokens after which some completion still satisfies the constraints.

Under a mask every sequence is the canonical one of its composition (in matgen's order, counts reduced), so that a
composition is written in one way and no element is asked for once its turn is over. `LookAhead` has what may follow;
here it is turned into tokens of the two notations.

Shapes: `g` prefixes, `v` words of the vocabulary, `m` new prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matgen.composition.elements import N_ELEMENTS, SYMBOLS
from matgen.errors import OptionError
from matgen.models.tokenizer import EOS, FIRST_ELEMENT, MAX_TOKEN_COUNT, vocabulary
from matgen.sampling.constraints.count_budget import open_budget, pattern_budget
from matgen.sampling.constraints.definition import Constraints
from matgen.sampling.constraints.look_ahead import LookAhead, Prefixes
from matgen.validity import state_table

MAX_ATOMS = 126
"""Most atoms that a masked sequence may have in either notation: what 126 tokens of the notation `expanded` hold."""

MAX_ATOMS_VALID = 40
"""The same under `valid` where no constraint limits them (98% of the valid compositions of the bundled table have no
more), or twice the atoms that the constraints need, if that is more."""

_SETS_ATOMS = {"max_atoms", "anonymous_formula", "stoichiometry"}
_ENUMERATED_AT_ONCE = 1024


@dataclass(frozen=True)
class MaskStates:
    """What the mask knows of `g` prefixes: the closed elements, and the last one, which is still open.

    Attributes:
        element: int64 `(g,)`, atomic number of the open element; 0 for the empty prefix.
        count: int64 `(g,)`, its atoms so far.
        alone: bool `(g,)`, True where it is the first.
        entered: the closed elements before it, and its place.
        final: bool `(g, max_atoms + 1)`, counts that it may end up with if another element follows or has come before.
    """

    element: np.ndarray
    count: np.ndarray
    alone: np.ndarray
    entered: Prefixes
    final: np.ndarray

    def __len__(self) -> int:
        return len(self.element)

    def __getitem__(self, rows: np.ndarray | slice) -> MaskStates:
        return MaskStates(self.element[rows], self.count[rows], self.alone[rows], self.entered[rows], self.final[rows])


class DecodingMask:
    """The mask of constraints in a notation.

    Every token that it allows has a completion that satisfies the constraints, and no canonical sequence of a
    satisfying composition of at most `max_atoms` atoms is forbidden.

    Args:
        constraints: what must hold.
        notation: `expanded` or `counted`.
        max_tokens: the longest sequence, without `<bos>` and `<eos>`.
        known: bool `(119,)`, elements that the model knows; others are never drawn. None for all.

    Attributes:
        max_atoms: most atoms of a drawn formula: the least of the constraint's, `max_tokens`, and `MAX_ATOMS` or
            `MAX_ATOMS_VALID`.

    Raises:
        OptionError: nothing satisfies the constraints; the message names the one to blame where there is one.
    """

    def __init__(
        self, constraints: Constraints, notation: str, *, max_tokens: int = 126, known: np.ndarray | None = None
    ) -> None:
        self.constraints, self.notation = constraints, notation
        self.vocabulary = vocabulary(notation)
        self.known = np.ones(N_ELEMENTS + 1, dtype=bool) if known is None else known
        unknown = np.flatnonzero(constraints.required_elements() & ~self.known)
        if len(unknown):
            raise OptionError(f"the checkpoint does not know {', '.join(SYMBOLS[unknown])}, which must be present")
        self.max_tokens = max_tokens
        self.max_atoms = _atoms_limit(constraints, max_tokens)
        # A counted token has 1 to 16 atoms, and after 16 more may come; an expanded one has one, and more may come.
        classes = MAX_TOKEN_COUNT if notation == "counted" else 1
        self._look_ahead = _look_ahead(constraints, self.known, self.max_atoms, classes)
        self._singles = _single_elements(constraints, self.known)
        if not self._singles.any() and not self._look_ahead.next_elements(self._look_ahead.start()).any():
            raise OptionError(self.why_impossible())

    def start(self) -> MaskStates:
        """The state of the empty prefix, one."""
        zero = np.zeros(1, dtype=np.int64)
        final = np.zeros((1, self.max_atoms + 1), dtype=bool)
        return MaskStates(zero, zero, np.zeros(1, dtype=bool), self._look_ahead.start(), final)

    def allowed(self, states: MaskStates) -> np.ndarray:
        """Tokens that may come next, bool `(g, vocabulary)`; `<eos>` where the formula as it stands satisfies all."""
        look_ahead = self._look_ahead
        # The open element with the atoms it has now: what another element would follow, and `<eos>` would end.
        closed = look_ahead.close(states.entered, states.count)
        tokens = np.zeros((len(states), len(self.vocabulary)), dtype=bool)
        # A view, (g, 118, classes): the tokens of an element stand together, ascending by count.
        by_element = tokens[:, FIRST_ELEMENT:].reshape(len(states), N_ELEMENTS, look_ahead.classes)
        by_element[:, look_ahead.elements[1:] - 1] = look_ahead.next_elements(closed)
        # The open element itself is not among the next ones, but it may get more atoms.
        rows = np.flatnonzero(states.element > 0)
        by_element[rows, states.element[rows] - 1] = self._more_of_it(states[rows])
        # Single elements, which need no charges: the first token, with one atom, and then the end.
        by_element[states.element == 0, :, 0] |= self._singles[1:]
        tokens[:, EOS] = look_ahead.complete(closed)
        tokens[:, EOS] |= states.alone & (states.count == 1) & self._singles[states.element]
        return tokens

    def advance(self, states: MaskStates, parents: np.ndarray, tokens: np.ndarray) -> MaskStates:
        """The states after one more token, which `allowed` must have allowed.

        Args:
            states: `g` states.
            parents: int64 `(m,)`, the row of `states` that each new prefix continues.
            tokens: int64 `(m,)`, ids of element tokens (nothing follows `<eos>`).
        """
        element, atoms = self.vocabulary.atomic_number[tokens], self.vocabulary.count[tokens]
        if (element == 0).any():
            raise ValueError("only element tokens lead to another state")
        before = states[parents]  # (m,)
        same = element == before.element
        count = np.where(same, before.count + atoms, atoms)
        alone = np.where(same, before.alone, before.element == 0)
        entered, final = before.entered, before.final
        # Only another element moves on in the tables; one more token of the same changes its count alone.
        new = np.flatnonzero(~same)
        if len(new):
            closed = self._look_ahead.close(entered[new], before.count[new])
            opened = self._enter(closed, element[new])
            entered = Prefixes(
                _replaced(entered.place, new, opened.place),
                _replaced(entered.budget, new, opened.budget),
                _replaced(entered.sums, new, opened.sums),
            )
            final = _replaced(final, new, self._look_ahead.final_counts(opened))
        return MaskStates(element, count, alone, entered, final)

    def count_compositions(self, limit: int) -> int:
        """How many compositions of at most `max_atoms` atoms satisfy the constraints, or `limit` if there are more.

        With `valid` they are enumerated, some 50,000 a second; without, counted at once.
        """
        look_ahead = self._look_ahead
        n = int(self._singles.sum())
        if n >= limit or not look_ahead.charged:
            return min(limit, n + look_ahead.count(limit))
        if n + look_ahead.count(limit) <= n:  # an upper bound
            return n
        # Depth first, in slices of bounded size: the stack stays short, however many compositions there are.
        stack = [look_ahead.start()]
        while stack and n < limit:
            prefixes = stack.pop()
            if len(prefixes) > _ENUMERATED_AT_ONCE:
                stack.append(prefixes[_ENUMERATED_AT_ONCE:])
                prefixes = prefixes[:_ENUMERATED_AT_ONCE]
            n += int(look_ahead.complete(prefixes).sum())
            row, place = np.nonzero(look_ahead.next_elements(prefixes).any(axis=2))
            # Each prefix and next element, then each count with which something can follow or end.
            for start in range(0, len(row), 8 * _ENUMERATED_AT_ONCE):
                part = slice(start, start + 8 * _ENUMERATED_AT_ONCE)
                entered = look_ahead.enter(prefixes[row[part]], place[part] + 1)
                which, count = np.nonzero(look_ahead.final_counts(entered))
                if len(which):
                    stack.append(look_ahead.close(entered[which], count))
        return min(limit, n)

    def check_prompt(self, tokens: Sequence[int]) -> None:
        """Refuse a prompt that no satisfying sequence begins with.

        Args:
            tokens: ids of element tokens.

        Raises:
            OptionError: there is none; the first token too many is named.
        """
        states = self.start()  # one prefix, which grows by a token at a time
        for place, token in enumerate(tokens):
            if not self.allowed(states)[0, token]:
                begun = " ".join(self.vocabulary.tokens[i] for i in tokens[: place + 1])
                raise OptionError(
                    f"no sequence that begins with {begun!r} satisfies {self.constraints} (under constraints, elements "
                    "are written in order of electronegativity and counts reduced)"
                )
            states = self.advance(states, np.zeros(1, dtype=np.int64), np.array([token]))

    def why_impossible(self) -> str:
        """One line on why nothing satisfies the constraints: those that stand in the way if dropped one at a time."""
        # Dropped one at a time: two constraints that only contradict each other together are both named.
        given = self.constraints.given()
        help_ = []
        for name in given if len(given) > 1 else []:
            fewer = self.constraints.without(name)
            limit = _atoms_limit(fewer, self.max_tokens) if name in _SETS_ATOMS else self.max_atoms
            if self._is_possible(fewer, limit):
                help_.append(f"without {name.replace('_', '-')}")
        longer = min(self.max_tokens, 2 * self.max_atoms, MAX_ATOMS)
        may_be_longer = longer > self.max_atoms and not _SETS_ATOMS.intersection(given)
        if may_be_longer and self._is_possible(self.constraints, longer):
            help_.append("with a larger max-atoms")
        at_most = "" if self.constraints.pattern else f" of at most {self.max_atoms} atoms"
        line = f"no composition{at_most} satisfies {self.constraints}"
        return f"{line}: {' or '.join(help_)} there would be one" if help_ else line

    def _is_possible(self, constraints: Constraints, max_atoms: int) -> bool:
        if _single_elements(constraints, self.known).any():
            return True
        look_ahead = _look_ahead(constraints, self.known, max_atoms, 1)
        return bool(look_ahead.next_elements(look_ahead.start()).any())

    def _enter(self, closed: Prefixes, element: np.ndarray) -> Prefixes:
        """The prefixes with `element` as the next; one that can only stand alone leads nowhere."""
        place = self._look_ahead.place_of[element]
        entered = self._look_ahead.enter(closed, place)
        # Place 0 stands for elements in no formula of several, such as noble gases under `valid`.
        entered.budget[place == 0] = self._look_ahead.budget.dead
        return entered

    def _more_of_it(self, states: MaskStates) -> np.ndarray:
        """Whether another token of the open element may come, by the token's count: bool `(g, per element)`."""
        g, columns = len(states), np.arange(self.max_atoms + 1)
        last = (states.final * columns).max(axis=1)  # the largest count it may end up with
        if self.notation == "expanded":
            return (last > states.count)[:, None]
        # Counted, a count is full tokens of 16 and then its remainder; only full tokens are followed by another one.
        more = np.zeros((g, MAX_TOKEN_COUNT), dtype=bool)
        full = np.flatnonzero(states.count % MAX_TOKEN_COUNT == 0)  # else the count is complete
        counts = states.count[full, None] + np.arange(1, MAX_TOKEN_COUNT)
        fits = counts <= self.max_atoms
        more[full, :-1] = fits & states.final[full[:, None], np.minimum(counts, self.max_atoms)]
        # Another full token, if the element may end with at least that many atoms.
        more[full, -1] = last[full] >= states.count[full] + MAX_TOKEN_COUNT
        return more


def _replaced(values: np.ndarray, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[rows] = new
    return values


def _atoms_limit(constraints: Constraints, max_tokens: int) -> int:
    """Most atoms of a formula; refuses where the constraints need more than a sequence holds."""
    limit, needed = min(max_tokens, MAX_ATOMS), constraints.fewest_atoms()
    if needed > limit:
        raise OptionError(f"{constraints} needs {needed} atoms, under constraints a sequence holds at most {limit}")
    if constraints.pattern is not None:
        return needed
    if constraints.max_atoms is not None:
        return min(limit, constraints.max_atoms)
    return min(limit, max(MAX_ATOMS_VALID, 2 * needed)) if constraints.valid else limit


def _look_ahead(constraints: Constraints, known: np.ndarray, max_atoms: int, classes: int) -> LookAhead:
    usable = constraints.allowed_elements() & known
    fixed = constraints.fixed
    after: dict[int, np.ndarray] = {}
    if constraints.pattern is None:
        fewest, most = constraints.num_elements or (1, None)
        if most is not None and most >= min(max_atoms, int(usable.sum())):
            most = None  # no formula has more elements anyway, and the budget needs fewer states
        budget = open_budget(max_atoms, min(fewest, max_atoms + 1), most)
    elif len(constraints.pattern) == 1:
        budget = open_budget(max_atoms, 2, 1)  # single elements alone
    else:
        # Elements of known counts take those out of the pattern; the others share what is left of it.
        left = list(constraints.pattern)
        for atoms in fixed.values():
            left.remove(atoms)
        budget = pattern_budget(max_atoms, tuple(left))
    for z, low, high in constraints.count:
        # From 1 on: that the element is absent, where it may be, is up to `required_elements`.
        after[z] = budget.for_range(max(low, 1), max_atoms if high is None else high)
    for z, atoms in fixed.items():
        after[z] = budget.for_fixed(atoms)
    # Oxidation states matter for `valid` alone.
    table = state_table(constraints.rules) if constraints.valid else None
    return LookAhead(budget, usable, constraints.required_elements(), after, table, classes)


def _single_elements(constraints: Constraints, known: np.ndarray) -> np.ndarray:
    """Elements that satisfy the constraints alone, with the count 1, bool `(119,)`."""
    single = constraints.allowed_elements() & known
    required = constraints.required_elements()
    if required.any():  # a formula of one element holds one required element at most
        single &= required if required.sum() == 1 else False
    # Reduced, a single element has the count 1, so the pattern is that of `A`.
    fewest, _ = constraints.num_elements or (1, None)
    if fewest > 1 or constraints.pattern not in (None, (1,)):
        single[:] = False
    for z, low, high in constraints.count:
        single[z] &= low <= 1 and (high is None or high >= 1)
    return single
