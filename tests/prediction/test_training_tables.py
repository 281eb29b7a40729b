from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.errors import DataError, OptionError
from matgen.prediction.training_tables import OUTLIER_ENERGY, PROPERTIES, bundled_property, table_property


def test_the_official_parts_of_oqmd() -> None:
    data = bundled_property("formation_energy", "oqmd")
    sizes = {part: int((data.part == part).sum()) for part in ("train", "valid", "test")}
    assert sizes["test"] == 51_255  # official, outliers and all
    assert sizes["train"] + sizes["valid"] + data.left_out["outliers not learned from"] == 239_190 + 51_255
    learned = data.target[data.part != "test"]
    assert np.abs(learned).max() <= OUTLIER_ENERGY
    assert np.abs(data.target[data.part == "test"]).max() > OUTLIER_ENERGY
    keys = [set(map(bytes, data.of(part)[0].keys())) for part in ("train", "valid", "test")]
    assert not keys[0] & keys[1] | keys[0] & keys[2] | keys[1] & keys[2]


@pytest.mark.parametrize(("name", "source"), PROPERTIES)
def test_bundled_properties(name: str, source: str) -> None:
    data = bundled_property(name, source, "split_chemsys")
    assert np.isfinite(data.target).all()
    train, test = (set(data.of(part)[0].chemical_systems()) for part in ("train", "test"))
    assert not train & test
    assert data.unit == {"formation_energy": "eV/atom", "band_gap": "eV", "is_metal": ""}[name]
    assert (data.task == "classification") == (name == "is_metal") == set(data.target).issubset({0, 1})
    assert data.lowest == (0 if name == "band_gap" else None)


def table(path: Path, rows: int = 40, **columns) -> Path:
    formulas = [f"Na{i + 1}Cl{i + 2}" for i in range(rows)]
    frame = pd.DataFrame({"formula": formulas, "Tc": np.arange(rows) / 7.0, "text": "x", "same": 3.0} | columns)
    frame.to_csv(path, index=False)
    return path


def test_a_table_of_a_user(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    frame = pd.read_csv(path)
    again = pd.DataFrame({"formula": ["Cl2Na1", "Xx", "KBr"], "Tc": [10.0, 1.0, None]})
    pd.concat([frame, again]).to_csv(path, index=False)
    data = table_property(path, "Tc")
    assert len(data.batch) == 40
    assert data.target[data.batch.formulas() == "NaCl2"] == pytest.approx((0 + 10.0) / 2)
    assert dict(data.left_out) == {
        "formulas that cannot be read": 1,
        "rows without a target": 1,
        "compositions that occur again (their mean counts)": 1,
    }
    assert (data.part == "train").all()  # of so few rows each calibrates in turn, and none is set apart
    assert np.bincount(data.fold).tolist() == [4] * 10
    split = table_property(path, "Tc", folds=0)
    assert {part: int((split.part == part).sum()) for part in ("train", "valid", "test")} == {
        "train": 32,
        "valid": 4,
        "test": 4,
    }
    assert split.fold is None


def test_tables_that_cannot_be_learned_from(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", mixed=["1"] * 30 + ["n/a?"] * 10)
    for target, message in [
        ("nothing", "has no column 'nothing'; it has formula, Tc"),
        ("text", "text is x in every row of .*: there is nothing to learn"),
        ("mixed", "row 31: 'n/a\\?' in mixed is not a number"),
        ("same", "same is 3 in every row .* nothing to learn"),
    ]:
        with pytest.raises(DataError, match=message):
            table_property(path, target)
    with pytest.raises(OptionError, match="formula is the column of formulas"):
        table_property(path, "formula")
    with pytest.raises(DataError, match="has 5 compositions with a number in Tc, at least 20"):
        table_property(table(tmp_path / "few.csv", 5), "Tc")
    with pytest.raises(OptionError, match="unknown property 'hardness of oqmd'; known: formation_energy of oqmd"):
        bundled_property("hardness", "oqmd")
