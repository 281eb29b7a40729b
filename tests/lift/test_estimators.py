import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from matgen.errors import DataError, MatgenError, MatgenWarning, OptionError
from matgen.lift import LiftClassifier, LiftRegressor

QUICK = {"steps": 150, "width": 32, "layers": 2, "views": 2}
CHECKED = {"steps": 10, "width": 16, "heads": 2, "layers": 1, "views": 1}
TRAINED = {"steps": 150, "width": 32, "heads": 2, "layers": 1, "views": 2}

NOT_OURS = {"check_dataframe_column_names_consistency": "columns are found by name, in any order"}
"""What scikit-learn asks for and `LiftEstimator` does otherwise on purpose."""


@pytest.mark.slow
@parametrize_with_checks(
    [LiftClassifier(backend_options=CHECKED), LiftRegressor(backend_options=CHECKED)],
    expected_failed_checks=lambda estimator: NOT_OURS,
)
@pytest.mark.filterwarnings("ignore")
def test_what_scikit_learn_asks_of_estimators(estimator, check):
    if "_train" in getattr(check, "func", check).__name__:  # asks for an accuracy of 83 %, or an R2 of 0.5
        estimator.set_params(backend_options=TRAINED)
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X, y.map({0: "setosa", 1: "versicolor", 2: "virginica"}).rename("species")


@pytest.fixture(scope="module")
def fitted(iris):
    return LiftClassifier(backend_options=QUICK, units={"sepal length (cm)": "cm"}).fit(*iris)


def test_iris_is_learned(iris, fitted):
    X, y = iris
    assert fitted.score(X, y) > 0.93
    chances = fitted.predict_proba(X)
    assert chances.shape == (150, 3) and chances.sum(axis=1) == pytest.approx(1)
    assert (fitted.classes_[chances.argmax(axis=1)] == fitted.predict(X)).all()
    assert fitted.n_parameters_ < 1_000_000
    assert fitted.raw_parse_rate(X) > 0.9


def test_columns_in_another_order_and_numbers_as_text_mean_the_same(iris, fitted):
    X, _ = iris
    other = X[X.columns[::-1]].astype(str)
    other["of no use"] = "?"
    assert np.array_equal(fitted.predict_proba(X), fitted.predict_proba(other))


def test_missing_cells_are_answered_and_missing_columns_named(iris, fitted):
    X, _ = iris
    holes = X.copy()
    holes.iloc[:, 0] = np.nan
    assert fitted.score(holes, iris[1]) > 0.7
    with pytest.raises(DataError, match=r"the table has no column 'sepal length \(cm\)'; it has"):
        fitted.predict(X.iloc[:, 1:])
    bad = X.astype(object)
    bad.iloc[3, 2] = "long"
    with pytest.raises(DataError, match="row 4: 'long' in 'petal length"):
        fitted.predict(bad)


def test_labels_are_given_back_as_they_came(iris):
    X, _ = iris
    for labels in ([0, 1], [True, False], ["b", "a"], [2, -1]):
        y = np.array(labels)[np.arange(150) % 2]
        model = LiftClassifier(backend_options=CHECKED).fit(X, y)
        assert model.predict(X).dtype == y.dtype
        assert set(model.classes_) == set(labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y.where(y.index != 4), "row 5 has no label"),
        (lambda y: y * 0 + 1, "one class only"),
        (lambda y: pd.Series([1, "1"] * 75), "Unknown label type"),
        (lambda y: y + np.linspace(0, 1, 150), "Unknown label type: continuous"),
    ],
)
def test_labels_that_cannot_be_learned(iris, change, message):
    X, y = iris
    with pytest.raises(DataError, match=message):
        LiftClassifier(backend_options=CHECKED).fit(X, change(y.map(str.__len__)))


def test_a_label_never_learned_is_named(iris):
    X, y = iris
    with pytest.raises(DataError, match="row 1: the label 'rose' is none of those learned from"):
        LiftClassifier(backend_options=CHECKED).fit(X, y, validation=(X[:1], ["rose"]))


def test_it_is_an_estimator_like_any_other(iris):
    X, y = iris
    model = LiftClassifier(backend_options=QUICK, random_state=3)
    assert clone(model).get_params() == model.get_params()
    scores = cross_val_score(make_pipeline(FunctionTransformer(), model), X, y, cv=2)
    assert scores.min() > 0.8


def test_the_same_seed_gives_the_same_model(iris):
    X, y = iris
    one, other, third = (LiftClassifier(backend_options=CHECKED, random_state=seed).fit(X, y) for seed in (1, 1, 2))
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), third.predict_proba(X))


