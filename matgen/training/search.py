"""Searching for a model's size and the settings of its training, with Optuna.

Every trial trains a model for the same minutes (or epochs), so that a larger model must earn its slower steps. The
tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) proposes, the median rule stops a trial whose
validation loss is worse than that of half of the others at the same share of the budget. Trials are kept in a journal,
a file of JSON lines, from which the search goes on after a kill and which several processes may share.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import CheckpointError, OptionError
from matgen.fitting.study import JOURNAL, journal_study, require_optuna
from matgen.io.files import atomic_write, read_checksummed, refuse_to_overwrite, write_checksummed
from matgen.models.presets import Preset, find_preset, write_preset
from matgen.models.registry import architecture
from matgen.models.shapes import Choices, Range, Shape
from matgen.runtime.progress import Progress, SilentProgress
from matgen.training.plan import TrainingPlan, check_plan, completed, default_settings, plan_from
from matgen.training.run import train_model

if TYPE_CHECKING:
    import optuna

PLAN, TRIALS, PRESET = "search.json", "trials.csv", "preset.json"
"""Files of a search in its folder, beside the journal."""

_SETTINGS = ("learning_rate", "weight_decay", "batch_size")


@dataclass(frozen=True)
class SearchPlan:
    """What is searched.

    Attributes:
        training: model, dataset, notation and budget of each trial; its preset is tried first.
        names: quantities to search, of the architecture's `search`; the others stay as the preset has them. None: all.
    """

    training: TrainingPlan
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        known = architecture(self.training.model).search
        strange = sorted(set(self.names or ()) - set(known))
        if strange:
            raise OptionError(f"cannot search {', '.join(strange)}; known: {', '.join(known)}")

    @cached_property
    def first(self) -> Preset:
        """The preset that is tried first, whose values stand wherever nothing is searched."""
        return find_preset(self.training.preset, self.training.model)

    def space(self) -> dict[str, Choices]:
        """What is tried for each quantity."""
        known = architecture(self.training.model).search
        return {name: known[name] for name in self.names or known}


@dataclass(frozen=True)
class SearchResult:
    """How a search stands: trials that ended and were stopped early, the best one, and whether it was interrupted.

    `best_nats` is None as long as no trial has ended.
    """

    ended: int
    pruned: int
    best_nats: float | None
    best: Preset | None
    interrupted: bool


def search(
    plan: SearchPlan,
    out: Path | str,
    *,
    trials: int,
    minutes: float | None = None,
    resume: bool = False,
    force: bool = False,
    trials_before_pruning: int = 4,
    on_trial: Callable[[int, float | None, Preset], None] | None = None,
) -> SearchResult:
    """Search until `trials` have ended or `minutes` have passed; writes `preset.json` and `trials.csv` into `out`.

    Args:
        plan: what to search. Ignored where `resume` is on: that of the search in `out` is used.
        out: folder of the search.
        trials: how many are to have ended, over all processes that share the folder.
        minutes: no trial is begun after these.
        resume: resume the search in `out`, or join it.
        force: replace an earlier search in `out`.
        trials_before_pruning: how many must have ended before one is stopped early.
        on_trial: called with the number, the validation loss (None where it was stopped) and the preset of each trial.

    Raises:
        OptionError: no trials asked for, or a plan that no model can be trained by.
        OutputError: `out` exists (without `force` or `resume`).
        CheckpointError: there is no search to resume.
        MissingDependencyError: optuna is not installed.
    """
    out = Path(out)
    if trials < 1:
        raise OptionError(f"trials is {trials}, it must be above 0")
    plan = _saved_plan(out) if resume else dataclasses.replace(plan, training=completed(plan.training))
    check_plan(plan.training)
    study = _study(plan, out, resume=resume, force=force, trials_before_pruning=trials_before_pruning)
    began, interrupted = time.monotonic(), False
    while _count(study, "COMPLETE", "PRUNED") < trials and not interrupted:
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            break
        trial = study.ask()
        preset = _proposed(trial, plan)
        nats, interrupted = _try(trial, study, preset, plan, out / "trials" / f"{trial.number:04d}")
        if not interrupted:
            _write(study, plan, out)
            if on_trial:
                on_trial(trial.number, nats, preset)
    return _result(study, plan, interrupted)


def _try(
    trial: optuna.Trial, study: optuna.Study, preset: Preset, plan: SearchPlan, folder: Path
) -> tuple[float | None, bool]:
    """Train as proposed: the validation loss (None where the trial was stopped), and whether the user interrupted."""
    import optuna

    settings = dataclasses.replace(
        plan.training.settings, **{name: preset.settings[name] for name in _SETTINGS if name in preset.settings}
    )
    training = dataclasses.replace(plan.training, shape=preset.shape, settings=settings)
    state, nats, interrupted = optuna.trial.TrialState.FAIL, None, True
    try:
        result = train_model(training, folder, force=True, progress=_Report(trial))
        interrupted = result.interrupted
        if not interrupted and math.isfinite(result.state.best_loss):
            state, nats = optuna.trial.TrialState.COMPLETE, result.state.best_loss
    except optuna.TrialPruned:
        state, interrupted = optuna.trial.TrialState.PRUNED, False
    finally:  # whatever ends it, the journal knows
        study.tell(trial, nats, state=state)
        shutil.rmtree(folder, ignore_errors=True)
    return nats, interrupted


class _Report(SilentProgress):
    """Reports every validation to a trial, and ends its training where the others were better by then."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial, self.validations = trial, 0

    def __call__(self, total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
        """The count of the trial's steps."""
        return self

    def note(self, figures: dict[str, float]) -> None:
        """Report a validation."""
        import optuna

        self.validations += 1
        self.trial.report(figures["valid_loss"], self.validations)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _study(plan: SearchPlan, out: Path, *, resume: bool, force: bool, trials_before_pruning: int) -> optuna.Study:
    require_optuna()
    training = plan.training
    if not resume:
        refuse_to_overwrite(out, force=force)
        for name in (JOURNAL, f"{JOURNAL}.lock", TRIALS, PRESET):
            (out / name).unlink(missing_ok=True)
        write_checksummed(out / PLAN, dataclasses.asdict(plan))
    study = journal_study(
        out,
        seed=training.settings.seed,
        # Every trial gets two validations before it is compared.
        pruner=lambda pruners: pruners.MedianPruner(n_startup_trials=trials_before_pruning, n_warmup_steps=2),
    )
    if not study.trials:
        study.enqueue_trial(_as_parameters(plan.first, plan.space()))
    return study


def _as_parameters(preset: Preset, space: dict[str, Choices]) -> dict[str, Any]:
    """A preset as the first trial: what of it lies in the space."""
    size = preset.shape
    settings = dataclasses.asdict(default_settings(preset.name, preset.model))
    values = settings | dataclasses.asdict(size) | {"head_width": size.width // size.heads}
    inside = {}
    for name, choices in space.items():
        value = values[name]
        if choices.low <= value <= choices.high if isinstance(choices, Range) else value in choices:
            inside[name] = value
    return inside


def _proposed(trial: optuna.Trial, plan: SearchPlan) -> Preset:
    """The preset that a trial stands for."""
    chosen: dict[str, Any] = {}
    for name, choices in plan.space().items():
        if isinstance(choices, Range):
            chosen[name] = trial.suggest_float(name, choices.low, choices.high, log=choices.log)
        else:
            chosen[name] = trial.suggest_categorical(name, choices)
    return _preset(chosen, plan)


def _preset(chosen: dict[str, Any], plan: SearchPlan) -> Preset:
    """The first preset with chosen values in place of its own."""
    first, size = plan.first, plan.first.shape
    width = chosen.get("width", size.width)
    shape = Shape(
        layers=chosen.get("layers", size.layers),
        heads=width // chosen.get("head_width", size.width // size.heads),
        width=width,
        feed_forward=width * size.feed_forward // size.width,
        dropout=chosen.get("dropout", size.dropout),
        initializer=chosen.get("initializer", size.initializer),
    )
    settings = first.settings | {name: chosen[name] for name in _SETTINGS if name in chosen}
    return Preset(PRESET, plan.training.model, shape, settings, plan.training.notation)


def _count(study: optuna.Study, *states: str) -> int:
    return sum(trial.state.name in states for trial in study.trials)


def _result(study: optuna.Study, plan: SearchPlan, interrupted: bool) -> SearchResult:
    ended, pruned = _count(study, "COMPLETE"), _count(study, "PRUNED")
    if not ended:
        return SearchResult(ended, pruned, None, None, interrupted)
    best = _preset(study.best_trial.params, plan)
    return SearchResult(ended, pruned, study.best_value, best, interrupted)


def _write(study: optuna.Study, plan: SearchPlan, out: Path) -> None:
    """Write the trials so far and the best of them."""
    with atomic_write(out / TRIALS) as path:
        study.trials_dataframe(("number", "state", "value", "duration", "params")).to_csv(path, index=False)
    result = _result(study, plan, interrupted=False)
    if result.best is not None:
        budget = plan.training.settings
        write_preset(
            out / PRESET,
            result.best,
            dataset=plan.training.dataset,
            valid_nats=result.best_nats,
            trial_budget={"max_minutes": budget.max_minutes, "epochs": None if budget.max_minutes else budget.epochs},
            trials={"ended": result.ended, "pruned": result.pruned},
        )


def _saved_plan(out: Path) -> SearchPlan:
    if not (out / PLAN).is_file():
        raise CheckpointError(f"no search to resume in {out}: start without --resume")
    content = read_checksummed(out / PLAN)
    try:
        names = content["names"]
        return SearchPlan(plan_from(content["training"]), None if names is None else tuple(names))
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{out / PLAN} is not a search of this version of matgen: {error}") from error
