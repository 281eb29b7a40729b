"""The one training loop: batches of like length, bf16 where it is faster, early stop, exact resume after a kill.

It knows nothing of formulas: it is given examples, a loss and a validation figure. State is kept in
`<folder>/training/` as safetensors and JSON, each file complete or not there, so a kill at any moment loses at most the
steps since the last evaluation, and a resumed run ends with the weights of an uninterrupted one, bit for bit on a CPU.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.errors import CheckpointError, first_line
from matgen.fitting.budget import decide_budget
from matgen.fitting.examples import Examples, Loss, batches_of_epoch
from matgen.fitting.interrupt import interruptible
from matgen.fitting.settings import FitSettings, learning_rate_at
from matgen.fitting.state import (
    FitState,
    load_best,
    load_state,
    optimizer_tensors,
    save_best,
    save_state,
    set_optimizer_tensors,
    set_weights,
    weights_of,
)
from matgen.fitting.stepper import Stepper
from matgen.io.files import write_text
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FitResult:
    """How a run ended: its state, and whether it was interrupted (and can be resumed) or stopped early."""

    state: FitState
    interrupted: bool
    stopped_early: bool


class Fitter:
    """Trains one model in one folder.

    Args:
        model: trained in place; holds the best weights after `run`.
        train: the examples.
        loss: what to minimize.
        validate: loss on held-out data (of language models, nats per example); called in evaluation mode under the
            training precision.
        folder: state goes to `folder/training/`, figures to `folder/metrics.jsonl`.
        settings: how to train.
        progress: counts the steps.
        description: of the training, in the progress.
        weights: float64 `(n,)`, how often each example is learned from, see `batches_of_epoch`; None for all alike.
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
        weights: np.ndarray | None = None,
    ) -> None:
        self.settings, self.folder, self.validate = settings, Path(folder), validate
        self.progress, self.description, self.weights = progress, description, weights
        self.stepper = Stepper(model, train, loss, self.folder, settings)
        self.processes, self.raw_model = self.stepper.processes, self.stepper.raw_model
        self.state = FitState()
        self._saved_step = -1
        self._batches: tuple[int, list[np.ndarray]] = (-1, [])

    @property
    def sharded(self) -> bool:
        """Whether parameters are shared out over processes."""
        return self.stepper.sharded

    @property
    def steps_per_epoch(self) -> int:
        """Updates per pass over the training set."""
        return math.ceil(len(self.stepper.lengths) / self.settings.batch_size)

    def run(self, *, resume: bool = False) -> FitResult:
        """Train to the end of the budget, to an early stop or to an interrupt (Ctrl-C, SIGTERM).

        Raises:
            CheckpointError: `resume` is asked for and there is nothing to resume, or it is damaged or of other data.
        """
        accelerator = self.stepper.accelerator
        with torch.random.fork_rng(), interruptible() as interrupted:
            if resume:
                self._load()
            else:
                decide_budget(self.state, self.stepper, self._validate, self.settings, self.steps_per_epoch)
            if self.settings.trackers:
                accelerator.init_trackers("matgen", config=dataclasses.asdict(self.settings) | {"trackers": ""})
            stopped_early = self._loop(interrupted)
            if self.settings.trackers:
                accelerator.end_training()
        was_interrupted = not stopped_early and not self.state.finished
        if not was_interrupted:
            self.processes.barrier()
            self._restore_best()
        return FitResult(self.state, was_interrupted, stopped_early)

    def run_whole(self, *, resume: bool = False) -> FitResult:
        """`run`, for a model that is none until it has learned all.

        Raises:
            KeyboardInterrupt: it was interrupted; what goes on is the state in the folder.
            CheckpointError: as `run` raises.
        """
        result = self.run(resume=resume)
        if result.interrupted:
            raise KeyboardInterrupt
        return result

    def _loop(self, interrupted: threading.Event) -> bool:
        """Steps and evaluations to the end; True where patience ended the run early."""
        state = self.state
        every = max(1, math.ceil(state.total_steps / state.evaluations))
        examples, loss, started = 0, torch.zeros((), device=self.stepper.device), time.monotonic()
        with self.progress(state.total_steps, self.description, "steps", done=state.step) as count:
            while not state.finished and not self.processes.any(interrupted.is_set()) and not self._out_of_patience():
                rows = self._rows_of(state.step)
                loss += self.stepper.step(rows, state.step, state.total_steps, state.precision)
                state.step += 1
                examples += len(rows)
                count.update(1, examples / max(1e-9, time.monotonic() - started))
                if state.step % every == 0 or state.finished:
                    loss = self.stepper.accelerator.reduce(loss, reduction="sum")
                    mean = float(loss) / examples  # waits for a GPU to have done it all
                    seconds = time.monotonic() - started
                    self._evaluate(mean, examples / seconds, seconds)
                    count.note(state.history[-1])
                    examples, loss, started = 0, torch.zeros_like(loss), time.monotonic()
            if not state.finished and not self._out_of_patience():
                self._save()
        return self._out_of_patience() and not state.finished

    def _rows_of(self, step: int) -> np.ndarray:
        """Rows of a step's batch, over all processes."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._batches[0] != epoch:
            settings = self.settings
            batches = batches_of_epoch(self.stepper.lengths, settings.batch_size, settings.seed, epoch, self.weights)
            self._batches = (epoch, batches)
        return self._batches[1][place]

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
            self.stepper.accelerator.log(state.history[-1], step=state.step)
        if valid_loss < state.best_loss:
            state.best_loss, state.best_step = valid_loss, state.step
            self._save_best()
        self._save()

    def _validate(self) -> float:
        return self.stepper.evaluate(self.validate, self.state.precision)

    def _out_of_patience(self) -> bool:
        later = [entry for entry in self.state.history if entry["step"] > self.state.best_step]
        return len(later) >= self.settings.patience

    def _save(self) -> None:
        """Save where the run stands; every process takes part."""
        if self.state.step == self._saved_step:
            return
        weights = weights_of(self.raw_model)
        optimizer = optimizer_tensors(self.raw_model, self.stepper.optimizers)
        self._saved_step = self.state.step
        if self.processes.is_main:
            save_state(self.folder / "training", self.state, len(self.stepper.lengths), weights, optimizer)
            lines = "".join(json.dumps(entry) + "\n" for entry in self.state.history)
            write_text(self.folder / "metrics.jsonl", lines)

    def _save_best(self) -> None:
        weights = weights_of(self.raw_model)
        if self.processes.is_main:
            save_best(self.folder / "training", weights)

    def _load(self) -> None:
        training = self.folder / "training"
        self.state, weights, optimizer = load_state(training, len(self.stepper.lengths))
        try:
            set_weights(self.raw_model, weights)
            set_optimizer_tensors(self.raw_model, self.stepper.optimizers, optimizer)
        except (KeyError, RuntimeError) as error:  # other names, other shapes
            raise CheckpointError(f"cannot resume from {training}: {first_line(error)}") from error
        self._saved_step = self.state.step

    def _restore_best(self) -> None:
        if self.state.best_step < 0 or self.state.best_step == self.state.step:
            return
        best = load_best(self.folder / "training")
        if best is not None:
            set_weights(self.raw_model, best)
