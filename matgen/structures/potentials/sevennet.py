"""SevenNet's energies, forces and stresses of many crystals at once, from the weights that its package contains.

The networks are SevenNet's (Y. Park et al., J. Chem. Theory Comput. 20, 4857, 2024), equivariant message passing with
the layers of e3nn; the numbers agree to rounding. Three things are done otherwise:

* several crystals are one graph;
* what depends on a bond's length alone is computed once for both of its directions;
* messages are summed as they are computed (`matgen.structures.potentials.messages`).
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from matgen.errors import DataError
from matgen.structures.potentials.graph import AtomGraph, atom_graph
from matgen.structures.potentials.interface import MPTRJ_NUMBERS, Evaluation, symbols_of
from matgen.structures.potentials.messages import summed_messages, tables_of

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class _Weights:
    """A file of weights in SevenNet's package.

    Attributes:
        path: in the folder of the package `sevenn`.
        sha256: of the file as sevenn 0.13.0 has it.
        fidelity: which of several kinds of labels the energies should be like; None where there is one kind.
    """

    path: str
    sha256: str
    fidelity: str | None = None


WEIGHTS = {
    "7net-l3i5": _Weights(
        "pretrained_potentials/SevenNet_l3i5/checkpoint_l3i5.pth",
        "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d",
    ),
    "7net-0": _Weights(
        "pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
        "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36",
    ),
    "7net-mf-0": _Weights(
        "pretrained_potentials/SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
        "81791329b37d445f46b531578c182c41792d98c7814222c9e5dde276402225fd",
        "PBE",
    ),
}
"""The weights by the name that SevenNet gives them."""


def load_network(name: str) -> Any:
    """One of SevenNet's networks with its weights.

    The weights are pickles, which can run any code. Therefore a file is opened only where its hash is the known one,
    and read by torch's restricted unpickler, which makes nothing but numbers, text, tensors and arrays of numpy.

    Args:
        name: of `WEIGHTS`.

    Raises:
        DataError: the file is missing or not the known one.
    """
    import sevenn
    from sevenn.checkpoint import SevenNetCheckpoint, _config_cp_routine

    weights = WEIGHTS[name]
    path = Path(sevenn.__file__).parent / weights.path
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read the weights of {name}, {path}: install sevenn again") from error
    if found != weights.sha256:
        raise DataError(f"the weights of {name} are not those that matgen knows, {path}: install sevenn 0.13.0")

    class Checkpoint(SevenNetCheckpoint):
        """SevenNet's own way from a file to a network, except for how the file is opened."""

        def _load(self) -> None:
            content = _restricted(path)
            self._config = _config_cp_routine(content["config"])
            self._model_state_dict = content["model_state_dict"]
            self._loaded = True

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old settings, and of packages that deprecate each other
        return Checkpoint(path).build_model()


def _restricted(path: Path) -> dict[str, Any]:
    """The content of a file of weights, read without running code of it."""
    from numpy._core.multiarray import _reconstruct

    # The energies of isolated atoms are arrays of numpy, written when its modules still had their former names.
    arrays: list[Any] = [(_reconstruct, "numpy.core.multiarray._reconstruct"), np.ndarray, np.dtype]
    types = [type(np.dtype(kind)) for kind in ("float32", "float64", "int64")]
    with torch.serialization.safe_globals([*arrays, *types]):
        return dict(torch.load(path, map_location="cpu", weights_only=True))


