import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits, load_iris

from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.lift import LiftGenerator
from matgen.lift.columns import describe
from matgen.lift.draw import allowed_tokens

QUICK = {"steps": 250, "width": 48, "layers": 2}


@pytest.fixture(scope="module")
def table():
    X, y = load_iris(return_X_y=True, as_frame=True)
    X["species"] = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    return X


@pytest.fixture(scope="module")
def generator(table):
    return LiftGenerator(backend_options=QUICK).fit(table)


def test_rows_are_like_those_learned(table, generator):
    rows = generator.sample(400, seed=1)
    assert list(rows.columns) == list(table.columns) and len(rows) == 400
    assert set(rows["species"]) == set(table["species"])
    for name in table.columns[:4]:
        low, high = next(c for c in generator.columns_ if c.name == name).padded_range()
        assert rows[name].between(low - 0.05, high + 0.05).all()
        assert abs(rows[name].mean() - table[name].mean()) < 0.3 * table[name].std()
    of = [t.groupby("species")["petal length (cm)"].mean() for t in (table, rows)]
    assert (of[0] - of[1]).abs().max() < 0.6  # columns hang together


@pytest.mark.parametrize(
    "given", [{"species": "setosa"}, {"petal width (cm)": 2.0}, {"species": "virginica", "sepal width (cm)": 3.0}]
)
def test_any_columns_can_be_given(generator, given):
    rows = generator.sample(50, given)
    for name, value in given.items():
        assert (rows[name] == value).all()
    if given.get("petal width (cm)") == 2.0:
        assert (rows["species"] == "virginica").mean() > 0.6
    if given.get("species") == "setosa":
        assert rows["petal length (cm)"].median() < 2.5


def test_draws_are_told_by_their_seed(generator):
    assert generator.sample(20, seed=3).equals(generator.sample(20, seed=3))
    assert not generator.sample(20, seed=3).equals(generator.sample(20, seed=4))


def test_draws_follow_the_probabilities_of_the_model():
    """Frequencies of a tiny table's rows against `score_samples`, row by row."""
    table = pd.DataFrame({"a": ["x", "y"] * 100, "b": ["u"] * 120 + ["v"] * 80})
    generator = LiftGenerator(order="table", backend_options=QUICK | {"steps": 60}).fit(table)
    every = pd.DataFrame({"a": ["x", "x", "y", "y"], "b": ["u", "v", "u", "v"]})
    chance = np.exp(generator.score_samples(every))
    drawn = generator.sample(4_000, seed=0)
    found = [((drawn["a"] == a) & (drawn["b"] == b)).mean() for a, b in every.itertuples(index=False)]
    assert found == pytest.approx(chance / chance.sum(), abs=0.03)


def test_missing_cells_are_filled_in(table, generator):
    holes = table.copy()
    holes.loc[::7, "species"] = None
    holes.loc[::5, "petal length (cm)"] = np.nan
    filled = generator.impute(holes)
    assert not filled.isna().any().any()
    kept = holes.notna()
    assert (filled.where(kept) == table.where(kept)).where(kept).stack().all()
    assert (filled["species"] == table["species"])[::7].mean() > 0.7
    error = (filled["petal length (cm)"] - table["petal length (cm)"])[::5].abs().mean()
    assert error < 0.5 * table["petal length (cm)"].std()
    empty = pd.DataFrame([[None] * 5], columns=table.columns)
    assert not generator.impute(empty, draws=3).isna().any().any()


