"""What defines a training run besides its folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matgen.datasets import DEFAULT_DATASET
from matgen.errors import CheckpointError, OptionError
from matgen.fitting.settings import FitSettings
from matgen.models.checkpoint import read_metadata, read_unfinished
from matgen.models.locate import find_checkpoint
from matgen.models.objectives import objective_for
from matgen.models.presets import find_preset
from matgen.models.registry import MODELS, architecture
from matgen.models.shapes import Shape
from matgen.models.tokenizer import DEFAULT_NOTATION, vocabulary
from matgen.training.balance import DEFAULT_EXPONENT, check_balance
from matgen.training.transfer import FEWER_EPOCHS, LOWER_RATE

PLAN = Path("training") / "plan.json"
"""The plan in the folder of a run, from which the run is resumed."""


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that defines a run besides its folder.

    Attributes:
        model: key of the architecture.
        dataset: name or file, as `load_dataset` takes it.
        notation: `expanded` or `counted`; `auto` for that of `init` or of the preset's file, or else `counted`.
        preset: `tiny`, `small`, `paper`, `large` or a preset's file.
        shape: size of the model; None for that of the preset.
        objective: name in `OBJECTIVES`; None for the architecture's own.
        column: formula column of a file, None to find it.
        published_filter: 2-8 elements and at most 30 atoms; None for the dataset's own default.
        where: condition on the dataset's columns, such as `band_gap > 1.98`.
        split: `split` (by formula) or `split_chemsys` (by chemical system).
        condition: properties (columns of the dataset) to condition the model on; see `models.conditions`.
        balance: family that rows are weighed by the size of, `anonymous_formula` or `condition`; None for equal
            weights. See `matgen.training.balance`.
        balance_exponent: rows of a family of `n` weigh `n ** -balance_exponent`.
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
    balance: str | None = None
    balance_exponent: float = DEFAULT_EXPONENT
    init: str | None = None
    settings: FitSettings = field(default_factory=FitSettings)


def default_settings(preset: str, model: str = "gptj", *, transfer: bool = False, **changes: Any) -> FitSettings:
    """`FitSettings` of a preset for an architecture, with the given changes (None changes nothing).

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


def completed(plan: TrainingPlan) -> TrainingPlan:
    """A plan with shape and notation filled in from its preset and its checkpoint.

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


def check_plan(plan: TrainingPlan) -> None:
    """Refuse a plan that no model can be trained by.

    Raises:
        OptionError: unknown model, notation or balance, an objective that does not fit the model, or conditions that
            it cannot take.
    """
    row = architecture(plan.model)
    objective_for(row.objective, plan.objective)
    if plan.condition and not row.takes_conditions:
        possible = ", ".join(one.key for one in MODELS.values() if one.takes_conditions)
        raise OptionError(f"{row.title} cannot be conditioned on properties: take one of {possible}")
    vocabulary(plan.notation)
    check_balance(plan.balance, plan.balance_exponent, plan.condition)


def saved_plan(out: Path) -> TrainingPlan:
    """The plan of the interrupted run in a folder.

    Raises:
        CheckpointError: there is none, the run has ended, or the plan is of another version of matgen.
    """
    content = read_unfinished(out, PLAN)
    try:
        return plan_from(content)
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{out / PLAN} is not a training plan of this version of matgen: {error}") from error


def plan_from(content: dict[str, Any]) -> TrainingPlan:
    """A plan from what `dataclasses.asdict` made of it.

    Raises:
        TypeError, KeyError: it is not one.
    """
    settings = FitSettings(**content["settings"] | {"trackers": tuple(content["settings"]["trackers"])})
    size = content.get("shape") and Shape(**content["shape"])
    condition = tuple(content.get("condition", ()))
    return TrainingPlan(**content | {"settings": settings, "shape": size, "condition": condition})
