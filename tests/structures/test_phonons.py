from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from matgen.errors import MissingDependencyError, OptionError, StructureError
from matgen.structures.phonons import Phonons, PhononSettings, phonons, relaxed_within_symmetry
from matgen.structures.potentials.calculator import CalculatorPotential
from matgen.structures.potentials.interface import Evaluation, Potential, symbols_of
from matgen.structures.potentials.registry import shared_potential
from tests.structures.conftest import CRYSTALS, salt, to_atoms

EVERYTHING = symbols_of(range(1, 95))
COPPER = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.6), ["Cu"], [[0, 0, 0]])
EDGE, STIFFNESS, BULK = 2.5, 3.0, 50.0  # angstrom, eV/angstrom^2, eV
THZ = np.sqrt(1.602176634e-19 / 1.66053906660e-27) * 1e10 / (2 * np.pi) / 1e12  # of sqrt(eV/angstrom^2/u)


class Springs(Calculator):
    """Rock salt on a simple cubic lattice along the axes, each atom tied to its six neighbors by isotropic springs.

    With a negative `second`, the springs to the twelve second neighbors push; what keeps the volume acts on no atom.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, second: float = 0.0) -> None:
        super().__init__()
        self.second = second

    def calculate(self, atoms: Atoms | None = None, properties: object = None, changes: object = all_changes) -> None:
        super().calculate(atoms, properties, changes)
        assert atoms is not None
        i, vectors = neighbor_list("iD", atoms, 1.6 * EDGE)
        wanted = EDGE * np.rint(vectors / EDGE)
        stiffness = np.where((np.abs(wanted) > 0).sum(axis=1) == 1, STIFFNESS, self.second)
        stretch = vectors - wanted
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, stiffness[:, None] * stretch)
        energy = (stiffness * (stretch**2).sum(axis=1)).sum() / 4  # each pair is found twice
        stress = np.einsum("p,pi,pj->ij", stiffness, stretch, vectors) / 2 / atoms.get_volume()
        excess = atoms.get_volume() / (len(atoms) * EDGE**3) - 1
        energy += len(atoms) * BULK * excess**2 / 2
        stress = (stress + stress.T) / 2 + BULK * excess / EDGE**3 * np.eye(3)
        self.results = {"energy": energy, "forces": forces, "stress": stress.ravel()[[0, 4, 8, 5, 2, 1]]}


def analytic(found: Phonons, second: float = 0.0) -> NDArray[np.float64]:
    """Frequencies `(w, 6)` of the springs, ascending: the three directions are independent of each other."""
    reciprocal = np.linalg.inv(found.structure.lattice.matrix).T  # 1/angstrom, rows
    angles = 2 * np.pi * EDGE * found.waves @ reciprocal  # (w, 3)
    one, two = (float(site.specie.atomic_mass) for site in found.structure)
    cosines = np.cos(angles)
    first = -2 * STIFFNESS * cosines.sum(axis=1) / np.sqrt(one * two)
    pairs = cosines[:, 0] * cosines[:, 1] + cosines[:, 1] * cosines[:, 2] + cosines[:, 2] * cosines[:, 0]
    same = 6 * STIFFNESS + 12 * second - 4 * second * pairs  # springs to atoms of one's own kind, (w,)
    matrices = np.array([[same / one, first], [first, same / two]]).transpose(2, 0, 1)
    values = np.linalg.eigvalsh(matrices)  # (w, 2)
    return np.repeat(np.sign(values) * np.sqrt(np.abs(values)), 3, axis=1) * THZ


def potential_of(calculator: Calculator) -> Potential:
    return CalculatorPotential("springs", "1", calculator, EVERYTHING)


@pytest.mark.parametrize("second", [0.0, -0.9])
def test_springs_have_the_frequencies_that_formulas_give(second: float) -> None:
    found = phonons(salt(2.02 * EDGE, ("Na", "Cl")), potential_of(Springs(second)))
    assert found.structure.volume == pytest.approx(2 * EDGE**3, rel=1e-3)  # relaxed before
    expected = analytic(found, second)
    assert found.frequencies[1:] == pytest.approx(expected[1:], abs=2e-3)
    assert found.frequencies[0, :3] == pytest.approx(expected[0, 3:], abs=2e-3)
    assert np.isnan(found.frequencies[0, 3:]).all()
    assert found.lowest_frequency == pytest.approx(min(expected[1:].min(), expected[0, 3:].min()), abs=2e-3)
    assert found.stable is (found.lowest_frequency >= -0.3)
    assert found.stable is (second > -0.5)
    place = int(np.flatnonzero((found.waves == found.lowest_frequency_at).all(axis=1))[0])
    assert np.nanmin(found.frequencies[place]) == pytest.approx(found.lowest_frequency, abs=1e-3)
    assert (found.waves[0] == 0).all()
    assert len(found.waves) == round(abs(np.linalg.det(found.supercell)))


def test_the_soft_mode_is_an_eigenvector() -> None:
    """Displaced along it, atoms are pushed further by their mass times the square of the frequency."""
    calculator = Springs(-1.0)
    found = phonons(salt(2 * EDGE, ("Na", "Cl")), potential_of(calculator))
    mode = found.soft_mode
    assert mode is not None
    assert np.linalg.norm(mode.displacements, axis=1).max() == pytest.approx(1)
    atoms = to_atoms(mode.structure)
    atoms.calc = calculator
    still = atoms.get_forces()
    length = 0.02  # angstrom
    atoms.positions += length * mode.displacements
    pushed = (atoms.get_forces() - still) / length  # eV/angstrom^2
    masses = np.array([float(site.specie.atomic_mass) for site in mode.structure])
    eigenvalue = -((found.lowest_frequency / THZ) ** 2)
    assert pushed == pytest.approx(-masses[:, None] * eigenvalue * mode.displacements, abs=5e-3)


def test_phonopy_by_hand_gives_the_same() -> None:
    """The same displacements, forces one by one from ASE's own calculator, the cell and its symmetry by phonopy."""
    settings = PhononSettings(displacement=0.02)
    found = phonons(COPPER, potential_of(EMT()), settings)
    edge = found.structure.lattice.a * np.sqrt(2)
    cell = PhonopyAtoms(symbols=["Cu"] * 4, cell=np.eye(3) * edge,
                        scaled_positions=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])  # fmt: skip
    multiple = round(np.linalg.norm(found.supercell[0] @ found.structure.lattice.matrix) / edge)
    by_hand = Phonopy(cell, supercell_matrix=np.eye(3, dtype=int) * multiple, primitive_matrix="F")
    by_hand.generate_displacements(distance=0.02)
    forces = []
    for displaced in by_hand.supercells_with_displacements:
        atoms = Atoms(displaced.symbols, cell=displaced.cell, scaled_positions=displaced.scaled_positions, pbc=True)
        atoms.calc = EMT()
        forces.append(atoms.get_forces())
    by_hand.forces = np.array(forces)
    by_hand.produce_force_constants()
    by_hand.symmetrize_force_constants()
    # The same reciprocal space: waves by their Cartesian coordinates.
    cartesian = found.waves @ np.linalg.inv(found.structure.lattice.matrix).T
    waves = cartesian @ np.asarray(by_hand.primitive.cell).T
    by_hand.run_qpoints(waves)
    assert found.displacements == len(forces) == 1
    assert found.frequencies[1:] == pytest.approx(by_hand.qpoints.frequencies[1:], abs=1e-6)
    assert found.stable
    # Experiment: 7.2 and 5.1 THz at X (R. M. Nicklow et al., Phys. Rev. 164, 922, 1967); EMT is softer.
    at_x = np.isclose(np.sort(np.abs(cartesian * edge), axis=1), [0, 0, 1]).all(axis=1)
    assert found.frequencies[at_x][0] == pytest.approx([5.1, 5.1, 7.2], abs=1.0)


