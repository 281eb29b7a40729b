import numpy as np
import pandas as pd
import pytest

from matgen.errors import DataError, OptionError
from matgen.lift.codec import Codec
from matgen.lift.columns import describe
from matgen.lift.conditions import permitted

TABLE = pd.DataFrame(
    {
        "age": [17, 40, 90] * 4,
        "age limit": [0.5, 1.25, 7.0] * 4,
        "dose": [1e-6, 1.0, 2e5] * 4,
        "class": ["a", "b", "c, d"] * 4,
        "rank": pd.Categorical([9, 10, 11] * 4),
        "flag": [True, False, True] * 4,
        "day": pd.to_datetime(["2024-01-01", "2024-06-30", "2024-12-31"] * 4),
        "note": [f"no {i} of many" for i in range(12)],
    }
)


@pytest.fixture(scope="module")
def codec():
    columns = describe(TABLE, column_types={"note": "text"})
    return Codec(columns, {"note": 20})


def values(codec, name, *conditions):
    """All values that may be drawn for a column."""
    limit = permitted(conditions, codec)[name]
    places = next(places for places in codec.places if places.column.name == name)
    steps = np.concatenate([np.arange(first, last + 1) for first, last in limit.intervals.tolist()])
    if places.column.type == "category":
        return [places.column.values[i] for i in steps]
    return limit.exactly(places.unscaled(places.low + steps * places.step))


def test_ranges_of_numbers_are_exact(codec):
    assert values(codec, "age", "age >= 40") == list(range(40, 91))
    assert values(codec, "age", "age > 40", "age<=42") == [41, 42]
    assert values(codec, "age", "age > 40", "age != 42", "age < 44") == [41, 43]
    assert 1.25 in values(codec, "age limit", "age limit <= 1.25")
    assert max(values(codec, "age limit", "age limit < 1.25")) == pytest.approx(1.24)
    assert min(values(codec, "age limit", "age limit >= 0.333")) >= 0.333
    dose = values(codec, "dose", "dose >= 3", "dose < 4e4")
    assert 3 <= min(dose) < 3.2 and 3.8e4 < max(dose) < 4e4


def test_sets_hold_what_was_given(codec):
    assert values(codec, "age", "age in 20, 30") == [20, 30]
    assert values(codec, "age limit", "age limit in 1.254,3") == [1.254, 3]  # more decimals than the column has
    assert values(codec, "class", "class in a,b") == ["a", "b"]
    assert values(codec, "class", "class not in a,b") == values(codec, "class", "class != a", "class != b") == ["c, d"]
    assert values(codec, "flag", "flag == true") == ["True"]
    assert values(codec, "rank", "rank > 9") == ["10", "11"]
    assert min(values(codec, "day", "day >= 2024-12-01")) == pd.Timestamp("2024-12-01").timestamp() / 86_400


@pytest.mark.parametrize(
    ("conditions", "kind", "message"),
    [
        (["age >= 400"], DataError, "age >= 400: no value learned from meets it; 'age' goes from 17 to 90"),
        (["age < 17"], DataError, "age < 17: no value"),
        (["age > 50", "age < 30"], DataError, "age > 50 and age < 30: no value"),
        (["age in 20,400"], DataError, "age in 20,400: no value learned from is 400"),
        (["day < 2023-01-01"], DataError, "goes from 2024-01-01 00:00:00 to 2024-12-31"),
        (["age > old"], DataError, "'old' is not a number"),
        (["day > 5"], DataError, "'5' is not a date"),
        (["class in a,rose"], DataError, "'rose' in 'class' is none of a, b"),
        (["class not in a,b", "class in a"], DataError, "no value learned from meets it; 'class' is one of"),
        (["class > a"], OptionError, "the values of 'class' have no order"),
        (["note in x"], OptionError, "'note' is text"),
        (["color > 3"], OptionError, "the columns are age, age limit"),
        (["age >="], OptionError, "give NAME >= NUMBER or NAME in A,B"),
    ],
)
def test_what_nothing_meets_is_refused_in_one_line(codec, conditions, kind, message):
    with pytest.raises(kind, match=message) as caught:
        permitted(conditions, codec)
    assert "\n" not in str(caught.value)
