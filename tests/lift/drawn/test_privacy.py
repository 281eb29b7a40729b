"""Against loops over all pairs of rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import OptionError
from matgen.lift.columns import describe, typed
from matgen.lift.drawn import privacy


def table(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(shift, 2, n).round(2), "kind": rng.choice(["a", "b", "c"], n)})
    return frame.assign(y=(frame["x"] * 3 + rng.normal(0, 1, n)).round(1))


def distances(columns, rows, others):
    """Of each row to each other, by the definition."""
    out = np.zeros((len(rows), len(others)))
    for column in columns:
        for i, one in enumerate(rows[column.name]):
            for j, other in enumerate(others[column.name]):
                unlike = float(one != other) if column.type == "category" else (one - other) / column.spread
                out[i, j] += unlike**2
    return np.sqrt(out)


REAL, DRAWN, HELD_OUT = table(40, 0), table(30, 1), table(25, 2)
COLUMNS = describe(REAL)
ROWS = [typed(frame, COLUMNS) for frame in (REAL, DRAWN, HELD_OUT)]


def test_distances_to_the_closest_record():
    real, drawn, held_out = ROWS
    found = privacy.closest_records(COLUMNS, real, drawn, held_out)
    own, other = distances(COLUMNS, drawn, real).min(axis=1), distances(COLUMNS, held_out, real).min(axis=1)
    for part, expected in ((found["drawn"], own), (found["baseline"], other)):
        assert part["median"] == pytest.approx(np.median(expected))
        assert part["mean"] == pytest.approx(expected.mean())
        assert part["low"] == pytest.approx(np.quantile(expected, 0.05))
        assert part["copies"] == 0
    alone = privacy.closest_records(COLUMNS, real, drawn, None)
    among = distances(COLUMNS, real, real) + np.diag(np.full(40, np.inf))
    assert alone["baseline"]["median"] == pytest.approx(np.median(among.min(axis=1)))
    assert "nearer_to_learned" not in alone and "among each other" in alone["baseline"]["kind"]


def test_copies_are_counted_and_preferred():
    real, _, held_out = ROWS
    copied = pd.concat([real.head(30), held_out.head(10)], ignore_index=True)
    found = privacy.closest_records(COLUMNS, real, copied, held_out)
    assert found["drawn"]["copies"] == 0.75 and found["drawn"]["low"] == 0
    assert found["nearer_to_learned"] > 0.55
    fine = real.assign(x=real["x"] + 1e-9)  # no other number as the column is written
    assert privacy.closest_records(COLUMNS, real, fine, held_out)["drawn"]["copies"] == 1


def test_rows_of_the_same_size_are_preferred_by_neither():
    half = privacy.closest_records(COLUMNS, ROWS[0], ROWS[1], ROWS[0])
    assert half["nearer_to_learned"] == 0.5 and half["baseline"]["copies"] == 1


def test_membership_is_given_away_by_copies_and_not_by_other_rows():
    real, drawn, held_out = ROWS
    copied = privacy.membership_inference(COLUMNS, real, real, held_out)
    assert copied["auc"] == 1 and copied["advantage"] == 1
    found = privacy.membership_inference(COLUMNS, real, drawn, held_out)
    members, others = (distances(COLUMNS, rows, drawn).min(axis=1) for rows in (real, held_out))
    pairs = [(m < o) + 0.5 * (m == o) for m in members for o in others]
    assert found["auc"] == pytest.approx(np.mean(pairs))
    low, high = found["interval"]
    assert low < 0 < high and low <= found["advantage"] <= high
    assert privacy.membership_inference(COLUMNS, real, drawn, real)["advantage"] == 0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.integers(1, 3),
)
def test_the_advantage_counts_both_sides_alike(members, others, times):
    """Repeating all rows of one side changes nothing, exchanging the sides only the sign."""
    one, other = np.array(members, float), np.array(others, float)
    found = privacy._advantage(one, other)
    assert -1 <= found <= 1
    assert privacy._advantage(np.repeat(one, times), other) == pytest.approx(found)
    if len(one) == len(other):
        assert privacy._advantage(other, one) == pytest.approx(-found)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.none() | st.integers(0, 1)), min_size=2, max_size=20
    )
)
def test_groups_are_those_of_equal_rows(cells):
    frame = pd.DataFrame(cells, columns=["a", "b", "c"]).astype({"c": "Float64"})
    columns = describe(frame)
    rows = typed(frame, columns)
    names = [column.name for column in columns]
    sizes = [sum(other == one for other in cells) for one in cells]
    found = privacy.anonymity(columns, rows, rows, names)
    assert found["real"] == found["drawn"]
    assert found["real"]["k"] == min(sizes) and found["real"]["groups"] == len(set(cells))
    assert found["unique_hit"] == found["real"]["unique"] == pytest.approx(np.mean(np.array(sizes) == 1))


def test_numbers_are_cut_at_quantiles_of_the_real_rows():
    frame = pd.DataFrame({"age": np.arange(100.0)})
    columns = describe(frame)
    found = privacy.anonymity(columns, typed(frame, columns), typed(frame.head(30), columns), ["age"], bins=4)
    assert found["real"] == {"k": 25, "unique": 0.0, "groups": 4} and found["drawn"]["k"] == 5
    with pytest.raises(OptionError, match="there is no column 'name'; the table has age"):
        privacy.anonymity(columns, frame, frame, ["name"])
    with pytest.raises(OptionError, match="bins is 1"):
        privacy.anonymity(columns, frame, frame, ["age"], bins=1)
