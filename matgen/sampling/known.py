"""Compositions that rows must be new to."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from matgen.composition.keys import KeySet
from matgen.datasets.catalog import CATALOG


def known_compositions(names: tuple[str, ...]) -> tuple[KeySet | None, list[dict[str, Any]]]:
    """The compositions that rows must be new to, and what they were."""
    if not names:
        return None, []
    if all(name in CATALOG and CATALOG[name].bundled for name in names):
        return _bundled_compositions(names)
    return _read_compositions(names)


def _read_compositions(names: tuple[str, ...]) -> tuple[KeySet, list[dict[str, Any]]]:
    from matgen.datasets.load import load_dataset

    datasets = [load_dataset(name) for name in names]
    keys = KeySet(np.concatenate([dataset.batch.keys() for dataset in datasets]))
    references: list[dict[str, Any]] = []
    for one in datasets:
        references.append({"name": one.name, "sha256": one.sha256, "size": len(one)})
        if one.unreadable:
            references[-1]["unreadable"] = str(one.unreadable)
    return keys, references


_bundled_compositions = functools.lru_cache(maxsize=2)(_read_compositions)  # bundled files do not change
