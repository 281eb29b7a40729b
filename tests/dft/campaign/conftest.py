"""A folder of relaxed structures, programs in GPAW's place, and campaigns whose competing phases are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from matgen.structures.folder import structure_id, write_crystals, write_table
from tests.dft.conftest import CRYSTALS, rock_salt
from tests.dft.programs import StandIn

ZINC_BLENDE = Structure(Lattice([[0, 2.18, 2.18], [2.18, 0, 2.18], [2.18, 2.18, 0]]), ["Si", "C"],
                        [[0, 0, 0], [0.25] * 3])  # fmt: skip

CRYSTALS_HERE = CRYSTALS | {
    "MgS": rock_salt("Mg", "S", 5.2), "EuO": rock_salt("Eu", "O", 5.1), "SiC": ZINC_BLENDE,
}  # fmt: skip


@pytest.fixture
def relaxed(tmp_path: Path) -> Callable[..., Path]:
    """A function from names of crystals to a folder of structures with CHGNet's energies, and the input's columns."""

    def write(*names: str) -> Path:
        out = tmp_path / "structures"
        rows = [
            {"structure_id": structure_id(rank, name, 1), "rank": rank, "formula": name, "reason": "",
             "template": "a test's", "energy_per_atom_chgnet": -3.0, "formation_energy_chgnet": -1.5 - 0.1 * rank,
             "energy_above_hull_chgnet": 0.1 * rank, "duplicate_of": None}
            for rank, name in enumerate(names, start=1)
        ]  # fmt: skip
        write_crystals(out, [(row["structure_id"], CRYSTALS_HERE[row["formula"]], {}) for row in rows])
        table = pd.DataFrame(rows)
        told = table[["structure_id", "formula"]].assign(
            formation_energy=-1.9, energy_above_hull=-0.2, reason="the user's", mine=[f"note {name}" for name in names]
        )
        told.to_parquet(out / "candidates.parquet")
        write_table(out, table, {"potential": "chgnet"})
        return out

    return write


@pytest.fixture
def program(tmp_path: Path) -> StandIn:
    """By default every atom has -3 eV: nothing gains energy by forming."""
    return StandIn(tmp_path / "programs", {})


@pytest.fixture
def no_competition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only elements compete: the hull of labels takes long to load."""
    monkeypatch.setattr("matgen.dft.campaign.steps.competing_formulas", lambda formulas: [])
