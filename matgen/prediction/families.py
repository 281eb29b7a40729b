"""How much is known beside a composition: compounds of its anonymous formula and of its chemical system.

Databases enumerate whole families, an anonymous formula over many elements; inside one, a prediction is interpolation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.datasets.labels import labeled_phases
from matgen.hull import CompetingPhases


class Families:
    """Numbers of compounds by anonymous formula and by chemical system.

    Args:
        phases: the compounds.
    """

    def __init__(self, phases: CompetingPhases) -> None:
        self._phases = phases
        self._anonymous = np.unique(anonymous_keys(phases.batch), return_counts=True)
        self._systems = np.unique(_system_keys(phases.batch), return_counts=True)

    def others(self, batch: CompositionBatch) -> np.ndarray:
        """Other compounds of each composition's anonymous formula and of its chemical system, int64 `(n, 2)`."""
        own = self._phases.rows_of(batch) >= 0
        found = [_looked_up(*self._anonymous, anonymous_keys(batch)), _looked_up(*self._systems, _system_keys(batch))]
        return np.stack(found, axis=1) - own[:, None]


@lru_cache(maxsize=2)
def labeled_families(source: str) -> Families:
    """Those of the bundled labels of `oqmd` or `mp`.

    Raises:
        OptionError: an unknown source.
    """
    return Families(labeled_phases(source))


@lru_cache(maxsize=1)
def bundled_compositions() -> KeySet:
    """All compositions of the bundled table; what is not among them is novel to both databases."""
    return KeySet(load_dataset("hybrid").batch.keys())


def anonymous_keys(batch: CompositionBatch) -> np.ndarray:
    """Keys of anonymous formulas, uint64 `(n,)`: equal where two have the same counts in any order."""
    return batch.anonymous_formula_keys()[:, 0]


def _system_keys(batch: CompositionBatch) -> np.ndarray:
    return batch.chemical_system_keys()[:, 0]


def _looked_up(keys: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The count of each wanted key, int64 `(n,)`, 0 where it is not among the ascending `keys`."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, counts[place], 0)
