"""One training run, from a dataset's name to a checkpoint folder."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.datasets import DEFAULT_DATASET, Dataset, load_dataset
from matgen.errors import CheckpointError, DataError, OptionError
from matgen.fitting.examples import TokenTable
from matgen.fitting.loop import FitResult, FitSettings, Fitter
from matgen.fitting.state import set_weights, weights_of
from matgen.io.files import locked, read_checksummed, refuse_to_overwrite, write_checksummed
from matgen.models.checkpoint import METADATA, read_metadata, save_checkpoint
from matgen.models.conditions import forget, tell
from matgen.models.locate import find_checkpoint
from matgen.models.presets import find_preset
from matgen.models.registry import MAX_POSITIONS, Shape, architecture, build_model
from matgen.models.tokenizer import DEFAULT_NOTATION, encode, sequence_lengths, vocabulary
from matgen.runtime.processes import Processes
from matgen.runtime.progress import ProgressFactory, silent
from matgen.training.card import model_card
from matgen.training.conditional import conditional, conditioned
from matgen.training.objectives import (
    OBJECTIVES,
    length_histogram,
    mean_length_nats,
    objective_for,
    validation_figure,
)
from matgen.training.transfer import FEWER_EPOCHS, LOWER_RATE, continued, unknown_elements

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that defines a run besides its folder.

    Attributes:
        model: key of the architecture.
        dataset: name or file, as `load_dataset` takes it.
        notation: `expanded` or `counted`; `auto` for that of `init` or of the preset's file, or else `counted`.
        preset: `tiny`, `small`, `paper`, `large` or a preset's file.
        shape: size of the model; None for that of the preset.
        objective: None for the architecture's own.
        column: formula column of a file, None to find it.
        published_filter: 2-8 elements and at most 30 atoms; None for the dataset's own default.
        where: condition on the dataset's columns, such as `band_gap > 1.98`.
        split: `split` (by formula) or `split_chemsys` (by chemical system).
        condition: properties (columns of the dataset) whose values the model is told; see `models.conditions`.
        init: checkpoint (as `--model` takes it) to go on from; its shape then stands for that of the preset.
        settings: of the training loop.
    """

    model: str = "gptj"
    dataset: str = DEFAULT_DATASET
    notation: str = "auto"
    preset: str = "tiny"
    shape: Shape | None = None
    objective: str | None = None
    column: str | None = None
    published_filter: bool | None = None
    where: str | None = None
    split: str = "split"
    condition: tuple[str, ...] = ()
    init: str | None = None
    settings: FitSettings = field(default_factory=FitSettings)


