from __future__ import annotations

from fractions import Fraction

import pytest

from matgen.structures.charges import dopant_charge, dopant_state, doping_kind, host_states, vacancies_per_dopant

TEXTBOOK = [
    ("SrTiO3", "Sr", "La", 1, "n-type"),
    ("SrTiO3", "Ti", "Nb", 1, "n-type"),
    ("SrTiO3", "Sr", "Ca", 0, "isovalent"),
    ("SrTiO3", "Ti", "Fe", -1, "p-type"),
    ("SrTiO3", "O", "F", 1, "n-type"),
    ("TiO2", "O", "N", -1, "p-type"),
    ("ZnO", "Zn", "Al", 1, "n-type"),
    ("ZnO", "Zn", "Mn", 0, "isovalent"),
    ("ZnO", "Zn", "Li", -1, "p-type"),
    ("GaN", "Ga", "Mg", -1, "p-type"),
    ("GaN", "Ga", "Si", 1, "n-type"),
    ("GaN", "Ga", "In", 0, "isovalent"),
    ("ZrO2", "Zr", "Y", -1, "p-type"),
    ("CeO2", "Ce", "Gd", -1, "p-type"),
    ("SnO2", "Sn", "Sb", 1, "n-type"),
    ("In2O3", "In", "Sn", 1, "n-type"),
    ("MgO", "Mg", "Li", -1, "p-type"),
    ("Si", "Si", "P", 1, "n-type"),
    ("Si", "Si", "B", -1, "p-type"),
    ("Si", "Si", "Ge", 0, "isovalent"),
]


@pytest.mark.parametrize(("host", "site", "dopant", "charge", "kind"), TEXTBOOK)
def test_textbook_dopants(host: str, site: str, dopant: str, charge: int, kind: str) -> None:
    assert dopant_charge(host, site, dopant) == charge
    assert doping_kind(charge) == kind


def test_states() -> None:
    assert host_states("SrTiO3") == {"Sr": 2, "Ti": 4, "O": -2}
    assert host_states("Fe3O4")["Fe"] == pytest.approx(8 / 3)
    assert host_states("Ni3Al") == {}
    assert (dopant_state("Ce", 4), dopant_state("Ce", 3), dopant_state("Mn", 2), dopant_state("Mn", 4)) == (4, 3, 2, 4)
    assert dopant_state("Cl", 2) == -1  # it has no common state of the site's sign
    assert dopant_state("He", 2) is None


def test_unknown_charges() -> None:
    assert dopant_charge("Ni3Al", "Ni", "Fe") is None
    assert dopant_charge("Al", "Al", "Mg") is None
    assert dopant_charge("Si", "Si", "Fe") is None
    assert doping_kind(None) == ""


def test_vacancies() -> None:
    assert vacancies_per_dopant("SrTiO3", 1) == [("Sr", Fraction(1, 2)), ("Ti", Fraction(1, 4))]
    assert vacancies_per_dopant("SrTiO3", -1) == [("O", Fraction(1, 2))]
    assert vacancies_per_dopant("GaN", -2) == [("N", Fraction(2, 3))]
    for charge in (2, -3):
        states = host_states("MgAl2O4")
        for symbol, each in vacancies_per_dopant("MgAl2O4", charge):
            assert charge - each * int(states[symbol]) == 0
    assert vacancies_per_dopant("Ni3Al", 1) == []
