"""Predictors of every kind behind the same interface, of numbers and of what is or is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.errors import CheckpointError, MissingDependencyError, OptionError
from matgen.fitting.settings import FitSettings
from matgen.models.checkpoint import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.tokenizer import decode
from matgen.prediction import FitPlan, Predictor, PropertyData, fit_predictor, language, table_property, trees
from matgen.prediction.fit import default_fit_settings
from tests.quick_predictor import QUICK

LANGUAGE = FitPlan(
    "language_model",
    members=1,
    settings=FitSettings(learning_rate=2e-3, batch_size=32, epochs=4, evaluations=4, precision="fp32"),
)
PLANS = {"network": QUICK, "trees": FitPlan("trees", members=2), "language_model": LANGUAGE}
EACH_KIND = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "language_model" else kind for kind in PLANS]
)


@pytest.fixture(scope="module")
def metals(energies_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> PropertyData:
    """Which of the 900 formulas have a formation energy below the median, written as words."""
    frame = pd.read_csv(energies_csv)
    frame["low"] = np.where(frame["energy"] < frame["energy"].median(), "True", "false")
    path = tmp_path_factory.mktemp("metals") / "low.csv"
    frame[["formula", "low"]].to_csv(path, index=False)
    return table_property(path, "low")


@EACH_KIND
def test_numbers(kind: str, energies_csv: Path, tmp_path: Path) -> None:
    data = table_property(energies_csv, "energy")
    found = fit_predictor(data, PLANS[kind], tmp_path / "p")
    metrics = found.metadata["metrics"]
    assert metrics["mae"] < 0.6 * metrics["mae_of_the_median"]
    batch, target = data.of("test")
    opened = Predictor.load(tmp_path / "p")
    assert opened.metadata["kind"] == kind
    before, after = found.predict(batch), opened.predict(batch)
    assert after["energy"].to_numpy() == pytest.approx(before["energy"].to_numpy(), abs=1e-5)
    assert (after["energy_std"] > 0).all()
    inside = (after["energy_low"] <= target) & (target <= after["energy_high"])
    assert inside.mean() > 0.8
    assert not len(opened.predict(batch[:0]))
    # Nothing that Python could execute when it is opened.
    assert {path.suffix for path in (tmp_path / "p").iterdir()} <= {".safetensors", ".json", ".md", ".txt"}


@EACH_KIND
def test_what_is_or_is_not(kind: str, metals: PropertyData, tmp_path: Path) -> None:
    assert metals.task == "classification"
    found = fit_predictor(metals, PLANS[kind], tmp_path / "p")
    batch, truth = metals.of("test")
    frame = Predictor.load(tmp_path / "p").predict(batch)
    assert list(frame) == ["low", "low_probability", "low_source", "in_domain"]
    assert frame["low"].dtype == bool
    metrics = found.metadata["metrics"]
    assert metrics["accuracy"] > metrics["accuracy_of_the_majority"] + 0.1
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(truth, frame["low_probability"]), abs=0.02)
    assert metrics["brier"] < 0.2
    assert "area under the ROC curve" in (tmp_path / "p" / "README.md").read_text()


@pytest.mark.slow
def test_a_property_with_a_lowest_value_is_never_said_to_be_below(energies_csv: Path, tmp_path: Path) -> None:
    data = dataclasses.replace(table_property(energies_csv, "energy"), lowest=-1.0)
    found = fit_predictor(data, QUICK, tmp_path / "p")
    frame = found.predict(data.batch)
    assert frame["energy"].min() == frame["energy_low"].min() == -1.0
    # The interval is cut off, not moved.
    assert frame["energy_high"].min() >= -1.0
    assert found.metadata["metrics"]["mae_of_members"][0] > 0


def test_networks_go_on_from_a_predictor(predictor: Predictor, energies_csv: Path, tmp_path: Path) -> None:
    data = table_property(energies_csv, "energy")
    short = dataclasses.replace(QUICK.settings, epochs=3)
    anew = fit_predictor(data, dataclasses.replace(QUICK, settings=short), tmp_path / "anew")
    going_on = dataclasses.replace(QUICK, settings=short, init=str(predictor.folder))
    further = fit_predictor(data, going_on, tmp_path / "further")
    assert further.metadata["metrics"]["mae"] < anew.metadata["metrics"]["mae"]
    assert further.metadata["init"] == str(predictor.folder)
    fit_predictor(data, PLANS["trees"], tmp_path / "trees")
    with pytest.raises(OptionError, match="of kind trees, not network"):
        fit_predictor(data, dataclasses.replace(QUICK, init=str(tmp_path / "trees")), tmp_path / "x")
    with pytest.raises(CheckpointError, match="no predictor nowhere"):
        fit_predictor(data, dataclasses.replace(QUICK, init="nowhere"), tmp_path / "x")


def test_plans_out_of_range() -> None:
    with pytest.raises(OptionError, match="unknown kind of predictor 'forest'; known: network, trees, language_model"):
        FitPlan("forest")
    with pytest.raises(OptionError, match="trees begin anew"):
        FitPlan("trees", init="x")
    with pytest.raises(OptionError, match="members is 0"):
        FitPlan(members=0)
    with pytest.raises(OptionError, match="unknown kind"):
        default_fit_settings("forest", 100)
    assert default_fit_settings("network", 300).batch_size == 16
    assert default_fit_settings("network", 10**6, learning_rate=None, epochs=3).epochs == 3


def test_small_batches_of_errors_give_one_scale(energies_csv: Path) -> None:
    data = table_property(energies_csv, "energy")
    batch, target = data.of("train")
    member = trees.fit_trees((batch, target), (batch[:50], target[:50]), classify=False, seed=0, rounds=20)
    _, log_scale = member.outputs(batch[:5])
    assert len(set(log_scale.tolist())) == 1
    again = trees.fit_trees((batch, target), (batch[:50], target[:50]), classify=False, seed=0, rounds=20)
    assert (again.outputs(batch)[0] == member.outputs(batch)[0]).all()


def test_long_compositions_are_read_with_smaller_counts(tmp_path: Path, energies_csv: Path) -> None:
    names = ["NaCl", "Eu183Ta1500O3200", "Eu11Ta94O200"]
    network = language.LanguageNetwork.of(load_checkpoint(find_checkpoint(None)))
    (ids,), lengths = network.inputs(CompositionBatch.from_formulas(names))
    assert lengths.max() <= 128
    assert lengths[0] == 4
    found = decode(ids[1:2], network.notation).batch
    assert found.chemical_systems() == ["Eu-O-Ta"]
    share = found.counts[0] / found.counts[0].sum()
    assert sorted(share[share > 0]) == pytest.approx(sorted(np.array([183, 1500, 3200]) / 4883), abs=0.01)


def test_without_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    batch = CompositionBatch.from_formulas(["NaCl"])
    with pytest.raises(MissingDependencyError, match="pip install 'matgen\\[trees\\]'"):
        trees.fit_trees((batch, np.zeros(1)), (batch, np.zeros(1)), classify=False, seed=0)


def test_command_line(energies_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv(energies_csv)
    frame["low"] = (frame["energy"] < -1).astype(int)
    table = tmp_path / "low.csv"
    frame.to_csv(table, index=False)
    fit = ["fit", "--table", str(table), "--target", "low", "--kind", "trees", "--ensemble-size", "1"]
    assert main([*fit, "--out", str(tmp_path / "p")]) == 0
    assert "% right (the majority alone:" in capsys.readouterr().err
    assert main(["predict", str(table), "--model", str(tmp_path / "p"), "--out", str(tmp_path / "o.csv")]) == 0
    found = pd.read_csv(tmp_path / "o.csv")
    assert {"low", "low_probability", "in_domain"} <= set(found)
    assert main([*fit, "--init", "x", "--out", str(tmp_path / "x")]) == 2
    assert "trees begin anew" in capsys.readouterr().err