def test_a_batch_is_its_supercells_one_by_one(chgnet: Potential) -> None:
    class OneByOne:
        name, version, elements, corrected = chgnet.name, chgnet.version, chgnet.elements, True

        def evaluate(self, crystals: list[Atoms]) -> Iterator[Evaluation]:
            return (chgnet.evaluate([atoms])[0] for atoms in crystals)

    class Lists(OneByOne):
        def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:  # type: ignore[override]
            return list(super().evaluate(crystals))

    settings = PhononSettings(shortest=5.0, max_force=0.01)  # 8 atoms
    together, alone = phonons(salt(), chgnet, settings), phonons(salt(), Lists(), settings)
    assert together.displacements == 2
    assert together.frequencies[1:] == pytest.approx(alone.frequencies[1:], abs=0.02)  # forces in single precision
    assert together.stable
    assert 3 < np.nanmax(together.frequencies) < 8  # NaCl: 4.9 THz at the transverse optical mode
    assert "magmom" in together.structure.site_properties
    evaluation = chgnet.evaluate([to_atoms(together.structure)])[0]
    assert together.energy == pytest.approx(evaluation.energy / 2, abs=1e-4)


@pytest.mark.slow
def test_cubic_barium_titanate_is_unstable_by_chgnet(chgnet: Potential) -> None:
    structure = CRYSTALS["perovskite"].copy()
    structure.replace_species({"Sr": "Ba"})
    found = phonons(structure, chgnet)
    assert not found.stable
    assert found.lowest_frequency < -2
    assert (found.lowest_frequency_at == 0).all()  # ferroelectric
    assert found.soft_mode is not None
    assert len(found.soft_mode.structure) == 5


