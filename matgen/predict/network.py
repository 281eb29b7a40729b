"""A network from compositions to properties: attention among the elements of a formula, weighed by their amounts.

Each element is a token: a learned embedding of the element plus an encoding of its atomic fraction. Layers of
attention and feed-forward let elements see one another, in the spirit of CrabNet (Wang et al., npj Comput. Mater. 7,
77, 2021) and Roost (Goodall and Lee, Nat. Commun. 11, 6280, 2020); what each then says is averaged by its fraction.
Scores of attention get the logarithm of the fraction of the element attended to, times a learned number of each head,
so that a dopant weighs little wherever amounts matter.

Every target has a mean and a spread: the mean learns by its absolute error, the scale of a Laplace distribution around
it by likelihood, with the mean held fixed, lest a large scale excuse a poor mean (Seitzer et al., ICLR 2022).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from matgen.chemistry import N_ELEMENTS
from matgen.errors import OptionError, require_above_zero

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.composition import CompositionBatch

_FREQUENCIES = 16
"""Sines and as many cosines, of a fraction and of its logarithm each."""


@dataclass(frozen=True)
class NetworkSize:
    """Size of a network: `layers` of `width` with `heads` and a feed-forward of `feed_forward`, and its targets."""

    layers: int = 3
    heads: int = 4
    width: int = 128
    feed_forward: int = 512
    targets: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_above_zero(self, "layers", "heads", "width", "feed_forward", "targets")
        if self.width % self.heads:
            raise OptionError(f"width {self.width} is not a multiple of {self.heads} heads")


class CompositionNetwork(nn.Module):
    """Elements and fractions to the mean and scale of each target.

    Args:
        size: of the network.
    """

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.size = size
        self.element = nn.Embedding(N_ELEMENTS + 1, size.width, padding_idx=0)
        self.amount = nn.Linear(4 * _FREQUENCIES, size.width)
        self.layers = nn.ModuleList(_Layer(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        last = nn.Linear(size.feed_forward, 2 * size.targets)
        self.out = nn.Sequential(nn.Linear(size.width, size.feed_forward), nn.GELU(), last)
        nn.init.normal_(self.element.weight)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, elements: Tensor, fractions: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            elements: int64 `(B, K)`, atomic numbers, 0 for none.
            fractions: float32 `(B, K)`, atomic fractions that sum to 1, 0 for none.

        Returns:
            Mean and logarithm of the scale of each target, float32 `(B, T)` each, in standardised units.
        """
        present = elements > 0
        log_fraction = fractions.clamp(min=1e-6).log()
        x = self.element(elements) + self.amount(_encoded(fractions, log_fraction))
        # Nothing attends to what is not there.
        absent = torch.zeros_like(fractions).masked_fill(~present, -1e4)
        for layer in self.layers:
            x = layer(x, log_fraction, absent)
        said = self.out(self.norm(x)).float()  # (B, K, 2 T)
        mean, log_scale = (fractions.unsqueeze(-1) * said).sum(1).chunk(2, -1)
        return mean, log_scale.clamp(-8.0, 4.0)


class _Layer(nn.Module):
    """Attention among the elements, then a feed-forward; normalised before each."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.heads, self.dropout = size.heads, size.dropout
        self.norm, self.norm_2 = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.into, self.back = nn.Linear(size.width, 3 * size.width), nn.Linear(size.width, size.width)
        self.up, self.down = nn.Linear(size.width, size.feed_forward), nn.Linear(size.feed_forward, size.width)
        self.by_amount = nn.Parameter(torch.linspace(0.0, 1.0, size.heads))

    def forward(self, x: Tensor, log_fraction: Tensor, absent: Tensor) -> Tensor:
        """The tokens `(B, K, W)` after the layer."""
        b, k, w = x.shape
        query, key, value = self.into(self.norm(x)).view(b, k, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.by_amount[None, :, None, None] * log_fraction[:, None, None, :] + absent[:, None, None, :]
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        x = x + self._dropped(self.back(attended.transpose(1, 2).reshape(b, k, w)))
        return x + self._dropped(self.down(functional.gelu(self.up(self.norm_2(x)))))

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training) if self.dropout else x


def _encoded(fractions: Tensor, log_fraction: Tensor) -> Tensor:
    """Sines and cosines of fractions and of their logarithms, float32 `(B, K, 4 * _FREQUENCIES)`."""
    steps = torch.arange(_FREQUENCIES, device=fractions.device, dtype=torch.float32)
    # From one wave over all fractions to one a hundredth; from one over six powers of e to ten a power.
    linear = fractions.unsqueeze(-1) * (2 * np.pi * 100 ** (steps / (_FREQUENCIES - 1)))
    logarithmic = log_fraction.unsqueeze(-1) * (2 * np.pi / 6 * 60 ** (steps / (_FREQUENCIES - 1)))
    angles = torch.cat([linear, logarithmic], -1)
    return torch.cat([angles.sin(), angles.cos()], -1)


def network_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor], generator: Any = None) -> Tensor:
    """Sum over formulas and targets of the absolute error, and of the spread's nats with the mean held fixed.

    Args:
        model: a `CompositionNetwork`.
        batch: elements, fractions, and standardised targets float32 `(B, T)`, NaN where there is none.
        generator: unused.
    """
    elements, fractions, target = batch
    mean, log_scale = model(elements, fractions)
    known = torch.isfinite(target)
    error = (mean - torch.where(known, target, 0.0)).abs()
    spread = error.detach() * (-log_scale).exp() + log_scale
    return ((error + 0.1 * spread) * known).sum()


def network_inputs(batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers uint8 `(n, k)` and fractions float32 `(n, k)` of compositions."""
    counts = batch.counts.astype(np.float64)
    return batch.elements, (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


def size_of(content: dict[str, Any]) -> NetworkSize:
    """The size that `dataclasses.asdict` made a dictionary of."""
    return NetworkSize(**{f.name: content[f.name] for f in dataclasses.fields(NetworkSize)})
