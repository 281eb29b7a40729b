"""A small predictor that several parts of the tests use."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from matgen.datasets import load_dataset
from matgen.fitting.settings import FitSettings
from matgen.prediction import FitPlan, NetworkSize, Predictor, fit_predictor, table_property

QUICK = FitPlan(
    size=NetworkSize(1, 2, 32, 64),
    members=2,
    settings=FitSettings(learning_rate=5e-3, batch_size=32, epochs=15, evaluations=5, precision="fp32"),
)


@pytest.fixture(scope="session")
def energies_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """900 formulas with OQMD's formation energies, all of elements that occur often."""
    frame = load_dataset("hybrid").frame
    usual = frame[frame["formation_energy_oqmd"].abs() < 5]
    path = tmp_path_factory.mktemp("energies") / "energies.csv"
    few = usual[usual["formula"].str.fullmatch(r"(?:(?:Li|Na|K|Mg|Ca|Sr|Al|Ti|Fe|O|F|S|Cl)\d*)+")].iloc[:900]
    pd.DataFrame({"formula": few["formula"], "energy": few["formation_energy_oqmd"].round(5)}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def predictor(energies_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A small predictor of those energies, in its folder."""
    found = fit_predictor(table_property(energies_csv, "energy"), QUICK, tmp_path_factory.mktemp("predictor") / "p")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def of_oqmd(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The same, said to predict OQMD's formation energies."""
    named = {"property": "formation_energy", "source": "oqmd", "unit": "eV/atom"}
    folder = tmp_path_factory.mktemp("predictor") / "oqmd"
    Predictor(predictor.members, predictor.metadata | named, predictor.calibration).save(folder)
    return Predictor.load(folder)
