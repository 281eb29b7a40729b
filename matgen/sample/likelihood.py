"""Ln probability of compositions under a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.composition import CompositionBatch
from matgen.models.registry import MAX_POSITIONS
from matgen.sample.prefix_cache import encode_nothing
from matgen.tokenizer import EOS, MASK, PAD, encode, sequence_lengths, suppressed_ids

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint

BOUND_ORDERS = 8
"""Random orders over which the likelihood bound of an order-agnostic model is averaged."""


class Likelihood:
    """Ln probabilities of canonical sequences.

    Args:
        checkpoint: of any architecture.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.model = checkpoint, checkpoint.model
        self.objective, self.notation = checkpoint.architecture.objective, checkpoint.notation
        self.device = next(self.model.parameters()).device
        self._suppressed = torch.tensor(suppressed_ids(self.notation), device=self.device)

    @torch.inference_mode()
    def of(self, batch: CompositionBatch, *, batch_size: int = 64) -> np.ndarray:
        """Ln probability of the canonical sequence of each composition, float64 `(n,)`, in nats.

        Exact for causal and denoising models (special tokens, which are never drawn, carry no probability); for
        order-agnostic ones a lower bound, estimated over `BOUND_ORDERS` random orders with fixed noise. Minus infinity
        where a composition is longer than the model.
        """
        result = np.full(len(batch), -np.inf)
        fits = np.flatnonzero(sequence_lengths(batch, self.notation) <= MAX_POSITIONS - 2)
        ids, lengths = encode(batch[fits], self.notation)
        by_length = np.argsort(lengths, kind="stable")
        for start in range(0, len(fits), batch_size):
            rows = by_length[start : start + batch_size]
            part = torch.from_numpy(ids[rows, : int(lengths[rows].max())]).long().to(self.device)
            if self.objective == "masked":
                values = self.bound(part, torch.from_numpy(lengths[rows]).to(self.device) - 2)
            else:
                values = self.exact(part)
            result[fits[rows]] = values.double().cpu().numpy()
        return result

    def exact(self, ids: Tensor) -> Tensor:
        """Ln probability of whole sequences by one forward pass, float32 `(b,)`."""
        if self.objective == "denoising":
            encoded = encode_nothing(self.model).expand(len(ids), -1, -1)
            logits = self.model(encoder_outputs=(encoded,), decoder_input_ids=ids[:, :-1]).logits.float()
        else:
            # What follows the end is not looked at; written as padding it would make transformers warn.
            logits = self.model(input_ids=ids[:, :-1].masked_fill(ids[:, :-1] == PAD, EOS)).logits.float()
        logits[:, :, self._suppressed] = -torch.inf
        logits[:, 0, EOS] = -torch.inf
        targets = ids[:, 1:]
        of_target = logits.log_softmax(-1).gather(2, targets[:, :, None]).squeeze(2)
        return of_target.masked_fill(targets == PAD, 0.0).sum(1)

    def bound(self, ids: Tensor, n_tokens: Tensor) -> Tensor:
        """Lower bound on ln probability with the length's own, a mean over random orders, float32 `(b,)`."""
        histogram = torch.tensor(self.checkpoint.metadata["length_histogram"], dtype=torch.float64, device=self.device)
        length_log_prob = torch.full_like(n_tokens, -torch.inf, dtype=torch.float64)
        known = n_tokens < len(histogram)
        length_log_prob[known] = (histogram / histogram.sum()).log()[n_tokens[known]]
        generator = torch.Generator(device=self.device).manual_seed(0)
        place = torch.arange(ids.shape[1], device=self.device)[None, :]
        is_token = (place >= 1) & (place <= n_tokens[:, None])
        total = torch.zeros(len(ids), device=self.device)
        for _ in range(BOUND_ORDERS):
            count = 1 + (torch.rand(len(ids), generator=generator, device=self.device) * n_tokens).long()
            drawn = torch.rand(ids.shape, generator=generator, device=self.device).masked_fill(~is_token, torch.inf)
            masked = drawn.argsort(dim=1).argsort(dim=1) < count[:, None]
            logits = self.model(
                input_ids=torch.where(masked, MASK, ids), attention_mask=(ids != PAD).long()
            ).logits.float()
            logits[:, :, self._suppressed] = -torch.inf
            logits[:, :, EOS] = -torch.inf
            of_token = logits.log_softmax(-1).gather(2, ids[:, :, None]).squeeze(2).masked_fill(~masked, 0.0)
            total += of_token.sum(1) * n_tokens / count
        return total / BOUND_ORDERS + length_log_prob
