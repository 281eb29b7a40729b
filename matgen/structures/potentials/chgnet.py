"""CHGNet's energies, forces, stresses and moments of many crystals at once, several times faster than its own code.

The network and its weights are CHGNet's (B. Deng et al., Nat. Mach. Intell. 5, 1031, 2023); the numbers agree to
rounding. Three things are done otherwise:

* a linear layer of joined features is the sum of linear layers of each: what belongs to an atom or a bond is
  multiplied once for it, not once for every angle that it takes part in;
* the two branches of a gated layer share one matrix product;
* forces and stress come from one backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from matgen.structures.potentials.graph import AtomGraph, atom_graph
from matgen.structures.potentials.interface import MPTRJ_NUMBERS, Evaluation, symbols_of

if TYPE_CHECKING:
    from ase import Atoms


class _Gated:
    """A gated layer of CHGNet's whose first matrix is cut by the parts of its joined input."""

    def __init__(self, layer: Any, widths: Sequence[int]) -> None:
        core, gate = (
            [part for part in mlp.layers if hasattr(part, "weight")] for mlp in (layer.mlp_core, layer.mlp_gate)
        )
        # Core and gate read the same input, so that one product gives both: core in the first H columns.
        weight = torch.cat([core[0].weight, gate[0].weight]).detach()  # (2H, sum of widths)
        self.parts = [part.T.contiguous() for part in weight.split(list(widths), dim=1)]  # each (width, 2H)
        self.bias = torch.cat([core[0].bias, gate[0].bias]).detach()  # (2H,)
        self.second = None
        if len(core) == 2:  # layers over atoms and bonds have a hidden layer, those over angles have none
            weights = torch.stack([core[1].weight.T, gate[1].weight.T]).detach().contiguous()  # (2, H, H)
            self.second = weights, torch.cat([core[1].bias, gate[1].bias]).detach()
        self.core_norm, self.gate_norm = layer.bn1, layer.bn2

    def __call__(self, joined: Tensor) -> Tensor:
        """`(n, H)` from the sum of the parts' products `(n, 2H)`."""
        width = joined.shape[1] // 2
        if self.second is not None:
            weights, bias = self.second
            hidden = F.silu(joined)
            core = torch.addmm(bias[:width], hidden[:, :width], weights[0])
            gate = torch.addmm(bias[width:], hidden[:, width:], weights[1])
        else:
            core, gate = joined[:, :width], joined[:, width:]
        return F.silu(self.core_norm(core)) * torch.sigmoid(self.gate_norm(gate))


