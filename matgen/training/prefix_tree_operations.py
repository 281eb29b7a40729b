"""What training over the prefix tree does between its matrix products, with gradients: attention, dropout, GELU.

On a CPU with numba these are compiled loops (`shared_kernel`), spread over torch's threads; elsewhere torch's own
functions give the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from matgen.models.gelu import bits, gelu_tables
from matgen.runtime.compiled import load_kernel

if TYPE_CHECKING:
    from torch import Tensor

_MOST_THREADS = 64

_FEW = 16
"""Tokens up to which every prefix gets a copy of what it attends to."""


def kernel_for(device: torch.device, name: str = "training.prefix_tree_kernel") -> Any | None:
    """The compiled loops, None where torch does their work."""
    return load_kernel(name) if device.type == "cpu" else None


def attention(mixed: Tensor, tree: Any, heads: int, scale: float, rotary: Tensor | None, dropout: float) -> Tensor:
    """Attention of each prefix's last token over its tokens, `(N, width)`.

    Args:
        mixed: `(N, 3 * width)`, queries, keys and values.
        tree: a `PrefixTree` of N prefixes.
        heads: of attention.
        scale: of the scores.
        rotary: as `Decoder.rotary`.
        dropout: probability that a weight of attention is left out.
    """
    if (kernel := kernel_for(mixed.device)) is not None:
        return _Attention.apply(mixed, tree, heads, scale, rotary, dropout, kernel)
    width = mixed.shape[1] // 3
    if rotary is not None:
        # Queries and keys, side by side in the first 2 * width columns, are rotated by the angle of their position.
        turned = _turn(mixed[:, : 2 * width].float(), rotary.index_select(0, tree.place))
        mixed = torch.cat([turned.to(mixed.dtype), mixed[:, 2 * width :]], dim=1)
    b, length = tree.node.shape
    if length <= _FEW:
        return _attend_few(mixed, tree, heads, scale, dropout)
    # Back from nodes to whole sequences, since fused attention wants them: only products stay shared.
    rows = mixed.index_select(0, tree.node.flatten()).view(b, length, 3, heads, width // heads)
    query, key, value = rows.permute(2, 0, 3, 1, 4)  # each (B, heads, L, d)
    out = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, dropout_p=dropout)
    # Every sequence of a node has the same answer but for dropout: its first one stands for all.
    return out.transpose(1, 2).reshape(b * length, width).index_select(0, tree.row)


def _attend_few(mixed: Tensor, tree: Any, heads: int, scale: float, dropout: float) -> Tensor:
    """`attention` where no prefix is long, by sums of products over all prefixes at once.

    torch's own is made for long sequences: on an H100 its backward pass took 2.5 times as long for five tokens.
    """
    n, width = len(mixed), mixed.shape[1] // 3
    length = tree.node.shape[1]
    above = tree.node.index_select(0, tree.row // length)  # (N, L), as `PrefixTree.above`
    query = mixed[:, :width].float().view(n, 1, heads, -1) * scale  # so that products are float32
    pairs = mixed[:, width:].index_select(0, above.flatten()).view(n, length, 2, heads, -1)  # keys and values
    score = (query * pairs[:, :, 0]).sum(-1)  # (N, L, heads)
    # Places behind a prefix's own hold nodes of a longer sequence.
    later = torch.arange(length, device=mixed.device) > tree.place[:, None]
    weight = functional.dropout(score.masked_fill(later[..., None], -torch.inf).softmax(1), dropout)
    return (weight[..., None] * pairs[:, :, 1]).sum(1).reshape(n, width).to(mixed.dtype)


def add_dropped(x: Tensor, y: Tensor, dropout: float) -> Tensor:
    """`x + y` with elements of `y` left out at random, and the rest scaled up to make up for them."""
    if not dropout:
        return x + y
    if (kernel := kernel_for(x.device)) is not None and x.dtype == torch.float32:
        return _AddDropped.apply(x, y, dropout, kernel)
    return x + functional.dropout(y, dropout)


def gelu(x: Tensor) -> Tensor:
    """GELU by its tanh approximation (Hendrycks and Gimpel, arXiv:1606.08415)."""
    if x.dtype == torch.bfloat16 and (kernel := kernel_for(x.device, "models.gelu_kernel")) is not None:
        return _Gelu.apply(x, kernel)
    return functional.gelu(x, approximate="tanh")


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, mixed: Tensor, tree: Any, heads: int, scale: float, rotary: Any, dropout: float, kernel: Any
    ) -> Tensor:
        n, width = len(mixed), mixed.shape[1] // 3
        by_head = torch.empty(heads, n, 3, width // heads)  # float32, also where `mixed` is bfloat16
        by_head.copy_(mixed.view(n, 3, heads, -1).permute(2, 0, 1, 3))
        parts = by_head.numpy()
        pairs = width // heads // 2
        # All heads rotate alike: the angles of the first head's pairs are enough.
        angle = np.empty((0, 0, 2), np.float32) if rotary is None else rotary[:, :pairs].numpy()
        above, place = tree.above.numpy(), tree.place.numpy()
        weight = np.empty((heads, n, above.shape[1]), np.float32)  # kept: softmax's gradient is made from it
        out = torch.empty(n, width)
        seed, dropped = _seed() if dropout else np.uint32(0), _of_65536(dropout)

        def work(first: int, last: int) -> None:
            kernel.turn(parts, angle, place, False, first, last)
            answer = out.numpy().reshape(n, heads, -1)
            kernel.attend(parts, above, place, np.float32(scale), dropped, seed, first, last, weight, answer)

        _spread(work, heads)
        ctx.kept = (parts, weight, above, place, np.float32(scale), dropped, seed, angle, mixed.dtype, kernel)
        return out.to(mixed.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        parts, weight, above, place, scale, dropped, seed, angle, dtype, kernel = ctx.kept
        heads, n, _, d = parts.shape
        grad = grads[0].float().contiguous().numpy().reshape(n, heads, d)
        result = torch.zeros(parts.shape)  # zero: a node's key and value collect from all nodes below it
        of_parts = result.numpy()

        def work(first: int, last: int) -> None:
            kernel.attend_backward(grad, parts, weight, above, place, scale, dropped, seed, first, last, of_parts)
            # The transpose of a rotation turns back.
            kernel.turn(of_parts, angle, place, True, first, last)

        _spread(work, heads)
        return result.permute(1, 2, 0, 3).to(dtype).reshape(n, 3 * heads * d), None, None, None, None, None, None


class _AddDropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, dropout: float, kernel: Any) -> Tensor:
        ctx.dtype, ctx.kept = y.dtype, (dropout, _seed(), kernel)
        return _drop_and_add(x, y, *ctx.kept)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        # The same seed leaves out the same elements, and scales the others as before.
        return grads[0], _drop_and_add(None, grads[0], *ctx.kept).to(ctx.dtype), None, None


def _drop_and_add(x: Tensor | None, y: Tensor, dropout: float, seed: np.uint32, kernel: Any) -> Tensor:
    first = np.empty(0, np.float32) if x is None else x.contiguous().numpy().ravel()
    second, out = y.float().contiguous().numpy().ravel(), torch.empty(y.shape)
    dropped = _of_65536(dropout)
    scale, flat = np.float32(65536 / (65536 - int(dropped))), out.numpy().ravel()
    _spread(lambda start, stop: kernel.drop_and_add(first, second, dropped, scale, seed, start, stop, flat), y.numel())
    return out


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Any) -> Tensor:
        # 16 bits have 65,536 values: a table of all of them stays in the cache and replaces tanh.
        given, out, table = bits(x), torch.empty(x.shape, dtype=x.dtype), gelu_tables()[0]
        written = bits(out)
        _spread(lambda start, stop: kernel.look_up(given[start:stop], table, written[start:stop]), len(x))
        ctx.kept = (given, kernel)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        given, kernel = ctx.kept
        incoming, result, slope = grads[0].float().numpy(), torch.empty(grads[0].shape), gelu_tables()[1]
        written = result.numpy()

        def work(start: int, stop: int) -> None:
            kernel.look_up_times(given[start:stop], slope, incoming[start:stop], written[start:stop])

        _spread(work, len(given))
        return result.to(grads[0].dtype), None


def _of_65536(probability: float) -> np.uint32:
    return np.uint32(round(probability * 65536))


def _seed() -> np.uint32:
    """A seed of the noise, from torch's own generator."""
    return np.uint32(int(torch.randint(2**32, ())))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST_THREADS)


def _spread(work: Callable[[int, int], None], n: int) -> None:
    """Do the work from 0 to n in as many parts as torch has threads."""
    threads = min(torch.get_num_threads(), _MOST_THREADS, n)
    cuts = [n * i // threads for i in range(threads + 1)]
    jobs = [_pool().submit(work, *part) for part in itertools.pairwise(cuts[1:])]
    work(cuts[0], cuts[1])  # the first part here: with one thread nothing is handed over
    for job in jobs:
        job.result()  # raises what a thread raised


def _turn(columns: Tensor, angle: Tensor) -> Tensor:
    """Pairs of columns, float32 `(N, 2 * pairs)`, turned by cosines and sines `(N, pairs, 2)`: products of complex
    numbers, one operation where there were ten."""
    pairs = torch.view_as_complex(columns.contiguous().unflatten(1, (-1, 2)))
    return torch.view_as_real(pairs * torch.view_as_complex(angle)).flatten(1)
