"""The same verdicts in plain Python, for formulas of any size and for where numba is not installed.

A Python integer is a bit set without an end. What `kernel` does in fixed words is done here with whole integers; an
element with many atoms in mixed valence is added at once, because the sums of many equal sets are known: a fixed
pattern at either end and everything between (Nathanson, Am. Math. Mon. 79 (1972) 1010; Granville and Walker,
arXiv:2006.01041).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from matgen.validity.rules import StateTable

MAX_CHARGE = 1 << 27
"""Charges that a bit set may reach (16 MiB an integer). Beyond, distinct sums are listed, up to `MAX_SUMS`."""

MAX_SUMS = 1_000_000
"""Distinct sums that are listed; formulas that need more (over 10^7 atoms of several elements) are left unjudged."""

UNDECIDED, BALANCED, NEUTRAL, UNBALANCEABLE = -1, 2, 1, 0
"""Verdicts: not decided; neutral and balanced; neutral alone; neither. `kernel` has the same."""


def judge(elements: np.ndarray, counts: np.ndarray, table: StateTable, chi: np.ndarray) -> int:
    """The verdict on one formula.

    Args:
        elements: atomic numbers in matgen's order, `(m,)`.
        counts: atoms of each, `(m,)`.
        table: states.
        chi: float64 `(119,)`, electronegativity, NaN where missing.
    """
    slots = [
        (table.states[z, : table.n_states[z]].tolist(), int(c), bool(table.mixed[z]) and c > 1)
        for z, c in zip(elements, counts, strict=True)
    ]
    # A single element, as in SMACT.
    if len(slots) == 1:
        return BALANCED
    if not all(states for states, _, _ in slots):
        return UNBALANCEABLE
    order = [float(chi[z]) for z in elements]
    # Bit sets where they fit into memory, listed sums beyond.
    add: Any = _bits if _span(slots) <= MAX_CHARGE else _sums
    try:
        if not np.isnan(order).any() and _is_balanced(slots, order, add):
            return BALANCED
        return NEUTRAL if _is_neutral(slots, add) else UNBALANCEABLE
    except OverflowError:
        return UNDECIDED


Slot = tuple[list[int], int, bool]
"""States of an element, its atoms, and whether they may differ in state."""


def _span(slots: Sequence[Slot]) -> int:
    return sum(count * max(max(map(abs, states)), states[-1] - states[0]) for states, count, _ in slots)


def _is_balanced(slots: Sequence[Slot], chi: Sequence[float], add: Any) -> bool:
    last = len(slots)
    # above[j]: sums of the negative charges, without their sign, of elements j on.
    above = {last: add.start()}
    for j in range(last - 1, -1, -1):
        states, count, mixed = slots[j]
        above[j] = add.element(above[j + 1], [-state for state in reversed(states) if state <= 0], count, mixed)
        # Element j cannot be an anion, so no cut lies before it.
        if not above[j]:
            break
    below = add.start()
    for j in range(last + 1):
        is_cut = j in (0, last) or chi[j - 1] < chi[j]
        # Both sides reach a common sum: the charges cancel.
        if is_cut and above.get(j) and below & above[j]:
            return True
        if j < last:
            states, count, mixed = slots[j]
            below = add.element(below, [state for state in states if state >= 0], count, mixed)
            if not below:
                return False
    return False


def _is_neutral(slots: Sequence[Slot], add: Any) -> bool:
    reach, wanted = add.start(), 0
    for states, count, mixed in slots:
        # Counted from the lowest state, so that no charge is negative.
        reach = add.element(reach, [state - states[0] for state in states], count, mixed)
        wanted -= count * states[0]
    return wanted >= 0 and bool(reach & add.only(wanted))


class _bits:
    """Sets of sums as Python integers: bit i says that the sum i occurs."""

    @staticmethod
    def start() -> int:
        return 1

    @staticmethod
    def only(value: int) -> int:
        return 1 << value

    @staticmethod
    def element(reach: int, charges: list[int], count: int, mixed: bool) -> int:
        """Sums after adding `count` atoms, whose charges (ascending, >= 0) are equal, or not where `mixed`."""
        if not mixed:
            return _shifted(reach, [charge * count for charge in charges])
        if not charges:
            return 0
        # The lowest charge is taken by all atoms; what is left are steps above it.
        reach <<= charges[0] * count
        steps = [charge - charges[0] for charge in charges]
        if len(steps) == 1:
            return reach
        # From 2 * widest atoms on, more atoms only lengthen the middle of the pattern.
        settled = 2 * steps[-1]
        pattern = 1
        for _ in range(min(count, settled)):
            pattern = _shifted(pattern, steps)
        if count <= settled:
            return _sumset(reach, pattern)
        unit = int(np.gcd.reduce(steps))
        # The pattern's lower and upper half stay as they are, and multiples of the steps' gcd fill what grows between.
        half = steps[-1] * (settled // 2)
        longer = steps[-1] * (count - settled)
        low, high = pattern & ((1 << half) - 1), pattern >> half
        middle = _progression(reach << half, unit, longer // unit)
        return _sumset(reach, low) | middle | _sumset(reach << (half + longer), high)


class _sums:
    """Sets of sums as Python sets, for charges too large for bits."""

    @staticmethod
    def start() -> set[int]:
        return {0}

    @staticmethod
    def only(value: int) -> set[int]:
        return {value}

    @staticmethod
    def element(reach: set[int], charges: list[int], count: int, mixed: bool) -> set[int]:
        """As `_bits.element`; raises OverflowError where there would be too many sums."""
        if not mixed:
            sums = {value + charge * count for charge in charges for value in reach}
        elif count * len(charges) > MAX_SUMS:
            raise OverflowError
        else:
            sums = reach
            for _ in range(count):
                sums = {value + charge for charge in charges for value in sums}
                if len(sums) > MAX_SUMS:
                    raise OverflowError
        if len(sums) > MAX_SUMS:
            raise OverflowError
        return sums


def _shifted(reach: int, shifts: Sequence[int]) -> int:
    sums = 0
    for shift in shifts:
        sums |= reach << shift
    return sums


def _sumset(reach: int, pattern: int) -> int:
    """Sums of one of `reach` and one of `pattern`, a short bit set."""
    sums = 0
    while pattern:
        lowest = pattern & -pattern  # the lowest bit that is set
        sums |= reach << (lowest.bit_length() - 1)
        pattern ^= lowest
    return sums


def _progression(reach: int, unit: int, terms: int) -> int:
    """Sums of one of `reach` and one of 0, unit, 2 unit ... (`terms` of them), by doubling."""
    done = 1
    while done < terms:
        more = min(done, terms - done)
        reach |= reach << (unit * more)
        done += more
    return reach if terms else 0
