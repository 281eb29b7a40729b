"""How to train, and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matgen.errors import OptionError, require_above_zero, unknown_name
from matgen.fitting.optimizers import OPTIMIZERS

PRECISIONS = ("auto", "bf16", "fp32")


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Attributes:
        batch_size: examples per step, over all processes.
        learning_rate: peak of the schedule (linear warm-up, then half a cosine down to zero).
        weight_decay: of AdamW (Loshchilov and Hutter 2019), on matrices only.
        warmup: share of the steps spent warming up.
        epochs: passes over the training set, where `max_minutes` is None.
        max_minutes: wall-clock budget; turned into a number of steps once, when the run starts.
        evaluations: validations over the whole run (fewer where they would take over a fifth of `max_minutes`).
        patience: validations without improvement after which training stops.
        precision: `auto` times both and keeps the faster; `bf16` (autocast) or `fp32`.
        accumulate: parts a batch is computed in, to save memory.
        shard: share parameters, gradients and optimizer out over the processes, for models that no device holds whole.
        clip: largest norm of the gradient.
        optimizer: `adamw` or `muon` (see `make_optimizers`).
        seed: of the order of examples, the noise of objectives, and dropout.
        trackers: names that accelerate knows (tensorboard, wandb, trackio ...).
    """

    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.04
    epochs: float = 10.0
    max_minutes: float | None = None
    evaluations: int = 20
    patience: int = 5
    precision: str = "auto"
    accumulate: int = 1
    shard: bool = False
    clip: float = 1.0
    optimizer: str = "adamw"
    seed: int = 0
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive = ("batch_size", "learning_rate", "epochs", "evaluations", "patience", "accumulate", "clip")
        require_above_zero(self, *positive)
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise OptionError(f"max_minutes is {self.max_minutes}, it must be above 0")
        if self.optimizer not in OPTIMIZERS:
            raise unknown_name("optimizer", self.optimizer, OPTIMIZERS)
        if self.optimizer == "muon" and self.shard:
            raise OptionError("muon needs whole matrices: with shard, take the optimizer adamw")
        if self.precision not in PRECISIONS:
            raise OptionError(f"precision is {self.precision!r}, it must be one of {', '.join(PRECISIONS)}")


def learning_rate_at(step: int, total_steps: int, settings: FitSettings) -> float:
    """Linear warm-up, then half a cosine down to zero at the last step (Loshchilov and Hutter 2017)."""
    warmup = max(1, round(settings.warmup * total_steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