class Broken:
    """Springs until the cell is a supercell, then as told."""

    name, version, elements, corrected = "broken", "1", EVERYTHING, True

    def __init__(self, error: Exception | None) -> None:
        self.error, self.within = error, potential_of(Springs())

    def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:
        found = list(self.within.evaluate(crystals))
        if len(crystals[0]) == 2:
            return found
        if self.error is not None:
            raise self.error
        return [Evaluation(0.0, e.forces * np.nan, e.stress, None) for e in found]


def test_what_cannot_be_calculated_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    rock = salt(2 * EDGE)
    with pytest.raises(StructureError, match="failed for a supercell: no memory"):
        phonons(rock, Broken(RuntimeError("no memory\nat all")))
    with pytest.raises(StructureError, match="gave no number for a displaced supercell"):
        phonons(rock, Broken(None))
    narrow = CalculatorPotential("narrow", "1", Springs(), frozenset({"Na"}))
    with pytest.raises(StructureError, match="relaxation before its phonons failed: the potential does not know Cl"):
        phonons(rock, narrow)
    with pytest.raises(StructureError, match="forces are still .* eV/angstrom after 1 steps"):
        off = Structure(Lattice.cubic(5.0), ["Cu"] * 3, [[0, 0, 0], [0.5, 0.42, 0.1], [0.1, 0.5, 0.63]])
        phonons(off, potential_of(EMT()), PhononSettings(max_steps=1))
    with pytest.raises(StructureError, match="one atom in its supercell has no phonons"):
        phonons(COPPER, potential_of(EMT()), PhononSettings(max_atoms=1))
    monkeypatch.setitem(sys.modules, "phonopy", None)
    with pytest.raises(MissingDependencyError, match="pip install 'matgen"):
        phonons(rock, potential_of(Springs()))


def test_options() -> None:
    for name in ("max_force", "max_steps", "shortest", "max_atoms", "displacement"):
        with pytest.raises(OptionError, match=f"{name} is 0, it must be above 0"):
            PhononSettings(**{name: 0})
    with pytest.raises(OptionError, match="tolerance is -1, it must be 0 or more"):
        PhononSettings(tolerance=-1)
    assert PhononSettings(tolerance=0).tolerance == 0


def test_a_relaxation_that_drifts_off_its_symmetry_goes_on_from_there() -> None:
    """Forsterite by CHGNet ends after 124 steps some 0.003 angstrom off Pnma; put back, forces of 0.016 were left."""
    forsterite = Structure.from_spacegroup(
        "Pnma",
        Lattice.orthorhombic(10.20, 5.98, 4.76),
        ["Mg", "Mg", "Si", "O", "O", "O"],
        [[0, 0, 0], [0.2774, 0.25, 0.9915], [0.0940, 0.25, 0.4262], [0.0913, 0.25, 0.7657], [0.4474, 0.25, 0.2215],
         [0.1628, 0.0331, 0.2777]],
    )  # fmt: skip
    primitive, evaluation, steps = relaxed_within_symmetry(forsterite, shared_potential("chgnet"), PhononSettings())
    assert SpacegroupAnalyzer(primitive, symprec=1e-4).get_space_group_symbol() == "Pnma"
    assert np.linalg.norm(evaluation.forces, axis=1).max() <= 0.005
    assert steps <= PhononSettings().max_steps
