from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from matgen.structures.potentials.graph import AtomGraph, atom_graph
from tests.structures.conftest import CRYSTALS, to_atoms

BOND, ANGLE = 6.0, 3.0


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
    return Structure(Lattice(matrix), ["Na"] * n, places)


def bonds(graph: AtomGraph) -> Counter:
    rows = zip(graph.centre.tolist(), graph.neighbor.tolist(), graph.shift.astype(int).tolist(), strict=True)
    return Counter((centre, neighbor, tuple(shift)) for centre, neighbor, shift in rows)


@settings(max_examples=80, deadline=None)
@given(crystals())
def test_bonds_are_those_of_pymatgen(structure: Structure) -> None:
    graph = atom_graph([to_atoms(structure)], BOND, ANGLE)
    centre, neighbor, shift, length = structure.get_neighbor_list(BOND, numerical_tol=1e-8)
    expected = Counter(
        (int(i), int(j), tuple(int(n) for n in s)) for i, j, s in zip(centre, neighbor, shift, strict=True)
    )
    assert bonds(graph) == expected
    assert (np.diff(graph.centre) >= 0).all()
    short = np.bincount(centre[length < ANGLE], minlength=len(structure))
    assert len(graph.angle_atom) == (short * (short - 1)).sum()
    # every undirected bond stands for two opposite directed ones
    assert (np.bincount(graph.bond) == 2).all()
    assert len(graph.first) == len(graph.centre) // 2
    assert (graph.bond[graph.first] == np.arange(len(graph.first))).all()
    backward = Counter({(j, i, tuple(-n for n in s)): count for (i, j, s), count in expected.items()})
    assert backward == expected
    for edge, first in enumerate(graph.first[graph.bond]):
        ends = (graph.centre[edge], graph.neighbor[edge], *graph.shift[edge])
        same = (graph.centre[first], graph.neighbor[first], *graph.shift[first])
        turned = (graph.neighbor[first], graph.centre[first], *-graph.shift[first])
        assert ends in (same, turned)


@settings(max_examples=30, deadline=None)
@given(crystals())
def test_angles_share_their_corner(structure: Structure) -> None:
    graph = atom_graph([to_atoms(structure)], BOND, ANGLE)
    assert (graph.centre[graph.angle_left] == graph.angle_atom).all()
    assert (graph.centre[graph.angle_right] == graph.angle_atom).all()
    assert (graph.angle_left != graph.angle_right).all()
    pairs = set(zip(graph.angle_left.tolist(), graph.angle_right.tolist(), strict=True))
    assert len(pairs) == len(graph.angle_left)
    assert all((right, left) in pairs for left, right in pairs)


@pytest.mark.parametrize("name", CRYSTALS)
def test_as_many_bonds_and_angles_as_chgnet_finds(name: str, published) -> None:
    structure = CRYSTALS[name]
    graph = atom_graph([to_atoms(structure)], BOND, ANGLE)
    theirs = published.graph_converter(structure)
    assert len(graph.centre) == len(theirs.atom_graph)
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
        a, e, u, t = len(one), len(alone.centre), len(alone.first), len(alone.angle_atom)
        assert (together.owner[atoms : atoms + a] == index).all()
        assert (together.numbers[atoms : atoms + a] == one.numbers).all()
        assert (together.centre[edges : edges + e] == alone.centre + atoms).all()
        assert (together.neighbor[edges : edges + e] == alone.neighbor + atoms).all()
        assert (together.bond[edges : edges + e] == alone.bond + firsts).all()
        assert (together.first[firsts : firsts + u] == alone.first + edges).all()
        assert (together.angle_left[angles : angles + t] == alone.angle_left + edges).all()
        assert (together.angle_atom[angles : angles + t] == alone.angle_atom + atoms).all()
        atoms, edges, firsts, angles = atoms + a, edges + e, firsts + u, angles + t
    assert (atoms, edges, firsts, angles) == (
        len(together.numbers), len(together.centre), len(together.first), len(together.angle_atom)
    )  # fmt: skip
