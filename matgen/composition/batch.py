"""Compositions as arrays: parse, format, compare and hash whole batches without a Python loop over formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from matgen.composition.abbreviations import ENDINGS
from matgen.composition.elements import IS_METAL, ORDER_RANK
from matgen.composition.kernels import arrow_strings, kernel_for
from matgen.composition.objects import amounts_of, several, shown
from matgen.composition.parser import MAX_COUNT, SYMBOL_TABLE, parse_exact, parse_plain, read_amounts
from matgen.composition.writing import anonymous_formulas, chemical_systems, reduced_formulas
from matgen.errors import DataError, FormulaError
from matgen.runtime.notebook import formula_html, table_html
from matgen.runtime.unreadable import report_remarks

NOTE = "formula_note"
"""The column of what people write beside a composition in its cell: phases, labels, dopants, charges."""

_SEEDS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)
"""Of the two lanes of a key."""

_SHOWN = 10
"""Rows that a notebook shows."""


@dataclass(frozen=True)
class BadFormula:
    """A row that could not be read: its 0-based position in the input, the text, and why."""

    row: int
    formula: str
    reason: str

    def __str__(self) -> str:
        return _row_and_text(self.row, self.formula, self.reason)


@dataclass(frozen=True)
class Remark:
    """A row that was read with a remark, since its text could have been meant otherwise or says more.

    Attributes:
        row: 0-based position in the input.
        formula: the text.
        remark: how it was read.
        note: what stands beside the composition, such as `quartz` or `2-`, "" as a rule.
    """

    row: int
    formula: str
    remark: str
    note: str = ""

    def __str__(self) -> str:
        return _row_and_text(self.row, self.formula, self.remark)


def _row_and_text(row: int, formula: str, said: str) -> str:
    shown = formula if len(formula) <= 40 else formula[:37] + "..."
    return f"row {row + 1}: {shown!r}: {said}"


@dataclass(frozen=True)
class ParsedFormulas:
    """What `parse_formulas` found: the compositions that could be read, their rows, and the rows that could not.

    Attributes:
        batch: the `m` compositions that were read, in the order of the input.
        rows: int64 `(m,)`, the 0-based row of each in the input.
        bad: the other rows, in order, with reasons.
        remarks: rows that were read with a remark, in order.
    """

    batch: CompositionBatch
    rows: np.ndarray
    bad: list[BadFormula]
    remarks: list[Remark] = field(default_factory=list)

    def note_column(self) -> dict[str, np.ndarray]:
        """`{"formula_note": notes}`, object `(m,)` with "" where there is none; empty where no row has a note.

        As a dict, so that a stage adds it to its own columns: `columns | parsed.note_column()`.
        """
        notes = {one.row: one.note for one in self.remarks if one.note}
        if not notes:
            return {}
        return {NOTE: np.array([notes.get(row, "") for row in self.rows.tolist()], dtype=object)}


class CompositionBatch:
    """`n` reduced compositions of at most `k` elements each.

    Attributes:
        elements: uint8 `(n, k)`, atomic numbers in matgen's order (ascending Pauling electronegativity of SMACT, ties
            by atomic number, missing values last), zero padded on the right.
        counts: int32 `(n, k)`, atoms of each element, divided by their greatest common divisor, zero padded.
    """

    __slots__ = ("counts", "elements")

    def __init__(self, elements: np.ndarray, counts: np.ndarray) -> None:
        """Wrap arrays that are already in canonical form; anything else goes through `from_arrays`."""
        self.elements = elements
        self.counts = counts

    @classmethod
    def from_formulas(cls, formulas: Any) -> CompositionBatch:
        """Read formulas or compositions, all of which must be readable (`parse_formulas` lets bad rows pass).

        Args:
            formulas: as for `parse_formulas`; a batch is returned as it is.

        Raises:
            FormulaError: naming the first bad row and how many there are.
        """
        if isinstance(formulas, CompositionBatch):
            return formulas
        parsed = parse_formulas(formulas)
        if parsed.bad:
            more = f" (and {len(parsed.bad) - 1} more)" if len(parsed.bad) > 1 else ""
            raise FormulaError(f"{parsed.bad[0]}{more}")
        return parsed.batch

    @classmethod
    def from_arrays(cls, elements: np.ndarray, counts: np.ndarray) -> CompositionBatch:
        """Bring atomic numbers and counts in any order, repeated, unreduced or with zeros, to canonical form.

        Args:
            elements: integers `(n, k)`, atomic numbers; 0 means no element.
            counts: integers `(n, k)`, at least 0.

        Raises:
            FormulaError: a row has no atom, or more than 2^31 - 1 of one element.
        """
        if elements.shape != counts.shape:
            raise FormulaError(f"{elements.shape=} != {counts.shape=}")
        n, k = elements.shape
        # (n * k,): every slot is one token; those of zero atoms fall away.
        row = np.repeat(np.arange(n), k)
        return cls.from_tokens(n, row, elements.ravel().astype(np.int64), counts.ravel().astype(np.int64))

    @classmethod
    def from_tokens(cls, n: int, row: np.ndarray, atomic_number: np.ndarray, count: np.ndarray) -> CompositionBatch:
        """Canonical batch from `(row, atomic number, count)` triples in any order; repeats are added up."""
        present = (count > 0) & (atomic_number > 0)
        row, atomic_number, count = row[present], atomic_number[present], count[present]
        # One number sorts by row and then in matgen's order, whose ranks are below 256.
        place = row * 256 + ORDER_RANK[atomic_number]
        # Formulas are often written in that order already, and comparing is much quicker than sorting.
        if np.any(place[1:] <= place[:-1]):
            order = np.argsort(place, kind="stable")
            place, row, atomic_number, count = place[order], row[order], atomic_number[order], count[order]
        # Where an element of a row is met first; its repeats follow and are added to it.
        first = np.flatnonzero(np.concatenate(([True], place[1:] != place[:-1]))) if len(place) else place
        if len(first) < len(place):
            count = np.add.reduceat(count, first)
            row, atomic_number = row[first], atomic_number[first]
        n_elements = np.bincount(row, minlength=n)
        if n and n_elements.min() == 0:
            raise FormulaError(f"row {int(np.argmin(n_elements)) + 1}: no atoms")
        k = int(n_elements.max()) if n else 1
        # (tokens,): place among the elements of the row, from 0: the token's place less that of the row's first token.
        slot = np.arange(len(row)) - np.repeat(np.cumsum(n_elements) - n_elements, n_elements)
        elements = np.zeros((n, k), dtype=np.uint8)
        # Sums of repeats may exceed int32 until they are reduced.
        counts = np.zeros((n, k), dtype=np.int64)
        elements[row, slot] = atomic_number
        counts[row, slot] = count
        # (n,); padding changes nothing, since gcd(a, 0) is a.
        divisor = np.gcd.reduce(counts, axis=1)
        reducible = divisor > 1  # dividing is slow and most formulas are reduced
        counts[reducible] //= divisor[reducible, None]
        if n and counts.max() > MAX_COUNT:
            bad = int(np.argmax(counts.max(axis=1)))
            raise FormulaError(f"row {bad + 1}: more than {MAX_COUNT} atoms of one element in the reduced formula")
        return cls(elements, counts.astype(np.int32))

    @classmethod
    def concatenate(cls, batches: Sequence[CompositionBatch]) -> CompositionBatch:
        """One batch of all rows, in order. An empty sequence gives an empty batch."""
        k = max((batch.elements.shape[1] for batch in batches), default=1)
        n = sum(len(batch) for batch in batches)
        elements, counts = np.zeros((n, k), dtype=np.uint8), np.zeros((n, k), dtype=np.int32)
        start = 0
        for batch in batches:
            stop, width = start + len(batch), batch.elements.shape[1]
            # Batches may differ in width; what is beyond one's own stays zero.
            elements[start:stop, :width] = batch.elements
            counts[start:stop, :width] = batch.counts
            start = stop
        return cls(elements, counts)

    def __len__(self) -> int:
        return len(self.elements)

    def __getitem__(self, rows: slice | np.ndarray) -> CompositionBatch:
        """The rows picked by a slice, an index array or a boolean mask."""
        return CompositionBatch(self.elements[rows], self.counts[rows])

    def __iter__(self) -> Iterator[str]:
        return iter(self.formulas())

    def __repr__(self) -> str:
        head = ", ".join(self[:3].formulas())
        return f"CompositionBatch(n={len(self)}, {head}{', ...' if len(self) > 3 else ''})"

    def _repr_html_(self) -> str:
        first = self[:_SHOWN]
        columns = (first.formulas(), first.chemical_systems(), first.anonymous_formulas(), first.n_atoms)
        rows = [(formula_html(str(row[0])), *map(str, row[1:])) for row in zip(*columns, strict=True)]
        more = f"<p>the first {len(first)} of {len(self):,}</p>" if len(self) > len(first) else ""
        head = ("formula", "elements", "anonymous formula", "atoms")
        return table_html(f"{len(self):,} compositions", head, rows) + more

    @property
    def n_elements(self) -> np.ndarray:
        """Number of distinct elements, int64 `(n,)`."""
        return np.count_nonzero(self.elements, axis=1)

    @property
    def n_atoms(self) -> np.ndarray:
        """Atoms in the reduced formula, int64 `(n,)`."""
        return self.counts.sum(axis=1, dtype=np.int64)

    @property
    def all_metal(self) -> np.ndarray:
        """True where every element is in SMACT's list of metals (an alloy to SMACT), bool `(n,)`."""
        # Padding is no element, so it does not count against an alloy.
        return (IS_METAL[self.elements] | (self.elements == 0)).all(axis=1)

    def keys(self) -> np.ndarray:
        """A 128-bit hash of each composition, uint64 `(n, 2)`: equal compositions have equal keys.

        The key depends on elements and counts alone (not on padding, platform or version), so splits may rest on it.
        Two independent lanes, each absorbing element and count slot by slot with the finalizer of SplitMix64 (Steele,
        Lea and Flood, OOPSLA 2014).
        """
        n, k = self.elements.shape
        keys = np.empty((n, 2), dtype=np.uint64)
        kernel = kernel_for(n)
        if kernel is not None:
            kernel.hash_rows(self.elements, self.counts, np.array(_SEEDS, dtype=np.uint64), keys)
            return keys
        # The same by numpy, all rows at once and slot by slot.
        for lane, seed in enumerate(_SEEDS):
            state = np.full(n, seed, dtype=np.uint64)
            for slot in range(k):
                # (n,): atomic number in the upper 32 bits, count (below 2^31) in the lower.
                code = (self.elements[:, slot].astype(np.uint64) << np.uint64(32)) | self.counts[:, slot].astype(
                    np.uint64
                )
                mixed = _splitmix64(state ^ _splitmix64(code + np.uint64(seed)))
                # Padding is passed over, so that the key does not depend on the width of the batch.
                state = np.where(self.elements[:, slot] > 0, mixed, state)
            keys[:, lane] = state
        return keys

    def chemical_system_keys(self) -> np.ndarray:
        """Keys of the sets of elements, uint64 `(n, 2)`: equal where two compositions have the same elements."""
        # One atom of each element stands for all compositions of the system.
        return CompositionBatch(self.elements, (self.counts > 0).astype(np.int32)).keys()

    def anonymous_formula_keys(self) -> np.ndarray:
        """Keys of anonymous formulas, uint64 `(n, 2)`: equal where two have the same counts in any order."""
        # The elements 1, 2, 3 ... stand for all, as in ABC3.
        counts = np.sort(self.counts, axis=1)[:, ::-1]
        places = np.arange(1, counts.shape[1] + 1)
        return CompositionBatch(np.where(counts > 0, places, 0).astype(np.uint8), np.ascontiguousarray(counts)).keys()

    def formulas(self) -> np.ndarray:
        """Each composition as pymatgen's `reduced_formula` writes it, object array of str `(n,)`."""
        return reduced_formulas(self.elements, self.counts)

    def anonymous_formulas(self) -> np.ndarray:
        """Anonymous formulas as pymatgen's `anonymized_formula`, object `(n,)`: counts ascending, A, B, C ... (ABC3).

        From the 27th element on the letters are A2-like pairs (`AA`, `AB` ...), where pymatgen stops.
        """
        return anonymous_formulas(self.counts)

    def chemical_systems(self) -> np.ndarray:
        """Chemical systems as the field writes them, symbols in alphabetical order (`Fe-Li-O-P`), object `(n,)`."""
        return chemical_systems(self.elements)


