"""Drawing from an order-agnostic (masked) model: a length, then one masked token at a time in random order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.errors import CheckpointError
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import BOS, EOS, MASK, PAD, suppressed_ids
from matgen.sampling.decoders.decoding import Decoding, choose, cut

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint

BLOCK_SIZE = 2048
"""Samples of a block. Nothing is shared between them, so larger blocks would gain nothing."""


class AnyOrderDrawer:
    """Draws blocks of sequences from an order-agnostic model.

    Args:
        checkpoint: the model, with the histogram of lengths it was trained on.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.model = checkpoint, checkpoint.model
        self.device = next(self.model.parameters()).device
        self._suppressed = torch.tensor(suppressed_ids(checkpoint.notation), device=self.device)

    @torch.inference_mode()
    def draw(self, n: int, seed: int, block: int, decoding: Decoding) -> np.ndarray:
        """Token ids of the first `n` samples of a block, int64 `(n, 128)`, `<bos> tokens <eos> <pad> ...`.

        Raises:
            CheckpointError: the checkpoint has no histogram of lengths.
        """
        rng = np.random.Generator(np.random.Philox(key=np.array([seed, block], dtype=np.uint64)))
        rows = max(n, BLOCK_SIZE)
        uniforms = torch.from_numpy(rng.random((rows, MAX_POSITIONS))[:n]).to(self.device)
        orders = torch.from_numpy(rng.random((rows, MAX_POSITIONS))[:n]).to(self.device)
        return self._draw(uniforms, orders, decoding).cpu().numpy()

    def _draw(self, uniforms: Tensor, orders: Tensor, decoding: Decoding) -> Tensor:
        """Length from the training histogram, then one masked token at a time in random order. int64 `(b, 128)`."""
        n_tokens = self._draw_lengths(uniforms[:, 0])
        ids = torch.full((len(uniforms), MAX_POSITIONS), PAD, device=self.device)
        for length in n_tokens.unique().tolist():
            rows = torch.nonzero(n_tokens == length).squeeze(1)
            work = torch.full((len(rows), length + 2), MASK, device=self.device)
            work[:, 0], work[:, -1] = BOS, EOS
            order = orders[rows, :length].argsort(dim=1) + 1
            every = torch.arange(len(rows), device=self.device)
            for step in range(length):
                place = order[:, step]
                logits = self.model(input_ids=work).logits[every, place].float()
                logits[:, self._suppressed] = -torch.inf
                logits[:, EOS] = -torch.inf
                work[every, place] = choose(cut(logits, decoding), every, uniforms[rows, step + 1])
            ids[rows, : length + 2] = work
        return ids

    def _draw_lengths(self, uniforms: Tensor) -> Tensor:
        histogram = self.checkpoint.metadata.get("length_histogram")
        if not histogram:
            raise CheckpointError(f"{self.checkpoint.folder} has no length_histogram: it was not written by matgen")
        cumulative = torch.tensor(histogram, dtype=torch.float64, device=self.device).cumsum(0)
        return torch.searchsorted(cumulative / cumulative[-1], uniforms.contiguous(), right=True).clamp(
            max=len(histogram) - 1
        )
