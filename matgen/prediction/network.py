"""A network from compositions to properties: attention among the elements of a formula, weighed by their amounts.

Each element is a token: a learned embedding of the element plus an encoding of its atomic fraction. Layers of
attention and feed-forward let elements see one another, in the spirit of CrabNet (Wang et al., npj Comput. Mater. 7,
77, 2021) and Roost (Goodall and Lee, Nat. Commun. 11, 6280, 2020); what each then says is averaged by its fraction.
Scores of attention get the logarithm of the fraction of the element attended to, times a learned number of each head,
so that a dopant weighs little wherever amounts matter.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from matgen.composition.elements import N_ELEMENTS
from matgen.errors import OptionError, require_above_zero

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.composition.batch import CompositionBatch

_FREQUENCIES = 16
"""Sines and as many cosines, of a fraction and of its logarithm each."""


@dataclass(frozen=True)
class NetworkSize:
    """Size of a network: `layers` of `width` with `heads` and a feed-forward of `feed_forward`."""

    layers: int = 3
    heads: int = 4
    width: int = 128
    feed_forward: int = 512
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_above_zero(self, "layers", "heads", "width", "feed_forward")
        if self.width % self.heads:
            raise OptionError(f"width {self.width} is not a multiple of {self.heads} heads")


class CompositionNetwork(nn.Module):
    """Elements and fractions to a mean and a scale.

    Args:
        size: of the network.
    """

    LOG_SCALES = (-8.0, 4.0)
    """Least and largest logarithm of a scale."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.size = size
        self.element = nn.Embedding(N_ELEMENTS + 1, size.width, padding_idx=0)
        self.amount = nn.Linear(4 * _FREQUENCIES, size.width)
        self.layers = nn.ModuleList(_Layer(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        self.out = nn.Sequential(nn.Linear(size.width, size.feed_forward), nn.GELU(), nn.Linear(size.feed_forward, 2))
        nn.init.normal_(self.element.weight)
        self.forget_output()

    def inputs(self, batch: CompositionBatch) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Atomic numbers uint8 `(n, k)` and fractions float32 `(n, k)`, and of how many columns each row needs."""
        counts = batch.counts.astype(np.float64)
        fractions = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
        return (batch.elements, fractions), batch.n_elements.astype(np.int64)

    def description(self) -> dict[str, Any]:
        """What `from_description` makes the network of, without its weights."""
        return dataclasses.asdict(self.size)

    @classmethod
    def from_description(cls, content: dict[str, Any]) -> CompositionNetwork:
        """The network that was described."""
        return cls(NetworkSize(**content))

    def forget_output(self) -> None:
        """Begin the output anew, for another property."""
        for parameter in self.out[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, elements: Tensor, fractions: Tensor, further: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            elements: int64 `(B, K)`, atomic numbers, 0 for none.
            fractions: float32 `(B, K)`, atomic fractions that sum to 1, 0 for none.
            further: float32 `(B, W)`, what else is known of each composition; it is added to the token of each element.

        Returns:
            Mean and logarithm of the scale, float32 `(B,)` each, in standardised units.
        """
        present = elements > 0
        log_fraction = logarithms(fractions)
        x = self.element(elements) + self.amount(encoded(fractions, log_fraction))
        if further is not None:
            x = x + further.unsqueeze(1)
        # Nothing attends to what is not there.
        absent = torch.zeros_like(fractions).masked_fill(~present, -1e4)
        for layer in self.layers:
            x = layer(x, log_fraction, absent)
        predicted = self.out(self.norm(x)).float()  # (B, K, 2)
        mean, log_scale = (fractions.unsqueeze(-1) * predicted).sum(1).unbind(-1)
        return mean, log_scale.clamp(*self.LOG_SCALES)


class _Layer(nn.Module):
    """Attention among the elements, then a feed-forward; normalized before each."""

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


def logarithms(fractions: Tensor) -> Tensor:
    """Logarithms of fractions, of those below a millionth that of a millionth; of the fractions' shape."""
    return fractions.clamp(min=1e-6).log()


def encoded(fractions: Tensor, log_fraction: Tensor) -> Tensor:
    """Sines and cosines of fractions and of their logarithms, float32 `(B, K, 4 * _FREQUENCIES)`."""
    steps = torch.arange(_FREQUENCIES, device=fractions.device, dtype=torch.float32)
    # From one wave over all fractions to one a hundredth; from one over six powers of e to ten a power.
    linear = fractions.unsqueeze(-1) * (2 * np.pi * 100 ** (steps / (_FREQUENCIES - 1)))
    logarithmic = log_fraction.unsqueeze(-1) * (2 * np.pi / 6 * 60 ** (steps / (_FREQUENCIES - 1)))
    angles = torch.cat([linear, logarithmic], -1)
    return torch.cat([angles.sin(), angles.cos()], -1)
