"""Weights by family against a plain loop, and a run that uses them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.errors import OptionError
from matgen.models.checkpoint import read_metadata
from matgen.training import TrainingPlan, default_settings, train_model
from matgen.training.balance import Balance
from matgen.training.data import training_data

TRAIN = ["NaCl", "KBr", "MgO", "CaO", "SrTiO3", "BaTiO3", "Li2O", "Y3Al5O12", "LiCl"]
VALID = ["KF", "CaTiO3", "LiFePO4"]


def family(formula: str) -> str:
    return Composition(formula).anonymized_formula


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_weights_are_those_of_a_loop(exponent: float) -> None:
    balance = Balance.of("anonymous_formula", exponent, *map(CompositionBatch.from_formulas, (TRAIN, VALID)))
    members = Counter(family(formula) for formula in TRAIN)
    raw = [members[family(formula)] ** -exponent for formula in TRAIN]
    mean = sum(raw) / len(raw)
    assert balance.train.tolist() == pytest.approx([one / mean for one in raw])
    assert balance.train.mean() == pytest.approx(1)
    assert balance.valid.tolist() == pytest.approx([5**-exponent / mean, 2**-exponent / mean, 1 / mean])
    assert sorted(balance.sizes.tolist()) == [1, 1, 2, 5]
    # What each family counts for, row by row.
    whole: Counter[str] = Counter()
    for formula, weight in zip(TRAIN, balance.train.tolist(), strict=True):
        whole[family(formula)] += weight
    assert balance.describe() == {
        "by": "anonymous_formula",
        "exponent": exponent,
        "families": 4,
        "largest_share": round(5 / 9, 4),
        "largest_share_balanced": round(max(whole.values()) / 9, 4),
    }


GAPS = [0, 0, 0, 0, 0, 0, 1.5, 3, math.nan, 0]


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """A table of compositions of which seven in ten have no band gap, and one in ten an unknown one."""
    formulas = [
        f"{metal}{n}{anion}" for metal in ("Na", "Mg", "Al", "Ti", "Fe") for anion in "OFS" for n in range(2, 12)
    ]
    table = pd.DataFrame({"formula": formulas, "gap": [GAPS[i % 10] for i in range(len(formulas))]})
    path = tmp_path / "gaps.csv"
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("exponent", [0.5, 1])
def test_rows_are_balanced_over_a_condition(gaps: Path, exponent: float) -> None:
    plan = TrainingPlan(dataset=str(gaps), condition=("gap",), balance="condition", balance_exponent=exponent)
    data = training_data(plan_of(plan))
    assert data.balance is not None
    assert data.conditions is not None
    edges = data.conditions.properties[0].edges

    def bin_of(gap: float) -> int:
        return -1 if math.isnan(gap) else min(sum(gap >= edge for edge in edges), len(edges) - 1)

    gaps_of = {part: data.dataset.numbers("gap")[data.rows[part]] for part in ("train", "valid")}
    known = {part: [bin_of(gap) for gap in gaps] for part, gaps in gaps_of.items()}
    members = Counter(known["train"])
    assert len(members) == 3 and members[-1] == np.isnan(gaps_of["train"]).sum()
    raw = {part: [members[place] ** -exponent for place in places] for part, places in known.items()}
    mean = sum(raw["train"]) / len(raw["train"])
    assert data.balance.train.tolist() == pytest.approx([one / mean for one in raw["train"]])
    assert data.balance.valid.tolist() == pytest.approx([one / mean for one in raw["valid"]])
    told = data.balance.describe()
    assert told["by"] == "condition" and told["largest_share"] == round(members[bin_of(0)] / len(known["train"]), 4)
    assert told["largest_share_balanced"] < told["largest_share"]


def test_uneven_conditions_are_told_of(gaps: Path) -> None:
    plan = plan_of(TrainingPlan(dataset=str(gaps), condition=("gap",)))
    data = training_data(plan)
    gap = data.dataset.numbers("gap")[data.rows["train"]]
    (told,) = data.advice(plan)
    share = 100 * (gap == 0).sum() / np.isfinite(gap).sum()
    assert told.startswith(f"{share:.0f} % of the training rows have gap=0") and "--balance condition" in told
    for quiet in ({"balance": "condition"}, {"condition": ()}):
        calm = dataclasses.replace(plan, **quiet)
        assert training_data(calm).advice(calm) == []
    rows = pd.read_csv(gaps)
    rows.assign(gap=np.arange(len(rows)) / 10).to_csv(gaps, index=False)
    assert training_data(plan).advice(plan) == []


def test_no_family_of_the_bundled_data_dominates() -> None:
    data = training_data(TrainingPlan(dataset="hybrid-stable", notation="counted", balance="anonymous_formula"))
    assert data.balance is not None
    formulas = data.dataset.batch[data.rows["train"]].anonymous_formulas()
    members = Counter(formulas.tolist())
    rows = np.random.default_rng(0).choice(len(formulas), 200, replace=False)
    root = [1 / math.sqrt(members[formulas[row]]) for row in rows]
    ratio = data.balance.train[rows] / root
    assert ratio == pytest.approx(np.full(200, ratio[0]))
    told = data.balance.describe()
    assert told["families"] == len(members)
    assert told["largest_share_balanced"] < told["largest_share"] / 3


def test_a_balanced_run(small_table: Path, tmp_path: Path) -> None:
    settings = default_settings("tiny", "roberta", epochs=1, batch_size=64, precision="fp32")
    plan = TrainingPlan("roberta", str(small_table), balance="anonymous_formula", settings=settings)
    train_model(plan, tmp_path / "out")
    metadata, data = read_metadata(tmp_path / "out"), training_data(plan_of(plan))
    assert data.balance is not None
    assert metadata["balance"] == data.balance.describe()
    metrics = metadata["metrics"]
    assert metrics["valid_nats"] != metrics["valid_nats_balanced"]
    # The drawn lengths are those of what was learned.
    lengths = data.tables["train"].lengths.numpy() - 2
    by_weight = [0.0] * (int(lengths.max()) + 1)
    for length, weight in zip(lengths.tolist(), data.balance.train.tolist(), strict=True):
        by_weight[length] += weight
    assert metadata["length_histogram"] == [round(one) for one in by_weight]
    assert "balanced by anonymous_formula" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def plan_of(plan: TrainingPlan) -> TrainingPlan:
    from matgen.training.plan import completed

    return completed(plan)


def test_from_the_command_line(small_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    quick = ["--dataset", str(small_table), "--epochs", "1", "--batch-size", "64", "--preset", "tiny"]
    balance = ["--balance", "anonymous_formula", "--balance-exponent", "0.75"]
    assert main(["train", "--model", "gpt2", *quick, *balance, "--precision", "fp32", "--out", str(out)]) == 0
    assert "nats per validation formula (balanced)" in capsys.readouterr().err
    assert json.loads((out / "matgen.json").read_text())["balance"]["exponent"] == 0.75


def test_bad_requests(small_table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for plan, message in (
        (TrainingPlan(dataset=str(small_table), balance="chemistry"), "unknown balance 'chemistry'; known: anonymous_"),
        (TrainingPlan(dataset=str(small_table), balance="condition"), "needs properties to condition on: --condition"),
        (TrainingPlan(dataset=str(small_table), balance="anonymous_formula", balance_exponent=0), "must be above 0"),
        (TrainingPlan(dataset=str(small_table), balance="anonymous_formula", balance_exponent=1.5), "at most 1"),
        (TrainingPlan(dataset=str(small_table), balance="anonymous_formula", balance_exponent=math.nan), "at most 1"),
    ):
        with pytest.raises(OptionError, match=message):
            train_model(plan, tmp_path / "out")
    assert main(["train", "--dataset", str(small_table), "--balance-exponent", "0.5"]) == 2
    assert "--balance-exponent needs --balance" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_equal_families_change_nothing() -> None:
    batch = load_dataset("experimental").batch[:0]
    one = CompositionBatch.from_formulas(["NaCl", "KBr"])
    assert Balance.of("anonymous_formula", 0.5, one, batch).train.tolist() == [1, 1]
