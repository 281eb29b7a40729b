from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

import matgen
from matgen import PropertyClassifier, PropertyRegressor
from matgen.errors import DataError, MatgenWarning, OptionError
from tests.prediction.user_tables import hardness_table

QUICK = {"folds": 3, "trees": {"num_iterations": 40, "learning_rate": 0.2}}

EXPECTED_FAILURES: dict[str, str] = {}
"""None: scikit-learn's checks pass arrays of numbers, which are learned from without formulas."""


@pytest.mark.slow
@parametrize_with_checks(
    [PropertyRegressor(**QUICK), PropertyClassifier(**QUICK)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
@pytest.mark.filterwarnings("ignore")
def test_what_scikit_learn_asks_of_estimators(estimator, check) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return hardness_table()


FEATURES = ["formula", "temperature", "method"]


def test_formulas_and_columns(frame: pd.DataFrame) -> None:
    new = hardness_table(60, seed=1)
    alone = PropertyRegressor(**QUICK).fit(list(frame["formula"]), frame["hardness"])
    told = PropertyRegressor(**QUICK).fit(frame[FEATURES], frame["hardness"])
    assert told.score(new[FEATURES], new["hardness"]) > 0.7 > alone.score(new["formula"], new["hardness"])
    assert (told.predict(new[FEATURES]) == told.predict(new[FEATURES[::-1]])).all()  # columns are found by name
    mean, spread = told.predict(new[FEATURES], return_std=True)
    low, high = told.predict_interval(new[FEATURES], 0.8).T
    assert (spread > 0).all() and (low <= mean).all() and (mean <= high).all()
    assert 0.6 < ((low <= new["hardness"]) & (new["hardness"] <= high)).mean() <= 1
    assert list(told.feature_names_in_) == FEATURES
    as_rows = frame[FEATURES].to_numpy(object)
    same = PropertyRegressor(formula=0, **QUICK).fit(as_rows, frame["hardness"])
    assert same.predict(new[FEATURES].to_numpy(object)) == pytest.approx(mean)


def test_classes_keep_their_type(frame: pd.DataFrame) -> None:
    new = hardness_table(60, seed=1)
    for labels in ("rank", "state"):
        found = PropertyClassifier(**QUICK).fit(frame[FEATURES], frame[labels].astype(str))
        chances = found.predict_proba(new[FEATURES])
        assert chances.shape == (60, len(found.classes_)) and chances.sum(axis=1) == pytest.approx(1)
        assert found.score(new[FEATURES], new[labels].astype(str)) > 0.6
    numbers = PropertyClassifier(**QUICK).fit(frame[FEATURES], (frame["state"] == "metal").astype(int) * 5)
    assert set(numbers.predict(new[FEATURES])) == {0, 5}


def test_within_scikit_learn(frame: pd.DataFrame) -> None:
    search = GridSearchCV(PropertyRegressor(**QUICK), {"trees": [{"num_iterations": 5}, {"num_iterations": 80}]}, cv=2)
    search.fit(frame[FEATURES], frame["hardness"])
    assert search.best_params_ == {"trees": {"num_iterations": 80}}
    said = cross_val_predict(PropertyClassifier(**QUICK), frame[FEATURES], frame["state"], cv=2, method="predict_proba")
    assert said.shape == (160, 2)


@pytest.mark.slow
def test_networks(frame: pd.DataFrame) -> None:
    found = PropertyRegressor("network", folds=3, epochs=8).fit(frame[FEATURES], frame["hardness"])
    assert found.score(frame[FEATURES], frame["hardness"]) > 0.3
    with pytest.raises(OptionError, match="3 classes"):
        PropertyClassifier("network").fit(frame[FEATURES], frame["rank"].astype(str))


def test_groups_never_calibrate_themselves(frame: pd.DataFrame) -> None:
    """Of groups that are only noise alike, intervals that knew their own group would be too small."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 4)
    formulas = [f"Na{i + 1}Cl" for i in range(160)]
    X = pd.DataFrame({"formula": formulas, "group_value": rng.normal(size=40)[group]})
    y = rng.normal(size=40)[group]
    width = [
        np.diff(PropertyRegressor(**QUICK).fit(X, y, groups).predict_interval(X, 0.8)).mean()
        for groups in (None, group)
    ]
    assert width[1] > 1.3 * width[0]


def test_what_cannot_be_read(frame: pd.DataFrame) -> None:
    fitted = PropertyRegressor(**QUICK).fit(frame[FEATURES], frame["hardness"])
    for X, message in [
        (frame[["formula", "method"]], "X lacks the column temperature"),
        (frame[["method"]], "X lacks the column formula"),
        (frame[FEATURES].assign(formula="Xx"), "row 1: 'Xx'"),
        (frame[FEATURES].assign(temperature="warm"), "'warm' in temperature is not a number"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            fitted.predict(X)
        assert isinstance(caught.value, DataError)
    with pytest.raises(ValueError, match="no formula column"):
        PropertyRegressor().fit(frame[["method", "temperature"]], frame["hardness"])
    with pytest.raises(ValueError, match="name it by the argument formula"):
        PropertyRegressor().fit(frame[["method"]].to_numpy(object), frame["hardness"])
    with pytest.warns(MatgenWarning, match="ignored columns of X: doi"):
        PropertyRegressor(**QUICK).fit(frame[["formula", "doi"]], frame["hardness"])


def test_exported_lazily() -> None:
    assert {"PropertyRegressor", "PropertyClassifier"} <= set(matgen.__all__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert matgen.PropertyRegressor is PropertyRegressor
