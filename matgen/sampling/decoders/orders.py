"""Models that write tokens in any order: the probability of a sequence as a sum over the orders of writing it.

A blank language model chooses the order as it goes, so p(x) is the sum over all n! orders. For a masked model the order
is drawn beforehand, so p(x) is the mean over them, times the probability of the length. Short sequences are summed
exactly: the probability of having written a set of places is a sum over the place written last, which takes 2^n states
instead of n! orders. Longer ones are estimated from random orders.

A state is a sequence and the places still hidden. Many states look alike to the network; each canvas is computed once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.models.canvas import choose_hidden
from matgen.models.tokenizer import EOS, PAD, suppressed_ids

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint

EXACT_TOKENS = 8
"""Longest sequences whose orders are summed exactly, over 255 states each."""

_CANVASES = 1024
"""Canvases computed at once."""

_STATES = 32_768
"""States held at once."""


class Orders:
    """Sums over orders of a masked or a blank language model.

    Sequences are int64 `(b, length)`, `<bos> tokens <eos>`, all with the same number n of tokens.

    Args:
        checkpoint: of an architecture that writes in any order.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model = checkpoint.model
        self.device = next(self.model.parameters()).device
        writing = checkpoint.architecture.objective.steps
        assert writing is not None  # else there are no orders
        self.writing = writing
        self._never = torch.tensor([*suppressed_ids(checkpoint.notation), EOS], device=self.device)

    def bound(self, ids: Tensor, n_mc: int) -> Tensor:
        """Lower bound on ln p by Jensen's inequality, estimated from `n_mc` single steps, float64 `(b,)`.

        The cheapest estimate: one canvas each. For a masked model, given the length.
        """
        n = ids.shape[1] - 2
        lengths = torch.full((len(ids),), n + 2, device=self.device)
        generator = torch.Generator(device=self.device).manual_seed(0)
        total = torch.zeros(len(ids), dtype=torch.float64, device=self.device)
        for _ in range(n_mc):
            hidden, weight = choose_hidden(ids, lengths, generator)
            total += self.steps(ids, hidden).sum(1) * weight
        return total / n_mc + (math.lgamma(n + 1) if self.writing.order_is_chosen else 0.0)

    def sampled(self, ids: Tensor, n_mc: int, *, last: Tensor | None = None) -> Tensor:
        """Ln p estimated from `n_mc` whole random orders, float64 `(b,)`; the estimate of p itself is unbiased.

        So its logarithm is a lower bound in the mean, tighter than `bound`, and exact as `n_mc` grows.

        Args:
            ids: the sequences.
            n_mc: random orders, the same ones for all sequences of like `last`.
            last: bool `(b, length)`, as for `exact`.
        """
        n = ids.shape[1] - 2
        generator = torch.Generator(device=self.device).manual_seed(0)
        drawn = torch.rand(n_mc, n, generator=generator, device=self.device).expand(len(ids), -1, -1)
        if last is not None:
            drawn = drawn + last[:, None, 1:-1]
        order = 1 + drawn.argsort(dim=2)
        slices = order.split(max(1, _STATES // n), dim=1)
        total = torch.stack([self._over(ids, some, n) for some in slices], dim=1)
        return (
            total.logsumexp(1) - math.log(n_mc) + (self._log_orders(n, last) if self.writing.order_is_chosen else 0.0)
        )

    def exact(self, ids: Tensor, *, last: Tensor | None = None) -> Tensor:
        """Ln p summed over all orders, float64 `(b,)`. For a masked model, given the length.

        Args:
            ids: the sequences; time and memory grow as 2^n.
            last: bool `(b, length)`, tokens that are written after all others; by default any order counts.
        """
        n = ids.shape[1] - 2
        last = torch.zeros_like(ids, dtype=torch.bool) if last is None else last
        total = torch.cat([self._of_sets(*part) for part in _parts(ids, last, at_once=max(1, _STATES >> n))])
        return total - (0.0 if self.writing.order_is_chosen else self._log_orders(n, last))

    @torch.inference_mode()
    def steps(self, ids: Tensor, hidden: Tensor) -> Tensor:
        """Ln probability of writing each hidden token next, float64 `(b, length)`, 0 where a token is not hidden."""
        row, column = hidden.nonzero(as_tuple=True)
        canvas, action = self.writing.canvas(ids, hidden)
        distinct, number = distinct_rows(canvas)
        action[:, 0] = number[row]
        by_canvas = action[:, 0].argsort(stable=True)
        starts = torch.arange(0, len(distinct) + _CANVASES, _CANVASES, device=self.device)
        cuts = torch.searchsorted(action[by_canvas, 0], starts).tolist()
        of_action = torch.empty(len(action), dtype=torch.float64, device=self.device)
        for start, begin, end in zip(starts.tolist(), cuts[:-1], cuts[1:], strict=False):
            rows = by_canvas[begin:end]
            chosen = action[rows]
            chosen[:, 0] -= start
            of_action[rows] = self._of_actions(distinct[start : start + _CANVASES], chosen).double()
        return torch.zeros(ids.shape, dtype=torch.float64, device=self.device).index_put((row, column), of_action)

    def _of_actions(self, canvas: Tensor, action: Tensor) -> Tensor:
        canvas = canvas[:, : int((canvas != PAD).sum(1).max())]
        return self.writing.log_prob(self.model, canvas, action, self._never)

    def _over(self, ids: Tensor, order: Tensor, n: int) -> Tensor:
        """Ln of the sum over given orders `(b, k, n)`, float64 `(b,)`."""
        parts = _parts(ids, order, at_once=_STATES // (order.shape[1] * n))
        return torch.cat([self._of_orders(*part).logsumexp(1) for part in parts])

    def _of_orders(self, ids: Tensor, order: Tensor) -> Tensor:
        """Ln probability of writing sequences in given orders of places `(b, k, n)`, float64 `(b, k)`."""
        b, k, n = order.shape
        rank = torch.full((b, k, n + 2), -1, device=self.device)
        rank.scatter_(2, order, torch.arange(n, device=self.device).expand(b, k, n))
        hidden = rank[:, :, None, :] >= torch.arange(n, device=self.device)[:, None]  # (b, k, step, length)
        states = ids[:, None, None, :].expand(b, k, n, n + 2)
        of_step = self.steps(states.reshape(-1, n + 2), hidden.reshape(-1, n + 2)).view(b, k, n, n + 2)
        return of_step.gather(3, order[:, :, :, None]).sum(dim=(2, 3))

    def _of_sets(self, ids: Tensor, last: Tensor) -> Tensor:
        """Sum over the orders that end with the places in `last`, as a logarithm, float64 `(b,)`."""
        b, n = len(ids), ids.shape[1] - 2
        bits = torch.arange(n, device=self.device)
        sets = torch.arange(1 << n, device=self.device)
        written = (sets[:, None] >> bits) & 1 == 1  # (2^n, n)
        last = last[:, 1:-1]
        early = (written[None] & last[:, None]).any(2) & (~written[None] & ~last[:, None]).any(2)  # (b, 2^n)
        seq, state = (~early[:, :-1]).nonzero(as_tuple=True)
        hidden = torch.zeros(len(seq), n + 2, dtype=torch.bool, device=self.device)
        hidden[:, 1:-1] = ~written[state]
        step = torch.full((b, 1 << n, n), -torch.inf, dtype=torch.float64, device=self.device)
        step[seq, state] = self.steps(ids[seq], hidden)[:, 1:-1]
        total = torch.full((b, 1 << n), -torch.inf, dtype=torch.float64, device=self.device)
        total[:, 0] = 0.0
        for reached in range(1, 1 << n):
            newest = bits[written[reached]]
            before = reached - (1 << newest)
            total[:, reached] = (total[:, before] + step[:, before, newest]).logsumexp(1)
        # A set that no order reaches stays at minus infinity: its sum above is over nothing.
        return total[:, -1]

    @staticmethod
    def _log_orders(n: int, last: Tensor | None) -> Tensor | float:
        """Ln of the number of orders."""
        if last is None:
            return math.lgamma(n + 1)
        n_last = last.sum(1).double()
        return torch.lgamma(n_last + 1) + torch.lgamma(n - n_last + 1)


def _parts(*tensors: Tensor, at_once: int) -> list[tuple[Tensor, ...]]:
    return list(zip(*(tensor.split(max(1, at_once)) for tensor in tensors), strict=True))


def distinct_rows(canvas: Tensor) -> tuple[Tensor, Tensor]:
    """Different rows, shorter ones first, and for each row which of them it is."""
    rows = canvas.cpu().numpy().astype(np.int16)
    length = (rows != PAD).sum(axis=1).astype(">i2")  # in front, and so that bytes sort as numbers
    keyed = np.concatenate([length[:, None].view(np.int16), rows], axis=1)
    packed = np.ascontiguousarray(keyed).view(np.dtype((np.void, keyed.shape[1] * 2))).ravel()
    _, first, number = np.unique(packed, return_index=True, return_inverse=True)
    return canvas[torch.from_numpy(first).to(canvas.device)], torch.from_numpy(number).to(canvas.device)
