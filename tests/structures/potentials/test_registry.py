from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from matgen.errors import MissingDependencyError, OptionError
from matgen.structures.potentials.calculator import CalculatorPotential
from matgen.structures.potentials.interface import Potential, symbols_of
from matgen.structures.potentials.registry import (
    POTENTIALS,
    column_suffix,
    load_potential,
    present_name,
    shared_potential,
)
from tests.structures.conftest import CRYSTALS, skewed, to_atoms


def test_any_calculator_of_ase() -> None:
    potential = CalculatorPotential("lj", "1", LennardJones(sigma=2.2, epsilon=0.1, rc=6.0), symbols_of(range(1, 90)))
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
    assert symbols_of(range(1, 4)) == {"H", "He", "Li"}


def test_the_row_says_what_the_potential_is(chgnet: Potential) -> None:
    kind = POTENTIALS["chgnet"]
    assert (chgnet.name, chgnet.elements, chgnet.corrected) == (kind.name, kind.elements, kind.corrected)
    assert chgnet.version in kind.title


def test_elements_without_training_data_are_left_out() -> None:
    for kind in POTENTIALS.values():
        assert len(kind.elements) == 89, kind.name
    assert {"Th", "U", "Pu"} <= POTENTIALS["mace"].elements and not {"Po", "Rn", "Ra"} & POTENTIALS["mace"].elements


@pytest.mark.parametrize("name", POTENTIALS)
def test_the_documentation_has_each_row(name: str) -> None:
    kind = POTENTIALS[name]
    page = (Path(__file__).parents[3] / "docs" / "howto" / "structure.md").read_text()
    cells = (f"`{name}`", kind.title, f"`{kind.extra}`", str(len(kind.numbers)), "yes" if kind.batched else "no",
             kind.license, kind.citation)  # fmt: skip
    assert f"| {' | '.join(cells)} |" in page


def test_the_rows_are_light_enough_for_the_command_line() -> None:
    code = (
        "import sys, matgen.structures.potentials.registry\n"
        "sys.exit(', '.join({'numpy', 'torch', 'ase', 'chgnet', 'sevenn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""


def test_names() -> None:
    with pytest.raises(OptionError, match="unknown potential 'm3gnet'; known: chgnet, 7net-l3i5, 7net-0, "):
        load_potential("m3gnet")


def test_a_former_name() -> None:
    assert (present_name("sevennet"), present_name("7net-l3i5")) == ("7net-0", "7net-l3i5")
    assert shared_potential("7net-0").name == "7net-0"


def test_a_potential_in_the_names_of_columns() -> None:
    assert [column_suffix(name) for name in ("chgnet", "7net-l3i5")] == ["chgnet", "7net_l3i5"]
    assert len({column_suffix(name) for name in POTENTIALS}) == len(POTENTIALS)


@pytest.mark.parametrize("name", [name for name in POTENTIALS if name != "chgnet"])
def test_a_potential_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, POTENTIALS[name].module, None)
    extra = POTENTIALS[name].extra
    with pytest.raises(MissingDependencyError, match=rf"the potential {name} needs .*pip install 'matgen\[{extra}\]'"):
        load_potential(name)