def default_settings(preset: str, model: str = "gptj", *, transfer: bool = False, **changes: Any) -> FitSettings:
    """`FitSettings` with what a preset says for an architecture, and given changes (None changes nothing).

    Where a run goes on from a checkpoint (`transfer`), rate and epochs are lower: `LOWER_RATE`, `FEWER_EPOCHS`.

    Raises:
        OptionError: unknown architecture or preset.
        DataError: the preset is a file that is missing or damaged.
    """
    base = FitSettings(**find_preset(preset, model).settings)
    if transfer:
        base = dataclasses.replace(
            base, learning_rate=base.learning_rate * LOWER_RATE, epochs=base.epochs * FEWER_EPOCHS
        )
    return dataclasses.replace(base, **{name: value for name, value in changes.items() if value is not None})


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
        resume: go on with an interrupted run in `out`.
        force: replace an earlier run in `out`.
        progress: counts the steps.
        warn: told what the user should know of the checkpoint that `init` names.

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
        plan = _saved_plan(out)
    else:
        plan = completed(plan)  # what it names may change before the run is resumed
        named = objective_for(architecture(plan.model).objective, plan.objective)
        if plan.condition and named != "causal":
            raise OptionError(f"{architecture(plan.model).title} cannot be told of properties: take gpt, gpt2 ... gptj")
        vocabulary(plan.notation)
        processes.run_on_main(lambda: refuse_to_overwrite(out, force=force))
    dataset = load_dataset(
        plan.dataset,
        column=plan.column,
        published_filter=plan.published_filter,
        where=plan.where,
        split=plan.split,
    )
    rows = {name: _usable_rows(dataset, name, plan) for name in ("train", "valid", "test")}
    parts = {name: dataset.batch[chosen] for name, chosen in rows.items()}
    for name in ("train", "valid"):
        if not len(parts[name]):
            raise DataError(f"dataset {plan.dataset} has no formulas for {name}: it holds {len(dataset.batch)} in all")
    tables = {name: TokenTable.from_numpy(*encode(part, plan.notation)) for name, part in parts.items() if len(part)}
    objective_name = objective_for(architecture(plan.model).objective, plan.objective)
    objective = OBJECTIVES[objective_name]
    conditions = None
    if plan.condition:
        conditions = conditioned(plan.condition, dataset, rows, tables, plan.notation)
        objective = conditional(objective, conditions, plan.notation)
    if not resume:
        processes.run_on_main(lambda: _start_anew(out, plan))
    histogram = length_histogram(tables["train"].lengths.numpy())

    def figure(name: str) -> Any:
        lengths = tables[name].lengths.numpy()
        extra = mean_length_nats(histogram, lengths) if objective_name.startswith("masked") else 0.0
        return validation_figure(tables[name], objective, extra)

    model, remarks = _first_model(plan, _elements(parts["train"]))
    if remarks and warn:
        warn(remarks)
    if conditions is not None:
        if not hasattr(model, "start_tokens"):
            forget(model)
        tell(model, conditions)
    learner = objective.wrap(model)
    fitter = Fitter(learner, tables["train"], objective.train, figure("valid"), out, plan.settings, progress)
    # A run that ended before its first save starts again, under its own plan.
    result = fitter.run(resume=resume and (out / "training" / "latest.json").is_file())
    if fitter.sharded and not result.interrupted:
        weights = weights_of(learner)  # every process takes part
        model = type(model)(model.config)
        if conditions is not None:
            tell(model, conditions)
        learner = objective.wrap(model)
        set_weights(learner, weights)
    if result.interrupted or not processes.is_main:
        return result

    metrics: dict[str, Any] = {
        "valid_nats": round(result.state.best_loss, 4),
        "figure": objective.figure,
        "best_step": result.state.best_step,
        "steps": result.state.step,
        "epochs": round(result.state.step / fitter.steps_per_epoch, 3),
        "seconds": round(result.state.seconds, 1),
        "precision": result.state.precision,
        "stopped_early": result.stopped_early,
        "formulas_per_second": float(np.median([h["formulas_per_second"] for h in result.state.history])),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    if "test" in tables:
        import torch

        learner.eval()
        with torch.no_grad():
            metrics["test_nats"] = round(figure("test")(learner), 4)
    metadata = _metadata(plan, dataset, parts, objective_name, histogram, metrics)
    if conditions is not None:
        metadata["conditions"] = conditions.describe()
    save_checkpoint(out, model, metadata, card=model_card(metadata))
    return result


def completed(plan: TrainingPlan) -> TrainingPlan:
    """A plan that says what it left to its preset and its checkpoint: shape and notation.

    Raises:
        OptionError: unknown model or preset.
        DataError: the preset's file is missing or damaged.
        CheckpointError: there is no such checkpoint as `init` names.
    """
    preset = find_preset(plan.preset, plan.model)
    notation = plan.notation
    if notation == "auto" and plan.init is not None:
        notation = read_metadata(find_checkpoint(plan.init))["notation"]
    elif notation == "auto":
        notation = preset.notation or DEFAULT_NOTATION
    return dataclasses.replace(plan, shape=plan.shape or preset.shape, notation=notation)


def _first_model(plan: TrainingPlan, elements: list[str]) -> tuple[PreTrainedModel, list[str]]:
    """The model that training begins with, and remarks for the user."""
    if plan.init is None:
        return build_model(plan.model, plan.shape or plan.preset, plan.notation, seed=plan.settings.seed), []
    model, checkpoint, remarks = continued(plan.init, plan.notation)
    if checkpoint.architecture.key != plan.model:
        raise OptionError(f"{plan.init} is a {checkpoint.architecture.key}, not a {plan.model}: leave out --model")
    return model, remarks + unknown_elements(checkpoint, elements)


def _start_anew(out: Path, plan: TrainingPlan) -> None:
    """Write down what is to be done; what an earlier run left must not pass for this one's, were it interrupted."""
    (out / METADATA).unlink(missing_ok=True)
    shutil.rmtree(out / "training", ignore_errors=True)
    write_checksummed(out / "training" / "plan.json", dataclasses.asdict(plan))


def _usable_rows(dataset: Dataset, part: str, plan: TrainingPlan) -> np.ndarray:
    """Rows of a part that fit into the model's positions; very large ones are left out, which the metadata counts."""
    fits = sequence_lengths(dataset.batch, plan.notation) <= MAX_POSITIONS - 2
    return np.flatnonzero(dataset.part_mask(part) & fits)


def _elements(batch: CompositionBatch) -> list[str]:
    """Symbols of the elements that occur, by atomic number."""
    return [str(symbol) for symbol in SYMBOLS[np.unique(batch.elements[batch.elements > 0])]]


def _metadata(
    plan: TrainingPlan,
    dataset: Dataset,
    parts: dict[str, CompositionBatch],
    objective: str,
    histogram: list[int],
    metrics: dict[str, Any],
) -> dict[str, Any]:
    used = {name: len(part) for name, part in parts.items()}
    return {
        "architecture": plan.model,
        "preset": plan.preset,
        "shape": plan.shape and dataclasses.asdict(plan.shape),
        "notation": plan.notation,
        "objective": objective,
        "dataset": plan.dataset,
        "dataset_sha256": dataset.sha256,
        "published_filter": plan.published_filter,
        "where": plan.where,
        "split": plan.split,
        "condition": list(plan.condition),
        "init": plan.init,
        "formulas": used,
        "formulas_too_long": len(dataset.batch) - sum(used.values()),
        "seed": plan.settings.seed,
        "settings": dataclasses.asdict(plan.settings) | {"trackers": list(plan.settings.trackers)},
        "length_histogram": histogram,
        "elements": _elements(parts["train"]),
        "metrics": metrics,
    }


def _saved_plan(out: Path) -> TrainingPlan:
    if (out / METADATA).is_file():
        raise CheckpointError(f"the run in {out} has ended: there is nothing to resume")
    path = out / "training" / "plan.json"
    if not path.is_file():
        raise CheckpointError(f"nothing to resume in {out}: start without --resume")
    content = read_checksummed(path)
    try:
        return plan_from(content)
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is not a training plan of this version of matgen: {error}") from error


def plan_from(content: dict[str, Any]) -> TrainingPlan:
    """A plan from what `dataclasses.asdict` made of it.

    Raises:
        TypeError, KeyError: it is not one.
    """
    settings = FitSettings(**content["settings"] | {"trackers": tuple(content["settings"]["trackers"])})
    size = content.get("shape") and Shape(**content["shape"])
    condition = tuple(content.get("condition", ()))
    return TrainingPlan(**content | {"settings": settings, "shape": size, "condition": condition})
