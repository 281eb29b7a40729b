"""The most common oxidation states that work, or come nearest, found by dynamic programming, compiled by numba.

A *site* is some atoms that share a state: all atoms of an element, or single atoms of one in mixed valence. The search
goes site by site and keeps, for each charge, the best sum of weights that reaches it. Weights are integers, so the best
one and the way ties fall (the lowest state of the earliest element) do not depend on how it is computed; `witness`
does the same in plain Python.
"""

from __future__ import annotations

import numba
import numpy as np

MAX_SPAN = 4096
"""Charges that fit; formulas beyond are left to `witness`."""

MAX_SITES = 512
"""Sites that fit, likewise."""

# So low that it stays the least after weights are added: they are some 10^7 at most a site.
_NONE = np.int64(-(1 << 62))
# A mark in `choice`, where places of states are >= 0: here the way crosses the cut.
_FROM_BELOW = np.int8(-2)

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)


@_jit
def _best_balanced(z, atoms, divisor, states, n_states, weights, chi, m, span, score, fresh, choice, picked):
    """Best states with a cut between cations and anions; False where there are none.

    `score[0]` is for sites below the cut and `score[1]` above it, by the positive charge not yet cancelled.
    """
    # score (2, span): best sum of weights by phase and positive charge left, in elementary charges.
    score[:, :span] = _NONE
    score[0, 0] = score[1, 0] = 0
    # The cut may lie before the first site: all sites are anions then, or have no charge.
    choice[1, 0, 0] = _FROM_BELOW
    for j in range(m):
        fresh[:, :span] = _NONE
        for s in range(n_states[z[j]]):
            charge = np.int64(states[z[j], s]) * atoms[j]
            # Sites of one element in mixed valence share its weight, so that many atoms do not outweigh other elements.
            weight = weights[z[j], s] // divisor[j]
            for phase in range(2):
                if (phase == 0 and charge < 0) or (phase == 1 and charge > 0):
                    continue
                # Charge x + charge stays within 0 and span - 1: more than the other side can cancel leads nowhere.
                for x in range(max(0, -charge), min(span, span - charge)):
                    # Strictly better only: of equals the lower state stays, since states ascend.
                    if score[phase, x] > _NONE and score[phase, x] + weight > fresh[phase, x + charge]:
                        fresh[phase, x + charge] = score[phase, x] + weight
                        choice[phase, j + 1, x + charge] = s
        score[:, :span] = fresh[:, :span]
        # A cut between these sites passes the Pauling test; equal electronegativities stay on one side.
        if j + 1 == m or chi[z[j]] < chi[z[j + 1]]:
            for x in range(span):
                if score[0, x] > score[1, x]:
                    score[1, x] = score[0, x]
                    choice[1, j + 1, x] = _FROM_BELOW
    if score[1, 0] == _NONE:
        return False
    # Back from the last site, where all charge is cancelled, along the choices that led there.
    phase = 1
    x = 0
    for j in range(m, 0, -1):
        if phase == 1 and choice[1, j, x] == _FROM_BELOW:
            phase = 0
        picked[j - 1] = choice[phase, j, x]
        x -= int(states[z[j - 1], picked[j - 1]]) * int(atoms[j - 1])
    return True


@_jit
def _best_nearest(z, atoms, divisor, states, n_states, weights, m, lowest, span, score, fresh, choice, picked):
    """Best states among those whose total charge is nearest to zero; returns that charge. Of two signs the better."""
    score[0, :span] = _NONE
    # Place x is the total charge x + lowest; only row 0 is used, since there is no cut.
    score[0, 0] = 0
    for j in range(m):
        fresh[0, :span] = _NONE
        base = np.int64(states[z[j], 0])
        for s in range(n_states[z[j]]):
            charge = (np.int64(states[z[j], s]) - base) * atoms[j]
            weight = weights[z[j], s] // divisor[j]
            for x in range(span - charge):
                if score[0, x] > _NONE and score[0, x] + weight > fresh[0, x + charge]:
                    fresh[0, x + charge] = score[0, x] + weight
                    choice[0, j + 1, x + charge] = s
        score[0, :span] = fresh[0, :span]
    # Outward from zero; of +d and -d the more common one, of equals +d.
    nearest = np.int64(-1)
    for distance in range(abs(lowest) + span + 1):
        up, down = distance - lowest, -distance - lowest
        if 0 <= up < span and score[0, up] > _NONE:
            nearest = up
        if 0 <= down < span and score[0, down] > _NONE and (nearest < 0 or score[0, down] > score[0, nearest]):
            nearest = down
        if nearest >= 0:
            break
    x = int(nearest)
    for j in range(m, 0, -1):
        picked[j - 1] = choice[0, j, x]
        x -= (int(states[z[j - 1], picked[j - 1]]) - int(states[z[j - 1], 0])) * int(atoms[j - 1])
    return nearest + lowest


@_jit
def find(
    offsets, site_element, site_atoms, site_divisor, states, n_states, weights, chi, balanced, chosen, charge, done
):
    """Find the witness of each formula.

    Args:
        offsets: int64 `(n + 1,)`, where each formula's sites begin; sites are in ascending electronegativity.
        site_element: int64 `(m,)`, atomic numbers, all of which have states.
        site_atoms: int64 `(m,)`, atoms of each site.
        site_divisor: int64 `(m,)`, sites that share the weight of an element.
        states, n_states, weights: of a `StateTable`.
        chi: float64 `(119,)`.
        balanced: bool `(n,)`, formulas whose witness must pass the Pauling test; the others need not even be neutral.
        chosen: int8 `(m,)`, written: place of each site's state among its element's.
        charge: int64 `(n,)`, written: total charge.
        done: bool `(n,)`, written: False where the formula does not fit, or was said to be balanced and is not.
    """
    # Work space of all formulas: 4 MiB of `choice`, which is written before it is read.
    score = np.empty((2, MAX_SPAN), dtype=np.int64)
    fresh = np.empty((2, MAX_SPAN), dtype=np.int64)
    choice = np.empty((2, MAX_SITES + 1, MAX_SPAN), dtype=np.int8)
    picked = np.empty(MAX_SITES, dtype=np.int64)
    for i in range(len(offsets) - 1):
        start, m = offsets[i], offsets[i + 1] - offsets[i]
        z, atoms = site_element[start : start + m], site_atoms[start : start + m]
        divisor = site_divisor[start : start + m]
        # Elementary charges: the most of all cations, of all anions, and the range of the total.
        positive, negative, lowest, highest = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for j in range(m):
            low, high = np.int64(states[z[j], 0]), np.int64(states[z[j], n_states[z[j]] - 1])
            lowest += low * atoms[j]
            highest += high * atoms[j]
            positive += max(high, 0) * atoms[j]
            negative -= min(low, 0) * atoms[j]
        # Places of charge: uncancelled positive charge from 0 on, or totals from the lowest on.
        span = min(positive, negative) + 1 if balanced[i] else highest - lowest + 1
        done[i] = False
        if m > MAX_SITES or span > MAX_SPAN:
            continue
        if balanced[i]:
            done[i] = _best_balanced(
                z, atoms, divisor, states, n_states, weights, chi, m, span, score, fresh, choice, picked
            )
            charge[i] = 0  # balanced means neutral too
        else:
            done[i] = True
            charge[i] = _best_nearest(
                z, atoms, divisor, states, n_states, weights, m, lowest, span, score, fresh, choice, picked
            )
        if done[i]:
            for j in range(m):
                chosen[start + j] = picked[j]
