from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from pymatgen.core import Lattice, Structure

from matgen.structures.minima import follow, with_phonons
from matgen.structures.phonons import PhononSettings, phonons
from matgen.structures.potentials.calculator import CalculatorPotential
from matgen.structures.potentials.interface import Evaluation, Potential, symbols_of
from matgen.structures.relax import RelaxSettings, relax
from tests.structures.conftest import CRYSTALS, to_atoms

SETTINGS = PhononSettings(shortest=6.0)
SIMPLE_CUBIC = Structure(Lattice.cubic(3.6), ["Ar"], [[0, 0, 0]])
CLOSE_PACKED = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.3), ["Ar"], [[0, 0, 0]])


class Argon(CalculatorPotential):
    """Lennard-Jones argon."""

    def __init__(self) -> None:
        calculator = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.5, smooth=True)
        super().__init__("argon", "1", calculator, symbols_of([18]))


def row(structure: Structure, energy: float, number: int = 1, **more: Any) -> dict[str, Any]:
    """As `matgen structure` keeps it."""
    return {
        "structure_id": f"0007-Ar-{number}", "formula": "Ar", "origin": "template", "template": "aflow:A",
        "prototype": "A", "mapping": "Cu>Ar", "template_score": 1.5, "reason": "", "energy": energy, "max_force": 0.04,
        "relax_steps": 9, "relaxed": True, "structure": structure.as_dict(),
    } | more  # fmt: skip


def test_simple_cubic_argon_falls_to_a_close_packed_crystal() -> None:
    potential = Argon()
    saddle = phonons(SIMPLE_CUBIC, potential, SETTINGS)
    assert not saddle.stable
    down = follow(saddle, potential, SETTINGS)
    assert down is not None
    assert down.energy < saddle.energy - 0.005
    (lowest,) = relax([CLOSE_PACKED], potential, RelaxSettings(0.001))
    assert down.energy > lowest.energy - 1e-3
    assert phonons(CLOSE_PACKED, potential, SETTINGS).stable


def test_the_structure_that_follows_is_a_row_of_its_own() -> None:
    failed = {
        "structure_id": "0007-Ar-3",
        "formula": "Ar",
        "reason": "atoms overlap",
        "structure": None,
        "energy": np.nan,
    }
    given = [row(CLOSE_PACKED, -0.01, 1), row(SIMPLE_CUBIC, -0.05, 2), failed]
    rows = with_phonons(given, 7, "Ar", Argon(), settings=SETTINGS)
    assert given[1]["energy"] == -0.05  # what was given stays
    assert rows[0] == given[0]
    assert rows[2] == failed
    saddle, followed = rows[1], rows[3]
    assert saddle["dynamically_stable"] is False
    assert saddle["lowest_frequency_argon"] < -0.3
    assert saddle["lowest_frequency_at"]
    assert saddle["phonon_reason"] == ""
    assert (followed["structure_id"], followed["origin"]) == ("0007-Ar-4", "followed")
    assert followed["template"] == "0007-Ar-2"
    assert (followed["prototype"], followed["mapping"], followed["template_score"]) == ("", "", None)
    assert followed["energy"] < saddle["energy"]
    assert followed["relaxed"]
    assert isinstance(followed["dynamically_stable"], bool)
    atoms = to_atoms(Structure.from_dict(followed["structure"]))
    assert Argon().evaluate([atoms])[0].energy / len(atoms) == pytest.approx(followed["energy"], abs=1e-6)
    assert len(rows) == 4


def test_a_minimum_has_no_row_beside_it() -> None:
    (found,) = with_phonons([row(CLOSE_PACKED, -0.05)], 7, "Ar", Argon(), settings=SETTINGS)
    assert found["dynamically_stable"] is True
    assert found["lowest_frequency_argon"] > 0.3
    assert found["relax_steps"] > 9
    assert found["max_force"] < 1e-3
    assert found["structure_id"] == "0007-Ar-1"
    assert follow(phonons(CLOSE_PACKED, Argon(), SETTINGS), Argon(), SETTINGS) is None


class Unhelpful(Argon):
    """Argon until it is asked about eight cells at once, the two ways along a mode; then what it says is no number."""

    def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:
        self.lost = getattr(self, "lost", False) or len(crystals) == 8
        found = super().evaluate(crystals)
        return [replace(one, forces=one.forces * np.nan) for one in found] if self.lost else found


def test_what_has_no_phonons_says_why() -> None:
    (found,) = with_phonons([row(CRYSTALS["rock salt"], -0.05)], 7, "NaCl", Argon(), settings=SETTINGS)
    assert "does not know Cl, Na" in found["phonon_reason"]
    assert found["dynamically_stable"] is found["lowest_frequency_at"] is None
    assert np.isnan(found["lowest_frequency_argon"])
    assert found["reason"] == ""  # the structure itself is there
    (found,) = with_phonons([row(SIMPLE_CUBIC, -0.05)], 7, "Ar", Unhelpful(), settings=SETTINGS)
    assert found["phonon_reason"] == "no lower structure found along its lowest mode"
    assert found["dynamically_stable"] is False
    nothing = [{"structure_id": None, "reason": "no template", "structure": None}]
    assert with_phonons(nothing, 7, "Ar", Argon(), settings=SETTINGS) == nothing


@pytest.mark.slow
def test_cubic_strontium_titanate_tilts_by_chgnet(chgnet: Potential) -> None:
    found = phonons(CRYSTALS["perovskite"], chgnet)
    assert not found.stable
    assert found.lowest_frequency_at == pytest.approx([0.5] * 3)  # octahedra turn against each other
    down = follow(found, chgnet)
    assert down is not None
    assert down.energy < found.energy
    assert len(down.structure) == 10