@pytest.mark.slow
def test_text_categories_and_formulas_are_features():
    rng = np.random.default_rng(0)
    formulas = np.array(["NaCl", "KBr", "Fe2O3", "Al2O3", "TiO2", "LiF"])
    which = rng.integers(6, size=120)
    X = pd.DataFrame({"formula": formulas[which], "phase": rng.choice(["a", "b", None], 120)})
    y = np.where(np.char.find(formulas[which].astype(str), "O") >= 0, "oxide", "halide")
    for formulas_as in ("text", "fractions", "both"):
        model = LiftClassifier(backend_options=QUICK | {"steps": 100}, formulas_as=formulas_as).fit(X, y)
        assert model.sentences_.columns[0].type == "formula"
        assert model.score(X, y) > 0.95
    # Other compounds of the same elements, in a phase that no training row has.
    unseen = pd.DataFrame({"formula": ["KCl", "NaF", "LiBr", "Fe3O4", "Ti2O3", "Fe5O8"], "phase": ["never seen"] * 6})
    assert model.predict(unseen).tolist() == ["halide"] * 3 + ["oxide"] * 3


@pytest.fixture(scope="module")
def line():
    x = np.random.default_rng(1).uniform(-10, 10, 240)
    X = pd.DataFrame({"x": x})
    model = LiftRegressor(backend_options=QUICK | {"steps": 400}, units={"y": "eV"})
    return X, x * 0.9, model.fit(X, pd.Series(x * 0.9, name="y"))


@pytest.mark.slow
def test_a_line_is_learned(line):
    X, y, model = line
    assert np.abs(model.predict(X) - y).sum() / np.abs(y - y.mean()).sum() < 0.1
    low, middle, high = model.predict_quantiles(X, (0.1, 0.5, 0.9)).T
    assert (low <= middle).all() and (middle <= high).all()
    assert model.rounding_floor_ < 0.01 * y.std()


@pytest.mark.slow
def test_intervals_hold_what_they_promise(line):
    _X, _y, model = line
    fresh = np.random.default_rng(2).uniform(-10, 10, 300)
    bounds = model.predict_interval(pd.DataFrame({"x": fresh}), 0.8)
    held = np.mean((bounds[:, 0] <= fresh * 0.9) & (fresh * 0.9 <= bounds[:, 1]))
    assert 0.65 < held < 0.95  # calibrated on 48 rows
    wide = model.predict_interval(pd.DataFrame({"x": fresh}), 0.95)
    assert (wide[:, 1] - wide[:, 0] >= bounds[:, 1] - bounds[:, 0]).all()


def test_without_rows_held_out_intervals_are_infinite():
    X, y = pd.DataFrame({"x": np.arange(20.0)}), np.arange(20.0)
    model = LiftRegressor(backend_options=CHECKED, held_out=None).fit(X, y)
    assert np.isinf(model.predict_interval(X)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, "high"])
def test_answers_that_are_no_numbers(value):
    with pytest.raises(DataError, match="row 2: .* is not a finite number"):
        LiftRegressor(backend_options=CHECKED).fit(pd.DataFrame({"x": [1.0, 2.0]}), np.array([1.0, value], object))


@pytest.mark.parametrize("values", [pd.to_datetime(["2024-01-01", "2024-01-02"]), pd.to_timedelta([1, 2], unit="D")])
def test_dates_are_no_targets_of_a_regression(values):
    with pytest.raises(DataError, match="is a date or duration: give numbers, such as days"):
        LiftRegressor(backend_options=CHECKED).fit(pd.DataFrame({"x": [1.0, 2.0]}), pd.Series(values))


def test_targets_with_a_unit_are_numbers():
    X, y = pd.DataFrame({"x": np.arange(20.0)}), [f"{i / 2}%" for i in range(20)]
    model = LiftRegressor(backend_options=CHECKED).fit(X, y)
    assert np.array_equal(model.predict(X), LiftRegressor(backend_options=CHECKED).fit(X, np.arange(20) / 2).predict(X))
    with pytest.raises(DataError, match="row 3: '>1' is not a finite number"):
        LiftRegressor(backend_options=CHECKED).fit(X, [*y[:2], ">1", *y[3:]])


def test_what_was_never_learned_is_told_for_each_column():
    X = pd.DataFrame({"a": ["u", "v"] * 10, "b": ["s", "t"] * 10, "x": np.arange(20.0), "y": np.arange(20.0)})
    model = LiftClassifier(backend_options=CHECKED).fit(X, X["a"])
    odd = X.assign(a="w", b=["s", "z"] * 10, y=500.0)
    with pytest.warns(MatgenWarning) as told:
        model.predict(odd)
    assert [str(one.message) for one in told] == [
        "20 rows hold a a that was never learned, such as 'w'",
        "10 rows hold a b that was never learned, such as 'z'",
        "20 rows hold a y outside of what was learned (0 to 19), such as 500",
    ]


