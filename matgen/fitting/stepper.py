"""A single training step: forward and backward pass over a batch, shared out over processes, and an update."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.fitting.optimizers import make_optimizers
from matgen.fitting.settings import learning_rate_at
from matgen.fitting.state import shard
from matgen.runtime.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from matgen.fitting.examples import Examples, Loss
    from matgen.fitting.settings import FitSettings

_PROBED_BATCHES = 6


class Stepper:
    """A model with its optimizers and this process's share of the examples.

    Args:
        model: trained in place.
        train: the examples of all processes.
        loss: what to minimize.
        folder: of the run; trackers write to `folder/training`.
        settings: how to train.

    Attributes:
        raw_model: the model on its device, sharded where the settings ask for it.
        model: the same as the loss calls it, wrapped where processes exchange gradients.
        lengths: int64 `(n,)`, of the examples of all processes.
        mean_length: of them.
    """

    def __init__(self, model: nn.Module, train: Examples, loss: Loss, folder: Path, settings: FitSettings) -> None:
        from accelerate import Accelerator

        self.settings, self.loss = settings, loss
        self.processes = Processes()  # before accelerate's, which would look for a GPU
        log_with: Any = list(settings.trackers) or None
        self.accelerator = Accelerator(log_with=log_with, project_dir=str(folder / "training"))
        self.device = self.accelerator.device
        self.lengths = train.lengths.numpy()
        self.mean_length = float(self.lengths.mean())
        # Some models take their batches from the CPU, wherever they are themselves.
        self.batch_device = batch_device(model, self.device)
        # Every process holds the examples that are its own.
        self.train = train.share(self.processes.rank, self.processes.count).to(self.batch_device)
        self.raw_model = model.to(self.device)
        self.sharded = settings.shard and self.processes.count > 1
        if self.sharded:
            shard(self.raw_model, self.processes.count)
        self.optimizers = make_optimizers(
            self.raw_model,
            settings.optimizer,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        # What is sharded exchanges gradients by itself; accelerate would wrap it a second time.
        self.model = self.raw_model if self.sharded else self.accelerator.prepare(self.raw_model)
        self.prepared_optimizers = [self.accelerator.prepare(one) for one in self.optimizers]

    def step(self, rows: np.ndarray, number: int, total_steps: int, precision: str) -> Tensor:
        """One update from a batch.

        Args:
            rows: of the batch, over all processes.
            number: of the step, from 0.
            total_steps: of the run, for the learning rate.
            precision: `bf16` or `fp32`.

        Returns:
            The summed loss of this process's share (of language models, nats), a scalar without gradient.
        """
        settings = self.settings
        rank, world = self.processes.rank, self.processes.count
        self._set_rate(learning_rate_at(number, total_steps, settings))
        # Counter-based seeds: dropout and noise depend on the step alone, so a resumed run sees the same ones.
        torch.manual_seed(_seed(settings.seed, number, rank))
        generator = torch.Generator(device=self.batch_device).manual_seed(_seed(settings.seed + 1, number, rank))
        total = torch.zeros((), device=self.device)
        self.model.train()
        own = rows[rows % world == rank] // world  # row i of all is row i // world of process i % world
        for part in np.array_split(own, settings.accumulate):
            if not len(part) and world == 1:
                continue
            # Processes exchange gradients after every part: one without examples takes part with a weight of nothing.
            with self.autocast(precision):
                loss = self.loss(self.model, self.train.batch(part if len(part) else np.zeros(1, int)), generator)
            loss = loss * bool(len(part))
            # Every example weighs the same; the constant mean length only sets the scale of the gradient. Processes
            # average their gradients, hence the factor `world`.
            self.accelerator.backward(loss * world / (len(rows) * self.mean_length))
            total += loss.detach()
        self.accelerator.clip_grad_norm_(self.model.parameters(), settings.clip)
        for optimizer in self.prepared_optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return total

    def evaluate(self, validate: Callable[[nn.Module], float], precision: str) -> float:
        """A validation figure of the model in evaluation mode."""
        self.model.eval()
        with torch.no_grad(), self.autocast(precision):
            return validate(self.raw_model)

    def autocast(self, precision: str) -> contextlib.AbstractContextManager:
        """Matrix products in bfloat16 where the precision is `bf16`."""
        kind = self.device.type
        # On a GPU a step may be recorded, which takes no weights that were rounded outside of it.
        return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16", cache_enabled=kind != "cuda")

    def seconds_per_step(self, precision: str) -> float:
        """Mean time of a step on batches spread over all lengths, without a change to the weights."""
        by_length = np.argsort(self.train.lengths.cpu().numpy(), kind="stable")
        width = min(math.ceil(self.settings.batch_size / self.processes.count), len(by_length))
        starts = np.linspace(0, len(by_length) - width, _PROBED_BATCHES).astype(int)
        generator = torch.Generator(device=self.batch_device).manual_seed(0)
        self.model.train()
        # The first round warms caches and kernels up; on a GPU the second may record the steps.
        for _ in range(3 if self.device.type == "cuda" else 2):
            times = [self._seconds_of(by_length[start : start + width], generator, precision) for start in starts]
        for optimizer in self.optimizers:
            optimizer.state.clear()
        return 1.05 * sum(times) / len(times)  # a little more for the loop

    def _seconds_of(self, rows: np.ndarray, generator: torch.Generator, precision: str) -> float:
        """Time of one step on rows of this process, at a rate of zero."""
        began = time.perf_counter()
        with self.autocast(precision):
            loss = self.loss(self.model, self.train.batch(rows), generator)
        self.accelerator.backward(loss / len(rows))
        del loss  # while it is alive, the next step cannot be recorded
        self._set_rate(0.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    def _set_rate(self, rate: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate


def batch_device(model: nn.Module, device: torch.device) -> torch.device:
    """Where a model on a device takes its batches from: the CPU where its `batches_on_cpu` says so."""
    return torch.device("cpu") if getattr(model, "batches_on_cpu", False) else device


def _seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)
