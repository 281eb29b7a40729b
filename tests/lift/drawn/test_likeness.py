import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association as scipy_association
from sklearn.datasets import load_iris
from sklearn.feature_selection import f_classif

from matgen.errors import DataError
from matgen.lift.columns import describe, typed
from matgen.lift.drawn import likeness


def table(n, seed):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    x = np.where(kind == "a", 0, 3) + rng.normal(0, 1, n)
    frame = pd.DataFrame({"x": x.round(3), "y": (x * 2 + rng.normal(0, 3, n)).round(2), "kind": kind})
    frame["size"] = np.where(rng.random(n) < 0.7, np.where(kind == "a", "big", "small"), "medium")
    return frame


REAL, DRAWN = table(300, 0), table(200, 1)
COLUMNS = describe(REAL)
ROWS = typed(REAL, COLUMNS), typed(DRAWN, COLUMNS)


def test_distances_of_columns_by_their_definitions():
    found = likeness.marginals(COLUMNS, *ROWS)
    grid = np.sort(np.r_[REAL["x"], DRAWN["x"]])
    steps = [np.array([(frame["x"] <= at).mean() for at in grid]) for frame in (REAL, DRAWN)]
    assert found["x"]["distance"] == pytest.approx(np.abs(steps[0] - steps[1]).max())
    expected = sum(abs((REAL["kind"] == kind).mean() - (DRAWN["kind"] == kind).mean()) for kind in "abc") / 2
    assert found["kind"]["distance"] == pytest.approx(expected)
    assert found["x"]["real"] == pytest.approx([REAL["x"].mean(), REAL["x"].std(ddof=0)])


def test_what_is_no_real_value_and_what_is_missing():
    odd = DRAWN.assign(kind="d", x=99.0)
    odd.loc[:49, "kind"] = None
    found = likeness.marginals(COLUMNS, ROWS[0], typed(odd, COLUMNS))
    assert found["kind"]["new"] == found["x"]["new"] == found["kind"]["distance"] == found["x"]["distance"] == 1
    assert found["kind"]["missing"] == [0, 0.25]
    empty = likeness.marginals(COLUMNS, ROWS[0], typed(DRAWN.assign(x=np.nan), COLUMNS))
    assert empty["x"]["distance"] == 1


def test_relations_of_pairs_agree_with_scipy_and_scikit_learn():
    pairs = {tuple(pair["columns"]): pair for pair in likeness.associations(COLUMNS, *ROWS)}
    assert len(pairs) == 6
    assert pairs["x", "y"]["real"] == pytest.approx(REAL["x"].corr(REAL["y"]))
    counts = pd.crosstab(DRAWN["kind"], DRAWN["size"]).to_numpy()
    assert pairs["kind", "size"]["drawn"] == pytest.approx(scipy_association(counts, method="cramer"))
    # The F statistic of the analysis of variance is a function of the correlation ratio.
    f = f_classif(REAL[["x"]], REAL["kind"])[0][0]
    eta2 = f * 2 / (f * 2 + 297)
    assert pairs["x", "kind"]["real"] == pytest.approx(np.sqrt(eta2))
    assert [pairs[key]["measure"] for key in (("x", "y"), ("kind", "size"), ("x", "kind"))] == [
        "Pearson",
        "Cramer's V",
        "correlation ratio",
    ]
    constant = typed(REAL.assign(x=1.0), COLUMNS)
    assert likeness.association(COLUMNS[0], COLUMNS[1], constant) == 0


def test_a_forest_tells_what_differs_and_only_that():
    same = likeness.discriminator(COLUMNS, *ROWS)
    assert same["interval"][0] < 0.5 < same["interval"][1] + 0.02 and same["rows"] == 400
    shuffled = DRAWN.assign(y=DRAWN["y"].sample(frac=1, random_state=0).to_numpy())  # each column as it was
    told = likeness.discriminator(COLUMNS, ROWS[0], typed(shuffled, COLUMNS))
    assert told["accuracy"] > same["accuracy"] + 0.05 and told["auc"] > same["auc"]
    apart = likeness.discriminator(COLUMNS, ROWS[0], typed(DRAWN.assign(x=50.0), COLUMNS))
    assert apart["accuracy"] == 1
    with pytest.raises(DataError, match="4 rows are too few"):
        likeness.discriminator(COLUMNS, ROWS[0], ROWS[1].head(4))


def test_every_type_of_column_is_a_feature():
    frame = pd.DataFrame({"formula": ["NaCl", "MgO", "GaAs", None], "note": ["long text", None, "x", "y"]})
    frame["n"] = [1.0, np.nan, 3.0, 4.0]
    columns = describe(frame, column_types={"note": "text", "formula": "formula"})
    found = likeness.features(columns, typed(frame, columns))
    assert np.isfinite(found).all() and found.shape == (4, 119 + 2)
    assert found[:, -2].tolist() == [9, -1, 1, 1] and found[1, -1] < 1


def test_iris_against_itself_is_alike():
    iris = load_iris(as_frame=True).frame
    columns = describe(iris)
    rows = typed(iris, columns)
    assert all(own["distance"] == 0 for own in likeness.marginals(columns, rows, rows).values())
    assert all(pair["real"] == pair["drawn"] for pair in likeness.associations(columns, rows, rows))
    assert likeness.discriminator(columns, rows, rows)["accuracy"] < 0.5  # copies are told as what they are not