def test_it_is_tuned_in_a_pipeline(iris):
    X, y = iris
    X = X.assign(color=pd.Categorical([1, 2, 3] * 50))
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(), LiftClassifier(backend_options=QUICK)),
        {"liftclassifier__backend_options": [QUICK | {"steps": 1}, QUICK]},
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_ == {"liftclassifier__backend_options": QUICK} and search.best_score_ > 0.8
    assert search.predict(X).shape == (150,)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LiftClassifier, LiftRegressor])
def test_a_grid_is_searched_as_for_any_estimator(iris, kind):
    """`GridSearchCV` as it comes: five folds, the estimator's own score, the best one fitted again."""
    X, y = iris
    y = y if kind is LiftClassifier else X["petal width (cm)"]
    X = X.drop(columns="petal width (cm)") if kind is LiftRegressor else X
    search = GridSearchCV(kind(backend_options=TRAINED | {"steps": 60}), {"noise": [0.05, 1.0]}).fit(X, y)
    assert search.n_splits_ == 5 and search.best_params_ == {"noise": 0.05}
    assert search.best_score_ > search.cv_results_["mean_test_score"][1]
    assert np.array_equal(search.predict(X), search.best_estimator_.predict(X))


@pytest.mark.slow
def test_retrieval_follows_rows_that_come_later():
    """After the answers have moved only the near rows in the prompt know of it, not the weights."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.uniform(-10, 10, 300)})
    y = 9 * np.cos(X["x"] / 3)
    options = QUICK | {"steps": 400, "views": 1, "evaluations": 2}
    model = LiftRegressor(retrieval=4, backend_options=options).fit(X, y)
    before = model.predict(X[:50])
    assert np.abs(before - y[:50]).mean() < 1
    assert model.update(X[100:], y[100:] + 4, replace=True) is model
    assert len(model.store_) == 200
    moved = model.predict(X[:50]) - before
    assert 2 < moved.mean() < 5
    model.update(X[:10], y[:10] + 4)
    assert len(model.store_) == 210


def test_former_keywords_are_accepted_with_a_warning():
    X, y = pd.DataFrame({"x": np.arange(20.0)}), np.arange(20.0)
    with pytest.warns(FutureWarning, match="kinds is now column_types; the old name goes in 0.4"):
        model = LiftRegressor(backend_options=CHECKED, retrieval=1, kinds={"x": "category"}).fit(X, y)
    assert model.sentences_.columns[0].type == "category"
    with pytest.warns(FutureWarning, match="shares is now quantiles"):
        former = model.predict_quantiles(X, shares=[0.3])
    assert np.array_equal(former, model.predict_quantiles(X, [0.3]))
    with pytest.warns(FutureWarning, match="forget is now replace"):
        model.update(X[:5], y[:5], forget=True)
    assert len(model.store_) == 5


@pytest.mark.parametrize(
    ("estimator", "method"),
    [(LiftClassifier, name) for name in ("predict", "predict_proba", "raw_parse_rate")]
    + [(LiftRegressor, name) for name in ("predict", "predict_quantiles", "predict_interval", "raw_parse_rate")],
)
def test_nothing_is_predicted_before_fit(estimator, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(estimator(), method)(pd.DataFrame({"x": [1.0, 2.0]}))


def test_only_what_was_fitted_with_retrieval_is_updated():
    X, y = pd.DataFrame({"x": np.arange(20.0)}), np.arange(20.0)
    with pytest.raises(OptionError, match="retrieval=4"):
        LiftRegressor(backend_options=CHECKED).fit(X, y).update(X, y)


@pytest.mark.parametrize(
    "options",
    [{"template": "{nothing}"}, {"units": {"no": "eV"}}, {"retrieval": -1}, {"pretext": -1}, {"formulas_as": "prose"}],
)
def test_options_that_do_not_fit(iris, options):
    with pytest.raises(MatgenError):
        LiftClassifier(backend_options=CHECKED, **options).fit(*iris)


def test_sentences_can_be_seen_before_anything_is_learned(iris):
    X, y = iris
    shown = LiftClassifier().show(X.head(60), y.head(60))
    assert shown[0].startswith("When we have sepal length (cm)=5.1, ") and shown[0].endswith("species?###setosa@@@")
