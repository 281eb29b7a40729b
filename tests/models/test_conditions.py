from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import DataError, OptionError
from matgen.models import MODELS, build_model
from matgen.models.conditions import (
    Conditions,
    PropertyBins,
    attach_conditions,
    clear_condition_tokens,
    start_embeddings,
)
from matgen.models.decoder import Decoder
from matgen.models.tokenizer import BOS, FIRST_CONDITION, N_CONDITIONS

NAN = float("nan")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-5, 5, width=32) | st.just(0.0) | st.just(NAN), min_size=2, max_size=60), st.integers(2, 24))
def test_every_value_is_in_the_bin_that_holds_it(values: list[float], most: int) -> None:
    column = np.array(values)
    known = column[np.isfinite(column)]
    if len(set(known)) < 2:
        with pytest.raises(DataError, match="fewer than two different values"):
            PropertyBins.of("x", column, most)
        return
    bins = PropertyBins.of("x", column, most)
    assert 1 <= len(bins) <= most
    assert list(bins.edges) == sorted(set(bins.edges))
    assert (bins.edges[0], bins.edges[-1]) == (known.min(), known.max())
    place = bins.bin_of(column)
    assert ((place == -1) == np.isnan(column)).all()
    for value, i in zip(column, place, strict=True):
        if np.isfinite(value):
            last = i == len(bins) - 1
            assert bins.edges[i] <= value < bins.edges[i + 1] or (last and value == bins.edges[-1])


def test_metals_are_a_bin_to_themselves() -> None:
    values = np.concatenate([np.zeros(60), np.linspace(0.1, 8, 40)])
    bins = PropertyBins.of("band_gap", values, 9)
    counts = np.bincount(bins.bin_of(values))
    assert counts[0] == 60
    assert counts[1:].tolist() == [5] * 8
    assert bins.in_words(0) == "band_gap=0"
    assert bins.shares(0, 0).tolist() == [1] + [0] * 8
    assert bins.shares(-1, 9).tolist() == [1] * 9


def test_a_range_covers_bins_in_part() -> None:
    bins = PropertyBins("x", (0.0, 1.0, 2.0, 4.0))
    assert bins.shares(0.5, 3).tolist() == [0.5, 1, 0.5]
    assert bins.shares(3, 3).tolist() == [0, 0, 1]
    assert bins.shares(4, 4).tolist() == [0, 0, 1]
    assert bins.in_words(2) == "x=2..4"


def two_properties() -> Conditions:
    values = {"gap": np.array([0.0, 0, 0, 1, 2, 3, NAN]), "energy": np.array([-3.0, -2, -1, -3, -2, NAN, -1])}
    conditions, combination = Conditions.of(values)
    assert combination.tolist() == conditions.combinations(values).tolist()
    return conditions


def test_combinations_and_condition_dropout() -> None:
    conditions = two_properties()
    bins = conditions.bins()
    assert len(bins) == conditions.size == len(conditions.counts)
    assert bins[0].tolist() == [-1, -1]
    assert conditions.counts.sum() == 7
    assert conditions.number(list(bins.T)).tolist() == list(range(conditions.size))
    after_dropout = conditions.after_dropout()
    assert after_dropout[0].tolist() == list(range(conditions.size))
    assert not after_dropout[3].any()
    assert (bins[after_dropout[1]][:, 0] == -1).all()
    assert (bins[after_dropout[1]][:, 1] == bins[:, 1]).all()
    tokens = conditions.tokens()
    assert tokens.shape == (conditions.size, N_CONDITIONS)
    assert len(np.unique(tokens, axis=0)) == conditions.size
    # A bin is encoded by its own token and those of all bins below it.
    assert (tokens.sum(axis=1) == (bins + 1).sum(axis=1)).all()
    assert not (tokens[bins[:, 0] == -1] & tokens[bins[:, 1] == -1].any(axis=0)).any()
    again = Conditions.from_description(conditions.describe())
    assert again.properties == conditions.properties
    assert (again.counts == conditions.counts).all()


def test_requests_are_weighed_as_in_training() -> None:
    conditions = two_properties()
    bins = conditions.bins()
    metal = conditions.requested(["gap=0"])
    assert metal.sum() == pytest.approx(1)
    assert {tuple(row) for row in bins[metal > 0]} == {(0, -1)}
    assert conditions.in_words(metal) == {"gap=0": 1.0}
    ranged = conditions.requested(["gap=0.5..", "energy=-2"])
    place = conditions.properties[0].bin_of(np.array([2.0]))[0]
    assert bins[ranged.argmax()][0] == place  # the only training compound of both
    # No training compound has a gap of 3 and a known energy: taken as independent.
    apart = conditions.requested(["gap=3", "energy=-3"])
    assert apart.sum() == pytest.approx(1)
    everything = conditions.requested(["energy=.."])
    shares = dict(zip(map(tuple, bins[everything > 0].tolist()), everything[everything > 0], strict=True))
    assert all(gap == -1 for gap, _ in shares)
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["hardness=2"], "is not conditioned on hardness; conditions are possible on gap, energy"),
        (["gap"], "cannot read the condition 'gap'"),
        (["gap=x..3"], "cannot read the condition"),
        (["gap=3..2"], "3 is more than 2"),
        (["gap=9..10"], "outside of what the model knows: it was trained on 0 to 3"),
        (["gap=-1"], "outside of what the model knows"),
        (["gap=1", "gap=2"], "gap is named twice"),
        (["gap=nan"], "nan is more than nan"),
    ],
)
def test_bad_requests(texts: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        two_properties().requested(texts)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("gap=1..2", 1, 2), ("gap=..2.5", 0, 2.5), ("gap=.5..", 0.5, 3), ("gap=2.", 2, 2), ("gap = 1e0 .. 2", 1, 2)],
)
def test_ways_to_write_a_range(text: str, low: float, high: float) -> None:
    assert two_properties()._read([text]) == {"gap": (low, high)}


def test_too_many_properties() -> None:
    with pytest.raises(OptionError, match="4 properties to condition on, 1 to 3"):
        Conditions.of({str(i): np.arange(3.0) for i in range(4)})


@pytest.mark.parametrize("key", [key for key, row in MODELS.items() if row.objective.left_to_right])
def test_sequences_begin_with_the_sum_of_what_is_given(key: str) -> None:
    model = build_model(key, "tiny", "counted", seed=0)
    before = Decoder.of(model).embedding
    conditions = two_properties()
    attach_conditions(model, conditions)
    assert start_embeddings(model, before, BOS).shape == (conditions.size, before.shape[1])
    after = Decoder.of(model).embedding
    assert torch.equal(after[: len(before)], before)
    for row, tokens in zip(after[len(before) :], conditions.tokens(), strict=True):
        given = before[FIRST_CONDITION + np.flatnonzero(tokens)].sum(0)
        torch.testing.assert_close(row, before[BOS] + given)
    clear_condition_tokens(model)
    assert torch.equal(Decoder.of(model).embedding[-1], model.get_input_embeddings().weight[BOS])
