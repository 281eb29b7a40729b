from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.optimize import FIRE
from pymatgen.core import Lattice, Structure

from matgen.errors import OptionError
from matgen.structures.potentials.calculator import CalculatorPotential
from matgen.structures.potentials.interface import Evaluation, Potential, symbols_of
from matgen.structures.relax import RelaxSettings, relax, unfit
from tests.progress import Recorder
from tests.structures.conftest import CRYSTALS, salt, skewed, to_atoms

NAN = float("nan")


class Spring:
    """The cell wants `edge`^3 for each atom, the atoms nothing; what else it does is up to `spoil`."""

    name, version, elements = "spring", "1", symbols_of(range(1, 95))

    def __init__(self, spoil: Callable[[Atoms], Evaluation | None] = lambda atoms: None, edge: float = 3.0) -> None:
        self.spoil, self.edge = spoil, edge
        self.asked: list[int] = []

    def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:
        self.asked.append(len(crystals))
        return [self.spoil(atoms) or self.of(atoms) for atoms in crystals]

    def of(self, atoms: Atoms) -> Evaluation:
        wanted = len(atoms) * self.edge**3
        surplus = atoms.get_volume() / wanted - 1
        n = len(atoms)
        stress = np.eye(3) * surplus / wanted * n
        return Evaluation(n * surplus**2 / 2, np.zeros((n, 3)), stress, None)


def holds(symbol: str, then: Callable[[Atoms], Evaluation | None]) -> Callable[[Atoms], Evaluation | None]:
    return lambda atoms: then(atoms) if symbol in atoms.symbols else None


def fail(atoms: Atoms) -> Evaluation:
    raise RuntimeError("out of its depth\nand more")


@pytest.mark.slow
def test_ends_where_chgnets_own_optimizer_ends(chgnet: Potential) -> None:
    from chgnet.model import CHGNet, StructOptimizer

    network = CHGNet.load(use_device="cpu", verbose=False)
    optimizer = StructOptimizer(network, optimizer_class=FIRE, use_device="cpu")
    starts = [salt(5.4), skewed(), CRYSTALS["perovskite"]]
    for start, found in zip(starts, relax(starts, chgnet), strict=True):
        theirs = optimizer.relax(start, fmax=0.05, steps=300, ase_filter="FrechetCellFilter", verbose=False)
        assert found.converged
        assert found.energy == pytest.approx(theirs["trajectory"].energies[-1] / len(start), abs=1e-3)
        assert found.structure.volume == pytest.approx(theirs["final_structure"].volume, rel=0.01)
        assert found.max_force < 0.05
        assert found.energy < chgnet.evaluate([to_atoms(start)])[0].energy / len(start)
        assert found.structure.site_properties["magmom"] == pytest.approx(
            theirs["final_structure"].site_properties["magmom"], abs=0.05
        )


def test_a_batch_is_its_structures_one_by_one(chgnet: Potential) -> None:
    starts = [salt(5.4), skewed(2), CRYSTALS["one atom"], salt(4.4, ("Mg", "O"))]
    for start, together in zip(starts, relax(starts, chgnet), strict=True):
        (alone,) = relax([start], chgnet)
        assert together.energy == pytest.approx(alone.energy, abs=1e-4)
        assert together.converged is alone.converged is True
        assert together.structure.composition == start.composition


def test_follows_fire_of_ase_step_by_step() -> None:
    calculator = LennardJones(sigma=2.4, epsilon=0.2, rc=6.0, smooth=True)
    settings = RelaxSettings(max_force=0.01, max_steps=40, cell=False)
    (found,) = relax([skewed()], CalculatorPotential("lj", "1", calculator, symbols_of(range(1, 95))), settings)
    atoms = to_atoms(skewed())
    atoms.calc = LennardJones(sigma=2.4, epsilon=0.2, rc=6.0, smooth=True)
    optimizer = FIRE(atoms, logfile=None)
    optimizer.run(fmax=0.01, steps=40)
    assert found.steps == optimizer.nsteps
    assert found.structure.cart_coords == pytest.approx(atoms.get_positions(), abs=1e-8)
    assert found.energy == pytest.approx(atoms.get_potential_energy() / 8)
    assert (found.structure.lattice.matrix == skewed().lattice.matrix).all()


