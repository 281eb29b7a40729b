"""Decompositions as balanced reactions."""

from __future__ import annotations

import re
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import FormulaError

_MOST = 60  # a coefficient above this is written as a decimal number of formula units of one candidate


def reaction(formula: str, decomposition: str) -> str | None:
    """The reaction that a decomposition stands for, such as `2 Na3AlO3 → 3 Na2O + Al2O3`.

    Args:
        formula: what decomposes.
        decomposition: as `matgen predict` writes it, fractions of atoms: `0.60 Na2O + 0.40 Al2O3`.

    Returns:
        None where the text names no phases, or where they do not make up the composition in one way.
    """
    names = [match[1] for part in decomposition.split(" + ") if (match := re.fullmatch(r"[\d.]+ (\S+)", part))]
    if not names or len(names) != decomposition.count(" + ") + 1:
        return None
    try:
        batch = CompositionBatch.from_formulas([formula, *names])
    except FormulaError:
        return None
    names = batch.formulas().tolist()[1:]
    single = (batch.n_elements == 1).tolist()[1:]
    units = [2 if alone and name.endswith("2") else 1 for alone, name in zip(single, names, strict=True)]  # as in N2
    amounts = _amounts(batch, units)
    if amounts is None:
        return None
    scale = lcm(*(amount.denominator for amount in amounts))
    whole = [int(amount * scale) for amount in amounts]
    shared = gcd(scale, *whole)
    if scale // shared <= _MOST and max(whole) // shared <= _MOST:
        left, right = _counted(scale // shared, formula), [n // shared for n in whole]
        return f"{left} → {' + '.join(_counted(n, name) for n, name in zip(right, names, strict=True))}"
    return f"{formula} → {' + '.join(f'{float(n):.3g} {name}' for n, name in zip(amounts, names, strict=True))}"


def _amounts(batch: CompositionBatch, units: list[int]) -> list[Fraction] | None:
    """Formula units of each phase for one of the first composition; None where they do not balance it.

    Args:
        batch: the composition, then the phases.
        units: of each phase, atoms of an element in what counts as one of it, 1 for a compound.
    """
    elements = np.unique(batch.elements[batch.elements > 0])
    atoms = np.zeros((len(elements), len(batch)))
    for column in range(len(batch)):
        present = batch.elements[column] > 0
        atoms[np.searchsorted(elements, batch.elements[column][present]), column] = batch.counts[column][present]
    atoms[:, 1:] *= units
    found, _, rank, _ = np.linalg.lstsq(atoms[:, 1:], atoms[:, 0], rcond=None)
    amounts = [Fraction(float(value)).limit_denominator(100_000) for value in found]
    left = atoms[:, 0] - atoms[:, 1:] @ np.array([float(amount) for amount in amounts])
    return None if rank < len(found) or np.abs(left).max() > 1e-6 or min(amounts) <= 0 else amounts


def _counted(n: int, name: str) -> str:
    return name if n == 1 else f"{n} {name}"
