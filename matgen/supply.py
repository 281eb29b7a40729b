"""What a composition takes: price and abundance of its elements, who produces them, toxicity, radioactivity.

Figures are of the pure elements that a formula holds, by mass; what making the compound costs is not in them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from matgen.chemistry import ATOMIC_MASS, CRUSTAL_ABUNDANCE, HHI_PRODUCTION, HHI_RESERVE, N_ELEMENTS, PRICE, SYMBOLS
from matgen.composition import CompositionBatch
from matgen.element_groups import ELEMENT_GROUPS

COLUMNS = {
    "cost": "price of the elements, US dollars a kilogram (2013)",
    "crustal_abundance": "of the scarcest element, mg/kg of the Earth's crust",
    "scarcest_element": "the element that it is of",
    "hhi_production": "concentration of its elements' production on few countries, 0 to 10,000",
    "hhi_reserve": "the same of the reserves",
    "toxic": "holds an element of the group toxic",
    "radioactive": "holds an element without a stable isotope",
}
"""Column to what it says."""


def supply(batch: CompositionBatch) -> pd.DataFrame:
    """The columns of `COLUMNS` for `n` compositions, numbers missing where a value of one of their elements is.

    * `cost`: sum over elements of mass fraction times price (as pymatgen's `CostAnalyzer` from elements).
    * `hhi_production`, `hhi_reserve`: sums of mass fraction times index (Gaultois et al., Chem. Mater. 25 (2013) 2911).
    * `crustal_abundance`: the least among the elements, since the scarcest one limits the supply.
    """
    masses = ATOMIC_MASS[batch.elements] * batch.counts
    fractions = np.divide(masses, np.nansum(masses, axis=1, keepdims=True))
    present = batch.elements > 0

    def weighted(values: np.ndarray) -> np.ndarray:
        summed: np.ndarray = np.where(present, fractions * values[batch.elements], 0.0).sum(axis=1)
        return summed

    abundance = np.where(present, CRUSTAL_ABUNDANCE[batch.elements], np.inf)
    unknown = np.isnan(abundance).any(axis=1)
    scarcest = np.argmin(np.where(np.isnan(abundance), -1.0, abundance), axis=1)
    rows = np.arange(len(batch))
    return pd.DataFrame(
        {
            "cost": weighted(PRICE),
            "crustal_abundance": np.where(unknown, np.nan, abundance[rows, scarcest]),
            "scarcest_element": SYMBOLS[batch.elements[rows, scarcest]],
            "hhi_production": weighted(HHI_PRODUCTION),
            "hhi_reserve": weighted(HHI_RESERVE),
            "toxic": _holds(batch, "toxic"),
            "radioactive": _holds(batch, "radioactive"),
        }
    )


def _holds(batch: CompositionBatch, group: str) -> np.ndarray:
    members = np.zeros(N_ELEMENTS + 1, dtype=bool)
    members[list(ELEMENT_GROUPS[group])] = True
    found: np.ndarray = members[batch.elements].any(axis=1)
    return found
