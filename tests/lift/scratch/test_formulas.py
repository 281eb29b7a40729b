"""Formulas as columns of numbers, against pymatgen's fractions and averages over atoms by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element

from matgen.lift import LiftRegressor, load, save
from matgen.lift.codec import Codec
from matgen.lift.columns import describe, typed
from matgen.lift.scratch.formulas import AVERAGES, FormulaColumns
from matgen.prediction.magpie import magpie_table

ELEMENTS = ("Fe", "Ni", "Cr", "C", "Mn", "O")
STEELS = [f"Fe{0.9 - i / 200:.3f}Ni{i / 200:.3f}C0.{10 - i % 5:02d}" for i in range(1, 61)]
QUICK = {"steps": 20, "width": 32, "layers": 1, "views": 1}


def rows_of(formulas: list[str | None]):
    frame = pd.DataFrame({"alloy": formulas, "T": np.arange(len(formulas), dtype=float)})
    columns = describe(frame, column_types={"alloy": "formula", "T": "number"})
    return columns, typed(frame, columns)


amounts = st.dictionaries(st.sampled_from(ELEMENTS), st.integers(1, 40), min_size=1)


@settings(deadline=None, max_examples=30)
@given(st.lists(amounts, min_size=1, max_size=8))
def test_numbers_are_fractions_and_averages(compositions: list[dict[str, int]]) -> None:
    formulas = ["".join(f"{symbol}{n}" for symbol, n in one.items()) for one in compositions]
    columns, rows = rows_of(formulas)
    made = FormulaColumns.of(columns, rows)
    expanded = made.expanded(rows)
    present = sorted({symbol for one in compositions for symbol in one}, key=lambda symbol: Element(symbol).Z)
    assert list(expanded.columns) == [
        *(f"alloy {symbol}" for symbol in present), *(f"alloy mean {name}" for name in AVERAGES), "T"
    ]  # fmt: skip
    names, table = magpie_table()
    for row, formula in enumerate(formulas):
        exact = Composition(formula)
        for symbol in present:
            assert expanded[f"alloy {symbol}"][row] == pytest.approx(exact.get_atomic_fraction(symbol), abs=1e-9)
        for name in AVERAGES:
            values = [table[element.Z, names.index(name)] * exact.get_atomic_fraction(element) for element in exact]
            assert expanded[f"alloy mean {name}"][row] == pytest.approx(sum(values), rel=1e-5)
    assert [column.name for column in made.instead_of(columns)] == list(expanded.columns)
    again = FormulaColumns.from_json(json.loads(json.dumps(made.as_json())))
    pd.testing.assert_frame_equal(again.expanded(rows), expanded)
    assert again.columns == made.columns


def test_what_cannot_be_read_is_missing_and_new_elements_are_left_out() -> None:
    columns, rows = rows_of(["FeO", "NiO"])
    made = FormulaColumns.of(columns, rows)
    _, more = rows_of([None, "no formula", "AuO"])
    numbers = made.expanded(more)
    assert numbers.iloc[:2].drop(columns="T").isna().all().all()
    assert numbers.iloc[2][["alloy O", "alloy Fe", "alloy Ni"]].tolist() == [0.5, 0, 0]


def test_many_elements_stay_letters() -> None:
    symbols = [Element.from_Z(number).symbol for number in range(3, 28)]
    columns, rows = rows_of([f"{symbol}O2" if symbol != "O" else "O2" for symbol in symbols])
    made = FormulaColumns.of(columns, rows)
    assert made.instead_of(columns) == columns and made.expanded(rows).equals(rows)
    columns, rows = rows_of([f"{symbol}O2" for symbol in symbols[:5]])
    assert len(FormulaColumns.of(columns, rows).instead_of(columns)) == 6 + len(AVERAGES) + 1


def test_a_number_takes_few_tokens_and_keeps_two_digits() -> None:
    columns, rows = rows_of(STEELS)
    made = FormulaColumns.of(columns, rows)
    codec = Codec(made.instead_of(columns), {})
    letters = Codec(columns, {"alloy": 60}, "fractions")
    assert codec.width < letters.width / 2
    expanded = made.expanded(rows)
    tokens = codec.tokens(codec.encoded(expanded)).numpy()
    for places, start in zip(codec.places, codec.starts(), strict=True):
        read = np.array(codec.values(places, tokens[:, start : start + places.width]))
        given = expanded[places.column.name]
        assert np.abs(read - given).max() <= 0.006 * max(given.max() - given.min(), 1e-9), places.column.name


def test_a_regressor_reads_fractions_as_columns_and_is_saved_so(tmp_path) -> None:
    X = pd.DataFrame({"alloy": STEELS})
    y = pd.Series(np.arange(60) * 10.0, name="strength")
    model = LiftRegressor(formulas_as="fractions", backend_options=QUICK, held_out=0.2).fit(X, y)
    assert [column.name for column in model.backend_.codec.columns][:3] == ["alloy C", "alloy Fe", "alloy Ni"]
    said = model.predict(X)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_allclose(again.predict(X), said)
    assert "Ni" in model.show(X.iloc[:1])[0]  # sentences are written as ever
    text = LiftRegressor(formulas_as="text", backend_options=QUICK, held_out=0.2).fit(X, y)
    assert [column.name for column in text.backend_.codec.columns] == ["alloy", "strength"]


def test_models_saved_with_letters_are_still_read(tmp_path, monkeypatch) -> None:
    """As 0.2 wrote them: no word on columns, and letters in the codec."""
    from matgen.io.files import write_checksummed
    from matgen.lift.scratch import backend

    def without_columns(path, content):
        write_checksummed(path, {name: value for name, value in content.items() if name != "formulas"})

    X, y = pd.DataFrame({"alloy": STEELS}), pd.Series(np.arange(60) * 10.0, name="strength")
    with monkeypatch.context() as patch:
        none = FormulaColumns({}, {})
        patch.setattr(backend.ScratchBackend, "_formula_columns", lambda self, training_set: none)
        patch.setattr(backend, "write_checksummed", without_columns)
        model = LiftRegressor(formulas_as="fractions", backend_options=QUICK, held_out=0.2).fit(X, y)
        save(model, tmp_path / "m")
    assert [column.name for column in model.backend_.codec.columns] == ["alloy", "strength"]
    np.testing.assert_allclose(load(tmp_path / "m").predict(X), model.predict(X))
