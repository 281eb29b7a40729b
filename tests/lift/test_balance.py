"""Generators balanced over a column and drawn from with guidance, against loops and the model's own probabilities."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from matgen.cli import main
from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.lift import LiftGenerator, load, save
from matgen.lift.balance import advice, balance_of, commonest
from matgen.lift.columns import describe, typed

QUICK = {"steps": 30, "width": 32, "layers": 1}
TABLE = pd.DataFrame(
    {
        "gap": [0.0] * 80 + [round(0.5 + i / 10, 1) for i in range(20)],
        "class": ["metal"] * 80 + ["semiconductor"] * 15 + ["insulator"] * 5,
        "name": [f"number {i}, of many" for i in range(100)],
    }
)
COLUMNS = describe(TABLE, column_types={"name": "text"})
ROWS = typed(TABLE, COLUMNS)


@pytest.fixture(scope="module")
def generator() -> LiftGenerator:
    return LiftGenerator(backend_options=QUICK, balance="class").fit(TABLE[["gap", "class"]])


@pytest.mark.parametrize("name", ["gap", "class"])
def test_rows_weigh_by_how_rare_their_value_is(name: str) -> None:
    balance = balance_of(ROWS, ROWS.iloc[::9], COLUMNS, name)
    members = Counter(ROWS[name])
    if name == "class":
        raw = np.array([members[value] ** -0.5 for value in ROWS[name]])
        assert balance.train == pytest.approx(raw / raw.mean())
    else:  # the 20 numbers above 0 are in bins of about as many rows each
        assert len(set(balance.train[:80])) == 1
        assert balance.train[80:].min() > 4 * balance.train[0]
        assert balance.train[:80].sum() < 0.5 * balance.train.sum()
    assert balance.valid == pytest.approx(balance.train[::9])


def test_what_cannot_be_balanced_is_told() -> None:
    with pytest.raises(OptionError, match="no column 'gaps'; there are gap, class, name"):
        balance_of(ROWS, None, COLUMNS, "gaps")
    with pytest.raises(OptionError, match="'name' is text"):
        balance_of(ROWS, None, COLUMNS, "name")
    with pytest.raises(DataError, match="fewer than two different values"):
        balance_of(ROWS.iloc[:80], None, COLUMNS, "gap")


def test_rare_values_are_told_of_and_only_they() -> None:
    common = commonest(ROWS, COLUMNS)
    assert common == {"gap": {"value": 0.0, "share": 0.8}, "class": {"value": "metal", "share": 0.8}}
    wide, none = ROWS.iloc[[90]], ROWS.iloc[[0]]
    told = advice(wide[["gap"]], COLUMNS, common, None)
    assert told is not None and told.startswith("80 % of the rows learned from have gap=0.0") and "guidance" in told
    assert advice(none, COLUMNS, common, None) is None
    assert advice(wide[["gap"]], COLUMNS, common, "gap") is None
    assert commonest(ROWS.iloc[70:], COLUMNS) == {"class": {"value": "semiconductor", "share": 0.5}}
    assert commonest(ROWS.iloc[:80], COLUMNS) == {}  # one value: nothing to be rare


def test_advice_comes_with_the_draw(generator: LiftGenerator, tmp_path) -> None:
    save(generator, tmp_path / "rows")
    for model in (generator, load(tmp_path / "rows")):
        assert model.get_params()["balance"] == "class"
        with pytest.warns(MatgenWarning, match="have gap=0.0"):
            model.sample(3, {"gap": 2.0})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.sample(3, {"gap": 2.0}, guidance=2)
            model.sample(3, {"class": "insulator"})  # was balanced
            model.sample(3)


def first_of(model: LiftGenerator, prefix: list[int], place) -> np.ndarray:
    """Probabilities' logits of a column's first token after a prefix, by a full pass, float64 `(levels,)`."""
    with torch.no_grad():
        logits = model.row_model_.model(torch.tensor([prefix])).logits[0, -1].double().numpy()
    return logits[int(place.base[0]) : int(place.base[0]) + place.levels]


@pytest.mark.parametrize("how", ["given", "condition"])
def test_guided_draws_have_the_probabilities_of_two_readings(how: str) -> None:
    """Counts of classes against softmax(u + g (c - u)) of full passes with and without the flag."""
    rng = np.random.default_rng(0)
    flag = rng.choice(["yes", "no"], 200)
    classes = np.where(flag == "yes", rng.choice(list("aaab"), 200), rng.choice(list("abcc"), 200))
    table = pd.DataFrame({"flag": flag, "class": classes})
    model = LiftGenerator(backend_options=QUICK | {"steps": 200}).fit(table)
    codec, names = model.row_model_.codec, model.row_model_.codec.vocabulary
    flags, classes = codec.places
    yes = int(flags.base[0]) + flags.column.values.index("yes")
    given = first_of(model, [names, yes, names + 1], classes)
    free = first_of(model, [names + 1], classes)
    n, guidance = 6_000, 2.5
    mixed = free + guidance * (given - free)
    chance = np.exp(mixed - mixed.max()) / np.exp(mixed - mixed.max()).sum()
    asked = {"given": {"flag": "yes"}} if how == "given" else {"where": ["flag in yes"]}
    drawn = model.sample(n, **asked, guidance=guidance, seed=1)
    assert (drawn["flag"] == "yes").all()
    counts = np.array([(drawn["class"] == value).sum() for value in classes.column.values])
    assert (np.abs(counts - n * chance) < 5 * np.sqrt(n * chance) + 1).all(), (counts, n * chance)
    own = np.exp(given) / np.exp(given).sum()
    assert np.abs(own - chance).max() > 0.05  # what is drawn without guidance is something else


def test_guidance_without_anything_to_follow(generator: LiftGenerator) -> None:
    for options, message in (
        ({"guidance": 2.0}, "give a column or a condition"),
        ({"guidance": 0.0, "given": {"gap": 1.0}}, "must be above 0"),
    ):
        with pytest.raises(OptionError, match=message):
            generator.sample(2, **options)
    with pytest.raises(OptionError, match="of order 'table' takes no guidance"):
        LiftGenerator(order="table", backend_options=QUICK).fit(TABLE[["gap", "class"]]).sample(
            2, {"gap": 1.0}, guidance=2
        )


def test_from_the_command_line(tmp_path, capsys) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "rows"
    TABLE[["gap", "class"]].to_csv(table, index=False)
    fit = ["lift", "fit", "--table", str(table), "--options", "steps=5,width=32,layers=1", "--out", str(out)]
    assert main([*fit, "--balance", "gap", "--target", "class"]) == 2
    assert "--balance is of whole rows" in capsys.readouterr().err
    assert main([*fit, "--balance", "gaps"]) == 2
    assert "no column 'gaps'" in capsys.readouterr().err
    assert main([*fit, "--balance", "gap"]) == 0
    sample = ["lift", "sample", "--model", str(out), "-n", "4", "--out", str(tmp_path / "drawn.csv")]
    assert main([*sample, "--given", "gap=1.5", "--guidance", "2"]) == 0
    assert (pd.read_csv(tmp_path / "drawn.csv")["gap"] == 1.5).all()
