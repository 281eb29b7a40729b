"""How common the oxidation states of an assignment are, by how often the ICSD (2024) reports them.

Almost every composition balances by *some* reported states. Whether these are states that its elements usually take
tells compounds that have been made from those that have only been written down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matgen.composition.elements import SYMBOLS
from matgen.validity.rules import MAX_STATE, UNREPORTED, StateTable, icsd_reports

RARE = 0.01
"""Share of its element's reports below which a state is rare."""


@dataclass(frozen=True)
class Commonness:
    """How common the states of each composition's best balanced assignment are.

    Attributes:
        score: float64 `(n,)`, 0 to 1: the geometric mean over the elements of the reports of an element's state over
            the reports of the element's commonest state. 1 for a single element, 0 where no assignment balances, NaN
            where the formula has too many atoms to find one.
        rarest_state: object `(n,)`, the state with the smallest share of its element's reports, such as `Pb+1`; None
            without an assignment and for a single element.
        rarest_state_share: float64 `(n,)`, that share, of all reports of the element, those of the state zero (the
            element itself, intermetallics) included; NaN where there is no such state.
    """

    score: np.ndarray
    rarest_state: np.ndarray
    rarest_state_share: np.ndarray

    @property
    def rare(self) -> np.ndarray:
        """True where the rarest state has a share below `RARE`, bool `(n,)`."""
        return np.asarray(self.rarest_state_share < RARE)


def commonness(
    n: int,
    ions: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    scored: np.ndarray,
    single: np.ndarray,
    unknown: np.ndarray,
    table: StateTable,
) -> Commonness:
    """Score the assignments of `n` compositions.

    Atoms of one element in several states (mixed valence) count by the geometric mean over them. A state that the ICSD
    does not report, possible in other tables than icsd24, counts as `rules.UNREPORTED` reports.

    Args:
        n: number of compositions.
        ions: `row`, `element`, `state` and `count` of an `explaining.Ions`, each `(m,)`.
        scored: bool `(n,)`, compositions of several elements whose ions are a balanced assignment.
        single: bool `(n,)`, single elements.
        unknown: bool `(n,)`, those whose assignment was not found or that were not judged.
        table: the states that were allowed: whether zero is one of an element's states, and may be its commonest.
    """
    kept = scored[ions[0]]
    row, element, state, count = (values[kept] for values in ions)
    reports, total, commonest = _reports(table)
    found = reports[element, state.astype(np.int64) + MAX_STATE]
    relative = np.log(np.maximum(found, UNREPORTED) / commonest[element])
    # First the mean over the atoms of an element, then over the elements of a composition.
    slots = np.flatnonzero(np.diff(row * 256 + element, prepend=-1) != 0)
    score = np.where(single, 1.0, 0.0)
    share = np.full(n, np.nan)
    rarest = np.full(n, None, dtype=object)
    if len(slots):
        of_element = np.add.reduceat(relative * count, slots) / np.add.reduceat(count, slots)
        starts = np.flatnonzero(np.diff(row[slots], prepend=-1) != 0)
        n_elements = np.diff(np.append(starts, len(slots)))
        score[row[slots[starts]]] = np.exp(np.add.reduceat(of_element, starts) / n_elements)
        of_all = np.divide(found, total[element], out=np.zeros(len(found)), where=total[element] > 0)
        _name_rarest(row, element, state, of_all, rarest, share)
    score[unknown] = np.nan
    return Commonness(score, rarest, share)


def _reports(table: StateTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reports by element and state, of all states of each element, and of its commonest state, at least 1."""
    reports = icsd_reports().astype(np.float64)
    total = reports.sum(axis=1)
    ionic = reports.copy()
    counted = np.arange(table.states.shape[1]) < table.n_states[:, None]
    ionic[~((table.states == 0) & counted).any(axis=1), MAX_STATE] = 0.0
    return reports, total, np.maximum(ionic.max(axis=1), 1.0)


def state_shares(elements: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Share of each state among all reports of its element, float64 `(m,)`, 0 to 1; NaN for an element without any.

    Args:
        elements: atomic numbers `(m,)`.
        states: oxidation states `(m,)`, from -`rules.MAX_STATE` to `rules.MAX_STATE`.
    """
    reports = icsd_reports().astype(np.float64)
    total = reports[elements].sum(axis=1)
    found = reports[elements, np.asarray(states).astype(np.int64) + MAX_STATE]
    return np.divide(found, total, out=np.full(len(found), np.nan), where=total > 0)


def _name_rarest(
    row: np.ndarray, element: np.ndarray, state: np.ndarray, shares: np.ndarray, rarest: np.ndarray, share: np.ndarray
) -> None:
    """Write the rarest state of each row, of equals the first in matgen's order of elements, and its share."""
    order = np.lexsort((np.arange(len(row)), shares, row))
    first = order[np.diff(row[order], prepend=-1) != 0]
    code = element[first].astype(np.int64) * 256 + state[first] + 128
    kinds, place = np.unique(code, return_inverse=True)
    words = np.array([state_text(kind // 256, kind % 256 - 128) for kind in kinds.tolist()], dtype=object)
    rarest[row[first]] = words[place]
    share[row[first]] = shares[first]


def state_text(element: int, state: int) -> str:
    """An element in a state as it is written in a table: `Pb+1`, `O-2`."""
    return f"{SYMBOLS[element]}{state:+d}" if state else f"{SYMBOLS[element]}0"


def share_text(share: float) -> str:
    """A share of reports in percent, with the digits that it needs; `below 0.01 %` where that is many."""
    if 0 < share < 0.0001:
        return "below 0.01 %"
    digits = 2 if share < 0.01 else 1 if share < 0.1 else 0
    return f"{100 * share:.{digits}f} %"
