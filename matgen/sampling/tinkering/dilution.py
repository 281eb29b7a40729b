"""Doping: a share of a site's atoms replaced, in the smallest cell that holds whole atoms."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.sampling.constraints.template import read_formula

FINEST_SHARE = 1000
"""Largest denominator of a share; other shares are rounded to the nearest fraction."""


def read_share(value: str | float | Fraction) -> Fraction:
    """A share of a site: `0.125`, `1/8` or a number; 0.3333 is a third.

    Raises:
        OptionError: it is not above 0 and at most 1.
    """
    parts = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", str(value))
    try:
        given = Fraction(int(parts[1]), int(parts[2])) if parts else Fraction(float(value))
    except (ValueError, OverflowError, ZeroDivisionError):  # not a number, infinite, or over nothing
        given = Fraction(0)
    share = given.limit_denominator(FINEST_SHARE)
    if not (share and 0 < given <= 1) or (share == 1 and given != 1):
        raise OptionError(
            f"dope is {str(value)[:20]!r}, it must be a share above 0 and at most 1, such as 0.125 or 1/8 "
            f"(none finer than 1/{FINEST_SHARE})"
        )
    return share


def diluted(formula: str, site: int, fills: np.ndarray, share: Fraction) -> CompositionBatch:
    """The smallest cells in which whole atoms make up a share of a site: La in Sr of SrTiO3, 1/8, is LaSr7Ti8O24.

    Args:
        formula: of the host; it is reduced.
        site: atomic number of the element that is replaced in part.
        fills: uint8 `(m,)`, the elements that replace it; one that the formula has adds to it.
        share: above 0 and at most 1.

    Returns:
        `m` compositions, reduced.
    """
    one = read_formula(formula)
    counts = one.counts[0].astype(np.int64)
    at = int(np.flatnonzero(one.elements[0] == site)[0])
    cells = (share * int(counts[at])).denominator
    replaced = int(share * int(counts[at]) * cells)
    counts *= cells
    counts[at] -= replaced
    m = len(fills)
    elements = np.concatenate([np.repeat(one.elements, m, axis=0), fills[:, None]], axis=1)
    return CompositionBatch.from_arrays(elements, np.tile(np.append(counts, replaced), (m, 1)))
