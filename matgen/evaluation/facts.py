"""What the bundled tables say of known compositions: whether they have been made, and their energy above the hull."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, sort_keys
from matgen.composition.keys import find_keys
from matgen.datasets import load_dataset


def facts(batch: CompositionBatch) -> pd.DataFrame:
    """What is known of `n` compositions.

    Returns:
        Columns `made`, whether the bundled dataset `experimental` holds the composition, and `energy_above_hull`,
        eV/atom: the Materials Project's where it is known, else the lower of the two distances to the hulls of the
        bundled labels, negative where the composition changes that hull; NaN without a label.
    """
    ascending, above_hull, made = _tables()
    keys = batch.keys()
    place = find_keys(ascending, keys)
    found = place >= 0
    return pd.DataFrame({"made": found & made[place], "energy_above_hull": np.where(found, above_hull[place], np.nan)})


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct keys of `hybrid`, ascending, their distances above the hull, and whether they have been made."""
    hybrid = load_dataset("hybrid")
    keys = hybrid.batch.keys()
    order, new = sort_keys(keys)
    order = order[new]
    own, oqmd, mp = (
        hybrid.frame[name].to_numpy(np.float64)[order]
        for name in ("energy_above_hull_mp", "hull_distance_oqmd", "hull_distance_mp")
    )
    above_hull = np.where(np.isfinite(own), own, np.fmin(oqmd, mp))
    return keys[order], above_hull, hybrid.frame["made"].to_numpy(dtype=bool)[order]
