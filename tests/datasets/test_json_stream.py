from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.datasets import json_stream
from matgen.datasets.json_stream import objects_of
from matgen.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6),
    st.integers(1, 40),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_the_same_objects_as_the_whole_file(rows: list[dict], block: int, indent: int | None, held: bool) -> None:
    text = json.dumps({"version": 1, "entries": rows} if held else rows, indent=indent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_BLOCK", block)
        assert list(objects_of(io.StringIO(text), "a.json", "entries" if held else None)) == rows


def test_numbers_that_python_writes() -> None:
    (row,) = objects_of(io.StringIO('[{"a": NaN, "b": -Infinity}]'), "a.json")
    assert row["a"] != row["a"] and row["b"] == float("-inf")


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("", None, "cannot read a.json: no \\[ in it"),
        ('{"rows": []}', None, "no list"),
        ('{"rows": []}', "entries", 'no "entries" in it'),
        ('[{"a": 1}, {"b": 2', None, "cut short, or no JSON"),
        ('[{"a": 1}', None, "it is cut short"),
        ("[1, 2]", None, "something else than objects"),
        ('[{"a": oops}]', None, "cut short, or no JSON"),
    ],
)
def test_what_is_no_list_of_objects(text: str, key: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(objects_of(io.StringIO(text), "a.json", key))


def test_an_object_without_end_is_not_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_LONGEST", 100)
    monkeypatch.setattr(json_stream, "_BLOCK", 10)
    stream = io.StringIO('[{"a": ' + "1" * 100_000)
    with pytest.raises(DataError, match="an object in it is no JSON"):
        list(objects_of(stream, "a.json"))
    assert stream.tell() < 1000
