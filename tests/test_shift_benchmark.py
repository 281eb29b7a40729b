"""The arithmetic of `benchmarks.shift`, with models that know the truth or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import shift, shift_sets
from benchmarks.shift_models import checked
from benchmarks.tables.markers import TABLES
from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError


@pytest.fixture(scope="module")
def asked() -> shift_sets.Asked:
    """600 of OQMD's official test compounds."""
    return shift_sets.asked_of_bundled("oqmd-test").at_most(600)


def oracle(asked: shift_sets.Asked, error: float = 0.0) -> shift.Say:
    """A model that knows the truth, but for an error of energies."""

    def say(batch: CompositionBatch) -> pd.DataFrame:
        assert len(batch) == len(asked.batch)
        probabilities = {f"probability_hull_{limit:g}": asked.distance <= limit for limit in shift.LIMITS}
        energies = {"formation_energy": asked.energy + error, "std": np.full(len(batch), 0.1)}
        return pd.DataFrame(energies | probabilities).astype(np.float64)

    return say


def test_who_knows_the_truth_makes_no_errors(asked: shift_sets.Asked) -> None:
    row = shift.judged(shift.said_of(oracle(asked), asked.batch, "oqmd"), asked)
    assert row["energy"]["mae"] == 0
    assert set(row["energy"]["coverage"].values()) == {1.0}
    # The table holds distances to the hull of all others, the model's energies are placed on it here.
    assert row["distance"]["mae"] == pytest.approx(0, abs=1e-5)
    for limit in row["limits"].values():
        assert (limit["brier"], limit["auc"], limit["sure"]["true"]) == (0, 1, 1)
    chosen = row["most_stable_hundredth"]
    assert chosen["distance"]["n"] == 6
    assert chosen["distance"]["true"] == pytest.approx(np.sort(asked.distance)[:6].mean())


def test_intervals_of_a_spread_alone_are_normal(asked: shift_sets.Asked) -> None:
    inside = shift.judged(shift.said_of(oracle(asked, 0.12), asked.batch, "oqmd"), asked)["energy"]["coverage"]
    assert inside == {"0.5": 0.0, "0.8": 1.0, "0.95": 1.0}  # half widths 0.067, 0.128, 0.196


def test_what_a_model_says_is_checked() -> None:
    columns = {name: [0.5] for name in shift.COLUMNS}
    with pytest.raises(ValueError, match="without std"):
        checked(pd.DataFrame({"formation_energy": [0.0], **columns}), 1, shift.COLUMNS)
    with pytest.raises(ValueError, match="1 rows of 2"):
        checked(pd.DataFrame({"formation_energy": [0.0], "std": [0.1], **columns}), 2, shift.COLUMNS)
    with pytest.raises(ValueError, match="above 1"):
        wrong = columns | {shift.COLUMNS[0]: [1.5]}
        checked(pd.DataFrame({"formation_energy": [0.0], "std": [0.1], **wrong}), 1, shift.COLUMNS)


@pytest.mark.parametrize("name", ["anonymous", "near-hull", "oqmd-to-mp", "mp-to-oqmd", "without-Se"])
def test_nothing_that_is_asked_is_learned(name: str) -> None:
    data, asked = shift_sets.task(shift_sets.SHIFTS[name], valid_alike=False, rows=None, most=None)
    learned = set(data.batch.formulas()[:: max(len(data.batch) // 5000, 1)])
    assert not learned & set(asked.batch.formulas())
    assert set(data.part) == {"train", "valid"}
    assert np.isfinite(data.target).all()
    assert np.isfinite(asked.distance).all()
    assert data.source == asked.source


def test_made_compounds_are_in_no_table_of_energies() -> None:
    made = shift_sets.made()
    assert len(made) > 1000
    assert not set(made.formulas()) & set(shift_sets.load_dataset("hybrid").batch.formulas())


def test_relaxed_draws_are_read_from_both_kinds_of_file(tmp_path: Path) -> None:
    table = tmp_path / "draws.csv"
    table.write_text(
        "formula,energy_above_hull_chgnet,energy_above_hull_7net_l3i5\nNaN,0.05,\nLi2O,-0.9,0.1\n", encoding="utf-8"
    )
    frame = shift_sets.relaxed(table)
    assert frame["formula"].tolist() == ["NaN", "Li2O"]  # sodium nitride
    assert frame["energy_above_hull_chgnet"].isna().tolist() == [False, True]  # implausibly low: failed
    assert frame["energy_above_hull_7net_l3i5"].isna().tolist() == [True, False]
    sun = tmp_path / "sun.json"
    sun.write_text(
        '{"novel_by_potential": {"rows": [{"formula": "Li2O", "labels_chgnet": 0.2, "labels_7net-l3i5": null, '
        '"relaxed_chgnet": 0.3}]}}',
        encoding="utf-8",
    )
    frame = shift_sets.relaxed(sun)
    assert list(frame) == ["formula", "energy_above_hull_chgnet", "energy_above_hull_7net_l3i5"]
    assert frame["energy_above_hull_chgnet"].tolist() == [0.2]
    table.write_text("formula,energy\nLi2O,0\n", encoding="utf-8")
    with pytest.raises(DataError, match="energy_above_hull_POTENTIAL"):
        shift_sets.relaxed(table)


def test_relaxed_draws_are_judged_beside_their_ceiling(asked: shift_sets.Asked) -> None:
    screened = asked.distance + np.random.default_rng(0).normal(0, 0.2, len(asked.distance))
    table = pd.DataFrame({"formula": asked.batch.formulas(), "model": np.arange(600) % 2,
                          "energy_above_hull_chgnet": screened, "energy_above_hull_other": asked.distance})  # fmt: skip
    groups = shift.of_relaxed(oracle(asked), "oqmd", table)
    assert {name: group["n"] for name, group in groups.items()} == {"all": 600, "0": 300, "1": 300}
    by = groups["all"]["potentials"]
    assert by["other"]["order"]["auc"] == 1
    ceiling = by["other"]["order_by_screening_potential"]
    low, high = ceiling["auc_interval"]
    assert low < ceiling["auc"] < high < 1
    assert by["chgnet"]["order"]["auc"] < 1
    rows = {"predictor relaxed": {"split": "relaxed", "model_title": "oracle", "groups": groups}}
    lines = TABLES["shift_relaxed"].lines({"rows": rows})
    assert sum("the energies of CHGNet" in line for line in lines) == 3
    assert len({line.count("|") for line in "\n".join(lines).split("\n")}) == 1
