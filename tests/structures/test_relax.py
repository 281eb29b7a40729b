from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.optimize import FIRE
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from matgen.errors import OptionError
from matgen.structures.potentials.interface import Evaluation, Potential, symbols_of
from matgen.structures.relax import Race, RelaxSettings, relax, unfit
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
    for start, found in zip(starts, relax(starts, chgnet, RelaxSettings(max_force=0.01)), strict=True):
        theirs = optimizer.relax(start, fmax=0.01, steps=500, ase_filter="FrechetCellFilter", verbose=False)
        assert found.converged
        assert found.energy == pytest.approx(theirs["trajectory"].energies[-1] / len(start), abs=1e-3)
        assert found.structure.volume == pytest.approx(theirs["final_structure"].volume, rel=0.01)
        assert found.max_force < 0.01
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


class Wells(Spring):
    """Springs that end at an energy of their own, eV/atom, by the number of atoms; says what it said."""

    def __init__(self, ends: dict[int, float]) -> None:
        super().__init__(lambda atoms: self.deeper(atoms))
        self.ends = ends
        self.said: list[float] = []

    def deeper(self, atoms: Atoms) -> Evaluation:
        plain = self.of(atoms)
        energy = plain.energy + len(atoms) * self.ends[len(atoms)]
        self.said.append(energy / len(atoms))
        return Evaluation(energy, plain.forces, plain.stress, None)


def in_a_race(paths: list[list[float]], race: Race) -> list[tuple[int, bool]]:
    """Evaluations of each path, and whether it was stopped, by energies of whole paths."""
    spent, stopped = [0] * len(paths), [False] * len(paths)
    for check in (*race.checks, 10**6):
        for i, path in enumerate(paths):
            if not stopped[i]:
                spent[i] = min(check + 1, len(path))
        to_beat = sorted(path[n - 1] for path, n in zip(paths, spent, strict=True))[min(race.winners, len(paths)) - 1]
        for i, path in enumerate(paths):
            now, before = path[spent[i] - 1], path[spent[i] // 2]
            arrived = spent[i] == len(path)
            if not arrived and now - max(before - now, 0) * race.trust - race.margin > to_beat:
                stopped[i] = True
    return list(zip(spent, stopped, strict=True))


@given(
    ends=st.lists(st.floats(-0.3, 0.3), min_size=3, max_size=3),
    edges=st.lists(st.floats(4.0, 8.5), min_size=3, max_size=3),
    race=st.builds(Race, st.integers(1, 3), st.sampled_from([(2, 5), (6, 12, 24), (1,)]), st.floats(0, 1),
                   st.floats(0, 0.1)),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_a_race_stops_what_is_too_high(ends: list[float], edges: list[float], race: Race) -> None:
    starts = [salt(edge) * [size, 1, 1] for size, edge in zip((1, 2, 4), edges, strict=True)]
    wells = dict(zip((2, 4, 8), ends, strict=True))
    how = RelaxSettings(max_force=0.002, max_steps=60)
    paths = []
    for start in starts:
        potential = Wells(wells)
        relax([start], potential, how)
        paths.append(potential.said)
    raced = relax(starts, Wells(wells), how, race=race)
    expected = in_a_race(paths, race)
    assert [(result.stopped_early, result.converged) for result in raced] == [
        (stopped, not stopped and len(path) < 61) for (_, stopped), path in zip(expected, paths, strict=True)
    ]
    assert [result.energy for result in raced] == pytest.approx(
        [path[n - 1] for path, (n, _) in zip(paths, expected, strict=True)], abs=1e-9
    )
    for result in raced:  # the structure is that of the energy, also where it was stopped
        (again,) = Wells(wells).evaluate([to_atoms(result.structure)])
        assert again.energy / len(result.structure) == pytest.approx(result.energy, abs=1e-9)


def test_a_race_goes_on_without_those_that_fail() -> None:
    starts = [salt(6.5), salt(6.5, ("Fm", "O")), salt(6.5, ("K", "Cl")) * [2, 1, 1]]
    progress = Recorder()
    raced = relax(starts, Spring(holds("K", fail)), race=Race(), progress=progress)
    assert [result.reason for result in raced] == [
        "", "the potential does not know Fm", "the potential failed: out of its depth"
    ]  # fmt: skip
    assert raced[0].converged
    assert sum(progress.updates) == 3
    assert relax([], Spring(), race=Race()) == []


@pytest.mark.slow
def test_a_race_finds_the_lowest(chgnet: Potential) -> None:
    """Of magnesium oxide: rock salt, cesium chloride, zinc blende."""
    cubic = Lattice.cubic(2.6)
    half = 2.2
    zinc_blende = Structure(Lattice([[0, half, half], [half, 0, half], [half, half, 0]]), ["Mg", "O"],
                            [[0, 0, 0], [0.25] * 3])  # fmt: skip
    starts = [salt(4.4, ("Mg", "O")), Structure(cubic, ["Mg", "O"], [[0, 0, 0], [0.5] * 3]), zinc_blende]
    every, raced = relax(starts, chgnet), relax(starts, chgnet, race=Race(checks=(1, 2)))
    lowest = min(range(3), key=lambda i: every[i].energy)
    assert lowest == 0
    assert raced[0].energy == pytest.approx(every[0].energy, abs=1e-6)
    assert raced[0].converged
    assert raced[1].stopped_early  # cesium chloride's, some 1 eV/atom higher
    assert raced[1].steps < every[1].steps


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
    with pytest.raises(OptionError, match="winners is 0"):
        Race(winners=0)
