"""One training run, from a dataset's name to a checkpoint folder."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from matgen.errors import OptionError
from matgen.fitting.loop import FitResult, Fitter
from matgen.fitting.state import LATEST, set_weights, weights_of
from matgen.io.files import locked, refuse_to_overwrite, write_checksummed
from matgen.models.checkpoint import METADATA, save_checkpoint
from matgen.models.conditions import attach_conditions, clear_condition_tokens, has_conditions
from matgen.models.objectives import objective_for
from matgen.models.registry import architecture, build_model
from matgen.runtime.processes import Processes
from matgen.runtime.progress import ProgressFactory, silent
from matgen.training.card import model_card
from matgen.training.conditional import with_condition_dropout
from matgen.training.data import training_data
from matgen.training.learner import learner_for
from matgen.training.metadata import run_metadata, run_metrics
from matgen.training.plan import PLAN, TrainingPlan, check_plan, completed, saved_plan
from matgen.training.transfer import continued, unknown_elements
from matgen.training.validation import length_histogram, mean_length_nats, validation_figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from transformers import PreTrainedModel

    from matgen.fitting.examples import Loss, TokenTable
    from matgen.models.objectives import Objective
    from matgen.training.data import TrainingData


@locked("out")
def train_model(
    plan: TrainingPlan,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    progress: ProgressFactory = silent,
    warn: Callable[[list[str]], None] | None = None,
) -> FitResult:
    """Train a model and write its checkpoint.

    Args:
        plan: what to train on what. Ignored where `resume` is on: the saved plan of the run is used.
        out: folder of the checkpoint; training state is in its subfolder `training`.
        resume: resume the interrupted run in `out`.
        force: replace an earlier run in `out`.
        progress: counts the steps.
        warn: receives remarks on the checkpoint that `init` names, and on uneven conditions.

    Returns:
        How it ended. The folder holds a checkpoint unless the run was interrupted.

    Raises:
        OutputError: `out` exists (without `force` or `resume`) or cannot be written.
        CheckpointError: there is nothing to resume, or the run has already ended.
        DataError: the dataset has no usable formula for training or validation.
        OptionError: unknown model, preset, notation or objective, or another architecture than that of `init`.
    """
    out, processes = Path(out), Processes()
    if resume:
        plan = saved_plan(out)
    else:
        plan = completed(plan)  # what it names may change before the run is resumed
        check_plan(plan)
        processes.run_on_main(lambda: refuse_to_overwrite(out, force=force))
    data = training_data(plan)
    if warn and not resume and (remarks := data.advice(plan)):
        warn(remarks)
    if not resume:
        processes.run_on_main(lambda: _start_anew(out, plan))
    run = _Run(plan, data)
    model = run.first_model(warn)
    fitter = Fitter(
        learner_for(run.objective, model),
        data.tables["train"],
        run.training_loss(),
        run.deciding_figure(),
        out,
        plan.settings,
        progress,
        weights=data.balance.train if data.balance else None,
    )
    # A run that ended before its first save starts again, under its own plan.
    result = fitter.run(resume=resume and (out / "training" / LATEST).is_file())
    if result.interrupted:
        return result
    if fitter.sharded:
        model = run.gathered(model, weights_of(fitter.raw_model))  # every process takes part
    if processes.is_main:
        metadata = run.metadata(result, fitter.steps_per_epoch, model)
        save_checkpoint(out, model, metadata, card=model_card(metadata))
    return result


class _Run:
    """A plan and its data, and what both decide: objective, first model, validation figure, metadata.

    Args:
        plan: complete and checked.
        data: of the plan.
    """

    def __init__(self, plan: TrainingPlan, data: TrainingData) -> None:
        self.plan, self.data = plan, data
        self.objective: Objective = objective_for(architecture(plan.model).objective, plan.objective)
        weights = data.balance.train if data.balance else None
        self.histogram = length_histogram(data.tables["train"].lengths.numpy(), weights)

    def first_model(self, warn: Callable[[list[str]], None] | None) -> PreTrainedModel:
        """The model that training begins with."""
        plan, conditions = self.plan, self.data.conditions
        if plan.init is None:
            model = build_model(plan.model, plan.shape or plan.preset, plan.notation, seed=plan.settings.seed)
        else:
            model, remarks = _continued(plan, self.data.elements())
            if remarks and warn:
                warn(remarks)
        if conditions is not None:
            if not has_conditions(model):
                clear_condition_tokens(model)
            attach_conditions(model, conditions)
        return model

    def training_loss(self) -> Loss:
        """What the loop minimizes."""
        if self.data.conditions is None:
            return self.objective.train
        return with_condition_dropout(self.objective.train, self.data.conditions, self.plan.notation)

    def deciding_figure(self) -> Callable[[nn.Module], float]:
        """The figure that decides on the best weights: over the validation part, balanced as training is."""
        balance, table = self.data.balance, self.data.tables["valid"]
        return self._figure(table if balance is None else table.rows(balance.validation_rows()))

    def figure(self, part: str) -> Callable[[nn.Module], float]:
        """The figure of a learner over a part: mean nats per formula, all of which weigh the same."""
        return self._figure(self.data.tables[part])

    def _figure(self, table: TokenTable) -> Callable[[nn.Module], float]:
        drawn = self.objective.draws_length
        length_nats = mean_length_nats(self.histogram, table.lengths.numpy()) if drawn else 0.0
        return validation_figure(table, self.objective, length_nats)

    def gathered(self, model: PreTrainedModel, weights: dict[str, torch.Tensor]) -> PreTrainedModel:
        """A model on one device with the weights of a learner that was sharded over processes."""
        model = type(model)(model.config)
        if self.data.conditions is not None:
            attach_conditions(model, self.data.conditions)
        set_weights(learner_for(self.objective, model), weights)
        return model

    def metadata(self, result: FitResult, steps_per_epoch: int, model: PreTrainedModel) -> dict[str, Any]:
        """The content of `matgen.json`, with the figure of the test part where there is one."""
        metrics = run_metrics(result, self.objective, steps_per_epoch, model)
        learner = learner_for(self.objective, model).eval()
        with torch.no_grad():
            if self.data.balance is not None:
                metrics["valid_nats_balanced"] = metrics["valid_nats"]
                metrics["valid_nats"] = round(self.figure("valid")(learner), 4)
            if "test" in self.data.tables:
                metrics["test_nats"] = round(self.figure("test")(learner), 4)
        return run_metadata(self.plan, self.data, self.objective, self.histogram, metrics)


def _continued(plan: TrainingPlan, elements: list[str]) -> tuple[PreTrainedModel, list[str]]:
    """The model of the checkpoint that a plan goes on from, and remarks for the user."""
    assert plan.init is not None
    model, checkpoint, remarks = continued(plan.init, plan.notation)
    if checkpoint.architecture.key != plan.model:
        raise OptionError(f"{plan.init} is a {checkpoint.architecture.key}, not a {plan.model}: leave out --model")
    return model, remarks + unknown_elements(checkpoint, elements)


def _start_anew(out: Path, plan: TrainingPlan) -> None:
    """Write the plan; what an earlier run left must not pass for this one's, were it interrupted."""
    (out / METADATA).unlink(missing_ok=True)
    shutil.rmtree(out / "training", ignore_errors=True)
    write_checksummed(out / PLAN, dataclasses.asdict(plan))
