"""Messages of an equivariant network between atoms, summed as they are computed: its slowest step, for CPUs.

A message along a bond is the tensor product of the neighbor's features with the spherical harmonics of the bond's
direction, weighted by functions of its length (S. Batzner et al., Nat. Commun. 13, 2453, 2022). e3nn writes the
messages of all bonds into memory, some thousand numbers each, before they are summed; here a bond's message never
leaves the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matgen.structures.potentials.graph import AtomGraph

_SUMS_IN_ANY_ORDER = {"reassoc", "contract", "nsz"}
"""What vector instructions need. Not all of `fastmath`: what is no number has to come out as such."""


@dataclass(frozen=True)
class MessageTables:
    """Which features, harmonics and weights make which part of a message.

    A path couples features of degree `l1` with harmonics of degree `l2` to a part of degree `l3`. Features and parts
    are blocks of `m` copies of `2l + 1` components; e3nn stores a block as `(m, 2l + 1)`, the kernels read
    `(2l + 1, m)`, so that the innermost loop runs over neighboring numbers.

    Attributes:
        paths: a row for each, `(P, 7)`: where its features begin and their `2 * l1 + 1`, its copies, where its weights
            begin, where its part begins and its `2 * l3 + 1`, where its couplings begin.
        couplings: the number of those of all paths; each path has `(2 * l3 + 1, 2 * l1 + 1)`, which depend on a bond's
            direction.
        terms: `(N, 2)`: to which coupling a term belongs, and which harmonic it multiplies.
        factors: Clebsch-Gordan coefficients of the terms with the path's normalization, float32 `(N,)`.
        features: places of the kernels' features in e3nn's, `(width of features,)`.
        parts: places of the kernels' parts in e3nn's, `(width of messages,)`.
    """

    paths: NDArray[np.int64]
    couplings: int
    terms: NDArray[np.int64]
    factors: NDArray[np.float32]
    features: NDArray[np.int64]
    parts: NDArray[np.int64]


def tables_of(product: Any) -> MessageTables:
    """The tables of an `e3nn.o3.TensorProduct` whose paths keep their copies (`uvu`), one harmonic of each degree.

    The degrees of its features and parts are 3 at most.
    """
    from e3nn.o3 import wigner_3j

    starts = [[part.start for part in irreps.slices()] for irreps in (product.irreps_in1, product.irreps_in2,
                                                                      product.irreps_out)]  # fmt: skip
    paths, terms, factors, couplings, weights = [], [], [], 0, 0
    for path in product.instructions:
        (copies, one), (_, two), (_, three) = (
            product.irreps_in1[path.i_in1], product.irreps_in2[path.i_in2], product.irreps_out[path.i_out]
        )  # fmt: skip
        paths.append((starts[0][path.i_in1], one.dim, copies, weights, starts[2][path.i_out], three.dim, couplings))
        coefficients = wigner_3j(one.l, two.l, three.l, dtype=torch.float64).numpy() * path.path_weight
        for i, j, k in np.argwhere(np.abs(coefficients) > 1e-12):  # most are zero
            terms.append((couplings + k * one.dim + i, starts[1][path.i_in2] + j))
            factors.append(coefficients[i, j, k])
        couplings += one.dim * three.dim
        weights += copies
    return MessageTables(
        np.array(paths), couplings, np.array(terms), np.array(factors, dtype=np.float32),
        _component_first(product.irreps_in1), _component_first(product.irreps_out),
    )  # fmt: skip


def _component_first(irreps: Any) -> NDArray[np.int64]:
    """Places in e3nn's order of numbers in blocks `(2l + 1, m)`."""
    blocks = [part.start + np.arange(block.dim).reshape(block.mul, -1).T.ravel()
              for part, block in zip(irreps.slices(), irreps, strict=True)]  # fmt: skip
    return np.concatenate(blocks)


def summed_messages(tables: MessageTables, graph: AtomGraph, features: Tensor, harmonics: Tensor,
                    weights: Tensor) -> Tensor:  # fmt: skip
    """The sum of messages to each atom, `(A, width of messages)`, differentiable once.

    Args:
        tables: of the layer.
        graph: `A` atoms, `E` directed bonds, `U` bonds.
        features: of the atoms, `(A, width of features)`.
        harmonics: of the directed bonds from center to neighbor, `(E, number of them)`.
        weights: of the undirected bonds, `(U, number of weights)`.
    """
    return _Summed.apply(features, harmonics, weights, tables, graph)


