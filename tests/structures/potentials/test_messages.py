from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.structures.potentials.graph import AtomGraph, atom_graph
from matgen.structures.potentials.messages import summed_messages, tables_of
from tests.structures.conftest import CRYSTALS, skewed, to_atoms


def product(copies: list[int], harmonics: int, largest: int) -> Any:
    """A tensor product as SevenNet's convolutions have, of features with so many copies of each degree."""
    from e3nn.o3 import Irreps, TensorProduct

    features = Irreps([(m, (degree, 1)) for degree, m in enumerate(copies)])
    angular = Irreps([(1, (degree, 1)) for degree in range(harmonics + 1)])
    parts, paths = [], []
    for i, (m, one) in enumerate(features):
        for j, (_, two) in enumerate(angular):
            for three in one * two:
                if three.l <= largest:
                    paths.append((i, j, len(parts), "uvu", True))
                    parts.append((m, three))
    ordered, place, _ = Irreps(parts).sort()
    paths = sorted(((i, j, place[k], mode, train) for i, j, k, mode, train in paths), key=lambda path: path[2])
    return TensorProduct(features, angular, ordered, paths, shared_weights=False, internal_weights=False)


def random_inputs(layer: Any, graph: AtomGraph, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(len(graph.numbers), layer.irreps_in1.dim), (len(graph.center), layer.irreps_in2.dim),
              (len(graph.first), layer.weight_numel)]  # fmt: skip
    return [torch.randn(shape, generator=generator).requires_grad_(True) for shape in shapes]


@settings(max_examples=6, deadline=None)
@given(st.sampled_from([([3], 2, 2), ([4, 2], 1, 1), ([5, 3, 2], 2, 2), ([8, 4, 1, 2], 3, 3), ([2, 2, 2, 2], 3, 0)]),
       st.integers(0, 1000))  # fmt: skip
def test_sums_and_slopes_are_those_of_e3nn(of: tuple[list[int], int, int], seed: int) -> None:
    layer = product(*of)
    crystals = [skewed(), CRYSTALS["one atom alone"], CRYSTALS["rock salt"]]
    graph = atom_graph([to_atoms(crystal) for crystal in crystals], 4.0, 0.0)
    inputs = random_inputs(layer, graph, seed)
    found = summed_messages(tables_of(layer), graph, *inputs)
    features, harmonics, weights = inputs
    messages = layer(features[torch.from_numpy(graph.neighbor)], harmonics, weights[torch.from_numpy(graph.bond)])
    expected = torch.zeros(len(features), messages.shape[1]).index_add(0, torch.from_numpy(graph.center), messages)
    assert found.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-4)
    slope = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed + 1))
    mine = torch.autograd.grad((found * slope).sum(), inputs)
    others = torch.autograd.grad((expected * slope).sum(), inputs)
    for one, other in zip(mine, others, strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), abs=2e-3)  # sums of thousands of products in float32


def test_turning_the_crystal_turns_the_sums() -> None:
    """Features of degree 1 are vectors: those of a turned crystal are the turned ones."""
    from e3nn.o3 import Irreps, spherical_harmonics

    layer = product([4], 1, 1)
    atoms = to_atoms(skewed())
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    sums = []
    for matrix in (np.eye(3), turn):
        turned = atoms.copy()
        turned.set_cell(atoms.cell.array @ matrix.T, scale_atoms=True)
        graph = atom_graph([turned], 4.0, 0.0)
        vectors = turned.get_positions()[graph.neighbor] - turned.get_positions()[graph.center]
        vectors += graph.shift @ turned.cell.array
        harmonics = spherical_harmonics(layer.irreps_in2, torch.tensor(vectors, dtype=torch.float32), normalize=True)
        features = torch.randn(8, 4, generator=torch.Generator().manual_seed(2))
        weights = torch.ones(len(graph.first), layer.weight_numel)
        sums.append(summed_messages(tables_of(layer), graph, features, harmonics, weights).numpy())
    rotation = Irreps(layer.irreps_out).D_from_matrix(torch.tensor(turn, dtype=torch.float32)).numpy()
    assert sums[1] == pytest.approx(sums[0] @ rotation.T, abs=1e-4)
    assert np.abs(sums[1] - sums[0]).max() > 0.1
