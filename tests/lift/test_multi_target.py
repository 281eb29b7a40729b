import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.lift import LiftMultiTarget, load, save

QUICK = {"steps": 120, "width": 32, "layers": 2, "views": 2}
CHECKED = {"steps": 5, "width": 16, "heads": 2, "layers": 1, "views": 1}


@pytest.fixture(scope="module")
def iris():
    frame = load_iris(as_frame=True).frame
    frame["species"] = frame.pop("target").map({0: "setosa", 1: "versicolor", 2: "virginica"})
    frame.columns = [name.replace(" (cm)", "") for name in frame.columns]
    targets = frame[["species", "petal width"]].copy()
    targets.loc[::10, "species"] = None
    targets.loc[5::10, "petal width"] = np.nan
    return frame[["sepal length", "petal length"]], targets, frame


@pytest.fixture(scope="module")
def fitted(iris):
    X, y, _ = iris
    return LiftMultiTarget(backend_options=QUICK, units={"petal width": "cm"}).fit(X, y)


def test_labels_and_numbers_are_learned_from_rows_that_lack_some(iris, fitted):
    X, _, frame = iris
    predicted = fitted.predict(X)
    assert list(predicted) == ["species", "petal width"]
    assert (predicted["species"] == frame["species"]).mean() > 0.85
    error = np.abs(predicted["petal width"] - frame["petal width"])
    assert error.mean() < 0.5 * np.abs(frame["petal width"] - frame["petal width"].mean()).mean()
    assert fitted.score(X, frame) > 0.7


def test_a_table_of_answers_has_probabilities_and_intervals(iris, fitted):
    X, _, frame = iris
    table = fitted.predict_table(X, confidence=0.8)
    labels = ["setosa", "versicolor", "virginica"]
    chances = table[[f"species_probability_{label}" for label in labels]].to_numpy()
    assert chances.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(chances, fitted.predict_proba(X)["species"])
    assert (np.array(labels)[chances.argmax(axis=1)] == table["species_predicted"]).all()
    held = table["petal width_low"].le(frame["petal width"]) & frame["petal width"].le(table["petal width_high"])
    assert 0.65 < held.mean() < 0.97  # calibrated on some 27 rows
    wide = fitted.predict_table(X, confidence=0.9)
    assert (wide["petal width_high"] >= table["petal width_high"]).all()


def test_a_known_target_is_believed(iris, fitted):
    X = iris[0].iloc[[60] * 2].assign(species=["setosa", "virginica"])
    numbers = fitted.predict(X, known=["species"])
    assert list(numbers) == ["petal width"] and numbers["petal width"].iloc[0] < numbers["petal width"].iloc[1]
    for known in (["petal width"], ["species", "petal width"]):
        with pytest.raises(OptionError, match="the first of species, petal width can be known"):
            fitted.predict(X, known=known)
    with pytest.raises(DataError, match="X has no column 'species', which is said to be known"):
        fitted.predict(iris[0], known=["species"])
    with pytest.raises(DataError, match="target 'species', .*row 1: the label 'rose' is none of those"):
        fitted.predict(X.assign(species="rose"), known=["species"])


def test_what_is_drawn_together_agrees(iris, fitted):
    """Petal widths of drawn rows differ by their drawn species as those of the table do."""
    X, _, frame = iris
    drawn = fitted.sample(X, 4, seed=1)
    assert len(drawn) == 600 and set(drawn["species"]) == set(frame["species"])
    real, found = (t.groupby("species")["petal width"].mean() for t in (frame, drawn))
    assert (real - found).abs().max() < 0.5
    assert drawn.equals(fitted.sample(X, 4, seed=1)) and not drawn.equals(fitted.sample(X, 4, seed=2))


def test_a_folder_answers_as_what_was_saved(iris, fitted, tmp_path):
    save(fitted, tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.get_params() == fitted.get_params() == clone(fitted).get_params()
    pd.testing.assert_frame_equal(again.predict_table(iris[0]), fitted.predict_table(iris[0]))


def test_labels_come_back_with_their_type():
    X = pd.DataFrame({"x": np.arange(40.0)})
    y = np.column_stack([np.arange(40) % 2, np.arange(40) % 3])
    model = LiftMultiTarget(backend_options=CHECKED).fit(X, y)
    predicted = model.predict(X)
    assert list(predicted) == ["y1", "y2"] and all(kind.kind == "i" for kind in predicted.dtypes)
    flags = pd.DataFrame({"flag": [True, False, None, True] * 10, "day": ["b", "a"] * 20})
    model = LiftMultiTarget(backend_options=CHECKED).fit(X, flags)
    assert model.predict(X)["flag"].dtype == bool and model.sample(X)["flag"].dtype == bool
    forced = LiftMultiTarget({"y1": "regression"}, backend_options=CHECKED, held_out=None).fit(X, y)
    assert list(forced.classes_) == ["y2"]
    assert np.isinf(forced.predict_table(X)[["y1_low", "y1_high"]]).all(axis=None)


def test_sentences_show_the_targets_one_after_the_other(iris):
    X, y, _ = iris
    shown = LiftMultiTarget(units={"petal width": "cm"}).show(X, y)
    assert shown[1] == (
        "When we have sepal length=4.9, petal length=1.4, what should be the species?###setosa@@@\n"
        "When we have sepal length=4.9, petal length=1.4, species=setosa, what should be the petal width?###0.2@@@"
    )
    assert shown[5].count("\n") == 0 and "the species?" in shown[5]


def test_what_was_never_learned_is_told(iris, fitted):
    with pytest.warns(MatgenWarning, match="a sepal length outside of what was learned"):
        fitted.predict(iris[0].head(2).assign(**{"sepal length": 90.0}))


X, Y = pd.DataFrame({"x": np.arange(20.0)}), pd.DataFrame({"a": ["u", "v"] * 10, "b": np.linspace(0, 1, 20)})


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({}, lambda y: y.assign(b=None), "no row has a value in the target 'b'"),
        ({}, lambda y: y.assign(a="u"), "target 'a', .*: y has one class only, 'u'"),
        ({}, lambda y: y.assign(x=1), "'x' is among the targets and among the columns"),
        ({}, lambda y: y.assign(b=[*y["b"].astype(str)[:-1], ">1"]), "b: '>1' .row 20 of those with a value. is not"),
        ({}, lambda y: y.to_numpy()[:, 0], r"y has the shape \(20,\), it must be \(rows, targets\)"),
        ({}, lambda y: y.head(19), "X has 20 rows and y has 19"),
        ({"tasks": {"c": "regression"}}, lambda y: y, "there is no target 'c'; the targets are a, b"),
        ({"tasks": {"b": "ranking"}}, lambda y: y, "unknown task 'ranking'"),
        ({"draws": 0}, lambda y: y, "draws is 0"),
        ({"backend_options": {"members": 2}}, lambda y: y, "members is an option for one target only"),
        ({"units": {"c": "eV"}}, lambda y: y, "there is no column 'c'"),
    ],
)
def test_what_cannot_be_learned_is_named(options, change, message):
    with pytest.raises((DataError, OptionError), match=message):
        LiftMultiTarget(**{"backend_options": CHECKED, **options}).fit(X, change(Y))


def test_nothing_is_predicted_before_fit():
    for method in ("predict", "predict_proba", "predict_table", "sample"):
        with pytest.raises(NotFittedError):
            getattr(LiftMultiTarget(), method)(X)
