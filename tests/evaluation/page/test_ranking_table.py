"""The ranking on the page: all of its columns, those that matter first."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from matgen.evaluation import evaluate
from matgen.evaluation.page.card import Crystal
from matgen.evaluation.page.ranking_table import MOST_RANKED, ranking_table
from matgen.evaluation.ranking import PROBABILITY
from tests.evaluation.standin import Reference

SHOWN_AS_PART = {"rarest_state_share"}
"""Beside the state."""


@pytest.fixture(scope="module")
def order() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "formula": ["SrZrO3", "CsPbSe", "K2UO4"], PROBABILITY: [0.9, 0.8, 0.7], "probability_made": 0.5,
            "energy_above_hull": [0.0, 0.12345, float("nan")], "energy_above_hull_std": 0.02, "formation_energy": -2.0,
            "formation_energy_std": 0.1, "formation_energy_source": "oqmd", "decomposition": "K2O + UO3",
            "in_domain": [True, True, False], "log_prob": -1.25,
        }
    )  # fmt: skip
    ranked = evaluate(frame, Reference(), baselines=False).ranked
    assert len(ranked) == 3
    return ranked


def test_no_column_of_the_ranking_is_left_out(order: pd.DataFrame) -> None:
    table = ranking_table(order.assign(mine=[1, 2, 3]), {}, {})
    assert set(order) - SHOWN_AS_PART | {"mine"} <= {column.name for column in table.columns}
    shown = [column.name for column in table.shown()]
    assert shown[:3] == ["rank", "formula", "hazards"] and "decomposition" not in shown and "mine" not in shown
    assert table.columns[-1].hidden and all(column.meaning for column in table.columns)


def test_values_are_rounded_and_low_energies_come_first(order: pd.DataFrame) -> None:
    table = ranking_table(order, {}, {})
    energy = next(column for column in table.columns if column.name == "energy_above_hull")
    of = dict(zip(order["formula"], energy.values, strict=True))
    assert of == {"SrZrO3": 0.0, "CsPbSe": 0.123, "K2UO4": None} and energy.lower and energy.digits == 3
    heads, rows = table.as_text()
    shown = {row[1]: dict(zip(heads, row, strict=True)) for row in rows}
    assert shown["CsPbSe"]["above hull, predicted"] == "0.123" and shown["K2UO4"]["above hull, predicted"] == "-"
    assert "☢ radioactive" in shown["K2UO4"]["hazards"] and shown["SrZrO3"]["hazards"] == "-"


def test_relaxed_energies_files_and_cards(order: pd.DataFrame) -> None:
    crystals = {"SrZrO3": Crystal("1", {}, "", "", "", {"chgnet": 0.0404, "7net-l3i5": -0.01})}
    links = {"SrZrO3": [("CIF", "../structures/cif/1.cif"), ("DFT inputs", "../dft/1/")]}
    table = ranking_table(order, crystals, links, {"CsPbSe"})
    data = {column["name"]: column for column in json.loads(str(table.json()))["columns"]}
    row = order["formula"].tolist().index("SrZrO3")
    assert data["energy_above_hull_chgnet"]["values"][row] == 0.04
    assert data["energy_above_hull_7net_l3i5"]["values"] == [-0.01 if i == row else None for i in range(3)]
    assert data["files"]["values"][row] == [["CIF", "../structures/cif/1.cif"], ["DFT", "../dft/1/"]]
    assert data["formula"]["places"] == ["#card-CsPbSe" if f == "CsPbSe" else None for f in order["formula"]]
    cells = [str(cell) for line in table.first_rows() for cell in line]
    assert '<a href="#card-CsPbSe">CsPbSe</a>' in cells and any('<a href="../dft/1/">DFT</a>' in cell for cell in cells)
    assert "files" not in {column.name for column in ranking_table(order, crystals, {}).columns}


def test_a_long_ranking_is_cut_off(order: pd.DataFrame) -> None:
    long = pd.concat([order] * (MOST_RANKED // 3 + 5), ignore_index=True)
    table = ranking_table(long, {}, {})
    assert (table.n, table.total) == (MOST_RANKED, len(long))
