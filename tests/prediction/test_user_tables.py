"""From a user's table to predictions for another one: features, classes, groups, duplicates, few rows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.errors import CheckpointError, DataError, OptionError
from matgen.fitting.settings import FitSettings
from matgen.prediction import FitPlan, NetworkSize, Predictor, fit_predictor, table_property
from matgen.prediction.predicting import predict_table
from matgen.prediction.training_tables import TableOptions, table_properties
from tests.prediction.user_tables import hardness_table

TREES = FitPlan("trees", members=1, trees={"num_iterations": 150})
NETWORK = FitPlan(
    size=NetworkSize(1, 2, 32, 64),
    members=2,
    settings=FitSettings(learning_rate=5e-3, batch_size=16, epochs=40, evaluations=5, precision="fp32"),
)


def csv(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return csv(hardness_table(), tmp_path / "hardness.csv")


@pytest.mark.parametrize("kind", ["trees", pytest.param("network", marks=pytest.mark.slow)])
def test_columns_beside_the_formula_are_learned_from(kind: str, table: Path, tmp_path: Path) -> None:
    plan = {"trees": TREES, "network": NETWORK}[kind]
    with_columns = table_property(table, "hardness", features=["temperature", "method"], folds=3)
    found = fit_predictor(with_columns, plan, tmp_path / "p")
    alone = fit_predictor(table_property(table, "hardness", folds=3), plan, tmp_path / "alone")
    errors = [one.metadata["metrics"]["cross_validation"]["mae"] for one in (found, alone)]
    assert errors[0] < 0.6 * errors[1]

    new = hardness_table(60, seed=1)
    opened = Predictor.load(tmp_path / "p")
    whole = predict_table(opened, new[new.columns[::-1]], "formula").frame  # columns of any order, found by name
    inside = whole["hardness_low"].le(new["hardness"]) & whole["hardness_high"].ge(new["hardness"])
    assert inside.mean() > 0.8
    assert np.abs(whole["hardness_matgen"] - new["hardness"]).mean() < 0.7 * new["hardness"].std()
    # What the columns say counts: the same formula, hotter.
    two = pd.DataFrame({"formula": "FeO", "temperature": [300, 600], "method": "spark"})
    assert np.diff(predict_table(opened, two, "formula").frame["hardness"]) > 1
    holes = pd.DataFrame(
        {"formula": ["FeO"] * 4, "temperature": [None, 400, 400, 5000], "method": ["hot", "", "new", "hot"]}
    )
    said = predict_table(opened, holes, "formula").frame
    assert said["hardness"].notna().all()
    assert said["in_domain"].tolist() == [True, True, False, False]
    with pytest.raises(
        DataError, match="lacks the columns temperature, method that the predictor needs beside the form"
    ):
        predict_table(opened, new[["formula"]], "formula")
    with pytest.raises(OptionError, match="the predictor of hardness needs temperature, method beside the formula"):
        opened.predict(CompositionBatch.from_formulas(["FeO"]))
    card = (tmp_path / "p" / "README.md").read_text()
    assert "* temperature (number, 300 to 600)" in card and "* method (category: cold, hot, spark)" in card


def test_classes_as_text(table: Path, tmp_path: Path) -> None:
    options = TableOptions(features=["temperature", "method"], folds=3)
    state, rank = table_properties(table, ["state", "rank"], options)
    assert state.classes == ("insulator", "metal") and rank.classes == ("low", "mid", "top")
    new = hardness_table(60, seed=1)
    for data, names in [(state, ["insulator", "metal"]), (rank, ["low", "mid", "top"])]:
        found = fit_predictor(data, TREES, tmp_path / data.name)
        metrics = found.metadata["metrics"]["cross_validation"]
        assert metrics["accuracy"] > metrics["accuracy_of_the_majority"] + 0.1
        assert metrics["roc_auc"] > 0.7
        asked = new[["formula", "temperature", "method"]]
        said = predict_table(Predictor.load(tmp_path / data.name), asked, "formula").frame
        chances = said[[f"{data.name}_probability_{one}" for one in names]].to_numpy()
        assert chances.sum(axis=1) == pytest.approx(1)
        assert said[data.name].tolist() == np.array(names)[chances.argmax(axis=1)].tolist()
        assert said[f"{data.name}_probability"].to_numpy() == pytest.approx(chances.max(axis=1))
        assert (said[data.name] == new[data.name]).mean() > 0.6
    with pytest.raises(OptionError, match="rank has 3 classes: more than two need --kind trees"):
        fit_predictor(rank, NETWORK, tmp_path / "x")
    with pytest.raises(OptionError, match="language models read formulas only"):
        fit_predictor(state, FitPlan("language_model"), tmp_path / "x")


def test_texts_that_are_no_classes(table: Path) -> None:
    with pytest.raises(DataError, match="'doi/0' in doi is not a number, and 160 different texts are no classes"):
        table_property(table, "doi")


def repeated(tmp_path: Path, values: list, name: str = "v") -> Path:
    rows = [(f"Na{i + 1}Cl", value) for i, value in enumerate(np.linspace(0, 1, 30))]
    rows += [("NaCl", value) for value in values]
    return csv(pd.DataFrame(rows, columns=["formula", name]), tmp_path / "repeated.csv")


def test_duplicates_are_handled_as_said(tmp_path: Path) -> None:
    path = repeated(tmp_path, [3.0, 9.0])
    for rule, value in [("mean", 4.0), ("median", 3.0)]:
        data = table_property(path, "v", duplicates=rule)
        assert data.target[data.batch.formulas() == "NaCl"] == pytest.approx(value)
        assert data.left_out == {f"compositions that occur again (their {rule} counts)": 2}
        assert data.remarks == ("values of the 1 that occur again differ by 9 in the median, most by 9 (NaCl)",)
    kept = table_property(path, "v", duplicates="keep")
    assert len(kept.batch) == 32 and not kept.left_out and kept.remarks[0].endswith("all 32 rows are kept")
    assert len(set(kept.fold[kept.batch.formulas() == "NaCl"])) == 1
    with pytest.raises(DataError, match=r"NaCl occurs 3 times \(0, 3, 9\), as do 0 more compositions: mend the table"):
        table_property(path, "v", duplicates="error")
    with pytest.raises(OptionError, match="unknown rule for duplicates 'max'; known: mean, median, keep, error"):
        table_property(path, "v", duplicates="max")


def test_equal_compositions_with_other_features_are_distinct(tmp_path: Path) -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "Na2Cl2"] * 15, "t": [1, 1, 2, 2, None] * 6, "v": np.arange(30.0)})
    frame.loc[len(frame)] = ["KCl", 1, 1.0]
    frame = pd.concat([frame, pd.DataFrame({"formula": [f"K{i}Cl" for i in range(2, 30)], "t": 3, "v": 1.0})])
    data = table_property(csv(frame, tmp_path / "t.csv"), "v", features=["t"], duplicates="mean")
    of_nacl = data.batch.formulas() == "NaCl"
    assert sorted(data.batch[of_nacl].features[:, 0]) == pytest.approx([1, 2, np.nan], nan_ok=True)
    assert len(data.batch) == 3 + 29
    assert sorted(data.target[of_nacl]) == sorted(
        frame[frame.formula.isin(["NaCl", "Na2Cl2"])].groupby("t", dropna=False)["v"].mean()
    )


@pytest.mark.parametrize(("values", "said"), [([True, False], None), (["yes", "no"], None), ([1, 0, 1], 1.0)])
def test_a_tie_is_no_true(values: list, said: float | None, tmp_path: Path) -> None:
    words = (False, True) if isinstance(values[0], bool) else ("no", "yes") if isinstance(values[0], str) else (0, 1)
    rows = [(f"K{i + 1}Cl", words[i % 2]) for i in range(30)] + [("NaCl", value) for value in values]
    data = table_property(csv(pd.DataFrame(rows, columns=["formula", "v"]), tmp_path / "t.csv"), "v")
    assert data.task == "classification"
    found = data.target[data.batch.formulas() == "NaCl"]
    if said is None:
        assert not len(found)
        assert data.left_out["compositions of which as many rows say one class as another"] == 1
    else:
        assert found == [said]


def test_groups_are_on_one_side(table: Path) -> None:
    frame = pd.read_csv(table).assign(formula=[f"Na{i + 1}Cl" for i in range(160)])
    frame.loc[5, "paper"] = None
    csv(frame, table)
    for folds in (0, 5):
        data = table_property(table, "hardness", group="paper", folds=folds)
        assert len(data.batch) == len(frame)
        for rows in frame.groupby("paper").indices.values():
            assert len(set(data.part[rows])) == 1
            assert data.fold is None or len(set(data.fold[rows])) == 1
    with pytest.raises(OptionError, match="hardness is a target and cannot be the --group too"):
        table_property(table, "hardness", group="hardness")
    with pytest.raises(DataError, match="has no column 'lab'"):
        table_property(table, "hardness", group="lab")


@pytest.mark.parametrize("rows", [20, 24])
def test_few_rows_have_finite_intervals(rows: int, tmp_path: Path) -> None:
    frame = pd.DataFrame({"formula": [f"Na{i + 1}Cl" for i in range(rows)], "v": np.arange(rows) / rows})
    data = table_property(csv(frame, tmp_path / "t.csv"), "v")
    found = fit_predictor(data, FitPlan("trees", trees={"num_iterations": 20}), tmp_path / "p")
    assert len(found.members) == 10
    said = Predictor.load(tmp_path / "p").predict(data.batch)
    assert np.isfinite(said[["v_low", "v_high"]].to_numpy()).all()
    assert (said["v_low"] <= said["v"]).all() and (said["v"] <= said["v_high"]).all()
    assert said["in_domain"].iloc[0]
    assert "n" not in found.metadata["metrics"]  # no share is told of rows that are not there
    card = (tmp_path / "p" / "README.md").read_text()
    assert "CV+" in card and "truth inside intervals" not in card


def test_the_command_line(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr("matgen.prediction.trees._ROUNDS", 30)
    out = tmp_path / "several"
    fit = ["fit", "--table", str(table), "--kind", "trees", "--folds", "3", "--out", str(out)]
    wanted = ["--target", "hardness", "state", "--features", "all", "--group", "paper", "--epochs", "3"]
    assert main([*fit, *wanted]) == 0
    told = capsys.readouterr().err
    assert "note: --epochs is not used by trees" in told
    assert "features beside the formula: temperature (number, 300 to 600), method (category: cold, hot, spark)" in told
    assert "note: ignored columns: doi (160 different texts in 160 rows are no categories" in told
    assert "3 folds that calibrate in turn" in told
    assert "state (insulator, metal): " in told
    assert re.search(r"intervals of 95 % hold \d+ of \d+ rows \(\d+ to \d+ % by so few\)", told)  # not a share
    assert (
        f"matgen predict candidates.csv --model {out / 'hardness'}, with temperature, method, rank as columns" in told
    )
    predict = ["predict", str(table), "--out", str(tmp_path / "o.csv"), "--predictor"]
    assert main([*predict, str(out / "state")]) == 0
    assert {"state_matgen", "state_probability_metal"} <= set(pd.read_csv(tmp_path / "o.csv"))
    capsys.readouterr()
    short = csv(pd.read_csv(table).drop(columns="method"), tmp_path / "short.csv")
    for words, message in [
        (
            ["predict", str(short), "--model", str(out / "state"), "--out", str(tmp_path / "x.csv")],
            "lacks the column method",
        ),
        (
            [*predict[:3], str(tmp_path / "x.csv"), "--model", str(out)],
            f"name one of {out / 'hardness'}, {out / 'state'}",
        ),
        (["fit", "--property", "band_gap", "--features", "all"], "--features: of a --table, not of a --property"),
        ([*fit[:-1], str(tmp_path / "x"), "--target", "hardness", "hardness"], "--target names a column twice"),
        ([*fit[:-1], str(tmp_path / "x"), "--target", "hardness", "--features", "pressure"], "no column 'pressure'"),
    ]:
        assert main(words) == 2, words
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists() and not (tmp_path / "x.csv").exists()


def test_folders_of_several_targets_say_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "predictor.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds predictors of several targets: name one of"):
        Predictor.load(tmp_path)


def test_what_is_ignored_is_said(table: Path) -> None:
    with pytest.raises(DataError, match="column doi: 160 different texts in 160 rows"):
        table_property(table, "hardness", features=["doi"])
    data = table_property(table, "hardness", features=["all"])
    assert any(remark.startswith("ignored columns: ") and "doi (" in remark for remark in data.remarks)
