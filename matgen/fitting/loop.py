"""The one training loop: batches of like length, bf16 where it is faster, early stop, exact resume after a kill.

It knows nothing of formulas: it is given token tables, a loss and a validation figure. State is kept in
`<folder>/training/` as safetensors and JSON and written whole, so a kill at any moment loses at most the steps since
the last evaluation, and a resumed run ends with the weights of an uninterrupted one, bit for bit on a CPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.errors import CheckpointError, OptionError, first_line, require_above_zero, unknown_name
from matgen.fitting.examples import Examples, batches_of_epoch
from matgen.fitting.optimizers import OPTIMIZERS, make_optimizers
from matgen.fitting.state import (
    FitState,
    load_best,
    load_state,
    optimizer_tensors,
    save_best,
    save_state,
    set_optimizer_tensors,
    set_weights,
    shard,
    weights_of,
)
from matgen.io.files import write_text
from matgen.runtime.processes import Processes
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from torch import Tensor, nn


Loss = Callable[["nn.Module", Any, torch.Generator], "Tensor"]
"""Sum over the examples of a batch of the quantity to minimise (of language models, nats): a scalar."""
PRECISIONS = ("auto", "bf16", "fp32")
_PROBE_STEPS = 6


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Attributes:
        batch_size: examples a step, over all processes.
        learning_rate: peak of the schedule (linear warm-up, then half a cosine down to zero).
        weight_decay: of AdamW (Loshchilov and Hutter 2019), on matrices only.
        warmup: share of the steps spent warming up.
        epochs: passes over the training set, where `max_minutes` is None.
        max_minutes: wall-clock budget; turned into a number of steps once, when the run starts.
        evaluations: validations over the whole run (fewer where they would take over a fifth of `max_minutes`).
        patience: validations without improvement after which training stops.
        precision: `auto` times both and keeps the faster; `bf16` (autocast) or `fp32`.
        accumulate: batches a step is split into, to save memory.
        shard: share parameters, gradients and optimiser out over the processes, for models that no device holds whole.
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


@dataclass(frozen=True)
class FitResult:
    """How a run ended: its state, and whether it was interrupted (and can be resumed) or stopped early."""

    state: FitState
    interrupted: bool
    stopped_early: bool


def learning_rate_at(step: int, total_steps: int, settings: FitSettings) -> float:
    """Linear warm-up, then half a cosine down to zero at the last step (Loshchilov and Hutter 2017)."""
    warmup = max(1, round(settings.warmup * total_steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class Fitter:
    """Trains one model in one folder.

    Args:
        model: trained in place; holds the best weights after `run`.
        train: the examples.
        loss: what to minimise.
        validate: loss on held-out data (of language models, nats an example); called in evaluation mode under the
            training precision.
        folder: state goes to `folder/training/`, figures to `folder/metrics.jsonl`.
        settings: how to train.
        progress: counts the steps.
        description: of the training, in the progress.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Examples,
        loss: Loss,
        validate: Callable[[nn.Module], float],
        folder: Path,
        settings: FitSettings,
        progress: ProgressFactory = silent,
        description: str = "train",
    ) -> None:
        from accelerate import Accelerator

        self.settings, self.folder = settings, Path(folder)
        self.progress, self.description = progress, description
        self.loss, self.validate = loss, validate
        self.processes = Processes()  # before accelerate's, which would look for a GPU
        log_with: Any = list(settings.trackers) or None
        self.accelerator = Accelerator(log_with=log_with, project_dir=str(self.folder / "training"))
        self.lengths = train.lengths.numpy()
        self.mean_length = float(self.lengths.mean())
        self.device = self.accelerator.device
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
        self.state = FitState()
        self._saved_step = -1

    @property
    def steps_per_epoch(self) -> int:
        """Updates a pass over the training set."""
        return math.ceil(len(self.lengths) / self.settings.batch_size)

    def run(self, *, resume: bool = False) -> FitResult:
        """Train to the end of the budget, to an early stop or to an interrupt (Ctrl-C, SIGTERM).

        Raises:
            CheckpointError: `resume` is asked for and there is nothing to resume, or it is damaged or of other data.
        """
        with torch.random.fork_rng(), _interruptible() as interrupted:
            if resume:
                self._load()
            else:
                self._plan()
                self._agree_on_plan()
            if self.settings.trackers:
                self.accelerator.init_trackers("matgen", config=dataclasses.asdict(self.settings) | {"trackers": ""})
            stopped_early = self._loop(interrupted)
            if self.settings.trackers:
                self.accelerator.end_training()
        was_interrupted = not stopped_early and not self.state.finished
        if not was_interrupted:
            self.processes.barrier()
            self._restore_best()
        return FitResult(self.state, was_interrupted, stopped_early)

    def _loop(self, interrupted: threading.Event) -> bool:
        state, settings = self.state, self.settings
        every = max(1, math.ceil(state.total_steps / state.evaluations))
        epoch, batches = -1, []
        examples, nats, started = 0, torch.zeros((), device=self.device), time.monotonic()
        with self.progress(state.total_steps, self.description, "steps", done=state.step) as count:
            while not state.finished and not self.processes.any(interrupted.is_set()) and not self._out_of_patience():
                if state.step // self.steps_per_epoch != epoch:
                    epoch = state.step // self.steps_per_epoch
                    batches = batches_of_epoch(self.lengths, settings.batch_size, settings.seed, epoch)
                rows = batches[state.step % self.steps_per_epoch]
                nats += self._step(rows)
                state.step += 1
                examples += len(rows)
                count.update(1, examples / max(1e-9, time.monotonic() - started))
                if state.step % every == 0 or state.finished:
                    nats = self.accelerator.reduce(nats, reduction="sum")
                    loss = float(nats) / examples  # waits for a GPU to have done it all
                    seconds = time.monotonic() - started
                    self._evaluate(loss, examples / seconds, seconds)
                    count.note(state.history[-1])
                    examples, nats, started = 0, torch.zeros_like(nats), time.monotonic()
            if not state.finished and not self._out_of_patience():
                self._save()
        return self._out_of_patience() and not state.finished

    def _step(self, rows: np.ndarray) -> Tensor:
        """One update from a batch; returns the summed nats of this process's share, detached."""
        settings, step = self.settings, self.state.step
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, self.state.total_steps, settings)
        rank, world = self.processes.rank, self.processes.count
        # Counter-based seeds: dropout and noise depend on the step alone, so a resumed run sees the same ones.
        torch.manual_seed(_seed(settings.seed, step, rank))
        generator = torch.Generator(device=self.batch_device).manual_seed(_seed(settings.seed + 1, step, rank))
        total = torch.zeros((), device=self.device)
        self.model.train()
        own = rows[rows % world == rank] // world
        for part in np.array_split(own, settings.accumulate):
            if not len(part) and world == 1:
                continue
            # Processes exchange gradients after every part: one without examples takes part with a weight of nothing.
            with self._autocast():
                nats = self.loss(self.model, self.train.batch(part if len(part) else np.zeros(1, int)), generator)
            nats = nats * bool(len(part))
            # Every formula weighs the same; the constant mean length only sets the scale of the gradient.
            self.accelerator.backward(nats * world / (len(rows) * self.mean_length))
            total += nats.detach()
        self.accelerator.clip_grad_norm_(self.model.parameters(), settings.clip)
        for optimizer in self.prepared_optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return total

    def _evaluate(self, train_loss: float, examples_per_second: float, seconds: float) -> None:
        state = self.state
        began = time.monotonic()
        valid_loss = self._validate()
        state.seconds += seconds + time.monotonic() - began
        state.history.append(
            {
                "step": state.step,
                "epoch": round(state.step / self.steps_per_epoch, 4),
                "train_loss": round(train_loss, 5),
                "valid_loss": round(valid_loss, 5),
                "learning_rate": learning_rate_at(state.step - 1, state.total_steps, self.settings),
                "formulas_per_second": round(examples_per_second, 1),
                "seconds": round(state.seconds, 2),
            }
        )
        if self.settings.trackers:
            self.accelerator.log(state.history[-1], step=state.step)
        if valid_loss < state.best_loss:
            state.best_loss, state.best_step = valid_loss, state.step
            self._save_best()
        self._save()

    def _validate(self) -> float:
        self.model.eval()
        with torch.no_grad(), self._autocast():
            return self.validate(self.raw_model)

    def _out_of_patience(self) -> bool:
        later = [entry for entry in self.state.history if entry["step"] > self.state.best_step]
        return len(later) >= self.settings.patience

    def _autocast(self, precision: str | None = None) -> contextlib.AbstractContextManager:
        enabled = (precision or self.state.precision) == "bf16"
        kind = self.device.type
        # On a GPU a step may be recorded, which takes no weights that were rounded outside of it.
        return torch.autocast(kind, torch.bfloat16, enabled=enabled, cache_enabled=kind != "cuda")

    def _plan(self) -> None:
        """Choose precision and number of steps, once; both are saved so that a resumed run keeps them."""
        settings = self.settings
        candidates = ("fp32", "bf16") if settings.precision == "auto" else (settings.precision,)
        if settings.precision == "auto" and settings.max_minutes is None and len(self.lengths) < 2_000:
            candidates = ("fp32",)  # too little work for the choice to matter
        needs_timing = len(candidates) > 1 or settings.max_minutes is not None
        seconds = {name: self._seconds_per_step(name) for name in candidates} if needs_timing else {candidates[0]: 0.0}
        self.state.precision = min(seconds, key=lambda name: seconds[name])
        self.state.evaluations = settings.evaluations
        if settings.max_minutes is None:
            self.state.total_steps = math.ceil(settings.epochs * self.steps_per_epoch)
            return
        began = time.monotonic()
        self._validate()
        cost, budget = time.monotonic() - began, settings.max_minutes * 60
        # Validating takes a fifth of a short budget at most.
        self.state.evaluations = int(min(settings.evaluations, max(1, 0.2 * budget / cost)))
        budget -= self.state.evaluations * cost
        self.state.total_steps = max(1, int(budget / seconds[self.state.precision]))

    def _agree_on_plan(self) -> None:
        """Processes that timed differently all follow the first."""
        from accelerate.utils import broadcast_object_list

        plan = broadcast_object_list([self.state.precision, self.state.evaluations, self.state.total_steps])
        self.state.precision, self.state.evaluations, self.state.total_steps = plan

    def _seconds_per_step(self, precision: str) -> float:
        """Mean time of a step on batches spread over all lengths, without a change to the weights."""
        by_length = np.argsort(self.train.lengths.cpu().numpy(), kind="stable")
        width = min(math.ceil(self.settings.batch_size / self.processes.count), len(by_length))
        starts = np.linspace(0, len(by_length) - width, _PROBE_STEPS).astype(int)
        generator = torch.Generator(device=self.batch_device).manual_seed(0)
        self.model.train()
        # The first round warms caches and kernels up; on a GPU the second may record the steps.
        for _ in range(3 if self.device.type == "cuda" else 2):
            times = []
            for start in starts:
                began = time.perf_counter()
                with self._autocast(precision):
                    nats = self.loss(self.model, self.train.batch(by_length[start : start + width]), generator)
                self.accelerator.backward(nats / width)
                del nats  # while it is alive, the next step cannot be recorded
                self._step_in_place()
                if self.device.type == "cuda":
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - began)
        for optimizer in self.optimizers:
            optimizer.state.clear()
        return 1.05 * sum(times) / len(times)  # a little more for the loop

    def _step_in_place(self) -> None:
        """What a step of the optimisers costs, at a rate of zero."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.0
            optimizer.step()
            optimizer.zero_grad()

    def _save(self) -> None:
        """Save where the run stands; every process takes part."""
        if self.state.step == self._saved_step:
            return
        weights, optimizer = weights_of(self.raw_model), optimizer_tensors(self.raw_model, self.optimizers)
        self._saved_step = self.state.step
        if self.processes.is_main:
            save_state(self.folder / "training", self.state, len(self.lengths), weights, optimizer)
            lines = "".join(json.dumps(entry) + "\n" for entry in self.state.history)
            write_text(self.folder / "metrics.jsonl", lines)

    def _save_best(self) -> None:
        weights = weights_of(self.raw_model)
        if self.processes.is_main:
            save_best(self.folder / "training", weights)

    def _load(self) -> None:
        training = self.folder / "training"
        self.state, weights, optimizer = load_state(training, len(self.lengths))
        try:
            set_weights(self.raw_model, weights)
            set_optimizer_tensors(self.raw_model, self.optimizers, optimizer)
        except (KeyError, RuntimeError) as error:  # other names, other shapes
            raise CheckpointError(f"cannot resume from {training}: {first_line(error)}") from error
        self._saved_step = self.state.step

    def _restore_best(self) -> None:
        if self.state.best_step < 0 or self.state.best_step == self.state.step:
            return
        best = load_best(self.folder / "training")
        if best is not None:
            set_weights(self.raw_model, best)


def batch_device(model: nn.Module, device: torch.device) -> torch.device:
    """Where a model on a device takes its batches from: the CPU where its `batches_on_cpu` says so."""
    return torch.device("cpu") if getattr(model, "batches_on_cpu", False) else device


def _seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that the loop ends after a whole step; a second Ctrl-C ends at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def note(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
