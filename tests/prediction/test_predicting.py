from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.entries.computed_entries import ComputedEntry

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.datasets.labels import labeled_phases
from matgen.errors import MatgenWarning, OptionError
from matgen.hull import CompetingPhases
from matgen.io.files import read_json
from matgen.prediction import Predictor
from matgen.prediction.predicting import predict_table
from matgen.prediction.stability import stability

FORMULAS = ["NaCl", "no formula", "SrTiO3", "LiFeO2", "UCl4"]


def test_own_columns_are_not_replaced(of_oqmd: Predictor) -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "SrTiO3"], "formation_energy": "old"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MatgenWarning)
        found = predict_table(of_oqmd, frame, "formula").frame
    assert found["formation_energy"].tolist() == ["old", "old"]
    assert found["formation_energy_matgen"].between(-10, 1).all()


def test_energies_are_placed_on_the_hull_of_their_own_source(of_oqmd: Predictor) -> None:
    frame = pd.DataFrame({"formula": FORMULAS, "kept": range(5)})
    found = predict_table(of_oqmd, frame, "formula")
    assert found.frame["kept"].tolist() == list(range(5))
    assert len(found.bad) == 1
    assert found.frame.iloc[1].drop(["formula", "kept"]).isna().all()
    rows = found.frame.dropna(subset="formation_energy")
    phases = labeled_phases("oqmd")
    batch = CompositionBatch.from_formulas(rows["formula"])
    hull = phases.decompose(batch).energy
    assert rows["energy_above_hull"].to_numpy() == pytest.approx((rows["formation_energy"] - hull).to_numpy(float))
    names = ["probability_hull_0", "probability_hull_0.05", "probability_hull_0.1"]
    chances = rows[names].to_numpy(float)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert (np.diff(chances, axis=1) >= 0).all()
    assert (rows["formation_energy_source"] == "oqmd").all()
    assert found.summary == {
        "property": "formation_energy",
        "source": "oqmd",
        "hull": "oqmd",
        "formulas": 4,
        "out_of_domain": 1,
        "on_or_below_hull": int((rows["energy_above_hull"] <= 0).sum()),
    }


def test_sources_are_never_mixed(of_oqmd: Predictor) -> None:
    batch = CompositionBatch.from_formulas(["NaCl"])
    with pytest.raises(OptionError, match="a formation energy of oqmd cannot be placed on a hull of mp"):
        stability(batch, of_oqmd.predict(batch), of_oqmd, labeled_phases("mp"))


def test_phases_compete_with_formation_energies_alone(predictor: Predictor) -> None:
    frame = pd.DataFrame({"formula": ["NaCl"]})
    with pytest.raises(OptionError, match="phases compete with formation energies, not with energy"):
        predict_table(predictor, frame, "formula", phases=labeled_phases("oqmd"))
    assert predict_table(predictor, frame, "formula").summary["hull"] is None


def test_no_distance_where_an_element_has_no_entry(of_oqmd: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "entries.json"
    mine = [ComputedEntry("Li", -1.9), ComputedEntry("O2", -9.8), ComputedEntry("Li2O", -14.3)]
    path.write_text(json.dumps([entry.as_dict() for entry in mine], default=str))
    frame = pd.DataFrame({"formula": ["NaCl", "Li2O2"]})
    predicted = predict_table(of_oqmd, frame, "formula", phases=CompetingPhases.from_entries(path)).frame
    numbers = ["energy_above_hull", "energy_above_hull_std", "probability_hull_0", "probability_hull_0.1"]
    assert predicted.loc[0, numbers].isna().all() and predicted.loc[1, numbers].notna().all()
    assert predicted["decomposition"][0] == f"not known: {path} has no energy of Na, Cl"
    assert predicted["formation_energy"].notna().all()


def test_command_line(of_oqmd: Predictor, formulas_csv, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = formulas_csv(FORMULAS), tmp_path / "predicted.parquet"
    command = ["predict", str(table), "--model", str(of_oqmd.folder), "--out"]
    assert main([*command, str(out)]) == 0
    told = capsys.readouterr().err
    assert "predicting formation_energy in eV/atom" in told
    assert "1 unlike what was learned from" in told
    assert "1 rows could not be read" in told
    assert len(pd.read_parquet(out)) == 5
    assert read_json(f"{out}.json")["formulas"] == 4
    assert main([*command, str(out)]) == 2  # never overwritten
    entries = tmp_path / "entries.json"
    mine = [ComputedEntry(formula, 0.0) for formula in ("Na", "Cl2", "Sr", "Ti", "O2", "Li", "Fe", "U")]
    entries.write_text(json.dumps([entry.as_dict() for entry in mine], default=str))
    assert main([*command, str(tmp_path / "own.csv"), "--entries", str(entries), "--quiet"]) == 0
    own = pd.read_csv(tmp_path / "own.csv")
    assert own["energy_above_hull"].dropna().to_numpy() == pytest.approx(own["formation_energy"].dropna().to_numpy())
    assert main([*command, str(tmp_path / "bare.csv"), "--no-hull", "--quiet"]) == 0
    assert "energy_above_hull" not in pd.read_csv(tmp_path / "bare.csv")
    capsys.readouterr()
    assert main([*command, str(tmp_path / "x.csv"), "--property", "band_gap"]) == 2
    assert "leave out --property and --source" in capsys.readouterr().err
    assert main(["predict", str(table), "--property", "hardness", "--out", str(tmp_path / "x.csv")]) == 2
    assert "unknown property 'hardness'" in capsys.readouterr().err


def test_fit_from_the_command_line(energies_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    quick = ["--epochs", "3", "--ensemble-size", "2", "--layers", "1", "--width", "32", "--batch-size", "64"]
    command = ["fit", "--table", str(energies_csv), "--target", "energy", *quick, "--out", str(out)]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "test: mean absolute error" in told
    assert "intervals of 95 % hold" in told
    assert Predictor.load(out).name == "energy"
    assert "mean absolute error of the test part" in (out / "README.md").read_text()
    for more, message in [
        (["fit", "--out", str(tmp_path / "x")], "name a --table and its --target"),
        (["fit", "--table", str(energies_csv), "--out", str(tmp_path / "x")], "by --target"),
        ([*command[:-1], str(tmp_path / "x"), "--ensemble-size", "0"], "--ensemble-size is 0"),
        (command, "exists"),
    ]:
        assert main(more) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
