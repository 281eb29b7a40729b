from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.sets import MPRelaxSet

from matgen.dft.magnetism import default_moments, hubbard_u, merge_moments


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


def crystal(*species: str) -> Structure:
    return Structure(Lattice.cubic(5), species, [[i / 8, i / 8, i / 8] for i in range(len(species))])


@pytest.mark.parametrize(
    "species", [["Co", "O"], ["Fe", "Fe", "Fe", "O", "O", "O", "O"], ["Mn", "Ni", "F"], ["W", "O"]]
)
def test_default_moments_are_those_of_pymatgens_set(species: list[str]) -> None:
    structure = crystal(*species)
    of_the_set = MPRelaxSet(structure, sort_structure=False).incar["MAGMOM"]
    moments = default_moments(structure)
    assert moments is not None
    listed = [moment if site.specie.symbol not in ("O", "F") else 0.0
              for moment, site in zip(of_the_set, structure, strict=True)]  # fmt: skip
    assert moments == listed and any(moments)


def test_default_moments_of_rare_earths_and_of_what_is_not_magnetic() -> None:
    assert default_moments(crystal("Gd", "N")) == [7.0, 0.0]
    assert default_moments(crystal("Eu", "O")) == [10.0, 0.0]
    assert default_moments(crystal("Na", "Cl")) is None


@given(st.lists(st.tuples(st.sampled_from(["Fe", "Co", "O", "Mn"]), st.floats(-6, 6)), min_size=1, max_size=40))
def test_like_moments_are_merged(atoms: list[tuple[str, float]]) -> None:
    symbols, moments = [symbol for symbol, _ in atoms], [moment for _, moment in atoms]
    merged = merge_moments(symbols, moments)
    signs = [(symbol, (moment > 0) - (moment < 0)) for symbol, moment in atoms]
    assert len(set(zip(symbols, merged, strict=True))) <= max(10, len(set(signs)))
    assert [(symbol, (moment > 0) - (moment < 0)) for symbol, moment in zip(symbols, merged, strict=True)] == signs
    for symbol in set(symbols):
        own = [i for i, name in enumerate(symbols) if name == symbol]
        assert sum(merged[i] for i in own) == pytest.approx(sum(moments[i] for i in own), abs=1e-9)


def test_moments_that_fit_are_merged_only_within_half_a_magneton() -> None:
    assert merge_moments(["Fe", "Fe", "O"], [4.1, 4.2, 0.0]) == pytest.approx([4.15, 4.15, 0.0])
    assert merge_moments(["Fe", "Fe", "Fe"], [5.0, -5.0, 4.0]) == [5.0, -5.0, 4.0]
