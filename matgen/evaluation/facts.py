"""What the bundled tables say of known compositions: whether they have been made, and their energy above the hull."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, sort_keys
from matgen.composition.keys import find_keys
from matgen.datasets import load_dataset

_BY_LABELS = ("hull_distance_oqmd", "hull_distance_mp")
_KEPT = (
    "in_oqmd",
    "in_mp",
    "made",
    "formation_energy_oqmd",
    "formation_energy_mp_min",
    "energy_above_hull_mp",
    *_BY_LABELS,
)


def facts(batch: CompositionBatch) -> pd.DataFrame:
    """What is known of `n` compositions.

    Returns:
        Columns `made`, whether the bundled dataset `experimental` holds the composition, and `energy_above_hull`,
        eV/atom: the Materials Project's where it is known, else the lower of the two distances to the hulls of the
        bundled labels, negative where the composition changes that hull; NaN without a label.
    """
    ascending, known = bundled()
    place = find_keys(ascending, batch.keys())
    found, rows = place >= 0, known.iloc[place]
    above_hull = rows["energy_above_hull_mp"].to_numpy(np.float64)
    by_labels = np.fmin(*(rows[name].to_numpy(np.float64) for name in _BY_LABELS))
    above_hull = np.where(np.isfinite(above_hull), above_hull, by_labels)
    return pd.DataFrame(
        {"made": found & rows["made"].to_numpy(), "energy_above_hull": np.where(found, above_hull, np.nan)}
    )


@lru_cache(maxsize=1)
def bundled() -> tuple[np.ndarray, pd.DataFrame]:
    """The bundled table in the order of its keys, loaded once: whoever shows single compositions asks again and again.

    Returns:
        Distinct keys, ascending, uint64 `(m, 2)`; a row for each with the columns of energies, `in_oqmd`, `in_mp`
        and `made`.
    """
    hybrid = load_dataset("hybrid")
    keys = hybrid.batch.keys()
    order, new = sort_keys(keys)
    order = order[new]
    return keys[order], hybrid.frame[list(_KEPT)].iloc[order].reset_index(drop=True)