def parse_formulas(formulas: Any) -> ParsedFormulas:
    """Parse formulas; rows that cannot be read are reported and the rest go on.

    Anything that pymatgen's `Composition` reads is read: nested brackets, decimals (as exact ratios), blanks; hydrate
    dots, fractions and subscript digits besides. Deuterium and tritium count as hydrogen, as in pymatgen.

    Args:
        formulas: any iterable of formulas (list, pandas Series, numpy array, pyarrow array), or one formula. A formula
            is a text, a dict of symbols and amounts, or an object with a composition: pymatgen's `Composition`,
            `Element`, `Structure` and `ComputedEntry`, ASE's `Atoms`. Other entries are bad rows. Large columns are
            read fastest as Arrow strings (a pyarrow array or a Series that holds one), since no Python text is made of
            them.

    Raises:
        FormulaError: a whole table instead of one of its columns, or nothing to iterate over, such as None.
    """
    if hasattr(formulas, "columns") and hasattr(formulas, "shape"):
        raise FormulaError("a table instead of formulas: give one of its columns, such as table['formula']")
    formulas = several(formulas)
    # Arrow strings are read from their own bytes; other text is turned into them where that pays.
    chunks = arrow_strings(formulas)
    if chunks is None:
        texts = formulas.to_pylist() if hasattr(formulas, "to_pylist") else list(formulas)
        chunks = _texts_as_arrow(texts)
        if chunks is None:
            return _parse_texts(texts)
    parsed = [_parse_arrow(chunk) for chunk in chunks]
    if len(parsed) == 1:
        return parsed[0]
    # Rows are counted over all chunks.
    starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])[:-1].tolist()
    return ParsedFormulas(
        CompositionBatch.concatenate([one.batch for one in parsed]),
        np.concatenate(
            [np.empty(0, dtype=np.int64), *(one.rows + start for one, start in zip(parsed, starts, strict=True))]
        ),
        [
            BadFormula(bad.row + start, bad.formula, bad.reason)
            for one, start in zip(parsed, starts, strict=True)
            for bad in one.bad
        ],
        [
            replace(said, row=said.row + start)
            for one, start in zip(parsed, starts, strict=True)
            for said in one.remarks
        ],
    )


