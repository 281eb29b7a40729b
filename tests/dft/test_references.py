"""References of formation energies: small, near the ground state, and never a structure that only a potential likes."""

from __future__ import annotations

import numpy as np
import pytest
from ase.collections import dcdft
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition
from pymatgen.io.ase import AseAtomsAdaptor

from matgen.composition.batch import CompositionBatch
from matgen.dft.references import LARGEST_OFFSET, MOST_ATOMS, competing_jobs, element_jobs, elements_of
from matgen.dft.settings import Job
from matgen.structures.energies import element_energies, mp2020_phases
from matgen.structures.potentials.registry import load_potential

from .conftest import CRYSTALS

ATOMIC_VOLUME = {
    "Zr": 23.3,
    "Fe": 11.4,
    "Al": 16.5,
    "Cu": 12.0,
    "W": 16.1,
    "Mg": 22.9,
    "Si": 20.4,
    "Ni": 10.9,
    "C": 11.6,
}
"""By PBE, angstrom^3."""


@pytest.mark.slow
def test_every_element_has_one_or_a_reason() -> None:
    symbols = sorted(set(element_energies()) | set(load_potential("chgnet").elements))
    jobs, lacking = element_jobs(symbols)
    assert sorted(lacking) == ["B", "Np", "Pu", "S", "U"]
    untrained = element_jobs(["At", "Fr", "Po", "Ra", "Rn"])
    assert not untrained[0] and len(untrained[1]) == 5  # CHGNet, by which references are chosen, knows none of them
    assert sorted([job.id.removeprefix("element-") for job in jobs] + list(lacking)) == symbols
    for job in jobs:
        assert len(job.structure) <= MOST_ATOMS and job.role == "element"
        assert {site.specie.symbol for site in job.structure} == {job.id.removeprefix("element-")}
        assert 0 <= job.provenance["offset"] <= LARGEST_OFFSET and job.provenance["source"]
    for symbol in ("S", "B"):
        assert f"no structure of {symbol} with at most 4 atoms is like its ground state" in lacking[symbol]
    by_symbol = {job.id.removeprefix("element-"): job for job in jobs}
    for symbol, volume in ATOMIC_VOLUME.items():
        structure = by_symbol[symbol].structure
        assert structure.volume / len(structure) == pytest.approx(volume, rel=0.03), symbol
    for symbol in ("Zr", "Mg", "Fe", "Cr"):  # the delta test's own crystal, reduced to its primitive cell
        assert StructureMatcher().fit(by_symbol[symbol].structure, AseAtomsAdaptor.get_structure(dcdft[symbol])), symbol


def test_oxygen_is_molecules_in_the_triplet_state() -> None:
    (job,), lacking = element_jobs(["O"])
    assert not lacking
    distances = job.structure.distance_matrix + 10 * np.eye(len(job.structure))
    moments = np.array(job.moments())
    for atom, partner in enumerate(distances.argmin(axis=1)):
        assert 1.15 < distances[atom, partner] < 1.3
        assert moments[atom] == moments[partner] and abs(moments[atom]) >= 1


@pytest.mark.parametrize(
    ("symbol", "order"),
    [("Cr", "antiferromagnetic"), ("Mn", "antiferromagnetic"), ("O", "antiferromagnetic"), ("Fe", "ferromagnetic"),
     ("Co", "ferromagnetic"), ("Ni", "ferromagnetic"), ("Gd", "ferromagnetic"), ("Cu", "nonmagnetic")],
)  # fmt: skip
def test_magnetic_elements_begin_in_their_order(symbol: str, order: str) -> None:
    (job,), _ = element_jobs([symbol])
    assert job.magnetic_order == order
    if symbol == "Cr":  # CsCl-type: corner against center of the bcc cell
        assert job.moments() == [1.5, -1.5] and np.allclose(job.structure.frac_coords[1] % 1, 0.5)
    if symbol == "O":  # the molecules are triplets
        assert job.moments() == [1.5, 1.5, -1.5, -1.5]


@pytest.mark.parametrize(("symbol", "length"), [("H", 0.75), ("N", 1.1), ("F", 1.42), ("Cl", 2.0)])
def test_gases_are_molecular_crystals(symbol: str, length: float) -> None:
    (job,), _ = element_jobs([symbol])
    distances = job.structure.distance_matrix + 10 * np.eye(len(job.structure))
    assert distances.min(axis=1) == pytest.approx(length, abs=0.08)
    assert (distances < 1.5 * length).sum() == len(job.structure)
    assert job.moments() is None


def test_elements_of_jobs() -> None:
    assert elements_of([Job("a", CRYSTALS["MnO"], "candidate"), Job("b", CRYSTALS["NaCl"], "candidate")]) == [
        "Cl", "Mn", "Na", "O"]  # fmt: skip


@pytest.mark.slow
def test_competing_phases_make_up_the_candidates() -> None:
    formulas = ["NaMgCl3", "MgO"]
    jobs, lacking = competing_jobs(formulas, max_atoms=8)
    phases = mp2020_phases()
    products = phases.decompose(CompositionBatch.from_formulas(formulas)).product
    names = {Composition(phases.batch[[row]].formulas()[0]).reduced_formula for row in products[products >= 0]}
    assert {job.formula for job in jobs} | {Composition(name).reduced_formula for name in lacking} == names
    assert jobs and all(job.role == "competing" and job.id.startswith("competing-0") for job in jobs)
    assert "MgCl2" in {job.formula for job in jobs}
    assert all(len(Composition(name)) > 1 for name in names)
