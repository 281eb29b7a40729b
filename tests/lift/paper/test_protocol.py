import numpy as np
import pandas as pd
import pytest

from matgen.errors import DataError, MissingDependencyError, OptionError, OutputError
from matgen.lift import LiftClassifier, LiftRegressor, evaluation
from matgen.lift.paper import protocol
from matgen.lift.paper.baselines import CLASSIFIERS, REGRESSORS, baseline

QUICK = {"steps": 20, "width": 16, "heads": 2, "layers": 1, "views": 1}


def ours(table, seed):
    kind = LiftClassifier if table.task == "classification" else LiftRegressor
    return kind(random_state=seed, backend_options=QUICK)


@pytest.mark.parametrize(
    ("task", "name"),
    [("classification", name) for name in CLASSIFIERS] + [("regression", name) for name in REGRESSORS],
)
def test_usual_methods_take_numbers_text_formulas_and_gaps(task, name):
    """Their scores on the training rows, of which one column decides; support vectors see large features alone."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "x": [np.nan, *rng.normal(size=59)],
            "kind": rng.choice(["a", "b"], 60),
            "formula": rng.choice(["NaCl", "Fe2O3", "SrTiO3", "GaAs", "ZnS"], 60),
        }
    )
    y = X["kind"] + "!" if task == "classification" else X["x"].fillna(0) * 2
    try:
        score = baseline(name, X, task).fit(X, y).score(X, y)
    except MissingDependencyError:
        pytest.skip("xgboost is not installed")
    if name in ("majority", "mean") or (task, name) == ("classification", "svm"):
        guessed = y.value_counts(normalize=True).max() if task == "classification" else 0.0
        assert score == pytest.approx(guessed, abs=1e-9)
    else:
        assert score > {"svm": 0.3, "k_nearest": 0.6}.get(name, 0.8)


def test_a_run_goes_on_where_it_stopped(tmp_path):
    made = []

    def counting(table, seed):
        made.append(seed)
        return ours(table, seed)

    methods = {protocol.LIFT: counting}
    first = protocol.run(["linear"], methods, tmp_path, seeds=(0,))
    again = protocol.run(["linear"], methods, tmp_path, seeds=(0, 1))
    assert made == [0, 1] and again[0] == first[0]
    assert {"rae", "rae_trimmed", "rmse", "covered", "raw_parse_rate", "n_parameters"} <= set(first[0])
    (summary,) = protocol.summary(again)
    assert summary["rae"] == pytest.approx(np.mean([row["rae"] for row in again]))
    text = protocol.as_text([summary])
    assert "LIFT GPT-J, published" in text and "trimmed" in text


def test_the_protocol_from_python(tmp_path):
    out = tmp_path / "out"
    text = evaluation.by_protocol(
        "lift", ours, out, tables=["iris"], methods=["logistic"], seeds=(0,), settings={"a": 1}
    )
    assert "96.67" in text and (out / "summary.json").is_file()
    with pytest.raises(OutputError, match="other settings"):
        evaluation.by_protocol("lift", ours, out, tables=["iris"], methods=["none"], seeds=(0,), settings={"a": 2})
    for wrong in ({"name": "uplift"}, {"tables": ["roses"]}, {"methods": ["magic"]}):
        with pytest.raises(OptionError):
            evaluation.by_protocol(wrong.pop("name", "lift"), ours, tmp_path / "new", seeds=(0,), **wrong)


def test_cross_validation_tests_every_row_once():
    X = pd.DataFrame({"x": np.r_[np.zeros(20), np.ones(20)]})
    y = pd.Series(["a"] * 20 + ["b"] * 20, name="label")
    rows = evaluation.cross_validated(X, y, "classification", ours, folds=4, methods=["majority", "logistic"])
    assert {row["method"] for row in rows} == {"LIFT", "majority", "logistic"}
    of = {row["method"]: row for row in rows}
    assert of["logistic"]["accuracy"] == 1 and of["majority"]["accuracy"] == 0.5
    low, high = of["majority"]["interval"]
    assert 0.3 < low < 0.5 < high < 0.7
    with pytest.raises(OptionError, match="folds is 1"):
        evaluation.cross_validated(X, y, "classification", ours, folds=1)
    with pytest.raises(DataError, match="'b' occurs 3 times"):
        evaluation.cross_validated(X[:23], y[:23], "classification", ours, folds=5)
    numbers = evaluation.cross_validated(X, X["x"] * 2 + 1, "regression", ours, folds=2, methods=["mean", "ridge"])
    assert {row["method"]: row["rae"] < 0.05 for row in numbers}["ridge"]