def as_texts(formulas: Any) -> list[Any]:
    """Formulas as a list of text, for tables: dicts and objects become reduced formulas, all else stays as it is.

    Raises:
        FormulaError: naming the first dict or object whose composition cannot be read.
    """
    entries = list(several(formulas))
    rows = [i for i, entry in enumerate(entries) if not isinstance(entry, str) and amounts_of(entry) is not None]
    for i, formula in zip(rows, CompositionBatch.from_formulas([entries[i] for i in rows]).formulas(), strict=True):
        entries[i] = str(formula)
    return entries


def parse_some(formulas: Any) -> ParsedFormulas:
    """`parse_formulas`, of a column of which at least one formula must be read; remarks are warnings.

    Raises:
        DataError: none can be read.
    """
    parsed = parse_formulas(formulas)
    if not len(parsed.batch):
        example = f"; {parsed.bad[0]}" if parsed.bad else ""
        raise DataError(f"none of the {len(parsed.bad):,} formulas can be read{example}")
    if parsed.remarks:
        report_remarks(len(parsed.remarks), parsed.remarks[0])
    return parsed


def _texts_as_arrow(texts: list[str]) -> list[Any] | None:
    """A large list of text as an Arrow array, or None where it is small or not text throughout."""
    if kernel_for(len(texts)) is None or set(map(type, texts)) != {str}:
        return None
    import pyarrow as pa

    try:
        return [pa.array(texts, pa.large_string())]
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def _parse_texts(texts: list[str]) -> ParsedFormulas:
    """Parse a list, whatever its entries, by numpy alone."""
    reasons: dict[int, str] = {}
    objects: dict[int, dict[str, Any]] = {}
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            _sort_out(i, text, objects, reasons)
    odd = reasons.keys() | objects.keys()
    rows = ["" if i in odd else text for i, text in enumerate(texts)] if odd else texts
    # `parse_plain` reads one ASCII text with a formula a line; rows that would break it are emptied, and so not plain.
    joined = "".join(rows)
    if not joined.isascii() or "\n" in joined:
        rows = [text if text.isascii() and "\n" not in text else "" for text in rows]
    row, atomic_number, count, plain = parse_plain(rows)

    # What is not plain, or plain and out of range, is read one by one: slow, exact, and with a reason if it is bad.
    plain[_rows_out_of_range(row, count, plain)] = False
    left = [i for i in np.flatnonzero(~plain).tolist() if i not in reasons]
    exact_row, exact_number, exact_count, remarks = _read_exactly(left, texts.__getitem__, reasons, objects)
    keep = plain[row]
    good = np.ones(len(texts), dtype=bool)  # (n,): rows that were read, by either reader
    good[list(reasons)] = False
    # (n,): row in the batch, which has no bad rows.
    new_row = np.cumsum(good) - 1
    batch = CompositionBatch.from_tokens(
        int(good.sum()),
        new_row[np.concatenate([row[keep], exact_row])],
        np.concatenate([atomic_number[keep], exact_number]),
        np.concatenate([count[keep], exact_count]),
    )
    bad = [BadFormula(i, shown(texts[i]), reasons[i]) for i in sorted(reasons)]
    return ParsedFormulas(batch, np.flatnonzero(good), bad, remarks)


