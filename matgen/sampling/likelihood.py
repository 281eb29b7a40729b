"""Ln probability of compositions under a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import EOS, PAD, encode, sequence_lengths, suppressed_ids
from matgen.sampling.decoders.orders import EXACT_TOKENS, Orders
from matgen.sampling.decoders.prefix_cache import encode_empty_source
from matgen.sampling.decoders.prefixes import PrefixDrawer

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint

N_MC = 8
"""Random steps or orders from which the likelihood of a model that writes in any order is estimated."""

_FEWEST_SHARING = 2048
"""Sequences from which on it pays to share their prefixes; few of them share little."""

_SHARING = 65_536
"""Sequences scored together where they share their prefixes."""

_AT_ONCE = 1024
"""Sequences of such a model handled together."""


def check_n_mc(n_mc: int) -> None:
    """Refuse a number of random orders that gives no estimate.

    Raises:
        OptionError: it is below 1.
    """
    if n_mc < 1:
        raise OptionError(f"n-mc is {n_mc}, it must be at least 1")


class Likelihood:
    """Ln probabilities of canonical sequences.

    Args:
        checkpoint: of any architecture.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.objective, self.notation = checkpoint.architecture.objective, checkpoint.notation
        self.device = next(self.model.parameters()).device
        self._suppressed = torch.tensor(suppressed_ids(self.notation), device=self.device)
        self._drawer: PrefixDrawer | None = None
        self.orders = Orders(checkpoint) if checkpoint.architecture.any_order else None

    @property
    def model(self) -> Any:
        """What computes logits."""
        return self.checkpoint.network

    def of(self, batch: CompositionBatch, *, batch_size: int = 64) -> np.ndarray:
        """Ln probability of the canonical sequence of each composition, float64 `(n,)`, in nats.

        Exact for causal and denoising models (special tokens, which are never drawn, carry no probability). For models
        that write in any order a lower bound, estimated from `N_MC` random steps with fixed noise: quick; in the mean
        over many formulas a few tenths of a nat below `summed`, for one formula off by nats. Minus infinity where a
        composition is longer than the model.
        """
        if self.orders is None:
            return self._of(batch, self.exact, batch_size=batch_size, same_length=False)
        orders = self.orders
        return self._of(batch, lambda ids: orders.bound(ids, N_MC) + self.length_log_prob(ids))

    def summed(self, batch: CompositionBatch, *, n_mc: int = N_MC, exact_tokens: int = EXACT_TOKENS) -> np.ndarray:
        """The same, summed over the orders of writing for the models that have them, float64 `(n,)`.

        Exact up to `exact_tokens` tokens; beyond, estimated from `n_mc` random orders (the same ones for all sequences
        of a length): an unbiased estimate of the probability, so a lower bound on its logarithm in the mean.
        """
        if self.orders is None:
            return self._sharing(batch) if len(batch) >= _FEWEST_SHARING else self.of(batch)
        return self._of(batch, lambda ids: self.over_orders(ids, n_mc=n_mc, exact_tokens=exact_tokens))

    def over_orders(
        self, ids: Tensor, *, n_mc: int, last: Tensor | None = None, exact_tokens: int = EXACT_TOKENS
    ) -> Tensor:
        """Ln probability over the orders of writing that end with the tokens in `last`, float64 `(b,)`.

        Args:
            ids: int64 `(b, length)`, `<bos> tokens <eos>`, all equally long, of a model that writes in any order.
            n_mc: random orders where there are too many to sum.
            last: bool `(b, length)`, by default every order counts.
            exact_tokens: longest sequences whose orders are all summed.
        """
        assert self.orders is not None
        if math.isinf(self.length_log_prob(ids)):
            return torch.full((len(ids),), -torch.inf, dtype=torch.float64, device=self.device)
        short = ids.shape[1] - 2 <= exact_tokens
        over = self.orders.exact(ids, last=last) if short else self.orders.sampled(ids, n_mc, last=last)
        return over + self.length_log_prob(ids)

    def length_log_prob(self, ids: Tensor) -> float:
        """Ln probability of the length of equally long sequences; 0 for models that choose it."""
        if not self.objective.draws_length:
            return 0.0
        histogram, n = self.checkpoint.metadata["length_histogram"], ids.shape[1] - 2
        seen = histogram[n] if n < len(histogram) else 0
        return math.log(seen / sum(histogram)) if seen else -math.inf

    def _sharing(self, batch: CompositionBatch) -> np.ndarray:
        """Ln probabilities with every distinct prefix computed once, float64 `(n,)`."""
        if self._drawer is None:
            self._drawer = PrefixDrawer(self.checkpoint)
        result = np.full(len(batch), -np.inf)
        fits = np.flatnonzero(sequence_lengths(batch, self.notation) <= MAX_POSITIONS - 2)
        ids, _ = encode(batch[fits], self.notation)
        # Sequences that begin alike stand together, so that parts share as much as the whole would.
        fits, ids = fits[order := np.lexsort(ids.T[::-1])], ids[order]
        for start in range(0, len(fits), _SHARING):
            result[fits[start : start + _SHARING]] = self._drawer.score(ids[start : start + _SHARING]).log_prob
        return result

    @torch.inference_mode()
    def _of(
        self,
        batch: CompositionBatch,
        values: Callable[[Tensor], Tensor],
        *,
        batch_size: int = _AT_ONCE,
        same_length: bool = True,
    ) -> np.ndarray:
        """Values of the sequences that fit the model, in batches of like (or of the same) length."""
        result = np.full(len(batch), -np.inf)
        fits = np.flatnonzero(sequence_lengths(batch, self.notation) <= MAX_POSITIONS - 2)
        ids, lengths = encode(batch[fits], self.notation)
        by_length = np.argsort(lengths, kind="stable")
        groups = [by_length]
        if same_length:
            groups = np.split(by_length, np.flatnonzero(np.diff(lengths[by_length])) + 1)
        for group in groups:
            for start in range(0, len(group), batch_size):
                rows = group[start : start + batch_size]
                part = torch.from_numpy(ids[rows, : int(lengths[rows].max())]).long().to(self.device)
                result[fits[rows]] = values(part).double().cpu().numpy()
        return result

    def exact(self, ids: Tensor, *, source: Tensor | None = None) -> Tensor:
        """Ln probability of whole sequences by one forward pass, float32 `(b,)`.

        Args:
            ids: int64 `(b, length)`, `<bos> tokens <eos> <pad> ...`.
            source: int64 `(b, length of the source)`, what a denoising model rewrites; by default the empty
                source, one mask.
        """
        if source is not None:
            seen = (source != PAD).long()
            logits = self.model(input_ids=source, attention_mask=seen, decoder_input_ids=ids[:, :-1]).logits.float()
        elif self.objective.reads_source:
            encoded = encode_empty_source(self.model).expand(len(ids), -1, -1)
            logits = self.model(encoder_outputs=(encoded,), decoder_input_ids=ids[:, :-1]).logits.float()
        else:
            # What follows the end is not looked at; written as padding it would make transformers warn.
            logits = self.model(input_ids=ids[:, :-1].masked_fill(ids[:, :-1] == PAD, EOS)).logits.float()
        logits[:, :, self._suppressed] = -torch.inf
        logits[:, 0, EOS] = -torch.inf
        targets = ids[:, 1:]
        of_target = logits.log_softmax(-1).gather(2, targets[:, :, None]).squeeze(2)
        return of_target.masked_fill(targets == PAD, 0.0).sum(1)