class BatchedCHGNet:
    """CHGNet over batches of ASE atoms.

    Attributes:
        name: `chgnet`.
        version: of its weights.
        elements: symbols that it was trained on; its tables also have rows for polonium to radium, with initial values.
    """

    name = "chgnet"
    corrected = True
    elements = symbols_of(MPTRJ_NUMBERS)

    def __init__(self, network: Any) -> None:
        """Take the weights of a loaded `chgnet.model.CHGNet` of version 0.3.0 or r2scan."""
        self.network = network.eval().requires_grad_(False)
        self.version = str(network.version)
        width = network.atom_fea_dim
        self.atom_layers = [
            (_Gated(layer.twoBody_atom, [width] * 3), layer.mlp_out) for layer in network.atom_conv_layers
        ]
        self.bond_layers = [
            (_Gated(layer.twoBody_bond, [width] * 4), layer.mlp_out) for layer in network.bond_conv_layers
        ]
        self.angle_layers = [_Gated(layer.twoBody_bond, [width] * 4) for layer in network.angle_layers]
        converter = network.graph_converter
        self.cutoffs = converter.atom_graph_cutoff, converter.bond_graph_cutoff

    def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:
        """Energy, forces, stress and magnetic moments of each crystal."""
        # C crystals with A atoms in all; lengths in angstrom, float32 as CHGNet was trained.
        graph = atom_graph(crystals, *self.cutoffs)
        sizes = [len(atoms) for atoms in crystals]
        cells = torch.tensor(np.stack([atoms.cell.array for atoms in crystals]), dtype=torch.float32)  # (C, 3, 3)
        positions = torch.tensor(np.concatenate([atoms.get_positions() for atoms in crystals]), dtype=torch.float32)
        owner = torch.from_numpy(graph.owner)  # (A,)
        positions.requires_grad_(True)  # (A, 3)
        # A strain of zero changes nothing, but the energy's slope along it is the stress times the volume.
        strain = torch.zeros_like(cells).requires_grad_(True)  # (C, 3, 3), no unit
        deformation = torch.eye(3) + strain
        strained = torch.bmm(positions[:, None], deformation[owner]).squeeze(1)  # (A, 3): rows times 3 x 3 matrices
        energy, moments = self._energy(graph, strained, cells @ deformation, len(crystals))
        # Crystals share no bond, so that the gradient of the sum is that of each crystal's own energy.
        gradients = torch.autograd.grad(energy.sum(), (positions, strain))  # eV/angstrom and eV
        volumes = np.array([abs(np.linalg.det(atoms.cell.array)) for atoms in crystals])
        forces = (-gradients[0]).double().numpy()  # (A, 3), eV/angstrom
        stress = gradients[1].double().numpy() / volumes[:, None, None]  # (C, 3, 3), eV/angstrom^3
        per_crystal = np.cumsum(sizes)[:-1]  # where the atoms of the next crystal begin
        return [
            Evaluation(float(e), f, s, m)
            for e, f, s, m in zip(
                energy.detach().double().numpy() + self._reference(graph, len(crystals)),
                np.split(forces, per_crystal),
                stress,
                np.split(moments.detach().double().numpy(), per_crystal),
                strict=True,
            )
        ]

    def _reference(self, graph: AtomGraph, n: int) -> NDArray[np.float64]:
        """The composition's part of the energy `(n,)`, eV."""
        # A linear fit of CHGNet's, eV for each atom of an element; float64, since it is most of the energy.
        weights = self.network.composition_model.fc.weight.view(-1).double().numpy()  # (94,), from hydrogen on
        return np.bincount(graph.owner, weights=weights[graph.numbers - 1], minlength=n).astype(np.float64)

    def _energy(self, graph: AtomGraph, positions: Tensor, cells: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The interactions' energy `(n,)` in eV and the magnetic moments `(A,)`."""
        network = self.network
        # E directed bonds, U = E / 2 undirected ones, T angles, features of width H (64) on atoms, bonds and angles.
        center, neighbor, bond, first = (
            torch.from_numpy(array) for array in (graph.center, graph.neighbor, graph.bond, graph.first)
        )
        shift = torch.from_numpy(graph.shift).float()
        # (E, 3), angstrom, from the neighbor's image to the center; lengths and angles are the same for either sign.
        vectors = _taken(positions, center) - _taken(positions, neighbor)
        vectors = vectors - torch.bmm(shift[:, None], cells[torch.from_numpy(graph.owner)[center]]).squeeze(1)
        lengths = vectors.norm(dim=1)  # (E,)
        # Both directions of a bond have one length: its basis functions are computed once, (U, number of functions).
        bond_lengths = lengths[first]
        expansion = network.bond_basis_expansion  # up to 6 angstrom for messages between atoms, 3 for angles
        wide, narrow = expansion.rbf_expansion_ag(bond_lengths), expansion.rbf_expansion_bg(bond_lengths)

        corner, left, right = (
            torch.from_numpy(array) for array in (graph.angle_atom, graph.angle_left, graph.angle_right)
        )
        has_angles = len(graph.angle_atom) > 0  # none where all bonds are longer than 3 angstrom
        atoms = network.atom_embedding(torch.from_numpy(graph.numbers) - 1)  # (A, H); its rows begin with hydrogen
        bonds = network.bond_embedding(wide)  # (U, H)
        bond_weights = _taken(network.bond_weights_ag(wide), bond)  # (E, H): messages fade out toward the cutoff
        if has_angles:
            units = vectors / lengths[:, None]  # (E, 3)
            angles = network.angle_embedding(network.angle_basis_expansion(_taken(units, left), _taken(units, right)))
            left, right = bond[left], bond[right]  # from here on undirected: their features do not know a direction
            narrow_weights = network.bond_weights_bg(narrow)
            angle_weights = _taken(narrow_weights, left) * _taken(narrow_weights, right)
        last = len(self.atom_layers) - 1
        moments = atoms.new_zeros(len(atoms))
        for index, (gated, outgoing) in enumerate(self.atom_layers):
            parts = gated.parts
            # (E, 2H): the product with (center, bond, neighbor) joined, from one product an atom and one a bond.
            joined = (
                _taken(atoms @ parts[0] + gated.bias, center)
                + _taken(bonds @ parts[1], bond)
                + _taken(atoms @ parts[2], neighbor)
            )
            messages = gated(joined) * bond_weights  # (E, H)
            # Each atom adds the sum of its bonds' messages, through one more layer, to what it was.
            atoms = outgoing(torch.zeros_like(atoms).index_add(0, center, messages)) + atoms
            if index == last:  # the last update of the atoms is followed by none of bonds and angles
                break
            if has_angles:
                bonds = self._update_bonds(index, atoms, bonds, angles, angle_weights, corner, left, right)
                if index < last - 1:  # nothing reads the angles after the last update of the bonds
                    angles = self._update_angles(index, atoms, bonds, angles, corner, left, right)
            if index == last - 1:  # CHGNet reads moments off the atoms before their last update
                moments = network.site_wise(atoms).abs().view(-1)
        energies = network.mlp(network.readout_norm(atoms)).view(-1)  # (A,), eV
        return torch.zeros(n).index_add(0, torch.from_numpy(graph.owner), energies), moments

    def _update_bonds(self, index: int, atoms: Tensor, bonds: Tensor, angles: Tensor, weights: Tensor,
                      corner: Tensor, left: Tensor, right: Tensor) -> Tensor:  # fmt: skip
        """The bonds' features `(U, H)` after one convolution over the angles."""
        gated, outgoing = self.bond_layers[index]
        messages = gated(_joined(gated, atoms, bonds, angles, corner, left, right)) * weights
        return outgoing(torch.zeros_like(bonds).index_add(0, left, messages)) + bonds

    def _update_angles(self, index: int, atoms: Tensor, bonds: Tensor, angles: Tensor,
                       corner: Tensor, left: Tensor, right: Tensor) -> Tensor:  # fmt: skip
        """The angles' features `(T, H)` after one update."""
        gated = self.angle_layers[index]
        return gated(_joined(gated, atoms, bonds, angles, corner, left, right)) + angles


def _joined(gated: _Gated, atoms: Tensor, bonds: Tensor, angles: Tensor, corner: Tensor, left: Tensor,
            right: Tensor) -> Tensor:  # fmt: skip
    """The first product of a gated layer over angles, `(T, 2H)`: left bond, right bond, angle, atom at the corner."""
    parts = gated.parts
    both = _taken(bonds @ parts[0], left) + _taken(bonds @ parts[1], right)
    return torch.addmm(both + _taken(atoms @ parts[3] + gated.bias, corner), angles, parts[2])


def _taken(rows: Tensor, places: Tensor) -> Tensor:
    """Rows by their places; its gradient is several times faster on a CPU than that of `rows[places]`."""
    return rows.index_select(0, places)
