"""Conditions and the cap on families, against a loop in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition

from matgen.cli import main
from matgen.datasets import load_dataset
from matgen.errors import DataError, OptionError
from matgen.io.files import read_json
from matgen.screening import FAMILIES, screen


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    formulas = load_dataset("hybrid-pure").batch.formulas()[::400].tolist()
    rows = [formula for text in formulas for formula in (text, text)]
    return pd.DataFrame({"formula": rows, "score": np.random.default_rng(0).random(len(rows))})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_of_each_family_stay(table: pd.DataFrame, family: str) -> None:
    found = screen(table, "formula", where="score > 0.3 and toxic = 0 and cost < 1000", max_per_system=2, family=family)
    seen: dict[str, int] = {}
    expected = []
    for formula, score in zip(table["formula"], table["score"], strict=True):
        composition = Composition(formula)
        if score <= 0.3 or {"Be", "As", "Cd", "Hg", "Tl", "Pb"} & {e.symbol for e in composition}:
            continue
        cost = screen(pd.DataFrame({"formula": [formula]}), "formula").frame["cost"][0]
        if not cost < 1000:
            continue
        name = composition.chemical_system if family == "chemical_system" else composition.anonymized_formula
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= 2:
            expected.append((formula, score))
    assert list(zip(found.frame["formula"], found.frame["score"], strict=True)) == expected
    summary = found.summary
    assert summary["kept"] == len(expected)
    assert sum(n - 2 for n in seen.values() if n > 2) == summary["beyond_family"]


def test_without_conditions_all_stay_and_columns_are_made_anew(table: pd.DataFrame) -> None:
    found = screen(table, "formula").frame
    assert found["formula"].tolist() == table["formula"].tolist()
    again = screen(found.assign(cost=-1.0), "formula").frame
    pd.testing.assert_frame_equal(again, found)


def test_what_cannot_be_asked() -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "no formula"]})
    assert [bad.row for bad in screen(frame, "formula").bad] == [1]
    for options, said in (
        ({"family": "color"}, "unknown family"),
        ({"max_per_system": 0}, "max_per_system is 0"),
        ({"where": "cost <"}, "cannot read the condition"),
        ({"where": "color > 1"}, "no column 'color'"),
    ):
        with pytest.raises(OptionError, match=said):
            screen(frame, "formula", **options)
    with pytest.raises(DataError):
        screen(frame.tail(1), "formula")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("formula,energy_above_hull\nNaCl,0.0\nNa2Cl,0.3\nPbTiO3,0.0\nAuCl,0.0\nx,0\n")
    words = ["screen", str(tmp_path / "a.csv"), "--where", "cost < 100 and toxic = 0 and energy_above_hull < 0.1"]
    assert main([*words, "--max-per-system", "1", "--out", str(tmp_path / "b.csv")]) == 0
    said = capsys.readouterr().err
    assert "1 of 5 rows kept" in said
    assert "1 do not satisfy toxic = 0" in said
    assert "1 rows could not be read" in said
    assert pd.read_csv(tmp_path / "b.csv")["formula"].tolist() == ["NaCl"]
    assert read_json(tmp_path / "b.csv.json")["kept"] == 1
    assert main([*words, "--out", str(tmp_path / "b.csv")]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["screen", str(tmp_path / "a.csv"), "--where", "color < 1", "--out", str(tmp_path / "c.csv")]) == 2
    assert not (tmp_path / "c.csv").exists()


def test_text_or_and_notes() -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "SiO2 (quartz)", "CdTe", "KF"], "Source": ["exp", "calc", "exp", "calc"]})
    found = screen(frame, "formula", where='source == "exp" and toxic == false or Formula == KF')
    assert found.frame["formula"].tolist() == ["NaCl", "KF"]
    assert found.frame["formula_note"].tolist() == ["", ""]
    assert found.summary["fail"] == {'(source == "exp" and toxic == false) or Formula == "KF"': 2}
    kept = screen(frame, "formula", where="source == calc").frame
    assert kept["formula_note"].tolist() == ["quartz", ""]
    assert "formula_note" not in screen(frame.iloc[[0]], "formula").frame


def test_only_the_pareto_front_is_kept() -> None:
    rows = pd.DataFrame({"formula": ["NaCl", "KCl", "AuCl3", "CsCl", "NaBr"], "gap": [5.0, 4.0, 9.0, np.nan, 9.0]})
    cost = screen(rows, "formula").frame["cost"]
    assert cost[4] < cost[0] < cost[1] < cost[2]
    found = screen(rows, "formula", where="gap < 8.5 or cost > 1000", pareto="cost,+gap")
    # NaBr is left out before, KCl is beaten by NaCl, and CsCl has no gap.
    assert found.frame["formula"].tolist() == ["NaCl", "AuCl3"]
    assert found.summary["beyond_front"] == 2 and found.summary["kept"] == 2
    with pytest.raises(OptionError, match="no column 'novelty'"):
        screen(rows, "formula", pareto="novelty")


def test_the_front_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "out.csv"
    pd.DataFrame({"formula": ["NaCl", "AuCl3"], "novelty": [0.5, 0.1]}).to_csv(table, index=False)
    assert main(["screen", str(table), "--pareto", "cost,novelty", "--out", str(out)]) == 0
    assert pd.read_csv(out)["formula"].tolist() == ["NaCl"]
    assert "1 of 2 rows kept" in (said := capsys.readouterr().err) and "1 not on the Pareto front" in said
    assert main(["screen", str(table), "--pareto=+cost,-novelty", "--out", str(out), "--force"]) == 0
    assert pd.read_csv(out)["formula"].tolist() == ["AuCl3"]
    assert read_json(Path(f"{out}.json"))["pareto"] == "+cost,-novelty"
