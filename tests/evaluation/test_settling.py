"""What relaxation found takes the place of what was predicted."""

from __future__ import annotations

import math
from statistics import NormalDist

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.evaluation.ranking import write_ranked
from matgen.evaluation.settling import RELAXED_STD, settled


def ranking(probabilities: list[float], **columns: list) -> pd.DataFrame:
    """Candidates Li2O, Li3O ... that differ by their probability alone."""
    n = len(probabilities)
    table = {
        "rank": range(1, n + 1),
        "formula": [f"Li{i + 2}O" for i in range(n)],
        "score": probabilities,
        "probability_hull_0.1": probabilities,
        "oxidation_state_score": [1.0] * n,
        "novelty": [1.0] * n,
        "energy_above_hull": [0.0] * n,
        "energy_above_hull_std": [0.03] * n,
        "in_domain": [True] * n,
    }
    return pd.DataFrame(table | columns)


def relaxed(energies: dict[str, float], **columns: list) -> pd.DataFrame:
    return pd.DataFrame({"formula": list(energies), "energy_above_hull_chgnet": list(energies.values()), **columns})


def test_a_refuted_first_goes_down_and_a_confirmed_one_up() -> None:
    order = settled(ranking([0.9, 0.8, 0.7]), relaxed({"Li2O": 0.38, "Li3O": -0.02}))
    assert order["formula"].tolist() == ["Li3O", "Li4O", "Li2O"]
    assert order["rank"].tolist() == [1, 2, 3]
    assert order["energy_above_hull_chgnet"].tolist()[0] == -0.02
    assert math.isnan(order["energy_above_hull_chgnet"].iloc[1])


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.none() | st.floats(-1.0, 1.0)), min_size=1, max_size=12))
def test_the_score_is_the_product_with_the_probability_of_the_relaxed_energy(rows: list) -> None:
    before = ranking([probability for probability, _ in rows])
    found = {f"Li{i + 2}O": energy for i, (_, energy) in enumerate(rows) if energy is not None}
    after = settled(before, relaxed(found)).set_index("formula")
    expected = {}
    for i, (probability, energy) in enumerate(rows):
        spread = NormalDist(energy or 0.0, RELAXED_STD)
        expected[f"Li{i + 2}O"] = probability if energy is None else spread.cdf(0.1)
    assert after["score"].to_dict() == pytest.approx(expected, abs=1e-12)
    assert after["score"].is_monotonic_decreasing and sorted(after.index) == sorted(before["formula"])


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.none() | st.floats(-1.0, 1.0)), min_size=1, max_size=12))
def test_the_limit_is_stricter_where_the_probability_of_that_was_predicted(rows: list) -> None:
    predicted = [probability for probability, _ in rows]
    before = ranking([0.99] * len(rows), **{"probability_hull_0.05": predicted})
    found = {f"Li{i + 2}O": energy for i, (_, energy) in enumerate(rows) if energy is not None}
    after = settled(before, relaxed(found)).set_index("formula")["score"]
    for i, (probability, energy) in enumerate(rows):
        expected = probability if energy is None else NormalDist(energy, RELAXED_STD).cdf(0.05)
        assert after[f"Li{i + 2}O"] == pytest.approx(expected, abs=1e-12)


def test_the_second_potential_is_shown_and_changes_no_order() -> None:
    energies = {"Li2O": 0.0, "Li3O": 0.05}
    alone = settled(ranking([0.9, 0.8]), relaxed(energies))
    both = settled(ranking([0.9, 0.8]), relaxed(energies, energy_above_hull_7net_l3i5=[0.5, None]))
    assert both["formula"].tolist() == alone["formula"].tolist() == ["Li2O", "Li3O"]
    place = both.columns.get_loc("energy_above_hull")
    assert both.columns[place + 1 : place + 3].tolist() == ["energy_above_hull_chgnet", "energy_above_hull_7net_l3i5"]


def test_what_has_no_structure_or_no_energy_keeps_its_prediction() -> None:
    order = settled(ranking([0.9, 0.8]), relaxed({"Li2O": float("nan")}))
    assert order["score"].tolist() == [0.9, 0.8]


def test_without_predictions_what_is_near_the_hull_comes_first() -> None:
    order = pd.DataFrame(
        {"rank": [1, 2, 3, 4], "formula": ["Li2O", "Li3O", "Li4O", "Li5O"], "log_prob": [-1, -2, -3, -4]}
    )
    found = settled(order, relaxed({"Li2O": 0.3, "Li3O": 0.09, "Li4O": 0.01}))
    assert found["formula"].tolist() == ["Li3O", "Li4O", "Li5O", "Li2O"]


def test_it_can_be_settled_again_and_its_columns_are_matgens_own(tmp_path) -> None:
    once = settled(ranking([0.9, 0.8, 0.7]), relaxed({"Li2O": 0.38}))
    again = settled(once, relaxed({"Li2O": 0.38}))
    pd.testing.assert_frame_equal(once, again)
    write_ranked(again, tmp_path / "ranked.csv")
    assert "energy_above_hull_chgnet" in (tmp_path / "ranked.csv.json").read_text()
