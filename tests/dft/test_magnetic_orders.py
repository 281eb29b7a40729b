"""Orders of crystals whose order is known, by spglib's magnetic space groups; jobs that orders add."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from matgen.dft.magnetic_orders import (
    MOST_ORDERS,
    MOST_SITES,
    MagneticOrder,
    antiferromagnetic_orders,
    couplings,
    magnetic_sites,
    with_magnetic_orders,
)
from matgen.dft.magnetism import order_name
from matgen.dft.settings import Job

from .conftest import CRYSTALS, rock_salt
from .magnets import MAGNETS


def orders_of(structure: Structure, **options: object) -> list[MagneticOrder]:
    return antiferromagnetic_orders(structure, structure.site_properties["magmom"], **options)


def magnetic_group(order: MagneticOrder) -> str:
    """Number of the magnetic space group (Belov, Neronova and Smirnova's) of moments without direction."""
    structure = order.structure
    cell = (structure.lattice.matrix, structure.frac_coords, [site.specie.Z for site in structure],
            np.array(structure.site_properties["magmom"]))  # fmt: skip
    found = spglib.get_magnetic_symmetry_dataset(cell, is_axial=False, symprec=0.01)
    return str(spglib.get_magnetic_spacegroup_type(found.uni_number).bns_number)


@pytest.mark.parametrize(
    ("name", "group", "n_atoms"),
    [
        ("NiO", "166.102", 4),  # R_I -3m: type II of the fcc lattice, ferromagnetic (111) planes that alternate
        ("Cr", "221.97", 2),  # P_I m-3m: CsCl-type
        ("fcc Mn", "123.350", 2),  # P_I 4/mmm: type I
        ("FeRh", "225.121", 4),  # F_S m-3m: G-type
        ("KMnF3", "225.121", 10),  # G-type
        ("MnF2", "136.498", 6),  # P4_2'/mnm': corners against centers
        ("MnTe", "194.269", 4),  # alternating layers
        ("Fe2O3", "167.107", 10),  # hematite
        ("LaMnO3", "62.447", 20),  # G-type
        ("Fe3O4", "227.128", 14),  # F d-3m, no prime: Neel's ferrimagnet
    ],
)
def test_the_first_order_of_known_magnets(name: str, group: str, n_atoms: int) -> None:
    first = orders_of(MAGNETS[name])[0]
    assert (magnetic_group(first), len(first.structure)) == (group, n_atoms)
    assert first.name == ("ferrimagnetic" if name == "Fe3O4" else "antiferromagnetic")
    bare = first.structure.copy()
    bare.remove_site_property("magmom")
    assert StructureMatcher().fit(bare, MAGNETS[name])


def signs_along(order: MagneticOrder, symbol: str, axis: int) -> list[int]:
    sites = sorted((site for site in order.structure if site.specie.symbol == symbol),
                   key=lambda site: site.coords[axis])  # fmt: skip
    return [int(np.sign(site.properties["magmom"])) for site in sites]


def test_hematite_is_plus_minus_minus_plus() -> None:
    assert signs_along(orders_of(MAGNETS["Fe2O3"])[0], "Fe", 2) in ([1, -1, -1, 1], [-1, 1, 1, -1])


def test_what_the_rule_does_not_know() -> None:
    """In Cr2O3 the cations of face-sharing octahedra are coupled directly: its order (+-+-) is the second one."""
    first, second, *_ = orders_of(MAGNETS["Cr2O3"])
    assert (magnetic_group(first), magnetic_group(second)) == ("167.107", "167.106")


def test_the_a_type_order_of_lamno3_is_among_its_orders() -> None:
    found = [signs_along(order, "Mn", 1) for order in orders_of(MAGNETS["LaMnO3"])]  # b of Pnma is the long axis
    layered = [signs for signs in found if signs[0] == signs[1] != signs[2] == signs[3]]
    assert len(found) == 4 and len(layered) == 1  # G, C and A-type, and one against three


def test_of_larger_cells_only_what_no_smaller_one_has() -> None:
    four = orders_of(MAGNETS["NiO"], multiples=(4,))
    assert four and all(len(order.structure) == 8 for order in four)
    for order in four:
        assert len(order.structure.get_primitive_structure(tolerance=0.01, use_site_props=True)) == 8
    for order in orders_of(MAGNETS["Fe2O3"], multiples=(1,)):
        assert len(order.structure.get_primitive_structure(tolerance=0.01, use_site_props=True)) == 10


def test_moments_keep_their_sizes_and_small_ones_vanish() -> None:
    for name in ("FeRh", "Fe2O3", "NiO"):
        structure = MAGNETS[name]
        for order in orders_of(structure):
            found = sorted(abs(m) for m in order.structure.site_properties["magmom"])
            of_one = [m if m > 1 else 0.0 for m in structure.site_properties["magmom"]]  # neither Rh's nor O's
            assert found == sorted(of_one * (len(order.structure) // len(structure)))


def test_which_atoms_are_magnetic() -> None:
    assert magnetic_sites(MAGNETS["FeRh"], [3.1, 1.0]) == [0]
    assert magnetic_sites(rock_salt("Ru", "O", 4.5), [1.5, 0.6]) == [0]
    assert magnetic_sites(rock_salt("K", "O", 6.0), [0.0, 1.0]) == [1]
    assert magnetic_sites(rock_salt("Gd", "Fe", 5.0), [7.0, -2.0]) == [0, 1]
    assert magnetic_sites(rock_salt("Ni", "O", 4.2), [0.3, 0.1]) == []
    assert orders_of(CRYSTALS["MnO"].copy()) and antiferromagnetic_orders(CRYSTALS["NaCl"], [0, 0]) == []


def test_coupling_is_by_the_angle_of_the_bridge() -> None:
    straight = Structure(Lattice.orthorhombic(8, 4, 8), ["Mn", "F"], [[0, 0, 0], [0, 0.5, 0]])
    bridged = couplings(straight, [0])[0, 0]
    bent = Structure(Lattice.orthorhombic(8, 4, 8), ["Mn", "F"], [[0, 0, 0], [0.25, 0.5, 0]])  # a right angle
    assert bridged == pytest.approx(1 + 0.1, abs=1e-9)  # the bridge, and the nearest neighbor
    assert couplings(bent, [0])[0, 0] == pytest.approx(0.1, abs=1e-9)
    without = Structure(Lattice.orthorhombic(8, 4, 8), ["Mn", "Al"], [[0, 0, 0], [0, 0.5, 0]])  # a metal is no bridge
    assert couplings(without, [0])[0, 0] == pytest.approx(0.1, abs=1e-9)


def test_a_relaxed_crystal_has_the_orders_of_the_ideal_one() -> None:
    for name in ("Fe2O3", "LaMnO3", "NiO"):
        rattled = MAGNETS[name].copy()
        rattled.perturb(0.005)
        found, ideal = orders_of(rattled), orders_of(MAGNETS[name])
        assert [order.name for order in found] == [order.name for order in ideal]
        assert found[0].antiparallel == pytest.approx(ideal[0].antiparallel, abs=0.02)


def test_names_of_orders() -> None:
    assert order_name(None) == order_name([0.0, 0.0]) == "nonmagnetic"
    assert order_name([2.0, 0.0]) == order_name([-2.0, -1.0]) == "ferromagnetic"
    assert order_name([2.0, -2.0, 0.1]) == "antiferromagnetic"
    assert order_name([4.1, 4.1, -4.0]) == "ferrimagnetic"


def job(name: str, role: str = "candidate") -> Job:
    return Job(f"0001-{name}-1", MAGNETS[name].copy(), role, {"energy_per_atom_chgnet": -5.0})


def test_jobs_of_orders() -> None:
    jobs = [job("NiO"), Job("0002-NaCl-1", CRYSTALS["NaCl"], "candidate"), job("Cr", "element"),
            Job("0003-MnO-1", CRYSTALS["MnO"], "candidate"), job("Fe2O3", "competing")]  # fmt: skip
    found, remarks = with_magnetic_orders(jobs, 2)
    assert [one.id for one in found] == [
        "0001-NiO-1", "0001-NiO-1-afm", "0002-NaCl-1", "0001-Cr-1", "0003-MnO-1", "0001-Fe2O3-1", "0001-Fe2O3-1-afm"
    ]  # fmt: skip
    assert remarks == {} and found[0] is jobs[0]
    afm = found[1]
    assert (afm.order_of, afm.role, afm.magnetic_order) == ("0001-NiO-1", "candidate", "antiferromagnetic")
    assert afm.moments() == [1.7, -1.7, 0.0, 0.0] and afm.formula == "NiO"
    assert afm.provenance["energy_per_atom_chgnet"] == -5.0 and np.linalg.det(afm.provenance["cell"]) == 2
    three, _ = with_magnetic_orders(jobs[:1], 4)
    assert [one.id for one in three] == ["0001-NiO-1", "0001-NiO-1-afm", "0001-NiO-1-afm2"]  # no third order
    assert with_magnetic_orders(jobs, 1) == (jobs, {})


def test_without_predicted_moments_the_default_ones_are_signed() -> None:
    (_, afm), _ = with_magnetic_orders([Job("feo", rock_salt("Fe", "O", 4.3), "candidate")], 2)
    assert afm.moments() == [5.0, -5.0, 0.0, 0.0]


def test_what_is_predicted_to_have_no_moments_has_no_orders() -> None:
    structure = rock_salt("Fe", "S", 5.0)
    structure.add_site_property("magmom", [0.02, 0.0])
    job = Job("fes", structure, "candidate")
    assert job.initial_moments()[0] == [5.0, 0.0]  # as the Materials Project's calculations begin
    assert with_magnetic_orders([job], 2) == ([job], {})


def test_of_many_orders_the_first_are_kept() -> None:
    structure = MAGNETS["NiO"].make_supercell((4, 2, 2), in_place=False)
    structure.perturb(0.3)  # no symmetry is left: 32,767 orders
    found = orders_of(structure, multiples=(1,))
    ranks = [order.rank for order in found]
    assert len(found) == MOST_ORDERS and ranks == sorted(ranks)
    assert found[0].name == "antiferromagnetic" and found[0].antiparallel > 0.5


def test_too_many_magnetic_atoms() -> None:
    many = MAGNETS["NiO"].make_supercell((3, 3, 2), in_place=False)
    found, remarks = with_magnetic_orders([Job("nio", many, "candidate")], 2)
    assert [one.id for one in found] == ["nio"]
    assert remarks == {"nio": [f"more than {MOST_SITES} magnetic atoms: ferromagnetic only"]}
