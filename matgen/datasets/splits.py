"""Splits by hash: a composition's own hash, or that of its family, says where it belongs, so nothing moves when data
grows.

Two are fixed for ever (`SPLITS`). The shifted ones hold whole families out, so that a test part asks for more than
interpolation: anonymous formulas, pairs of elements, one element, compositions near the hull, another source.
"""

from __future__ import annotations

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS
from matgen.errors import OptionError, unknown_name

PARTS = ("train", "valid", "test")
"""The parts of a split."""

TRAIN_BELOW, VALID_BELOW = 0.95, 0.975
"""Upper bounds, on the unit interval, of the train and valid parts; the rest is test."""

SPLITS = ("split", "split_chemsys")
"""`split` hashes the composition; `split_chemsys` the set of its elements, so that no chemical system is in two parts.
Whole families of compositions are enumerated in these databases, so under `split` a held-out formula is an
interpolation."""

WITHOUT = "split_without_"
"""What the names of splits that leave one element out begin with, before its symbol: `split_without_Se`."""

SHIFTED_SPLITS = ("split_anonymous", "split_pair", f"{WITHOUT}ELEMENT")
"""Further splits that need nothing but compositions: no anonymous formula (ABC3) is in two parts; pairs of elements of
the test part occur in no other; an element (`split_without_Se`) occurs in the test part only."""

LEFT_OUT = ""
"""The part of compositions that a split neither learns from nor tests."""

SHIFTED_VALID, SHIFTED_TEST = 0.05, 0.1
"""Shares of families in the valid and test parts of shifted splits: with few families, 2.5 % would be few draws."""

_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, made odd."""

_PAIRS_OF_A_COMPOSITION = 3
"""Of a ternary. With a share s/3 of all pairs held out, about a share s of compositions has one of them."""


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

    Args:
        batch: `n` compositions.
        split: one of `SPLITS` or `SHIFTED_SPLITS`.

    Raises:
        OptionError: an unknown split, or one without an element that does not exist.
    """
    return assign_splits(split_keys(batch, split)) if split in SPLITS else shifted_parts(batch, split)


def split_keys(batch: CompositionBatch, split: str = "split") -> np.ndarray:
    """The keys that decide on the part of each composition under a named split, uint64 `(n, 2)`.

    Raises:
        OptionError: an unknown split.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    return batch.keys() if split == "split" else batch.chemical_system_keys()


def shifted_parts(
    batch: CompositionBatch,
    split: str,
    *,
    seed: int = 0,
    valid_share: float = SHIFTED_VALID,
    test_share: float = SHIFTED_TEST,
    valid_alike: bool = True,
) -> np.ndarray:
    """The part of each composition where whole families are held out, object `(n,)`.

    Args:
        batch: `n` compositions.
        split: one of `SHIFTED_SPLITS`, or of `SPLITS` with other shares than the fixed ones.
        seed: of which families are held out, and of the choice of compositions to validate by.
        valid_share: of the families (or, without `valid_alike`, of the compositions) that validate.
        test_share: of the families that test; of element pairs so many that about this share of ternaries has one.
        valid_alike: hold out further families to validate by, as far from what is learned as the test part is. Else,
            and where one element is left out, compositions at random outside the test part validate.

    Raises:
        OptionError: an unknown split, or one without an element that does not exist.
    """
    held_out = valid_share + test_share
    if split.startswith(WITHOUT):
        test = (batch.elements == _element_of(split)).any(axis=1)
        alike = np.zeros(len(batch), dtype=bool)
        valid_alike = False
    elif split == "split_pair":
        place = _lowest_of_pairs(batch, seed) * _PAIRS_OF_A_COMPOSITION
        test, alike = place < test_share, place < held_out
    else:
        place = _fractions(_family_keys(batch, split), seed)
        test, alike = place < test_share, place < held_out
    valid = alike if valid_alike else _validating(batch, seed, valid_share)
    return _parts(test, valid)


def near_hull_parts(
    batch: CompositionBatch,
    distance: np.ndarray,
    *,
    near: float = 0.1,
    seed: int = 0,
    valid_share: float = SHIFTED_VALID,
    test_share: float = SHIFTED_TEST,
) -> np.ndarray:
    """The part of each composition where nothing near the hull is learned from, object `(n,)`.

    The test part is that of `shifted_parts(batch, "split")` with the same seed and share, near or far, so that both
    are judged by the same rows; the other compositions near the hull are left out.

    Args:
        batch: `n` compositions.
        distance: float64 `(n,)`, true distances to the hull, eV/atom; NaN counts as far.
        near: distances up to this, eV/atom, are near.
        seed: of which compositions test and validate.
        valid_share: of the compositions that are not tested.
        test_share: of the compositions.
    """
    part = shifted_parts(
        batch, "split", seed=seed, valid_share=valid_share, test_share=test_share, valid_alike=False
    )  # fmt: skip
    part[(part != "test") & (distance <= near)] = LEFT_OUT
    return part


def source_parts(
    batch: CompositionBatch,
    learned: np.ndarray,
    tested: np.ndarray,
    *,
    seed: int = 0,
    valid_share: float = SHIFTED_VALID,
) -> np.ndarray:
    """The part of each composition where one source is learned from and another one tests, object `(n,)`.

    Args:
        batch: `n` compositions.
        learned: bool `(n,)`, those that the first source has a label of.
        tested: bool `(n,)`, those that the second source has a label of. What both have is learned from.
        seed: of which compositions validate.
        valid_share: of the first source's compositions.
    """
    part = _parts(tested & ~learned, _validating(batch, seed, valid_share))
    part[~learned & ~tested] = LEFT_OUT
    return part


def _parts(test: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Names of parts; what would do both tests."""
    return np.where(test, "test", np.where(valid, "valid", "train")).astype(object)


