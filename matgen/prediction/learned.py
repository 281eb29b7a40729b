"""Members of a predictor that are torch networks: what they learn from, what they minimize, what they say.

A regression has a mean and a spread: the mean learns by its absolute error, the scale of a Laplace distribution around
it by likelihood, with the mean held fixed, lest a large scale excuse a poor mean (Seitzer et al., ICLR 2022). A
classification has the logarithm of its odds, which learns by the likelihood of what is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from matgen.io.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from matgen.composition.batch import CompositionBatch

_BLOCK = 1_024


class Network(Protocol):
    """What a network must offer besides being a torch module."""

    def inputs(self, batch: CompositionBatch) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Arrays `(n, k)` that `forward` takes, and of how many columns each row needs, int64 `(n,)`."""

    def description(self) -> dict[str, Any]:
        """What its class's `from_description` makes it of, without its weights; JSON."""

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (or logarithm of the odds) and logarithm of the scale, float32 `(B,)` each, standardised."""


class TorchMember:
    """A network as a member.

    Args:
        network: what says it.
    """

    def __init__(self, network: Any) -> None:
        self.network = network.eval()

    @property
    def parameters(self) -> int:
        """Numbers that it has learned."""
        return sum(p.numel() for p in self.network.parameters())

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean (or logarithm of the odds) and logarithm of the scale, float32 `(n,)` each, standardised."""
        return network_outputs(self.network, batch)

    def rounded(self) -> TorchMember:
        """The same with weights as they are saved, so that what is measured is what is opened."""
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.copy_(parameter.to(torch.bfloat16))
        return self

    def description(self) -> dict[str, Any]:
        """What `load` needs besides the file of weights."""
        return self.network.description()

    def save(self, stem: Path) -> None:
        """Write the weights, in bfloat16, to `<stem>.safetensors`."""
        named = self.network.named_parameters()
        tensors = {name: p.detach().to(torch.bfloat16).contiguous() for name, p in named}
        save_weights(tensors, f"{stem}.safetensors")

    @classmethod
    def load(cls, stem: Path, network: nn.Module) -> TorchMember:
        """The member whose weights `save` wrote.

        Raises:
            OSError, SafetensorError, RuntimeError: the file is missing, damaged, or of another network.
        """
        tensors = load_weights(f"{stem}.safetensors")
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return cls(network)


def network_outputs(network: Any, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
    """What a network says of `n` compositions: see `TorchMember.outputs`. Leaves it in evaluation mode."""
    arrays, lengths = network.inputs(batch)
    rows = np.argsort(lengths, kind="stable")
    mean, log_scale = (np.zeros(len(batch), dtype=np.float32) for _ in range(2))
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            width = int(lengths[block[-1]])
            outputs = network(*(_for_network(torch.from_numpy(array[block, :width])).to(device) for array in arrays))
            mean[block], log_scale[block] = (part.float().cpu().numpy() for part in outputs)
    return mean, log_scale


@dataclass(frozen=True)
class PropertyExamples:
    """Examples of the training loop.

    Attributes:
        inputs: of a network, `(n, k)` each.
        targets: float32 `(n,)`, standardised.
        lengths: int64 `(n,)`, columns that each row needs.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, network: Network, batch: CompositionBatch, targets: np.ndarray) -> PropertyExamples:
        """From compositions and standardised targets `(n,)`."""
        arrays, lengths = network.inputs(batch)
        return cls(
            tuple(torch.from_numpy(array) for array in arrays),
            torch.from_numpy(targets.astype(np.float32)),
            torch.from_numpy(lengths),
        )

    def __len__(self) -> int:
        return len(self.targets)

    def share(self, rank: int, count: int) -> PropertyExamples:
        """The rows that are one process's of `count`."""
        return self._each(lambda tensor: tensor[rank::count].contiguous())

    def to(self, device: torch.device) -> PropertyExamples:
        """The examples on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def batch(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """Inputs of the rows named, trimmed to the longest, and their targets."""
        index = torch.from_numpy(rows).to(self.targets.device)
        width = int(self.lengths[index].max())
        return *(_for_network(tensor[index, :width]) for tensor in self.inputs), self.targets[index]

    def _each(self, change: Any) -> PropertyExamples:
        return PropertyExamples(tuple(map(change, self.inputs)), change(self.targets), change(self.lengths))


def regression_loss(model: Any, batch: tuple[Tensor, ...], generator: Any = None) -> Tensor:
    """Sum over compositions of the absolute error, and of the spread's nats with the mean held fixed.

    Args:
        model: a network.
        batch: its inputs, and standardised targets float32 `(B,)`.
        generator: unused.
    """
    *inputs, target = batch
    mean, log_scale = model(*inputs)
    error = (mean - target).abs()
    spread = error.detach() * (-log_scale).exp() + log_scale
    return (error + 0.1 * spread).sum()


def classification_loss(model: Any, batch: tuple[Tensor, ...], generator: Any = None) -> Tensor:
    """Sum over compositions of the nats of what is true.

    Args:
        model: a network.
        batch: its inputs, and targets float32 `(B,)`, 0 or 1.
        generator: unused.
    """
    *inputs, target = batch
    return functional.binary_cross_entropy_with_logits(model(*inputs)[0].float(), target, reduction="sum")


def _for_network(tensor: Tensor) -> Tensor:
    """Whole numbers as int64, as embeddings want them; the rest as it is."""
    return tensor if tensor.is_floating_point() else tensor.long()
