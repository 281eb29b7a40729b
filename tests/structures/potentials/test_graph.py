from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from matgen.structures.potentials.graph import _MOST_IMAGES, AtomGraph, _images, _reduction, atom_graph
from matgen.structures.relax import unfit
from tests.structures.conftest import CRYSTALS, to_atoms

BOND, ANGLE = 6.0, 3.0
ODD_BOND, ODD_ANGLE = 5.98713, 2.98713  # no drawn cell has bonds of just this length, where rounding would decide


@st.composite
def crystals(draw: st.DrawFn) -> Structure:
    """Cells of 1 to 5 atoms, some of them very skewed."""
    edges = [draw(st.floats(2.5, 7)) for _ in range(3)]
    angles = [draw(st.floats(55, 115)) for _ in range(3)]
    n = draw(st.integers(1, 5))
    places = draw(st.lists(st.tuples(*[st.floats(-1.5, 1.5)] * 3), min_size=n, max_size=n))
    cell = Lattice.from_parameters(*edges, *angles)
    matrix = cell.matrix.copy()
    matrix[2] += draw(st.integers(-2, 2)) * matrix[0]  # the same lattice by longer vectors
    structure = Structure(Lattice(matrix), ["Na"] * n, places)
    assume(not unfit(structure, frozenset({"Na"})))  # such as three vectors in one plane, which relaxation refuses too
    return structure


def flat() -> Structure:
    """A cell of 0.18 angstrom^3 whose vectors are almost in one plane; none of its lattice is shorter than 0.5."""
    alpha, beta = 55.111324312895164, 58.902254829945775
    cell = Lattice.from_parameters(5.36672202, 5.94386395, 4.92048625, alpha, beta, alpha + beta - 5.8e-5)
    return Structure(cell, ["Na"], [[0.1, 0.2, 0.3]])


def expected_bonds(structure: Structure) -> tuple[Counter, np.ndarray, np.ndarray]:
    """Bonds by pymatgen's list of neighbors of the reduced lattice, atoms they start from, and lengths.

    The list of the lattice as given would take minutes where it is flat.
    """
    matrix = structure.lattice.matrix
    reduced = structure.lattice.get_lll_reduced_lattice()
    turned = Structure(reduced, structure.species, structure.cart_coords, coords_are_cartesian=True)
    center, neighbor, shift, length = turned.get_neighbor_list(ODD_BOND, numerical_tol=1e-8)
    shift = np.rint(shift @ reduced.matrix @ np.linalg.inv(matrix)).astype(int)
    rows = zip(center.tolist(), neighbor.tolist(), map(tuple, shift.tolist()), strict=True)
    return Counter(rows), center, length


def bonds(graph: AtomGraph) -> Counter:
    rows = zip(graph.center.tolist(), graph.neighbor.tolist(), graph.shift.astype(int).tolist(), strict=True)
    return Counter((center, neighbor, tuple(shift)) for center, neighbor, shift in rows)


@settings(max_examples=80, deadline=None)
@given(crystals())
@example(flat())
def test_bonds_are_those_of_pymatgen(structure: Structure) -> None:
    graph = atom_graph([to_atoms(structure)], ODD_BOND, ODD_ANGLE)
    expected, center, length = expected_bonds(structure)
    assert bonds(graph) == expected
    assert (np.diff(graph.center) >= 0).all()
    short = np.bincount(center[length < ODD_ANGLE], minlength=len(structure))
    assert len(graph.angle_atom) == (short * (short - 1)).sum()
    # every undirected bond stands for two opposite directed ones
    assert (np.bincount(graph.bond) == 2).all()
    assert len(graph.first) == len(graph.center) // 2
    assert (graph.bond[graph.first] == np.arange(len(graph.first))).all()
    backward = Counter({(j, i, tuple(-n for n in s)): count for (i, j, s), count in expected.items()})
    assert backward == expected
    for edge, first in enumerate(graph.first[graph.bond]):
        ends = (graph.center[edge], graph.neighbor[edge], *graph.shift[edge])
        same = (graph.center[first], graph.neighbor[first], *graph.shift[first])
        turned = (graph.neighbor[first], graph.center[first], *-graph.shift[first])
        assert ends in (same, turned)


@settings(max_examples=30, deadline=None)
@given(crystals())
def test_angles_share_their_corner(structure: Structure) -> None:
    graph = atom_graph([to_atoms(structure)], BOND, ANGLE)
    assert (graph.center[graph.angle_left] == graph.angle_atom).all()
    assert (graph.center[graph.angle_right] == graph.angle_atom).all()
    assert (graph.angle_left != graph.angle_right).all()
    pairs = set(zip(graph.angle_left.tolist(), graph.angle_right.tolist(), strict=True))
    assert len(pairs) == len(graph.angle_left)
    assert all((right, left) in pairs for left, right in pairs)


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_usual_cell_is_taken_as_it_is(name: str) -> None:
    assert _images(to_atoms(CRYSTALS[name]).cell.array, BOND) <= _MOST_IMAGES


def test_a_flat_cell_has_few_images_once_it_is_reduced() -> None:
    cell = flat().lattice.matrix
    turn = _reduction(cell)
    assert _images(cell, BOND) > 1e7 > 2e4 > _images(turn @ cell, BOND)
    assert abs(np.linalg.det(turn)) == pytest.approx(1)  # the same lattice
    assert _images(np.array([[3.0, 0, 0], [0, 3, 0], [3, 3, 0]]), BOND) == np.inf


@pytest.mark.parametrize("name", CRYSTALS)
def test_as_many_bonds_and_angles_as_chgnet_finds(name: str, published) -> None:
    structure = CRYSTALS[name]
    graph = atom_graph([to_atoms(structure)], BOND, ANGLE)
    theirs = published.graph_converter(structure)
    assert len(graph.center) == len(theirs.atom_graph)
    assert len(graph.first) == len(theirs.undirected2directed)
    assert len(graph.angle_atom) == len(theirs.bond_graph)
    corners = np.bincount(graph.angle_atom, minlength=len(structure))
    expected = theirs.bond_graph[:, 0].numpy() if len(theirs.bond_graph) else np.zeros(0, int)
    assert corners.tolist() == np.bincount(expected, minlength=len(structure)).tolist()


def test_a_batch_is_its_crystals_side_by_side() -> None:
    every = [to_atoms(structure) for structure in CRYSTALS.values()]
    together = atom_graph(every, BOND, ANGLE)
    atoms = edges = firsts = angles = 0
    for index, one in enumerate(every):
        alone = atom_graph([one], BOND, ANGLE)
        a, e, u, t = len(one), len(alone.center), len(alone.first), len(alone.angle_atom)
        assert (together.owner[atoms : atoms + a] == index).all()
        assert (together.numbers[atoms : atoms + a] == one.numbers).all()
        assert (together.center[edges : edges + e] == alone.center + atoms).all()
        assert (together.neighbor[edges : edges + e] == alone.neighbor + atoms).all()
        assert (together.bond[edges : edges + e] == alone.bond + firsts).all()
        assert (together.first[firsts : firsts + u] == alone.first + edges).all()
        assert (together.angle_left[angles : angles + t] == alone.angle_left + edges).all()
        assert (together.angle_atom[angles : angles + t] == alone.angle_atom + atoms).all()
        atoms, edges, firsts, angles = atoms + a, edges + e, firsts + u, angles + t
    assert (atoms, edges, firsts, angles) == (
        len(together.numbers), len(together.center), len(together.first), len(together.angle_atom)
    )  # fmt: skip
