import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.errors import DataError
from matgen.lift.codec import MISSING, UNKNOWN, Codec
from matgen.lift.columns import describe, typed
from tests.frames import listed


def codec_of(frame, lengths=None, **options):
    columns = describe(frame, **options)
    return Codec(columns, lengths or {}), typed(frame, columns)


def read_back(codec, frame):
    tokens = codec.tokens(codec.encoded(frame)).numpy()
    assert tokens.shape == (len(frame), codec.width)
    out = {}
    for places, start in zip(codec.places, codec.starts(), strict=True):
        out[places.column.name] = codec.values(places, tokens[:, start : start + places.width])
    return pd.DataFrame(out)


def test_rows_read_back_as_their_sentences_say():
    frame = pd.DataFrame(
        {
            "few": [0, 5, 16, np.nan],
            "many": [-3000, 12, 250, 4000],
            "real": [-1.234, 0.0, 3.5, 2.25],
            "tiny": [1e-9, 2e-9, np.nan, -4e-9],
            "label": ["a", "b", None, "a"],
            "formula": ["Fe2O3", "Ca(OH)2", None, "CuSO4·5H2O"],
        }
    )
    codec, rows = codec_of(frame, {"formula": 16})
    found = read_back(codec, rows)
    pd.testing.assert_frame_equal(found[["few", "many", "real", "tiny"]], rows[["few", "many", "real", "tiny"]])
    assert listed(found["label"]) == ["a", "b", None, "a"]
    assert listed(found["formula"]) == listed(frame["formula"])


@given(st.lists(st.floats(-1e5, 1e5), min_size=2, max_size=20))
def test_numbers_read_back_rounded(numbers):
    frame = pd.DataFrame({"a": numbers})
    codec, rows = codec_of(frame)
    written = codec.columns[0].format
    for found, number in zip(read_back(codec, rows)["a"], numbers, strict=True):
        if written.scientific:
            assert found == pytest.approx(number, rel=0.03, abs=1e-5 * max(map(abs, numbers)))
        else:
            # A number halfway between two steps may go either way.
            assert abs(found - number) <= 0.5001 * max(written.step, 1.0 if codec.columns[0].whole else 0) + 1e-9


def test_digits_order_as_numbers_do():
    codec, rows = codec_of(pd.DataFrame({"a": np.linspace(-7.77, 9.31, 300)}))
    tokens = codec.tokens(codec.encoded(rows)).numpy() - codec.places[0].base
    assert sorted(map(tuple, tokens)) == list(map(tuple, tokens))


def test_numbers_beyond_the_range_are_read_as_its_ends():
    codec, _rows = codec_of(pd.DataFrame({"a": [0.5, 10.25]}))
    low, high = codec.columns[0].padded_range()
    later = pd.DataFrame({"a": [-1e6, 1e6]})
    assert read_back(codec, later)["a"].tolist() == pytest.approx([low, high], abs=0.3)


def test_what_was_never_seen_is_unknown_and_what_is_absent_missing():
    codec, _rows = codec_of(pd.DataFrame({"label": ["a", "b"], "n": [0.5, 1.5]}))
    tokens = codec.tokens(codec.encoded(pd.DataFrame({"label": ["c", None]}))).numpy()
    assert tokens[:, 0].tolist() == [UNKNOWN, MISSING]
    assert tokens[:, 1].tolist() == [MISSING, MISSING]


def test_many_columns_share_their_digits():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 300)))
    codec, rows = codec_of(frame)
    assert codec.vocabulary < 300
    found = read_back(codec, rows).to_numpy()
    assert np.abs(found - frame.to_numpy()).max() < 0.05


def test_long_texts_lose_their_end_or_are_refused():
    frame = pd.DataFrame({"t": ["a" * 50, "b"]})
    columns = [dataclasses.replace(column, type="text", values=()) for column in describe(frame)]
    codec = Codec(columns, {"t": 10})
    assert read_back(codec, frame)["t"].tolist() == ["a" * 10, "b"]
    with pytest.raises(DataError, match="row 1: 't' takes 50 tokens, at most 10 are read"):
        codec.encoded(frame, cut=False)