class BatchedSevenNet:
    """A network of SevenNet's over batches of ASE atoms.

    Attributes:
        name: as in `WEIGHTS`.
        version: of the package with the weights.
        elements: symbols that it was trained on.
    """

    corrected = False
    elements = symbols_of(MPTRJ_NUMBERS)

    def __init__(self, name: str, network: Any, version: str) -> None:
        """Take a loaded `sevenn.nn.sequential.AtomGraphSequential`."""
        self.name, self.version = name, version
        self.network = network.eval().requires_grad_(False)
        self.network.set_is_batch_data(True)
        self.cutoff = float(network.cutoff)
        layers = dict(network.named_children())
        self.embedding = layers.pop("edge_embedding")
        # Energies are added up in float64 and differentiated here, so that the last two layers are left out.
        kept = [layer for key, layer in layers.items() if key not in ("reduce_total_enegy", "force_output")]
        self.layers = [(layer, tables_of(layer.convolution) if hasattr(layer, "convolution") else None)
                       for layer in kept]  # fmt: skip
        fidelity = WEIGHTS[name].fidelity
        self.fidelity = None if fidelity is None else int(network.modal_map[fidelity])

    def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:
        """Energy, forces and stress of each crystal."""
        # C crystals with A atoms in all and E directed bonds; lengths in angstrom, float32 as SevenNet was trained.
        graph = atom_graph(crystals, self.cutoff, 0.0)  # it knows no angles
        positions = np.concatenate([atoms.get_positions() for atoms in crystals])  # (A, 3)
        cells = np.stack([atoms.cell.array for atoms in crystals])  # (C, 3, 3)
        owner = graph.owner[graph.center]  # (E,)
        vectors = positions[graph.neighbor] - positions[graph.center]
        vectors += np.einsum("ei,eij->ej", graph.shift, cells[owner])  # (E, 3), from the center to the neighbor
        bonds = torch.tensor(vectors, dtype=torch.float32).requires_grad_(True)
        energies = self._energies(graph, bonds, len(crystals))  # (A,), eV
        # What an atom's energy owes to a bond pulls at both its ends, and at the cell by the bond's own length.
        slopes = np.zeros_like(vectors)  # (E, 3), eV/angstrom
        if energies.requires_grad:
            slopes = torch.autograd.grad(energies.sum(), bonds)[0].double().numpy()
        forces = np.zeros_like(positions)
        np.add.at(forces, graph.center, slopes)
        np.subtract.at(forces, graph.neighbor, slopes)
        virials = np.zeros_like(cells)
        np.add.at(virials, owner, vectors[:, :, None] * slopes[:, None, :])
        volumes = np.abs(np.linalg.det(cells))
        stress = (virials + virials.transpose(0, 2, 1)) / 2 / volumes[:, None, None]  # (C, 3, 3), eV/angstrom^3
        energy = np.bincount(graph.owner, weights=energies.detach().double().numpy(), minlength=len(crystals))
        per_crystal = np.cumsum([len(atoms) for atoms in crystals])[:-1]  # where the atoms of the next crystal begin
        return [
            Evaluation(float(e), f, s, None)
            for e, f, s in zip(energy, np.split(forces, per_crystal), stress, strict=True)
        ]

    def _energies(self, graph: AtomGraph, vectors: Tensor, n: int) -> Tensor:
        """The energies of atoms, `(A,)`, eV, from the vectors of their bonds."""
        import sevenn._keys as key

        kinds = self.network.z_to_onehot_tensor[torch.from_numpy(graph.numbers)]  # (A,)
        lengths = vectors[torch.from_numpy(graph.first)].norm(dim=1)  # (U,), the same for both directions
        embedding = self.embedding
        radial = embedding.basis_function(lengths) * embedding.cutoff_function(lengths)[:, None]  # (U, number of them)
        data = {
            key.NODE_FEATURE: kinds,
            key.ATOMIC_NUMBERS: torch.from_numpy(graph.numbers),
            key.BATCH: torch.from_numpy(graph.owner),
            key.EDGE_ATTR: embedding.spherical(vectors),  # (E, (largest l + 1)^2)
        }
        if self.fidelity is not None:
            data[key.MODAL_TYPE] = torch.full((n,), self.fidelity)
        for layer, tables in self.layers:
            if tables is None:
                data = layer(data)
                continue
            sums = summed_messages(tables, graph, data[key.NODE_FEATURE], data[key.EDGE_ATTR], layer.weight_nn(radial))
            data[key.NODE_FEATURE] = sums / layer.denominator
        return data[key.ATOMIC_ENERGY].view(-1)
