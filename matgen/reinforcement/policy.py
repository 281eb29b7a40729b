"""Policy gradient with the batch as its own baseline, on sequences as they were drawn.

REINFORCE with a leave-one-out baseline (RLOO; Kool, van Hoof and Welling 2019; Ahmadian et al., arXiv:2402.14740).
There is one prompt, the start of a sequence, so that the whole batch is one group. The distance from the start model is
part of what is earned: the logarithm of the ratio of both probabilities of a drawn sequence, whose mean is the
Kullback-Leibler divergence, and whose gradient this way is the divergence's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.fitting.optimizers import make_optimizers
from matgen.models.tokenizer import PAD, suppressed_ids
from matgen.sampling import Sampler
from matgen.training.prefix_tree import PrefixTreeLoss

if TYPE_CHECKING:
    from matgen.models.checkpoint import Checkpoint
    from matgen.sampling.request import PreparedRequest

CLIP = 1.0
"""Largest norm of the gradient."""
_ROUNDING = 1e-12
_WARMUP = 10
"""Steps in which the learning rate rises to its value."""


def leave_one_out(values: np.ndarray) -> np.ndarray:
    """Values less the mean of all others, float64 `(n,)`, n above 1: RLOO's baseline, which adds no bias."""
    n = len(values)
    return np.asarray((values - values.mean()) * (n / (n - 1)))


def advantages(reward: np.ndarray, log_ratio: np.ndarray, kl: float) -> np.ndarray:
    """How much better than the others each draw did, float64 `(n,)`.

    `(R - mean of the others' R) / s - kl * (d - mean of the others' d)`, with `s` the standard deviation of the rewards
    (so that a reward's unit does not matter) and `d` the logarithm of the ratio.

    Args:
        reward: float64 `(n,)`.
        log_ratio: float64 `(n,)`, ln p / p of the start model, in nats.
        kl: weight of the distance.
    """
    spread = reward.std()
    # Of equal rewards, rounding leaves a spread that means nothing.
    differ = spread > _ROUNDING * np.abs(reward).max()
    earned = leave_one_out(reward) / spread if differ else np.zeros(len(reward))
    return np.asarray(earned - kl * leave_one_out(log_ratio))


class Policy:
    """A model that is reinforced, its start and its optimizer.

    Args:
        checkpoint: whose model learns, in place.
        start: the same checkpoint, opened a second time; it stays as it is.
        learning_rate: of AdamW, without weight decay.
        kl: weight of the distance from the start.
    """

    def __init__(self, checkpoint: Checkpoint, start: Checkpoint, learning_rate: float, kl: float) -> None:
        self.checkpoint, self.kl, self.learning_rate = checkpoint, kl, learning_rate
        self.model = checkpoint.model
        # Without dropout, which draws do not know either: a step is of what was drawn.
        self.learner, self.start = PrefixTreeLoss(self.model).eval(), PrefixTreeLoss(start.model).eval()
        self.optimizers = make_optimizers(self.model, "adamw", learning_rate=learning_rate, weight_decay=0.0)
        sampler = Sampler(checkpoint)
        self.device, self.precision = sampler.device, sampler.precision
        vocabulary_size = int(self.model.config.vocab_size)
        self.forbidden = torch.zeros(vocabulary_size, dtype=torch.bool)
        self.forbidden[suppressed_ids(checkpoint.notation)] = True

    @torch.no_grad()
    def draw(self, prepared: PreparedRequest, block: int) -> np.ndarray:
        """Token ids of a batch, int64 `(n, length)`, from the model as it stands; conditions in place of `<bos>`.

        Args:
            prepared: seed, size and conditions of the batches.
            block: number of the batch.
        """
        # Weights are laid out for drawing when a sampler is made, so that each step takes a new one.
        sampler = Sampler(self.checkpoint)
        request, starts = prepared.request, sampler.starts(prepared, block)
        rows = prepared.rows_of(block)
        ids, _ = sampler.draw_ids(rows, seed=request.seed, block=block, decoding=request.decoding, starts=starts)
        ids = ids.astype(np.int64)
        if starts is not None:
            ids[:, 0] = starts
        return ids

    def learn(self, ids: np.ndarray, reward: np.ndarray, step: int) -> dict[str, float]:
        """Take one step.

        Args:
            ids: of the draws, as `draw` gives them.
            reward: float64 `(n,)`, what each earns.
            step: number of the step, from 0.

        Returns:
            `kl`, nats a draw from the start model, and `entropy`, nats a draw, both before the step.
        """
        longest = int(np.flatnonzero((ids != PAD).any(axis=0)).max()) + 1
        drawn = torch.from_numpy(np.ascontiguousarray(ids[:, :longest])).long()
        with self._autocast():
            with torch.no_grad():
                of_start = self.start.log_prob(drawn, self.forbidden)
            log_prob = self.learner.log_prob(drawn, self.forbidden)
        now = log_prob.detach()
        log_ratio = (now - of_start).double().cpu().numpy()
        weights = torch.from_numpy(advantages(reward, log_ratio, self.kl)).float().to(log_prob.device)
        loss = -(weights * log_prob).mean()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * min(1.0, (step + 1) / _WARMUP)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
        return {"kl": float(log_ratio.mean()), "entropy": float(-now.mean())}

    def _autocast(self) -> torch.autocast:
        """Matrix products in the precision in which samplers draw."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