class _Summed(torch.autograd.Function):
    """The kernels as a function that torch differentiates."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, harmonics: Tensor, weights: Tensor, tables: MessageTables,
                graph: AtomGraph) -> Tensor:  # fmt: skip
        arrays = tuple(array.detach().contiguous().numpy() for array in (features, harmonics, weights))
        turned = np.ascontiguousarray(arrays[0][:, tables.features])
        ctx.given = turned, arrays[1], arrays[2], tables, graph
        sums = np.zeros((len(turned), len(tables.parts)), np.float32)
        _forward(turned, arrays[1], arrays[2], *_bonds(graph), *_plan(tables), sums)
        found = np.empty_like(sums)
        found[:, tables.parts] = sums
        return torch.from_numpy(found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        features, harmonics, weights, tables, graph = ctx.given
        slopes = np.ascontiguousarray(gradients[0].numpy()[:, tables.parts])
        of_features, of_harmonics, of_weights = (np.zeros_like(array) for array in (features, harmonics, weights))
        _backward(features, harmonics, weights, *_bonds(graph), *_plan(tables), slopes,
                  of_features, of_harmonics, of_weights)  # fmt: skip
        turned = np.empty_like(of_features)
        turned[:, tables.features] = of_features
        return torch.from_numpy(turned), torch.from_numpy(of_harmonics), torch.from_numpy(of_weights), None, None


def _bonds(graph: AtomGraph) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    return graph.center, graph.neighbor, graph.bond


def _plan(tables: MessageTables) -> tuple[Any, ...]:
    return tables.paths, tables.couplings, tables.terms, tables.factors


@numba.njit(cache=True, fastmath=_SUMS_IN_ANY_ORDER)
def _couple(harmonics, terms, factors, coupling):  # pragma: no cover
    """The couplings of one bond from its harmonics."""
    coupling[:] = 0
    for n in range(len(factors)):
        coupling[terms[n, 0]] += factors[n] * harmonics[terms[n, 1]]


@numba.njit(cache=True, fastmath=_SUMS_IN_ANY_ORDER)
def _add_rows(rows, start, n, c, scales, sums):  # pragma: no cover
    """`sums[u] += sum over r < n of scales[r] * rows[start + r * c + u]` for all `u < c`."""
    # Written out for the numbers of components that there are, so that a sum stays in a register; slices, since an
    # index that might be negative keeps the compiler from using vector instructions.
    r0, s0 = rows[start : start + c], scales[0]
    if n == 1:
        for u in range(c):
            sums[u] += s0 * r0[u]
        return
    r1, r2, s1, s2 = rows[start + c : start + 2 * c], rows[start + 2 * c : start + 3 * c], scales[1], scales[2]
    if n == 3:
        for u in range(c):
            sums[u] += s0 * r0[u] + s1 * r1[u] + s2 * r2[u]
        return
    r3, r4, s3, s4 = rows[start + 3 * c : start + 4 * c], rows[start + 4 * c : start + 5 * c], scales[3], scales[4]
    if n == 5:
        for u in range(c):
            sums[u] += s0 * r0[u] + s1 * r1[u] + s2 * r2[u] + s3 * r3[u] + s4 * r4[u]
        return
    r5, r6, s5, s6 = rows[start + 5 * c : start + 6 * c], rows[start + 6 * c : start + 7 * c], scales[5], scales[6]
    for u in range(c):
        sums[u] += s0 * r0[u] + s1 * r1[u] + s2 * r2[u] + s3 * r3[u] + s4 * r4[u] + s5 * r5[u] + s6 * r6[u]


@numba.njit(cache=True, fastmath=_SUMS_IN_ANY_ORDER)
def _dot(one, other):  # pragma: no cover
    total = np.float32(0)
    for u in range(len(one)):
        total += one[u] * other[u]
    return total


@numba.njit(cache=True, fastmath=_SUMS_IN_ANY_ORDER)
def _forward(features, harmonics, weights, center, neighbor, bond, paths, n_couplings, terms, factors,
             sums):  # pragma: no cover  # fmt: skip
    """Add the messages of all bonds to `sums`."""
    coupling = np.empty(n_couplings, np.float32)
    weighted = np.empty(7 * paths[:, 2].max(), np.float32)
    for edge in range(len(center)):
        _couple(harmonics[edge], terms, factors, coupling)
        row, total, weight = features[neighbor[edge]], sums[center[edge]], weights[bond[edge]]
        for p in range(len(paths)):
            start, components, c, w, place, parts, first = paths[p]
            scale = weight[w : w + c]
            for i in range(components):
                given, target = row[start + i * c : start + (i + 1) * c], weighted[i * c : (i + 1) * c]
                for u in range(c):
                    target[u] = given[u] * scale[u]
            for k in range(parts):
                scales = coupling[first + k * components : first + (k + 1) * components]
                _add_rows(weighted, 0, components, c, scales, total[place + k * c : place + (k + 1) * c])


@numba.njit(cache=True, fastmath=_SUMS_IN_ANY_ORDER)
def _backward(features, harmonics, weights, center, neighbor, bond, paths, n_couplings, terms, factors, slopes,
              of_features, of_harmonics, of_weights):  # pragma: no cover  # fmt: skip
    """The slopes of an energy by features, harmonics and weights, from those by the sums."""
    coupling, of_coupling = np.empty(n_couplings, np.float32), np.empty(n_couplings, np.float32)
    scales = np.empty(7, np.float32)
    most = paths[:, 2].max()
    both = np.empty((2, most), np.float32)
    for edge in range(len(center)):
        _couple(harmonics[edge], terms, factors, coupling)
        row, slope, weight = features[neighbor[edge]], slopes[center[edge]], weights[bond[edge]]
        of_row, of_weight = of_features[neighbor[edge]], of_weights[bond[edge]]
        for p in range(len(paths)):
            start, components, c, w, place, parts, first = paths[p]
            scale, of_scale = weight[w : w + c], of_weight[w : w + c]
            pulled, weighted = both[0, :c], both[1, :c]
            for i in range(components):
                given, target = row[start + i * c : start + (i + 1) * c], of_row[start + i * c : start + (i + 1) * c]
                for k in range(parts):
                    scales[k] = coupling[first + k * components + i]
                for u in range(c):
                    pulled[u] = 0
                    weighted[u] = given[u] * scale[u]
                _add_rows(slope, place, parts, c, scales, pulled)
                for u in range(c):
                    of_scale[u] += given[u] * pulled[u]
                    target[u] += scale[u] * pulled[u]
                for k in range(parts):
                    at = place + k * c
                    of_coupling[first + k * components + i] = _dot(weighted, slope[at : at + c])
        for n in range(len(factors)):
            of_harmonics[edge, terms[n, 1]] += factors[n] * of_coupling[terms[n, 0]]
