from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import OptionError
from matgen.pareto import Objective, on_front, parse_objectives, require_columns


def dominated(costs: list[tuple[float, ...]], i: int) -> bool:
    """Whether any row is at least as low everywhere and lower somewhere, by definition."""
    pairs = [list(zip(other, costs[i], strict=True)) for other in costs]
    return any(all(a <= b for a, b in pair) and any(a < b for a, b in pair) for pair in pairs)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4).flatmap(lambda d: st.lists(st.tuples(*[st.integers(0, 4)] * d), min_size=1, max_size=25)))
def test_the_front_is_that_of_comparing_all_pairs(costs: list[tuple[int, ...]]) -> None:
    frame = pd.DataFrame(costs, columns=[f"c{i}" for i in range(len(costs[0]))])
    objectives = [Objective(name, False) for name in frame]
    expected = [not dominated(costs, i) for i in range(len(costs))]
    assert on_front(frame, objectives).tolist() == expected
    assert on_front(-frame, [Objective(name, True) for name in frame]).tolist() == expected


def test_known_senses_and_signs() -> None:
    found = parse_objectives("energy_above_hull, cost,novelty,+band_gap,-density, probability_hull_0.1")
    assert [one.larger for one in found] == [False, False, True, True, False, True]
    assert found[3].column == "band_gap"
    assert parse_objectives("+cost")[0] == Objective("cost", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" , ", "names no column"),
        ("cost,+cost", "names cost twice"),
        ("band_gap", r"is more or less of 'band_gap' better\? Write \+band_gap or --pareto=-band_gap"),
        ("+", "more or less of ''"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_objectives(text)


def test_columns_must_be_there_and_hold_numbers() -> None:
    require_columns(parse_objectives("Cost"), ["cost"])
    with pytest.raises(OptionError, match="no column 'novelty'; there are cost, name"):
        require_columns(parse_objectives("cost,novelty"), ["cost", "name"])
    with pytest.raises(OptionError, match="'name' holds text"):
        on_front(pd.DataFrame({"name": ["a", "b"]}), parse_objectives("+name"))


def test_rows_without_a_value_are_not_on_the_front() -> None:
    frame = pd.DataFrame({"cost": [np.nan, 2.0, 1.0], "novelty": [9.0, 0.5, 0.1]})
    assert on_front(frame, parse_objectives("cost,novelty")).tolist() == [False, True, True]
    assert on_front(frame.iloc[:0], parse_objectives("cost")).tolist() == []
