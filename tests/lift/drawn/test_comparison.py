import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from matgen.errors import DataError, OptionError
from matgen.lift.drawn import comparison


@pytest.fixture(scope="module")
def tables():
    frame = load_iris(as_frame=True).frame
    frame["species"] = frame.pop("target").map({0: "setosa", 1: "versicolor", 2: "virginica"})
    frame = frame.sample(frac=1, random_state=0, ignore_index=True)
    return frame.head(60), frame[60:110].reset_index(drop=True), frame[110:].reset_index(drop=True)


def test_rows_of_the_same_table_are_told_from_poor_ones(tables):
    real, other, held_out = tables
    rng = np.random.default_rng(1)
    poor = pd.DataFrame({name: rng.permutation(other[name].to_numpy()) for name in other})  # relations are lost
    good, bad = (
        comparison.compared(real, rows, held_out, targets=["species"], quasi_identifiers=["species"])
        for rows in (other, poor)
    )
    assert good["rows"] == {"real": 60, "drawn": 50, "held_out": 40}
    assert good["discriminator"]["accuracy"] < 0.65 < bad["discriminator"]["accuracy"]
    assert comparison.mean_difference(good["associations"]) < comparison.mean_difference(bad["associations"])
    assert comparison.mean_distance(good["marginals"]) == pytest.approx(
        np.mean([own["distance"] for own in good["marginals"].values()])
    )
    low, high = good["membership_inference"]["interval"]
    assert low < 0.1 and high > -0.1
    assert good["usefulness"]["species"]["drawn"] > 0.85
    text = comparison.as_text(good)
    for words in (
        "rows: 60 real, 50 drawn, 40 held out",
        "(held-out rows ",
        "k-anonymity by species",
        "species predicted",
    ):
        assert words in text


def test_usefulness_is_that_of_a_forest_fitted_by_hand(tables):
    real, other, held_out = tables
    found = comparison.compared(real, other, held_out, targets=["species", "petal width (cm)"])["usefulness"]
    X = [rows.drop(columns="species").to_numpy() for rows in (other, held_out)]
    forest = RandomForestClassifier(random_state=0).fit(X[0], other["species"])
    assert found["species"] == {
        "measure": "accuracy",
        "drawn": pytest.approx(forest.score(X[1], held_out["species"])),
        "real": pytest.approx(found["species"]["real"]),
    }
    assert found["petal width (cm)"]["measure"] == "R2" and found["petal width (cm)"]["real"] > 0.8


def test_without_held_out_rows_what_needs_them_is_left_out(tables):
    real, other, _ = tables
    report = comparison.compared(real, other)
    assert not {"held_out", "membership_inference", "usefulness", "anonymity"} & set(report)
    assert "needs rows that were not learned from" in comparison.as_text(report)


def test_tables_of_other_columns_are_refused(tables):
    real, other, held_out = tables
    with pytest.raises(DataError, match="the drawn table has no column 'species'"):
        comparison.compared(real, other.drop(columns="species"))
    with pytest.raises(DataError, match="the held-out table, row 1: 'wide' in 'sepal width"):
        comparison.compared(real, other, held_out.assign(**{"sepal width (cm)": "wide"}))
    with pytest.raises(DataError, match="the drawn table has 1 rows"):
        comparison.compared(real, other.head(1))
    with pytest.raises(DataError, match="target 'color': there is no column"):
        comparison.compared(real, other, held_out, targets=["color"])
    with pytest.raises(OptionError, match="there is no column 'color'"):
        comparison.compared(real, other, quasi_identifiers=["color"])


def test_text_alone_has_no_distances():
    rng = np.random.default_rng(0)
    words = pd.DataFrame({"note": [" ".join(rng.choice(["one", "two", "three"], 9)) for _ in range(150)]})
    report = comparison.compared(words, words.tail(50))
    assert "closest_records" not in report and report["associations"] == []
    assert "columns differ" in comparison.as_text(report)