def _parse_arrow(chunk: Any) -> ParsedFormulas:
    """Parse one array of Arrow strings from its own bytes; the same results as of its `to_pylist`."""
    kernel = kernel_for(len(chunk))
    if kernel is None:
        return _parse_texts(chunk.to_pylist())
    n = len(chunk)
    # Nulls are looked up below, from the array itself.
    _, where, text = chunk.buffers()
    data = np.frombuffer(text or b"", dtype=np.uint8)
    wide = str(chunk.type) == "large_string"
    # A slice shares the buffers of the array it was cut from: `offset` is its first row there.
    offsets = np.frombuffer(where, dtype=np.int64 if wide else np.int32)[chunk.offset : chunk.offset + n + 1]
    width = kernel.most_symbols(data, offsets)
    elements, counts = np.empty((n, width), dtype=np.uint8), np.empty((n, width), dtype=np.int32)
    # (n,): 0 where the kernel leaves a row to the other readers.
    n_elements = np.empty(n, dtype=np.uint8)
    kernel.read_plain(data, offsets, SYMBOL_TABLE, ENDINGS, ORDER_RANK, MAX_COUNT, elements, counts, n_elements)

    reasons: dict[int, str] = {}
    if chunk.null_count:
        missing = np.flatnonzero(chunk.is_null().to_numpy(zero_copy_only=False))
        n_elements[missing] = 0
        reasons = dict.fromkeys(missing.tolist(), "missing")
    left = [i for i in np.flatnonzero(n_elements == 0).tolist() if i not in reasons]

    def text_of(i: int) -> str:
        return data[offsets[i] : offsets[i + 1]].tobytes().decode("utf-8", errors="replace")

    # What the kernel leaves as a small batch, whose rows are then put where they belong.
    found = _parse_texts([text_of(i) for i in left])
    others, rows = found.batch, np.array(left, dtype=np.int64)[found.rows]
    reasons.update((left[bad.row], bad.reason) for bad in found.bad)
    remarks = [replace(remark, row=left[remark.row]) for remark in found.remarks]
    # As narrow as the widest composition: the kernel's width counts symbols, repeats included.
    k = max(int(n_elements.max()) if n else 1, others.elements.shape[1] if len(rows) else 1)
    elements, counts = _to_width(elements, k), _to_width(counts, k)
    elements[rows], counts[rows] = _to_width(others.elements, k), _to_width(others.counts, k)
    good = np.ones(n, dtype=bool)
    good[list(reasons)] = False
    batch = CompositionBatch(elements, counts)
    bad = [BadFormula(i, "None" if reasons[i] == "missing" else text_of(i), reasons[i]) for i in sorted(reasons)]
    return ParsedFormulas(batch[good] if bad else batch, np.flatnonzero(good), bad, remarks)


