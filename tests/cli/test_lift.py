"""matgen lift, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from matgen.cli.lift_options import given_parts
from tests.cli.test_main import refused, run

OPTIONS = "steps=60,width=32,layers=1,views=1"


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    frame = load_iris(as_frame=True).frame
    frame["species"] = frame.pop("target").map({0: "setosa", 1: "versicolor", 2: "virginica"})
    frame.columns = [name.replace(" (cm)", "") for name in frame.columns]
    frame.to_csv("iris.csv", index=False)
    frame.to_parquet("iris.parquet")
    return tmp_path


def learn(*more: str, target: str = "species", out: str = "m") -> None:
    assert run("lift", "fit", "--table", "iris.csv", "--target", target, "--out", out, "--options", OPTIONS, *more) == 0


def test_fit_then_predict_labels(capsys):
    learn("--units", "sepal length=cm")
    assert run("lift", "predict", "iris.parquet", "--model", "m", "--out", "p.parquet") == 0
    predicted = pd.read_parquet("p.parquet")
    assert (predicted["species_predicted"] == predicted["species"]).mean() > 0.6
    chances = predicted[[f"species_probability_{label}" for label in ("setosa", "versicolor", "virginica")]]
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1)
    assert not list(Path().glob(".*training"))
    assert "150 rows predicted into p.parquet" in capsys.readouterr().err


def test_ways_of_fine_tuning_are_named(capsys):
    command = ("lift", "fit", "--table", "iris.csv", "--target", "species", "--out", "m")
    smollm2 = (*command, "--backend", "smollm2")
    assert "unknown fine_tuning 'top-layer', did you mean top-layers" in refused(
        capsys, *smollm2, "--fine-tuning", "top-layer"
    )
    assert "layers is an option of fine_tuning=ensemble, not of adapters" in refused(
        capsys, *smollm2, "--fine-tuning", "adapters", "--options", "layers=4"
    )
    assert "unknown option of the backend 'fine_tuning'" in refused(capsys, *command, "--fine-tuning", "head")


@pytest.mark.slow
def test_fit_then_predict_numbers():
    learn("--options", OPTIONS.replace("steps=60", "steps=400"), target="petal width", out="w")
    assert run("lift", "predict", "iris.csv", "--model", "w", "--confidence", "0.9", "--quiet") == 0
    predicted = pd.read_csv("predicted.csv")
    assert (predicted["petal width_low"] <= predicted["petal width_predicted"]).all()
    assert (predicted["petal width_predicted"] <= predicted["petal width_high"]).all()
    assert ((predicted["petal width_predicted"] - predicted["petal width"]).abs()).mean() < 0.4


def test_rows_that_differ_are_told_and_the_others_answered(capsys):
    learn()
    frame = pd.read_csv("iris.csv").drop(columns="species").astype(object)
    frame.loc[2, "sepal width"] = "wide"
    frame.loc[5, "petal width"] = None
    frame[frame.columns[::-1]].to_csv("odd.csv", index=False)
    assert run("lift", "predict", "odd.csv", "--model", "m") == 0
    assert "1 rows cannot be read, first: row 3: 'wide' in 'sepal width' is not a number" in capsys.readouterr().err
    predicted = pd.read_csv("predicted.csv")
    assert predicted["species_predicted"].isna().tolist() == [row == 2 for row in range(150)]
    pd.read_csv("iris.csv").drop(columns="petal width").to_csv("short.csv", index=False)
    assert "short.csv has no column 'petal width'" in refused(capsys, "lift", "predict", "short.csv", "--model", "m")


def test_rows_are_drawn_and_cells_filled(capsys):
    assert run("lift", "fit", "--table", "iris.csv", "--out", "g", "--options", OPTIONS, "--quiet") == 0
    assert run("lift", "sample", "--model", "g", "-n", "7", "--given", "species=virginica,petal width=2.0") == 0
    rows = pd.read_csv("rows.csv")
    assert len(rows) == 7 and set(rows["species"]) == {"virginica"} and set(rows["petal width"]) == {2.0}
    pd.DataFrame({"species": ["setosa", "virginica"]}).to_csv("given.csv", index=False)
    assert run("lift", "sample", "--model", "g", "-n", "2", "--given", "given.csv", "--out", "more.parquet") == 0
    assert pd.read_parquet("more.parquet")["species"].tolist() == ["setosa"] * 2 + ["virginica"] * 2
    holes = pd.read_csv("iris.csv")
    holes.loc[::10, "species"] = None
    holes["note"] = "kept"
    holes.to_csv("holes.csv", index=False)
    assert run("lift", "impute", "holes.csv", "--model", "g", "--draws", "3") == 0
    filled = pd.read_csv("filled.csv")
    assert not filled.isna().any().any() and (filled["note"] == "kept").all()
    assert (filled["sepal length"] == holes["sepal length"]).all()
    assert "15 empty cells filled in" in capsys.readouterr().err
    assert "is none of" in refused(capsys, "lift", "sample", "--model", "g", "--given", "species=rose")
    assert "predicts no column" in refused(capsys, "lift", "predict", "iris.csv", "--model", "g")


def test_rows_are_drawn_under_conditions(capsys):
    assert run("lift", "fit", "--table", "iris.csv", "--out", "g", "--options", OPTIONS, "--quiet") == 0
    given = ["petal length >= 4", "petal length < 5", "species in setosa,virginica", "petal width=2.0"]
    assert run("lift", "sample", "--model", "g", "-n", "20", "--given", *given) == 0
    rows = pd.read_csv("rows.csv")
    assert rows["petal length"].between(4, 5, inclusive="left").all() and set(rows["petal width"]) == {2.0}
    assert len(rows) == 20 and set(rows["species"]) <= {"setosa", "virginica"}
    command = ["lift", "sample", "--model", "g", "--given"]
    assert "no value learned from meets it; 'petal length' goes from 1.0 to 6.9" in refused(
        capsys, *command, "petal length > 60"
    )
    assert "'rose' in 'species' is none of" in refused(capsys, *command, "species in rose,setosa")
    assert "the columns are sepal length" in refused(capsys, *command, "color > 3")


def test_cells_filled_in_are_counted_and_those_left_empty_told(capsys):
    empty = np.arange(40) % 2 == 0
    table = pd.DataFrame(
        {"x": np.where(empty, np.nan, np.arange(40.0)), "kind": np.where(empty, None, "a"), "no": None}
    )
    table["row"] = range(40)
    table.to_csv("holes.csv", index=False)
    assert run("lift", "fit", "--table", "holes.csv", "--out", "g", "--options", OPTIONS, "--quiet") == 0
    assert run("lift", "impute", "holes.csv", "--model", "g", "--draws", "3") == 0
    filled = pd.read_csv("filled.csv")
    assert filled[["x", "kind"]].notna().all().all() and filled["no"].isna().all()
    assert "40 empty cells filled in, into filled.csv; 40 left empty: their columns had no" in capsys.readouterr().err


def test_every_column_with_something_never_learned_is_told(capsys):
    frame = pd.read_csv("iris.csv").assign(soil=["clay", "sand"] * 75, light=["sun"] * 75 + ["shade"] * 75)
    frame.to_csv("iris.csv", index=False)
    learn("--quiet")
    frame.loc[:1, "soil"], frame.loc[4, "light"], frame.loc[7, "sepal width"] = "peat", "dusk", 90
    frame.to_csv("new.csv", index=False)
    capsys.readouterr()
    assert run("lift", "predict", "new.csv", "--model", "m") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "hold" in line]
    assert told == [
        "matgen lift: 1 row holds a sepal width outside of what was learned (2.0 to 4.4), such as 90.0",
        "matgen lift: 2 rows hold a soil that was never learned, such as 'peat'",
        "matgen lift: 1 row holds a light that was never learned, such as 'dusk'",
    ]


@pytest.mark.parametrize("odd", [">60", "45%", "52,1", "5.2 eV"])
def test_numbers_with_an_odd_one_among_them_are_no_classes(capsys, odd):
    cells = [f"{i / 4}" for i in range(20)]
    pd.DataFrame({"x": range(20), "y": [*cells[:7], odd, *cells[8:]]}).to_csv("odd.csv", index=False)
    message = refused(capsys, "lift", "fit", "--table", "odd.csv", "--target", "y", "--quiet")
    assert f"y: '{odd}' (row 8 of those with a value) is not a number" in message and "--task classification" in message
    command = ["lift", "fit", "--table", "odd.csv", "--target", "y", "--task", "classification", "--out", "labels"]
    assert run(*command, "--options", OPTIONS, "--quiet") == 0


@pytest.mark.parametrize("unit", ["%", " eV", "$"])
def test_numbers_with_one_unit_are_learned_as_numbers(capsys, unit):
    cells = [f"{unit}{i / 4}" if unit == "$" else f"{i / 4}{unit}" for i in range(24)]
    pd.DataFrame({"x": range(24), "y": cells}).to_csv("unit.csv", index=False)
    assert run("lift", "fit", "--table", "unit.csv", "--target", "y", "--out", "u", "--options", OPTIONS) == 0
    assert "learning y (numbers)" in capsys.readouterr().err
    assert run("lift", "predict", "unit.csv", "--model", "u", "--out", "p.csv", "--quiet") == 0
    assert pd.read_csv("p.csv")["y_predicted"].between(-1, 7).all()


def test_labels_called_none_or_na_are_labels():
    pd.DataFrame({"x": range(30), "y": ["NA", "None", "nan"] * 10}).to_csv("t.csv", index=False)
    command = ["lift", "fit", "--table", "t.csv", "--target", "y", "--out", "n", "--options", OPTIONS, "--quiet"]
    assert run(*command) == 0 and run("lift", "predict", "t.csv", "--model", "n", "--out", "p.csv", "--quiet") == 0
    predicted = pd.read_csv("p.csv", keep_default_na=False)
    assert set(predicted["y_predicted"]) <= {"NA", "None", "nan"}
    assert {"y_probability_NA", "y_probability_None", "y_probability_nan"} <= set(predicted.columns)


def test_sentences_are_shown(capsys):
    assert run("lift", "show", "--table", "iris.csv", "--target", "species", "--rows", "1", "--template", "x1") == 0
    shown = capsys.readouterr().out
    assert shown == "When we have x1=5.1, x2=3.5, x3=1.4, x4=0.2, what should be the y value?###setosa@@@\n"
    learn("--quiet")
    assert run("lift", "show", "--table", "iris.csv", "--model", "m", "--rows", "1", "--explain") == 0
    shown = capsys.readouterr().out
    assert "what should be the species?###setosa@@@" in shown and "without petal length" in shown


def test_a_picture_of_the_plane(capsys):
    learn("--columns", "petal length,petal width", "--quiet")
    assert run("lift", "show", "--table", "iris.csv", "--model", "m", "--rows", "1", "--plot", "plane.png") == 0
    assert Path("plane.png").read_bytes().startswith(b"\x89PNG")
    learn("--quiet", out="four")
    message = refused(capsys, "lift", "show", "--table", "iris.csv", "--model", "four", "--plot", "four.png")
    assert "two columns of numbers" in message


@pytest.mark.slow
def test_scores_of_a_fitted_model_and_by_folds(capsys):
    learn("--quiet")
    assert run("lift", "evaluate", "--table", "iris.csv", "--model", "m") == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["interval"]
    assert low < found["accuracy"] < high and found["rows"] == 150
    command = ["--table", "iris.csv", "--target", "species", "--folds", "2", "--methods", "majority,logistic"]
    assert run("lift", "evaluate", *command, "--options", OPTIONS, "--out", "cv.json") == 0
    shown = capsys.readouterr().out
    assert "LIFT" in shown and "logistic" in shown
    assert {row["method"] for row in json.loads(Path("cv.json").read_text())["rows"]} == {
        "LIFT",
        "majority",
        "logistic",
    }


def test_the_published_protocol_goes_on_where_it_stopped(capsys):
    command = [
        "lift",
        "evaluate",
        "--protocol",
        "lift",
        "--tables",
        "iris",
        "--methods",
        "logistic",
        "--options",
        OPTIONS,
    ]
    assert run(*command, "--seeds", "0") == 0
    assert "LIFT GPT-3, published" in capsys.readouterr().out
    runs = Path("lift-evaluation/runs")
    before = {path: path.stat().st_mtime_ns for path in runs.iterdir()}
    assert run(*command, "--seeds", "0,1") == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(list(runs.iterdir())) == 4
    assert "other settings" in refused(capsys, *command, "--noise", "0.3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--table", "absent.csv", "--target", "a"], "no such file: absent.csv"),
        (["fit", "--table", "iris.csv", "--target", "color"], "has no column 'color'"),
        (["fit", "--table", "iris.csv", "--target", "species", "--backend", "gpt9"], "backend"),
        (["fit", "--table", "iris.csv", "--target", "species", "--options", "stepz=3"], "stepz"),
        (["fit", "--table", "iris.csv", "--target", "species", "--options", "steps"], "NAME=VALUE"),
        (["fit", "--table", "iris.csv", "--target", "species", "--columns", "color"], "no column 'color'"),
        (["fit", "--table", "iris.csv", "--target", "species", "--task", "ranking"], "task 'ranking'"),
        (["fit", "--table", "iris.csv", "--target", "species", "--task", "regression"], "is not a finite number"),
        (["fit", "--table", "iris.csv", "--target", "species", "--template", "{color}"], "no column 'color'"),
        (["fit", "--table", "iris.csv", "--target", "species", "--backend", "path"], "needs a model"),
        (["fit", "--table", "one.csv", "--target", "y", "--task", "classification"], "one class only"),
        (["fit", "--table", "iris.csv", "--backend", "smollm2"], "scratch only"),
        (["fit", "--table", "wide.csv", "--target", "y", "--task", "regression"], "choose columns"),
        (["predict", "iris.csv", "--model", "nowhere"], "no such file: nowhere"),
        (["evaluate", "--protocol", "lyft"], "lift"),
        (["evaluate", "--table", "iris.csv"], "give --target"),
        (["evaluate"], "give --table and --target"),
        (["show", "--table", "iris.csv"], "give --target"),
        (["show", "--table", "iris.csv", "--target", "species", "--explain"], "give --model"),
    ],
)
def test_bad_input_gets_one_line(capsys, arguments, message):
    pd.DataFrame({"x": [1, 2, 3], "y": ["a"] * 3}).to_csv("one.csv", index=False)
    wide = pd.DataFrame(np.zeros((3, 4_500)), columns=[f"c{i}" for i in range(4_500)])
    wide.assign(y=[1.5, 2.5, 4.0]).to_csv("wide.csv", index=False)
    assert message in refused(capsys, "lift", *arguments)
    assert not Path("models").exists() or not any(Path("models").rglob("lift.json"))


def test_results_are_not_overwritten(capsys):
    learn("--quiet")
    assert "m exists" in refused(capsys, "lift", "fit", "--table", "iris.csv", "--target", "species", "--out", "m")
    assert run("lift", "predict", "iris.csv", "--model", "m", "--quiet") == 0
    assert run("lift", "predict", "iris.csv", "--model", "m", "--quiet") == 0
    assert Path("predicted-2.csv").exists()
    assert "exists" in refused(capsys, "lift", "predict", "iris.csv", "--model", "m", "--out", "predicted.csv")


def test_rows_learned_later_are_retrieved(capsys):
    learn("--retrieval", "2", "--quiet")
    command = ["lift", "predict", "iris.csv", "--model", "m", "--update", "iris.csv", "--out", "p.csv"]
    assert run(*command) == 0
    assert len(pd.read_csv("p.csv")) == 150
    learn("--quiet", out="plain")
    assert "fitted with retrieval" in refused(
        capsys, "lift", "predict", "iris.csv", "--model", "plain", "--update", "iris.csv", "--out", "q.csv"
    )


def test_conditions_are_told_from_values_and_tables():
    conditions = ["age >= 40", "age<4", "class in a,b", "class not in a", "a != 3", "a == b"]
    assert given_parts(conditions) == (conditions, "", [])
    assert given_parts(["A=1,B=x", "in stock=yes", "age > 3"]) == (["age > 3"], "", ["A=1,B=x", "in stock=yes"])
    assert given_parts(["given.csv", "age > 3"]) == (["age > 3"], "given.csv", [])
    assert given_parts(["rows in file=3"]) == ([], "", ["rows in file=3"])


def test_several_targets_are_learned_and_answered(capsys):
    frame = pd.read_csv("iris.csv")
    frame.loc[::10, "petal width"] = np.nan
    frame.to_csv("iris.csv", index=False)
    learning = ["--target", "petal width", "species", "--options", OPTIONS]
    assert run("lift", "fit", "--table", "iris.csv", *learning, "--quiet", "--units", "petal width=cm") == 0
    model = "models/petal-width-species"
    assert run("lift", "predict", "iris.csv", "--model", model, "--out", "p.csv") == 0
    predicted = pd.read_csv("p.csv")
    assert list(predicted.columns[5:]) == [
        *(f"petal width_{what}" for what in ("predicted", "low", "high")),
        "species_predicted",
        *(f"species_probability_{label}" for label in ("setosa", "versicolor", "virginica")),
    ]
    assert predicted.filter(like="probability").sum(axis=1).to_numpy() == pytest.approx(1)
    assert (predicted["petal width_low"] <= predicted["petal width_predicted"]).all()
    assert json.loads(Path("p.csv.json").read_text())["target"] == ["petal width", "species"]
    assert run("lift", "predict", "iris.csv", "--model", model, "--known", "petal width", "--out", "k.csv") == 0
    assert not pd.read_csv("k.csv").filter(like="petal width_").shape[1]
    capsys.readouterr()
    assert run("lift", "evaluate", "--table", "iris.csv", "--model", model, "--quiet") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 150 and found["targets"]["petal width"]["rows"] == 135
    assert 0 < found["targets"]["species"]["accuracy"] <= 1 and found["targets"]["petal width"]["rae"] > 0
    assert run("lift", "show", "--table", "iris.csv", "--model", model, "--rows", "2") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3  # row 1 has no petal width
    for words, message in {
        (
            "predict",
            "iris.csv",
            "--model",
            model,
            "--known",
            "species",
        ): "the first of petal width, species can be known",
        ("predict", "iris.csv", "--model", model, "--update", "iris.csv"): "--update is for models of one target",
        ("fit", "--table", "iris.csv", *learning, "--backend", "smollm2"): "--backend is for one target",
        ("fit", "--table", "iris.csv", *learning, "--task", "color=regression"): "--task: there is no target 'color'",
        ("fit", "--table", "iris.csv", "--target", "species", "species"): "--target names 'species' twice",
        (
            "evaluate",
            "--table",
            "iris.csv",
            "--model",
            model,
            "--target",
            "species",
        ): "predicts petal width, species, not",
    }.items():
        assert message in refused(capsys, "lift", *words), words


@pytest.mark.slow
def test_several_targets_are_scored_by_folds_each_beside_its_usual_methods(capsys):
    command = ["--table", "iris.csv", "--target", "species", "petal width", "--folds", "2", "--options", OPTIONS]
    assert run("lift", "evaluate", *command, "--methods", "logistic,ridge", "--out", "cv.json", "--quiet") == 0
    shown = capsys.readouterr().out
    assert "species (accuracy, %)" in shown and "petal width (RAE" in shown
    rows = {(row["table"], row["method"]): row for row in json.loads(Path("cv.json").read_text())["rows"]}
    assert set(rows) == {
        ("species", "LIFT"),
        ("species", "logistic"),
        ("petal width", "LIFT"),
        ("petal width", "ridge"),
    }
    assert rows["species", "logistic"]["accuracy"] > 0.9 and rows["petal width", "ridge"]["rae"] < 0.3


def test_drawn_rows_are_compared_with_those_learned_from(capsys):
    frame = pd.read_csv("iris.csv").sample(frac=1, random_state=0)
    for name, rows in {"real": frame[:70], "drawn": frame[70:120], "other": frame[120:]}.items():
        rows.to_csv(f"{name}.csv", index=False)
    command = ["lift", "evaluate", "--table", "real.csv", "--drawn", "drawn.csv"]
    more = ["--held-out", "other.csv", "--target", "species", "--quasi-identifiers", "species", "petal width"]
    assert run(*command, *more, "--bins", "3", "--out", "c.json") == 0
    shown = capsys.readouterr()
    assert "comparison of drawn.csv with real.csv into c.json" in shown.err
    assert "rows: 70 real, 50 drawn, 30 held out" in shown.out and "species predicted from" in shown.out
    found = json.loads(Path("c.json").read_text())
    assert found["drawn"] == "drawn.csv" and found["anonymity"]["bins"] == 3
    assert set(found["marginals"]) == set(frame.columns) and len(found["associations"]) == 10
    for words, message in {
        ("--target", "species"): "--target needs --held-out",
        ("--protocol", "lift"): "--drawn compares tables",
        ("--held-out", "nowhere.csv"): "no such file: nowhere.csv",
        ("--quasi-identifiers", "color"): "there is no column 'color'",
    }.items():
        assert message in refused(capsys, *command, *words, "--out", "d.json"), words
    assert not Path("d.json").exists()
    message = refused(capsys, "lift", "evaluate", "--table", "real.csv", "--held-out", "other.csv")
    assert "--held-out is for drawn rows: give --drawn" in message
