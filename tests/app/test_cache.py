"""Results of single formulas on disk."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest

from matgen.app.cache import FormulaCache, frame_from_json, frame_to_json


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "app"


def test_what_is_kept_is_found_by_all_it_depends_on(folder):
    FormulaCache(folder).put("details", "SrTiO3", {"model": "a"}, {"x": [1, 2.5, None]})
    later = FormulaCache(folder)  # of another process
    assert later.get("details", "SrTiO3", {"model": "a"}) == {"x": [1, 2.5, None]}
    assert later.get("details", "SrTiO3", {"model": "b"}) is None
    assert later.get("details", "BaTiO3", {"model": "a"}) is None
    assert later.get("variants", "SrTiO3", {"model": "a"}) is None


def test_another_version_computes_again(folder, monkeypatch):
    FormulaCache(folder).put("details", "NaCl", {}, 1)
    monkeypatch.setattr("matgen.app.cache.__version__", "0")
    assert FormulaCache(folder).get("details", "NaCl", {}) is None


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "none", "of another"])
def test_damaged_files_are_nothing_and_are_replaced(folder, damage):
    FormulaCache(folder).put("details", "NaCl", {}, {"energy": 1.25})
    (path,) = folder.glob("details/*.json")
    text = path.read_text()
    if damage == "of another":
        FormulaCache(folder).put("details", "KCl", {}, {"energy": 2})
        text = next(folder.glob("details/KCl*.json")).read_text()
    path.write_text({"cut": text[:-20], "changed": text.replace("1.25", "1.26"), "foreign": json.dumps([1]),
                     "none": "", "of another": text}[damage])  # fmt: skip
    cache = FormulaCache(folder)
    assert cache.get("details", "NaCl", {}) is None
    cache.put("details", "NaCl", {}, {"energy": 3})
    assert FormulaCache(folder).get("details", "NaCl", {}) == {"energy": 3}


def test_the_least_recently_used_go_when_it_is_full(folder):
    formulas = ["LiF", "NaF", "KF", "RbF"]
    cache = FormulaCache(folder)
    for age, formula in enumerate(formulas):
        cache.put("details", formula, {}, "x" * 1000)
        os.utime(next(folder.glob(f"details/{formula}-*.json")), (age, age))
    assert FormulaCache(folder).get("details", "LiF", {})  # the oldest is used again
    FormulaCache(folder, most_bytes=4000).put("details", "CsF", {}, "x" * 1000)
    left = {path.name.partition("-")[0] for path in folder.glob("details/*.json")}
    assert left == {"LiF", "RbF", "CsF"}


def test_what_cannot_be_written_is_kept_in_memory(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    cache = FormulaCache(blocked)
    cache.put("details", "NaCl", {}, 1)
    assert cache.get("details", "NaCl", {}) == 1
    assert FormulaCache(blocked).get("details", "NaCl", {}) is None


def test_long_formulas_have_files_too(folder):
    formula = "Ac89Ag93Al97As101Au103B107Ba109Be113Bi127Br131C137Ca139Cd149Ce151Cl157Co163Cr167Cs173Cu179Dy181Er191"
    FormulaCache(folder).put("details", formula, {}, 1)
    assert FormulaCache(folder).get("details", formula, {}) == 1


def test_tables_come_back_as_they_were():
    frame = pd.DataFrame({
        "formula": ["NaCl", "KCl"],
        "probability": [0.1, np.nan],
        "log_prob": [-1 / 3, -np.inf],
        "valid": [True, False],
        "near": pd.array([1, pd.NA], dtype="Int64"),
        "made": np.array([np.True_, None], dtype=object),
        "toxic": np.array([1, 0], dtype=np.int8),
        "reason": [None, "no states"],
    })  # fmt: skip
    again = frame_from_json(json.loads(json.dumps(frame_to_json(frame))))
    pd.testing.assert_frame_equal(again, frame)