def _sort_out(i: int, entry: Any, objects: dict[int, dict[str, Any]], reasons: dict[int, str]) -> None:
    """Put the amounts of an entry that is no text into `objects`, or why it has none into `reasons`."""
    try:
        amounts = amounts_of(entry)
    except FormulaError as error:
        reasons[i] = str(error)
        return
    if amounts is not None:
        objects[i] = amounts
    else:
        reasons[i] = "missing" if _is_missing(entry) else f"not text but {type(entry).__name__}"
        if isinstance(entry, bytes):
            reasons[i] += ": decode it, as b'NaCl'.decode()"


def _read_exactly(
    rows: list[int],
    text_of: Callable[[int], Any],
    reasons: dict[int, str],
    objects: Mapping[int, dict[str, Any]] = MappingProxyType({}),
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Remark]]:
    """Row, atomic number and count, int64 `(tokens,)` each, of rows read one by one; why not goes into `reasons`."""
    tokens: list[tuple[int, int, int]] = []
    remarks = []
    for i in rows:
        text = text_of(i)
        try:
            reading = read_amounts(objects[i]) if i in objects else parse_exact(text)
        except FormulaError as error:
            reasons[i] = str(error)
            continue
        tokens.extend((i, z, amount) for z, amount in reading.counts.items())
        if reading.remark:
            remarks.append(Remark(i, shown(text), reading.remark, reading.note))
    triples = np.array(tokens, dtype=np.int64).reshape(-1, 3)
    return triples[:, 0], triples[:, 1], triples[:, 2], remarks


