from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.datasets.labels import labeled_phases
from matgen.errors import OptionError
from matgen.io.files import read_json
from matgen.prediction import Predictor
from matgen.prediction.made_model import bundled_made_model
from matgen.prediction.screening import Screen
from matgen.prediction.stability import stability

FORMULAS = ["NaCl", "SrTiO3", "LiFeO2", "UCl4", "Na2Al", "KF"]


def test_what_is_kept_is_what_the_condition_says(of_oqmd: Predictor) -> None:
    batch = CompositionBatch.from_formulas(FORMULAS)
    said = of_oqmd.predict(batch)
    limit = float(said["formation_energy"].median())
    screen = Screen(f"formation_energy < {limit}", [of_oqmd.folder])
    assert screen(batch).tolist() == (said["formation_energy"] < limit).tolist()
    assert screen(batch[:0]).tolist() == []
    assert "formation_energy of oqmd" in screen.describe()
    hull = stability(batch, said, of_oqmd, labeled_phases("oqmd"))
    both = Screen("energy_above_hull <= 0.2 and formation_energy_std < 9 and in_domain = 1", [of_oqmd.folder])
    expected = (hull["energy_above_hull"] <= 0.2) & said["in_domain"]
    assert both(batch).tolist() == expected.tolist()


def test_or_and_any_case(of_oqmd: Predictor) -> None:
    batch = CompositionBatch.from_formulas(FORMULAS)
    said = of_oqmd.predict(FORMULAS)  # formulas are as good as a batch
    hull = stability(batch, said, of_oqmd, labeled_phases("oqmd"))
    low = float(said["formation_energy"].quantile(0.3))
    screen = Screen(f"In_Domain == true and (Formation_Energy < {low} or energy_above_hull <= 0.05)", [of_oqmd.folder])
    expected = said["in_domain"] & ((said["formation_energy"] < low) | (hull["energy_above_hull"] <= 0.05))
    assert screen(batch).tolist() == expected.tolist()


def test_what_is_like_made_compounds(of_oqmd: Predictor) -> None:
    batch = CompositionBatch.from_formulas([*FORMULAS, "AcTbPmI7"])
    made = bundled_made_model().probability(batch)
    screen = Screen("probability_made > 0.5", [of_oqmd.folder])
    assert screen(batch).tolist() == (made > 0.5).tolist() and 0 < screen(batch).sum() < len(batch)


def test_drawing_goes_on_until_enough_are_accepted(of_oqmd: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "kept.csv"
    command = ["sample", "-n", "40", "--screen", "formation_energy < -2", "--predictor", str(of_oqmd.folder)]
    assert main([*command, "--quiet", "--out", str(out)]) == 0
    kept = pd.read_csv(out, keep_default_na=False)
    assert len(kept) == 40
    energies = of_oqmd.predict(CompositionBatch.from_formulas(kept["formula"]))["formation_energy"]
    assert (energies < -2).all()
    told = read_json(f"{out}.json")
    assert told["tally"]["refused"] > 0
    assert told["screen"] == "formation_energy < -2 (predicted: formation_energy of oqmd)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hardness > 3", "no predictor writes a column hardness"),
        ("formation_energy !", "cannot read the condition"),
        ("in_domain = 1", "name a predicted property"),
    ],
)
def test_bad_conditions(of_oqmd: Predictor, text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Screen(text, [of_oqmd.folder])


def test_what_to_screen_by_without_a_screen(of_oqmd: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--predictor", str(of_oqmd.folder)]) == 2
    assert "add --screen" in capsys.readouterr().err
