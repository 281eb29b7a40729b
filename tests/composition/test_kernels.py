"""Columns of formulas from Arrow, read by the compiled reader, against the same texts in a list, read by numpy."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matgen.composition.batch as composition
import matgen.composition.kernels as columns
from matgen.composition.batch import CompositionBatch, ParsedFormulas, parse_formulas
from matgen.composition.elements import SYMBOLS
from matgen.runtime.compiled import load_kernel

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def always_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_WORTH_LOADING", 1)
    monkeypatch.setattr(columns, "_WORTH_USING", 1)


def by_numpy(texts: list) -> ParsedFormulas:
    return composition._parse_texts(texts)


def keys_by_numpy(batch: CompositionBatch) -> np.ndarray:
    kernel_for, composition.kernel_for = composition.kernel_for, lambda n: None
    try:
        return batch.keys()
    finally:
        composition.kernel_for = kernel_for


def assert_same(found: ParsedFormulas, expected: ParsedFormulas) -> None:
    np.testing.assert_array_equal(found.batch.elements, expected.batch.elements)
    np.testing.assert_array_equal(found.batch.counts, expected.batch.counts)
    assert (found.batch.elements.dtype, found.batch.counts.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(found.rows, expected.rows)
    assert found.rows.dtype == np.int64
    assert found.bad == expected.bad and found.remarks == expected.remarks
    np.testing.assert_array_equal(found.batch.keys(), keys_by_numpy(expected.batch))


_SYMBOL = st.sampled_from(SYMBOLS[1:].tolist())
_NUMBER = st.sampled_from(
    ["", "", "0", "1", "2", "3", "6", "12", "18", "218", "235", "024", "999999999", "2147483647", "9999999999", "1.5"]
)
_TOKEN = st.tuples(_SYMBOL, _NUMBER).map("".join)
_GROUP = st.tuples(st.lists(_TOKEN, max_size=3).map("".join), _NUMBER).map(lambda pair: f"({pair[0]}){pair[1]}")
_LIKELY = st.lists(st.one_of(_TOKEN, _TOKEN, _GROUP), max_size=30).map("".join)
_ANY = st.text(alphabet="ABCFeOaNnlDIVSi0123456789.()[]{} \n\t+-e·₂é%水\x00", max_size=12)
_TEXTS = st.lists(st.one_of(st.none(), _LIKELY, _LIKELY, _ANY), max_size=12)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(_TEXTS, st.integers(0, 3), st.integers(0, 3), st.sampled_from([pa.string(), pa.large_string()]))
def test_an_arrow_column_is_read_as_its_list(texts, before, after, kind) -> None:
    whole = pa.array(["Xx2"] * before + texts + ["NaCl"] * after, kind)
    sliced = whole.slice(before, len(texts))
    assert sliced.to_pylist() == texts
    assert_same(parse_formulas(sliced), by_numpy(texts))


@settings(max_examples=100, deadline=None)
@given(st.lists(_TEXTS, max_size=4), st.sampled_from(["arrow", "string", "series", "dictionary", "view"]))
def test_every_way_to_hold_it(chunks, way) -> None:
    column = pa.chunked_array(chunks, pa.string())
    texts = column.to_pylist()
    if way == "string":
        column = pd.Series(column.to_pandas(), dtype="string[pyarrow]")
    elif way == "series":
        column = column.to_pandas(types_mapper=pd.ArrowDtype)
    elif way == "dictionary":
        column = column.dictionary_encode()
    elif way == "view":
        column = column.cast(pa.string_view())
    assert_same(parse_formulas(column), by_numpy(texts))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(_LIKELY, _ANY, st.just("Na\ud800")), max_size=12))
def test_a_list_of_text_is_read_alike(texts) -> None:
    assert_same(parse_formulas(texts), by_numpy(texts))


def test_many_rows_without_lowering_the_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    symbols, amounts = rng.choice(SYMBOLS[1:], (200_000, 4)), rng.integers(1, 13, (200_000, 4)).astype(str)
    texts = ["".join(row) for row in np.stack([symbols, amounts], axis=2).reshape(200_000, 8).tolist()]
    texts[777], texts[888] = "Xx", "Li0.5CoO2"
    assert columns.kernel_for(len(texts)) is not None
    parsed = parse_formulas(pa.array(texts))
    assert_same(parsed, by_numpy(texts))
    assert [bad.row for bad in parsed.bad] == [777]


def test_nulls_that_hide_text() -> None:
    """Arrow lets the bytes under a null be anything."""
    full = pa.array(["NaCl", "KBr", "Fe"])
    _, offsets, data = full.buffers()
    hidden = pa.StringArray.from_buffers(3, offsets, data, pa.py_buffer(b"\x05"), 1)
    assert hidden.to_pylist() == ["NaCl", None, "Fe"]
    assert_same(parse_formulas(hidden), by_numpy(["NaCl", None, "Fe"]))


def test_bytes_that_are_not_text_make_a_bad_row() -> None:
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 2, 4], np.int32)), pa.py_buffer(b"Fe\xff\xfe"))
    parsed = parse_formulas(broken)
    assert parsed.batch.formulas().tolist() == ["Fe"]
    assert [(bad.row, bad.reason) for bad in parsed.bad] == [(1, "unexpected '\ufffd'")]


def test_columns_of_other_types_are_read_entry_by_entry() -> None:
    assert [bad.reason for bad in parse_formulas(pa.array([1, 2])).bad] == ["not text but int"] * 2
    assert [bad.reason for bad in parse_formulas(pd.Series([1, None], dtype="int64[pyarrow]")).bad] == [
        "not text but int",
        "missing",
    ]
    assert columns.arrow_strings(["NaCl"]) is None
    assert columns.arrow_strings(pd.Series(["NaCl"], dtype=object)) is None


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)  # its import fails
    monkeypatch.delitem(sys.modules, "matgen.composition.parser_kernel", raising=False)
    monkeypatch.setattr(columns, "load_kernel", load_kernel.__wrapped__)  # not from memory
    assert columns.kernel_for(10**6) is None
    assert_same(parse_formulas(pa.array(["NaCl", None, "Xx"])), by_numpy(["NaCl", None, "Xx"]))
