"""Networks of one size evaluated together: their weights stacked, each composition once, all cores at work.

A matrix product takes the members' weights as one batch. Compositions are sorted by their number of elements and a
block has those of one number, so that nothing is padded and nothing masked. Each row's numbers depend on that row
alone, whatever else is in its block: so a table gives the same numbers in parts and as a whole, on one core and on
many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from matgen.composition.batch import first_occurrence
from matgen.prediction.network import CompositionNetwork, encoded, logarithms
from matgen.runtime.compiled import load_kernel

if TYPE_CHECKING:
    from torch import Tensor, nn

    from matgen.composition.batch import CompositionBatch

_TOKENS = 512
"""Elements in a block: as many as keep what a layer makes of them in a core's cache."""

_FEWEST_TOKENS = 16
"""Below so many rows a matrix product may add in another order: the last of a block is then repeated."""


def stackable(members: Sequence[Any]) -> list[CompositionNetwork] | None:
    """The networks of a predictor's members, None where they are of another kind than can be stacked."""
    networks = [getattr(member, "network", None) for member in members]
    plain = [one for one in networks if type(one) is CompositionNetwork and one.out[2].out_features == 2]
    alike = len(plain) == len(networks) and len({one.size for one in plain}) == 1
    return plain if alike and all(one.element.weight.device.type == "cpu" for one in plain) else None


def outputs_together(networks: Sequence[CompositionNetwork], batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
    """What networks of one size say of `n` compositions, each distinct one evaluated once.

    On as many threads as torch has.

    Args:
        networks: `E` of them, in evaluation mode, on the CPU.
        batch: the compositions.

    Returns:
        Mean (or logarithm of the odds) and logarithm of the scale, float32 `(E, n)` each, standardised.
    """
    first, place = np.unique(first_occurrence(batch.keys()), return_inverse=True)
    mean, log_scale = StackedNetworks(networks).outputs(batch[first])
    return mean[:, place], log_scale[:, place]


class StackedNetworks:
    """The weights of `E` networks of one size, member by member in a leading dimension.

    The scale and shift of a normalization are part of the linear layer behind it.

    Args:
        networks: as they are now: later changes to their weights do not count.
    """

    def __init__(self, networks: Sequence[CompositionNetwork]) -> None:
        self._networks = networks
        self.size = networks[0].size
        with torch.inference_mode():
            self._element = self._stacked(lambda one: one.element.weight)
            self._amount = self._linear(lambda one: one.amount)
            self._layers = [self._layer(i) for i in range(self.size.layers)]
            self._out = self._linear(lambda one: one.out[0], lambda one: one.norm)
            self._last = self._linear(lambda one: one.out[2])

    def outputs(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Mean and logarithm of the scale, float32 `(E, n)` each: see `outputs_together`."""
        (elements, fractions), lengths = self._networks[0].inputs(batch)
        found = np.empty((2, len(self._networks), len(batch)), dtype=np.float32)

        def evaluate(rows: np.ndarray) -> None:
            k = int(lengths[rows[0]])
            padded = np.pad(rows, (0, max(0, -(-_FEWEST_TOKENS // k) - len(rows))), mode="edge")
            with torch.inference_mode():
                inputs = torch.from_numpy(elements[padded, :k]).long(), torch.from_numpy(fractions[padded, :k])
                said = self._block(*inputs)
            found[:, :, rows] = said[:, :, : len(rows)]

        threads = torch.get_num_threads()
        if threads == 1:
            for rows in _blocks(lengths):
                evaluate(rows)
        else:
            # Blocks side by side, each on one thread: small products are not worth splitting.
            torch.set_num_threads(1)
            try:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(evaluate, _blocks(lengths)))
            finally:
                torch.set_num_threads(threads)
        return found[0], found[1]

    def _block(self, elements: Tensor, fractions: Tensor) -> np.ndarray:
        """Both outputs, float32 `(2, E, B)`, of elements int64 and fractions float32 `(B, K)`, without gaps."""
        (b, k), e = elements.shape, len(self._networks)
        log_fraction = logarithms(fractions)
        amounts = encoded(fractions, log_fraction).view(1, b * k, -1).expand(e, -1, -1)
        x = _apply(self._amount, amounts) + self._element[:, elements.view(-1)]  # (E, B * K, W)
        for layer in self._layers:
            projected = _apply(layer["into"], self._normalized(x))
            x += _apply(layer["back"], _attended(projected, layer["by_amount"], log_fraction))
            x += _apply(layer["down"], functional.gelu(_apply(layer["up"], self._normalized(x))))
        predicted = _apply(self._last, functional.gelu(_apply(self._out, self._normalized(x)))).view(e, b, k, 2)
        # One element after another, in whatever block a composition is.
        said = predicted[:, :, 0] * fractions[:, 0, None]
        for j in range(1, k):
            said += predicted[:, :, j] * fractions[:, j, None]
        said[..., 1].clamp_(*CompositionNetwork.LOG_SCALES)
        return said.permute(2, 0, 1).numpy()

    def _normalized(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, (self.size.width,))

    def _layer(self, i: int) -> dict[str, Any]:
        return {
            "into": self._linear(lambda one: one.layers[i].into, lambda one: one.layers[i].norm),
            "back": self._linear(lambda one: one.layers[i].back),
            "up": self._linear(lambda one: one.layers[i].up, lambda one: one.layers[i].norm_2),
            "down": self._linear(lambda one: one.layers[i].down),
            "by_amount": self._stacked(lambda one: one.layers[i].by_amount),
        }

    def _stacked(self, parameter: Callable[[Any], Tensor]) -> Tensor:
        return torch.stack([parameter(one).detach() for one in self._networks])

    def _linear(
        self, layer: Callable[[Any], nn.Linear], norm: Callable[[Any], nn.LayerNorm] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Weights `(E, in, out)` and biases `(E, 1, out)`, of what comes normalized but neither scaled nor shifted."""
        weight = self._stacked(lambda one: layer(one).weight)
        bias = self._stacked(lambda one: layer(one).bias)
        if norm is not None:
            shift = self._stacked(lambda one: norm(one).bias)
            bias = bias + (weight @ shift.unsqueeze(-1)).squeeze(-1)
            weight = weight * self._stacked(lambda one: norm(one).weight).unsqueeze(1)
        return weight.transpose(1, 2).contiguous(), bias.unsqueeze(1)


def _apply(linear: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
    weight, bias = linear
    return torch.baddbmm(bias, x, weight)


def _attended(projected: Tensor, by_amount: Tensor, log_fraction: Tensor) -> Tensor:
    """What the tokens take in of one another, float32 `(E, B * K, W)`; arguments as of `attention_kernel.attend`."""
    e, tokens, width = projected.shape[0], projected.shape[1], projected.shape[2] // 3
    kernel = load_kernel("prediction.attention_kernel")
    if kernel is not None:
        attended = torch.empty(e, tokens, width)
        kernel.attend(projected.numpy(), by_amount.numpy(), log_fraction.numpy(), attended.numpy())
        return attended
    (b, k), heads = log_fraction.shape, by_amount.shape[1]
    query, key, value = projected.view(e * b, k, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    bias = (by_amount[:, None, :, None, None] * log_fraction[None, :, None, None]).reshape(e * b, heads, 1, k)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return mixed.transpose(1, 2).reshape(e, tokens, width)


def _blocks(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Rows by their numbers of elements, int64 `(n,)`, the largest first: at most `_TOKENS` elements at once."""
    for k in np.unique(lengths)[::-1]:
        rows = np.flatnonzero(lengths == k)
        size = max(1, _TOKENS // int(k))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