def _to_width(array: np.ndarray, k: int) -> np.ndarray:
    """The first `k` columns, with zeros for those that are not there."""
    if array.shape[1] >= k:
        return np.ascontiguousarray(array[:, :k])
    return np.pad(array, ((0, 0), (0, k - array.shape[1])))


def first_occurrence(keys: np.ndarray) -> np.ndarray:
    """For each key the first row that has it: int64 `(n,)`, equal to its own row where a key is new.

    Args:
        keys: uint64 `(n, 2)` from `CompositionBatch.keys`.
    """
    order, new = sort_keys(keys)
    # Rows of equal keys come in any order, so the first of them is the least of their run.
    first = np.empty(len(keys), dtype=np.int64)
    if len(keys):
        first[order] = np.minimum.reduceat(order, np.flatnonzero(new))[np.cumsum(new) - 1]  # number of the run, from 0
    return first


def sort_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order in which keys ascend by lane 0 and then by lane 1, and where in it a new key begins.

    Args:
        keys: uint64 `(n, 2)`.

    Returns:
        int64 `(n,)`, rows in order of their keys, those of equal keys in any order; and bool `(n,)`, True at the first
        of each run of equal keys.
    """
    order = np.argsort(keys[:, 0])  # many times quicker than sorting by both lanes, and nearly always enough
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    # Lane 0 alone is not enough where two different keys share it.
    if (same[:, 0] & ~same[:, 1]).any():
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
        same = ordered[1:] == ordered[:-1]
    new = np.ones(len(keys), dtype=bool)
    new[1:] = ~same.all(axis=1)
    return order, new


def _is_missing(entry: object) -> bool:
    """True for None, NaN and pandas' NA and NaT (by name, since comparing an NA has no truth value)."""
    if isinstance(entry, float):
        return entry != entry
    return entry is None or type(entry).__name__ in ("NAType", "NaTType")


def _rows_out_of_range(row: np.ndarray, count: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Plain rows with no atom (`H0`) or too many for int32, so that the exact reader gives the reason."""
    atoms = np.bincount(row, weights=count, minlength=len(plain))
    return np.flatnonzero(plain & ((atoms == 0) | (atoms > MAX_COUNT)))


def _splitmix64(x: np.ndarray) -> np.ndarray:
    # Products wrap around at 2^64, as they should.
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
