"""Verdicts by trying every assignment: no bit sets, no cuts, nothing shared with the code under test."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from matgen.composition.elements import ELECTRONEGATIVITY
from matgen.validity import StateTable

MAX_ASSIGNMENTS = 30_000_000


def n_assignments(elements: np.ndarray, counts: np.ndarray, table: StateTable) -> int:
    """Assignments that `verdict` would try, atoms of an element differing by their states alone."""
    total = 1
    for z, c in zip(elements.tolist(), counts.tolist(), strict=True):
        n = int(table.n_states[z])
        total *= _n_multisets(n, c) if table.mixed[z] else n
    return total


def verdict(elements: np.ndarray, counts: np.ndarray, table: StateTable) -> tuple[bool, bool]:
    """Whether some assignment is neutral, and whether some neutral one passes the Pauling test, pair by pair."""
    if len(elements) == 1:
        return True, True
    assert n_assignments(elements, counts, table) <= MAX_ASSIGNMENTS
    # An element without states leaves no assignment, whatever the others could be, which may be in very many ways.
    if not table.n_states[elements].all():
        return False, False
    total = np.zeros(1, dtype=np.int64)
    cation, anion = np.full(1, -np.inf), np.full(1, np.inf)  # highest chi of a cation, lowest of an anion
    for z, c in zip(elements.tolist(), counts.tolist(), strict=True):
        chi = ELECTRONEGATIVITY[z]
        options = _options(tuple(table.states[z, : table.n_states[z]].tolist()), c, bool(table.mixed[z]))
        charge, plus, minus = (np.array(column) for column in zip(*options, strict=True))
        total = (total[:, None] + charge).ravel()
        cation = np.where(plus, np.maximum(cation[:, None], chi), cation[:, None]).ravel()
        anion = np.where(minus, np.minimum(anion[:, None], chi), anion[:, None]).ravel()
    neutral = total == 0
    if np.isnan(ELECTRONEGATIVITY[elements]).any():
        return bool(neutral.any()), False
    return bool(neutral.any()), bool((neutral & (cation < anion)).any())


@cache
def _options(states: tuple[int, ...], c: int, mixed: bool) -> list[tuple[int, bool, bool]]:
    """What `c` atoms of one element can be: their charge, whether one is a cation, whether one is an anion."""
    ways = itertools.combinations_with_replacement(states, c) if mixed else [(s,) * c for s in states]
    return sorted({(sum(way), max(way) > 0, min(way) < 0) for way in ways})


def _n_multisets(n: int, c: int) -> int:
    ways = 1
    for i in range(c):
        ways = ways * (n + i) // (i + 1)
        if ways > MAX_ASSIGNMENTS:
            break
    return ways