def half_empty():
    """Two columns of which every second cell is empty, with numbers from 0 to 99 in the rows that are filled."""
    filled = np.arange(200) % 2 == 0
    numbers = np.where(filled, np.arange(200) // 2, np.nan)
    return pd.DataFrame({"a": numbers, "b": np.where(filled, "x", None), "never": [None] * 200})


def test_missing_is_never_filled_in():
    table = half_empty()
    generator = LiftGenerator(backend_options=QUICK | {"steps": 80}).fit(table)
    drawn = generator.sample(300)
    assert 0.2 < drawn["a"].isna().mean() < 0.8 and 0.2 < drawn["b"].isna().mean() < 0.8  # as it was learned
    filled = generator.impute(table, draws=25)
    assert filled[["a", "b"]].notna().all().all() and filled["never"].isna().all()
    assert filled["a"][::2].tolist() == list(range(100))
    # The median of what is drawn is that of the numbers: a quarter of the draws would be above it otherwise.
    empty = pd.DataFrame({"a": [np.nan] * 3, "b": [None] * 3, "never": [None] * 3})
    assert 30 < generator.impute(empty, draws=401)["a"].iloc[0] < 70


def test_conditions_are_kept_while_rows_are_drawn(table, generator):
    where = ["petal width (cm) >= 1.4", "petal width (cm) < 1.6", "species in setosa,virginica"]
    rows = generator.sample(60, where=where)
    assert rows["petal width (cm)"].between(1.4, 1.6, inclusive="left").all()
    assert set(rows["species"]) <= {"setosa", "virginica"} and len(rows) == 60
    rows = generator.sample(200, {"species": "virginica"}, where=["sepal length (cm) > 7"])
    assert (rows["sepal length (cm)"] > 7).all() and (rows["species"] == "virginica").all()
    assert rows["petal length (cm)"].mean() > table["petal length (cm)"].mean()  # the others follow
    assert set(generator.sample(40, where=["sepal width (cm) in 3.04,2.5"])["sepal width (cm)"]) == {3.04, 2.5}
    with pytest.raises(DataError, match="no value learned from meets it; 'sepal length \\(cm\\)' goes from 4.3 to 7.9"):
        generator.sample(1, where=["sepal length (cm) > 9"])
    with pytest.raises(OptionError, match="'species' is given and has a condition"):
        generator.sample(1, {"species": "setosa"}, where=["species != setosa"])


def test_draws_under_a_condition_follow_the_probabilities_given_it():
    """Frequencies of rows against `score_samples` of those that meet the condition."""
    table = pd.DataFrame({"n": [1, 2, 3, 4] * 50, "b": (["u"] * 3 + ["v"]) * 25 + (["v"] * 3 + ["u"]) * 25})
    generator = LiftGenerator(order="table", backend_options=QUICK | {"steps": 60}).fit(table)
    every = pd.DataFrame({"n": [2, 2, 3, 3], "b": ["u", "v", "u", "v"]})
    chance = np.exp(generator.score_samples(every))
    drawn = generator.sample(4_000, where=["n >= 2", "n < 4"])
    found = [((drawn["n"] == n) & (drawn["b"] == b)).mean() for n, b in every.itertuples(index=False)]
    assert found == pytest.approx(chance / chance.sum(), abs=0.03)


def test_cells_come_back_as_they_were():
    dates = pd.to_datetime(["2024-01-01", "2024-03-01", "2024-12-31", "2023-07-01"] * 10)
    table = pd.DataFrame(
        {
            "day": dates,
            "grade": pd.Categorical([10, 9, 11, 9] * 10),
            "flag": [True, None, False, True] * 10,
            "share": ["45%", "50%", "7%", "30%"] * 10,
            "code": ["003", "010", "100", "003"] * 10,
            "region": ["NA", "None", "nan", "EU"] * 10,
        }
    )
    with pytest.warns(MatgenWarning, match="'45%' is read as the number 45"):
        generator = LiftGenerator(backend_options=QUICK | {"steps": 30}).fit(table)
    rows = generator.sample(50, {"code": "003"}, where=["day >= 2024-02-01"])
    assert rows["day"].dtype.kind == "M" and (rows["day"] >= "2024-02-01").all()
    assert rows["grade"].isin([9, 10, 11]).all() and set(rows["flag"]) <= {True, False, None}
    assert rows["share"].str.fullmatch(r"\d+%").all() and (rows["code"] == "003").all()
    assert set(rows["region"]) <= {"NA", "None", "nan", "EU"}
    holes = table.copy()
    holes.loc[::4, "region"] = None
    holes.loc[1::4, "day"] = pd.NaT
    filled = generator.impute(holes, draws=5)
    assert filled["day"].dtype.kind == "M" and filled["day"].notna().all() and filled["region"].notna().all()
    assert filled["share"].tolist() == table["share"].tolist() and filled["grade"].tolist() == table["grade"].tolist()
    assert filled["flag"].notna().all() and filled["flag"][::4].all()


@pytest.mark.slow
def test_drawn_formulas_can_be_read():
    from matgen import parse_formulas

    formulas = ["NaCl", "KBr", "LiF", "MgO", "CaO", "Fe2O3", "Al2O3", "SrTiO3"] * 20
    table = pd.DataFrame({"formula": formulas, "gap": np.linspace(0, 9, 160)})
    generator = LiftGenerator(backend_options=QUICK | {"steps": 150}).fit(table)
    rows = generator.sample(60, {"gap": 4.5})
    assert not parse_formulas(rows["formula"]).bad


def test_rows_with_unreadable_formulas_are_drawn_again(monkeypatch):
    """Of three rows the first two hold no formula at first, and the second one holds none in any draw."""
    columns = describe(pd.DataFrame({"formula": ["NaCl", "KBr", "LiF", "MgO", "CaO", "AgI"]}))
    model = LiftGenerator(order="table")
    model.columns_, sizes = columns, []

    def drawn(known, *_rest):
        sizes.append(len(known))
        return pd.DataFrame({"formula": ["??", "!!", "NaCl"] if len(known) == 3 else ["KBr", "!!"][-len(known) :]})

    monkeypatch.setattr(model, "_draw", drawn)
    with pytest.warns(UserWarning, match="1 of 3 formulas cannot be read after 8 draws: left out"):
        rows = model.sample(3)
    assert rows["formula"].tolist() == ["KBr", "NaCl"]
    assert model.redrawn_ == pytest.approx(2 / 3) and sizes == [3, 2] + [1] * 7


@pytest.mark.slow
def test_pictures_are_completed_in_the_order_of_the_table():
    digits = pd.DataFrame(load_digits().data[:200].astype(int))
    generator = LiftGenerator(order="table", backend_options={"steps": 20, "width": 32, "layers": 1}).fit(digits)
    halves = digits.iloc[:3, :32]
    rows = generator.sample(given=halves)
    assert (rows.iloc[:, :32].to_numpy() == halves.to_numpy()).all()
    assert rows.to_numpy().min() >= 0 and rows.to_numpy().max() <= 16
    with pytest.raises(OptionError, match="first columns only"):
        generator.sample(1, {"63": 0})
    with pytest.raises(OptionError, match="order 'random'"):
        generator.impute(digits)


def test_the_grammar_allows_what_the_range_holds():
    table = pd.DataFrame({"a": [-1.5, 2.25, 7.0, 3.0] * 5})
    generator = LiftGenerator(backend_options=QUICK | {"steps": 1}, held_out=None).fit(table)
    codec, places = generator.row_model_.codec, generator.row_model_.codec.places[0]

    def numbers(drawn):
        if drawn.shape[1] == places.width:
            yield codec.values(places, drawn.numpy())[0]
            return
        for token in allowed_tokens(places, drawn, codec, False)[0].nonzero()[:, 0]:
            yield from numbers(torch.cat([drawn, token.reshape(1, 1)], dim=1))

    found = list(numbers(torch.zeros((1, 0), dtype=torch.long)))
    low, high = places.column.padded_range()
    assert len(found) == places.levels and found == sorted(found)
    assert found[0] == pytest.approx(low, abs=0.01) and found[-1] == pytest.approx(high, abs=0.01)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda g: g.sample(0), OptionError, "n is 0"),
        (lambda g: g.sample(1, temperature=0), OptionError, "temperature is 0"),
        (lambda g: g.sample(1, {"color": 1}), OptionError, "no column 'color'"),
        (lambda g: g.sample(1, {"species": "rose"}), DataError, "'rose' in 'species' is none of"),
        (lambda g: g.sample(1, {"petal width (cm)": "wide"}), DataError, "is not a number"),
        (lambda g: g.sample(1, {"petal width (cm)": 40}), DataError, r"outside of what was learned \(0.1 to 2.5\)"),
        (lambda g: g.impute(pd.DataFrame({"species": [None]})), DataError, "has no column"),
        (lambda g: LiftGenerator(order="backwards").fit(pd.DataFrame({"a": [1, 2]})), OptionError, "order of columns"),
        (lambda g: LiftGenerator().fit(pd.DataFrame({"a": [1]})), DataError, "1 rows are given"),
    ],
)
def test_what_makes_no_sense_is_refused(generator, call, kind, message):
    with pytest.raises(kind, match=message):
        call(generator)


def test_an_unknown_option_is_named(table):
    with pytest.raises(
        OptionError, match="unknown option of the backend scratch 'stepz', did you mean steps\\? known: width, layers"
    ):
        LiftGenerator(backend_options={"stepz": 2}).fit(table)


@pytest.mark.parametrize("name", ["members", "views"])
def test_options_of_averaged_predictions_are_refused(table, name):
    with pytest.raises(OptionError, match=f"{name} is 3, but predictions are averaged"):
        LiftGenerator(backend_options={name: 3}).fit(table)
