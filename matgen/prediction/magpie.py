"""Magpie features: statistics of tabulated properties over the elements of a composition, weighed by their amounts.

22 properties (atomic number, electronegativity, covalent radius, numbers of valence electrons ...) times minimum,
maximum, range, mean, mean absolute deviation and the value of the most abundant element, after Ward, Agrawal, Choudhary
and Wolverton, npj Comput. Mater. 2, 16028 (2016). The table is that of matminer (`data/build_elements.py` writes it);
`tests/prediction/test_magpie.py` compares the features with matminer's.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from matgen.composition.elements import N_ELEMENTS

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
_CHUNK = 16_384


@lru_cache(maxsize=1)
def magpie_table() -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the `p` properties, and their values by atomic number: float64 `(119, p)`, NaN where there is none."""
    content = json.loads(files("matgen.prediction").joinpath("magpie.json").read_text(encoding="utf-8"))["properties"]
    table = np.full((N_ELEMENTS + 1, len(content)), np.nan)
    for column, values in enumerate(content.values()):
        table[1:, column] = [np.nan if value is None else value for value in values]
    return tuple(content), table


def feature_names() -> list[str]:
    """Names of the columns of `magpie_features`: `mean Electronegativity` ..."""
    return [f"{statistic} {name}" for name in magpie_table()[0] for statistic in STATISTICS]


def magpie_features(batch: CompositionBatch) -> np.ndarray:
    """The features of `n` compositions, float32 `(n, 132)`; NaN where an element has no value of a property."""
    table = magpie_table()[1]
    features = np.empty((len(batch), len(feature_names())), dtype=np.float32)
    for start in range(0, len(batch), _CHUNK):
        part = batch[start : start + _CHUNK]
        features[start : start + len(part)] = _features(part.elements, part.counts.astype(np.float64), table)
    return features


def _features(elements: np.ndarray, counts: np.ndarray, table: np.ndarray) -> np.ndarray:
    present = (elements > 0)[:, :, None]
    values = table[elements]  # (n, k, p)
    weights = (counts / counts.sum(axis=1, keepdims=True))[:, :, None]
    low = np.where(present, values, np.inf).min(axis=1)
    high = np.where(present, values, -np.inf).max(axis=1)
    mean = np.where(present, weights * values, 0.0).sum(axis=1)
    deviation = np.where(present, weights * np.abs(values - mean[:, None, :]), 0.0).sum(axis=1)
    most = (counts == counts.max(axis=1, keepdims=True))[:, :, None] & present
    mode = np.where(most, values, np.inf).min(axis=1)  # of several, the smallest value
    return np.stack([low, high, high - low, mean, deviation, mode], axis=2).reshape(len(elements), -1)
