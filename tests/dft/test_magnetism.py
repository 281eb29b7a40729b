from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.sets import MPRelaxSet

from matgen.dft.magnetism import hubbard_u


@pytest.mark.parametrize(
    "species",
    [["Fe", "O"], ["Ni", "F"], ["Fe", "S"], ["Fe", "Al"], ["V", "W", "O"], ["Mn", "O", "F"], ["Na", "Cl"], ["Co", "N"],
     ["Fe"], ["Ti", "O"], ["Xe", "F"]],
)  # fmt: skip
def test_u_is_what_pymatgens_set_gives(species: list[str]) -> None:
    structure = Structure(Lattice.cubic(5), species, [[i / 4, i / 4, i / 4] for i in range(len(species))])
    inputs = MPRelaxSet(structure)
    values = inputs.incar.get("LDAUU", [])
    expected = {symbol: u for symbol, u in zip(inputs.poscar.site_symbols, values, strict=False) if u}
    assert hubbard_u(structure) == expected
