from __future__ import annotations

import sys

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from matgen.errors import MissingDependencyError, OptionError
from matgen.structures.potentials.interface import Potential, known_elements
from matgen.structures.potentials.registry import POTENTIALS, CalculatorPotential, load_potential
from tests.structures.conftest import CRYSTALS, skewed, to_atoms


def test_any_calculator_of_ase() -> None:
    potential = CalculatorPotential("lj", "1", LennardJones(sigma=2.2, epsilon=0.1, rc=6.0), known_elements(89))
    crystals = [to_atoms(skewed()), to_atoms(CRYSTALS["rock salt"])]
    for atoms, found in zip(crystals, potential.evaluate(crystals), strict=True):
        bare = atoms.copy()
        bare.calc = LennardJones(sigma=2.2, epsilon=0.1, rc=6.0)
        assert found.energy == pytest.approx(bare.get_potential_energy())
        assert found.forces == pytest.approx(bare.get_forces())
        assert found.stress == pytest.approx(bare.get_stress(voigt=False))
        assert found.stress.shape == (3, 3)
        assert found.magnetic_moments is None
        assert atoms.calc is None


def test_chgnet_is_there(chgnet: Potential, capsys: pytest.CaptureFixture[str]) -> None:
    assert (chgnet.name, chgnet.version) == ("chgnet", "0.3.0")
    load_potential("chgnet")
    assert capsys.readouterr().out == ""  # its greeting would spoil a pipe
    assert np.isfinite(chgnet.evaluate([to_atoms(skewed())])[0].energy)


def test_elements_by_number() -> None:
    assert known_elements(3) == {"H", "He", "Li"}


def test_names() -> None:
    with pytest.raises(OptionError, match="unknown potential 'm3gnet'; known: chgnet, mace, sevennet, orb, mattersim"):
        load_potential("m3gnet")


@pytest.mark.parametrize("name", [name for name in POTENTIALS if name != "chgnet"])
def test_a_potential_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, POTENTIALS[name].module, None)
    with pytest.raises(MissingDependencyError, match=rf"the potential {name} needs .*pip install 'matgen\[{name}\]'"):
        load_potential(name)
