"""Compositions as text: reduced and anonymous formulas and chemical systems, whole batches at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from matgen.composition.elements import FORMULA_RANK, PYMATGEN_ELECTRONEGATIVITY, SYMBOLS
from matgen.composition.kernels import kernel_for

_POLYANION_MAX_DIFFERENCE = 1.65
"""Pymatgen brackets the last two elements of a formula when their electronegativities differ by less than this."""

_UNREDUCED = {
    "LiO": "Li2O2",
    "NaO": "Na2O2",
    "KO": "K2O2",
    "HO": "H2O2",
    "CsO": "Cs2O2",
    "RbO": "Rb2O2",
    "O": "O2",
    "N": "N2",
    "F": "F2",
    "Cl": "Cl2",
    "H": "H2",
}
"""Formulas that pymatgen's `reduced_formula` (`Composition.special_formulas`) writes unreduced."""

_SYMBOL_BYTES = np.frombuffer("".join(f"{symbol:\0<2}" for symbol in SYMBOLS).encode(), dtype=np.uint8).reshape(-1, 2)
"""Each symbol's bytes, zero padded, uint8 `(119, 2)`."""

_WRITTEN_AT_ONCE = 65_536
"""Formulas that compiled code writes at once."""


def reduced_formulas(elements: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Formulas as pymatgen's `reduced_formula` writes them, object array of str `(n,)`.

    Args:
        elements: uint8 `(n, k)`, atomic numbers, zero padded.
        counts: int32 `(n, k)`, reduced, zero padded.
    """
    # None where there are too few rows for numba to pay.
    kernel = kernel_for(len(elements), "sequence_kernel")
    text = _written(elements, counts) if kernel is None else _written_by(kernel, elements, counts)
    # All of `_UNREDUCED` have at most two elements, one atom of each.
    small = np.flatnonzero((counts <= 1).all(axis=1) & (np.count_nonzero(elements, axis=1) <= 2))
    text[small] = [_UNREDUCED.get(formula, formula) for formula in text[small]]
    return text


def _written(elements: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`reduced_formulas` before what pymatgen writes unreduced."""
    # (n, k): slots in the order of writing, which differs from that of `elements`; padding goes last.
    by_rank = np.argsort(np.where(elements > 0, FORMULA_RANK[elements], 255), axis=1, kind="stable")
    elements = np.take_along_axis(elements, by_rank, axis=1).astype(np.int64)
    counts = np.take_along_axis(counts, by_rank, axis=1).astype(np.int64)
    text = _join(_tokens(elements, counts))
    _bracket_polyanions(text, elements, counts)
    return text


def _written_by(kernel: Any, elements: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`_written`, by compiled code and Arrow, which makes strings quickest."""
    import pyarrow as pa

    n, k = elements.shape
    parts = []
    # In pieces, since room is kept for the longest text that any formula of this width could have.
    for start in range(0, n, _WRITTEN_AT_ONCE):
        rows = slice(start, min(start + _WRITTEN_AT_ONCE, n))
        size = rows.stop - rows.start
        data = np.empty(size * (k + 1) * kernel.MOST_BYTES, dtype=np.uint8)
        offsets = np.empty(size + 1, dtype=np.int32)
        kernel.write_formulas(
            elements[rows], counts[rows], FORMULA_RANK, _SYMBOL_BYTES, PYMATGEN_ELECTRONEGATIVITY,
            _POLYANION_MAX_DIFFERENCE, data, offsets,
        )  # fmt: skip
        # Arrow's layout of a string column: no validity bits, where each text begins, and all text.
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        column = pa.Array.from_buffers(pa.string(), size, buffers)
        parts.append(column.to_numpy(zero_copy_only=False))
    return np.concatenate(parts)


def _bracket_polyanions(text: np.ndarray, elements: np.ndarray, counts: np.ndarray) -> None:
    """Rewrite in place the formulas whose last two elements share a divisor: Li Fe P4 O16 style to Fe(PO4)4."""
    # `elements` and `counts` int64 `(n, k)`, in the order of writing.
    n_elements = np.count_nonzero(elements, axis=1)
    rows = np.flatnonzero(n_elements >= 3)
    last = n_elements[rows] - 1  # slot of the most electronegative element
    chi_gap = PYMATGEN_ELECTRONEGATIVITY[elements[rows, last]] - PYMATGEN_ELECTRONEGATIVITY[elements[rows, last - 1]]
    divisor = np.gcd(counts[rows, last], counts[rows, last - 1])  # PO4 in Fe(PO4)4: gcd(4, 16) = 4
    chosen = (chi_gap < _POLYANION_MAX_DIFFERENCE) & (divisor > 1)  # a missing electronegativity compares False
    rows, last, divisor = rows[chosen], last[chosen], divisor[chosen]
    if not len(rows):
        return
    # (r, 2): the two slots that go into the bracket; the others stay before it.
    pair = np.stack([last - 1, last], axis=1)
    pair_elements = np.take_along_axis(elements[rows], pair, axis=1)
    pair_counts = np.take_along_axis(counts[rows], pair, axis=1) // divisor[:, None]
    head_elements = elements[rows].copy()
    np.put_along_axis(head_elements, pair, 0, axis=1)
    head = _join(_tokens(head_elements, counts[rows]))
    group = _join(_tokens(pair_elements, pair_counts))
    text[rows] = head + "(" + group + ")" + divisor.astype(str).astype(object)


def anonymous_formulas(counts: np.ndarray) -> np.ndarray:
    """Anonymous formulas of counts `(n, k)`, zero padded: object `(n,)`, as `CompositionBatch.anonymous_formulas`."""
    # Padding becomes the largest number, so that it stays on the right.
    counts = np.sort(np.where(counts > 0, counts.astype(np.int64), np.iinfo(np.int64).max), axis=1)
    present = counts < np.iinfo(np.int64).max
    letters = np.array([_letters(slot) for slot in range(counts.shape[1])], dtype=object)
    numbers = np.where(present & (counts > 1), _numerals(counts), "")  # a single atom has no number
    return _join(np.where(present, letters[None, :], "") + numbers)


def chemical_systems(elements: np.ndarray) -> np.ndarray:
    """Symbols in alphabetical order (`Fe-Li-O-P`), object `(n,)`, of atomic numbers `(n, k)`, zero padded."""
    # (119,): atomic number to place in the alphabet of symbols.
    alphabetical = np.zeros(len(SYMBOLS), dtype=np.int64)
    alphabetical[1 + np.argsort(SYMBOLS[1:].astype(str))] = np.arange(len(SYMBOLS) - 1)
    rank = np.where(elements > 0, alphabetical[elements], 255)
    elements = np.take_along_axis(elements, np.argsort(rank, axis=1, kind="stable"), axis=1)
    symbols = SYMBOLS[elements]
    symbols[:, 1:] = np.where(elements[:, 1:] > 0, "-" + symbols[:, 1:], "")
    return _join(symbols)


def _numerals(counts: np.ndarray) -> np.ndarray:
    """Counts as text, object array of the same shape; each distinct number is written once."""
    distinct, inverse = np.unique(counts, return_inverse=True)
    return distinct.astype(str).astype(object)[inverse.reshape(counts.shape)]


def _tokens(elements: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Symbol and count of each slot (`O3`, `Ti`), object `(n, k)`, empty text in padding."""
    numbers = np.where((elements > 0) & (counts > 1), _numerals(counts), "")
    return SYMBOLS[elements] + numbers


def _join(parts: np.ndarray) -> np.ndarray:
    """Concatenate text along the second axis: object `(n, k)` to object `(n,)`."""
    # Object arrays: adding them joins the texts row by row.
    text = parts[:, 0].copy()
    for slot in range(1, parts.shape[1]):
        text = text + parts[:, slot]
    return text


def _letters(slot: int) -> str:
    return chr(65 + slot) if slot < 26 else _letters(slot // 26 - 1) + chr(65 + slot % 26)