def test_failures_are_recorded_and_the_others_go_on() -> None:
    structures = [
        salt(),
        Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]]),
        salt(5.5, ("Fm", "O")),
        Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]),
        Structure(Lattice.cubic(0.01), ["Na"], [[0, 0, 0]]),
        Structure(Lattice.from_parameters(0.4, 5, 5, 90, 90, 90), ["Na"], [[0, 0, 0]]),
        Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [NAN, 0, 0]]),
        salt(5.5, ("K", "Cl")),
        salt(5.5, ("Rb", "Cl")),
        salt(5.5, ("Cs", "Cl")),
        salt(5.6),
    ]

    def spoil(atoms: Atoms) -> Evaluation | None:
        zero, none = np.zeros((2, 3)), np.zeros((3, 3))
        if "Rb" in atoms.symbols:
            return Evaluation(NAN, zero, none, None)
        if "Cs" in atoms.symbols:
            return Evaluation(0.0, zero + 2e4, none, None)
        return fail(atoms) if "K" in atoms.symbols else None

    progress = Recorder()
    found = relax(structures, Spring(spoil), progress=progress)
    assert [result.reason for result in found] == [
        "",
        "atoms Na1 and Cl2 overlap: 0.20 angstrom apart",
        "the potential does not know Fm",
        "some sites are partly occupied",
        "its cell has no volume",
        "atoms overlap with their own images: 0.40 angstrom apart",
        "some positions are no numbers",
        "the potential failed: out of its depth",
        "the potential gave no number",
        "a force of 20000 eV/angstrom: atoms are too close",
        "",
    ]
    assert sum(progress.updates) == len(structures)
    for structure, result in zip(structures, found, strict=True):
        assert np.isnan(result.energy) == bool(result.reason)
        assert result.converged == (not result.reason)
        if result.reason:
            assert result.structure is structure
        else:
            assert result.structure.volume == pytest.approx(2 * 27, rel=0.1)


def test_chgnet_knows_no_more_than_it_learned(chgnet: Potential) -> None:
    found = relax([salt(5.5, ("Am", "O")), salt()], chgnet)
    assert [result.reason for result in found] == ["the potential does not know Am", ""]


@pytest.mark.parametrize(("edge", "ratio"), [(30.0, "4."), (0.5, "0.2")])
def test_cells_that_come_apart_or_collapse(edge: float, ratio: str) -> None:
    def push(atoms: Atoms) -> Evaluation:
        return Evaluation(0.0, np.zeros((2, 3)), np.eye(3) * (-1 if edge > 3 else 1), None)

    (found,) = relax([salt()], Spring(push))
    assert found.reason.startswith(f"the cell's volume went to {ratio}")
    assert np.isnan(found.energy)
    assert found.steps > 0


def test_what_explodes_later_fails_alone() -> None:
    calls = {"n": 0}

    def later(atoms: Atoms) -> Evaluation | None:
        calls["n"] += 1
        return Evaluation(NAN, np.full((2, 3), NAN), np.eye(3), None) if calls["n"] > 3 else None

    found = relax([salt(6.5, ("K", "Cl")), salt(6.5)], Spring(holds("K", later)))
    assert [result.reason for result in found] == ["the potential gave no number", ""]
    assert found[0].steps == 3


def test_steps_run_out() -> None:
    (found,) = relax([salt(7.5)], Spring(), RelaxSettings(max_force=1e-9, max_steps=2))
    assert (found.steps, found.converged, found.reason) == (2, False, "")
    assert np.isfinite(found.energy)
    (found,) = relax([salt(7.5)], Spring(), RelaxSettings(cell=False))
    assert (found.steps, found.converged) == (0, True)
    assert found.structure.volume == pytest.approx(salt(7.5).volume)


def test_no_more_atoms_at_once_than_fit_the_cache() -> None:
    potential = Spring()
    big = salt() * [4, 4, 4]
    assert len(relax([big, *[salt()] * 40, big], potential)) == 42
    assert max(potential.asked) <= 32
    assert relax([], potential) == []


def test_cells_are_looked_at() -> None:
    assert unfit(CRYSTALS["one atom"], symbols_of(range(1, 95))) == ""
    assert "no volume" in unfit(
        Structure(Lattice(np.diag([3, 3, np.inf])), ["Na"], [[0, 0, 0]]), symbols_of(range(1, 95))
    )


def test_options() -> None:
    with pytest.raises(OptionError, match="max_force is 0"):
        RelaxSettings(max_force=0)
    with pytest.raises(OptionError, match="max_steps is -1"):
        RelaxSettings(max_steps=-1)