def _element_of(split: str) -> int:
    symbol = split.removeprefix(WITHOUT)
    if symbol not in ATOMIC_NUMBER:
        raise OptionError(f"split {split}: {symbol!r} is not an element; write its symbol, as {WITHOUT}Se")
    return int(ATOMIC_NUMBER[symbol])


def _family_keys(batch: CompositionBatch, split: str) -> np.ndarray:
    """Keys of the families that a split keeps together, uint64 `(n, 2)`."""
    if split in SPLITS:
        return split_keys(batch, split)
    if split != "split_anonymous":
        raise unknown_name("split", split, [*SPLITS, *SHIFTED_SPLITS])
    return batch.anonymous_formula_keys()


def _lowest_of_pairs(batch: CompositionBatch, seed: int) -> np.ndarray:
    """The lowest fraction of a composition's pairs of elements, float64 `(n,)`; 1 of an element alone."""
    first, second = np.triu_indices(N_ELEMENTS + 1, 1)
    table = np.ones((N_ELEMENTS + 1, N_ELEMENTS + 1))
    both = np.flatnonzero(first > 0)
    first, second = first[both], second[both]
    pairs = CompositionBatch.from_arrays(np.stack([first, second], axis=1), np.ones((len(first), 2), dtype=np.int64))
    table[first, second] = table[second, first] = _fractions(pairs.keys(), seed)
    lowest = np.ones(len(batch))
    for i in range(batch.elements.shape[1]):
        for j in range(i):
            lowest = np.minimum(lowest, table[batch.elements[:, i], batch.elements[:, j]])
    return lowest


def _validating(batch: CompositionBatch, seed: int, share: float) -> np.ndarray:
    """Compositions at random, bool `(n,)`, whatever tests; by the keys' other lane, which no split uses."""
    return _fractions(batch.keys()[:, ::-1], seed) < share


def _fractions(keys: np.ndarray, seed: int) -> np.ndarray:
    """Keys as fractions of 1, float64 `(n,)`, other ones for each seed.

    Lane 0 is mixed already; its product with an odd number, another one for each seed, carries its lower bits to where
    a fraction looks (multiplicative hashing: D. E. Knuth, The Art of Computer Programming 3, section 6.4).

    Args:
        keys: uint64 `(n, 2)`.
        seed: 0 or above.
    """
    odd = np.uint64((2 * seed + 1) * _GOLDEN % 2**64)
    return ((keys[:, 0] * odd) >> np.uint64(11)).astype(np.float64) / 2.0**53
