"""Fixed splits: a composition's own hash says where it belongs, so nothing moves when data grows."""

from __future__ import annotations

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import unknown_name

PARTS = ("train", "valid", "test")
"""The parts of a split."""

TRAIN_BELOW, VALID_BELOW = 0.95, 0.975
"""Upper bounds, on the unit interval, of the train and valid parts; the rest is test."""

SPLITS = ("split", "split_chemsys")
"""`split` hashes the composition; `split_chemsys` the set of its elements, so that no chemical system is in two parts.
Whole families of compositions are enumerated in these databases, so under `split` a held-out formula is an
interpolation."""


def assign_splits(keys: np.ndarray) -> np.ndarray:
    """The part of each key, object array of `train`, `valid` and `test` `(n,)`.

    The upper 53 bits of lane 0, read as a fraction of 1, fall below 0.95 (train), below 0.975 (valid) or above (test).

    Args:
        keys: uint64 `(n, 2)`, from `CompositionBatch.keys` or `CompositionBatch.chemical_system_keys`.
    """
    return np.array(PARTS, dtype=object)[part_codes(keys) - 1]


def part_codes(keys: np.ndarray) -> np.ndarray:
    """The same as numbers, uint8 `(n,)`: 1 + the place of the part in `PARTS`."""
    fraction = (keys[:, 0] >> np.uint64(11)).astype(np.float64) / 2.0**53
    return 1 + (fraction >= TRAIN_BELOW).astype(np.uint8) + (fraction >= VALID_BELOW).astype(np.uint8)


def codes_of_parts(parts: np.ndarray) -> np.ndarray:
    """The codes of parts by name, uint8 `(n,)`: 1 + the place in `PARTS`, 0 for any other name."""
    codes = np.zeros(len(parts), dtype=np.uint8)
    for code, part in enumerate(PARTS, start=1):
        codes[parts == part] = code
    return codes


def split_batch(batch: CompositionBatch, split: str = "split") -> np.ndarray:
    """The part of each composition under a named split, object `(n,)`.

    Raises:
        OptionError: an unknown split.
    """
    return assign_splits(split_keys(batch, split))


def split_keys(batch: CompositionBatch, split: str = "split") -> np.ndarray:
    """The keys that decide on the part of each composition under a named split, uint64 `(n, 2)`.

    Raises:
        OptionError: an unknown split.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    return batch.keys() if split == "split" else batch.chemical_system_keys()
