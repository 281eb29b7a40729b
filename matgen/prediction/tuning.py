"""Searching for the settings of a predictor, with Optuna: a small search of a stated budget that can be resumed.

Each trial fits members as the predictor's own are fitted and is judged by rows that they have not learned from: half of
the validation part, or the folds. What calibrates the final intervals where there are no folds, and the test part, are
not looked at. The usual settings are the first trial.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import CheckpointError, OptionError
from matgen.fitting.study import JOURNAL, journal_study, require_optuna
from matgen.io.files import locked, refuse_to_overwrite
from matgen.prediction.members import MemberTask, error_of, fit_member, require_kind, tasks_of
from matgen.prediction.plan import FitPlan
from matgen.prediction.trees import usual_parameters
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    import optuna

    from matgen.prediction.training_tables import PropertyData

_FOLDS_OF_NETWORKS = 3
"""Folds that a trial of networks is judged by; trees are quick enough for all."""
_WITHIN_EPOCHS = 5_000
"""Rows to learn from up to which a trial has the plan's epochs; of more, its share of the minutes."""
_SIZE = ("layers", "width")
_OF_TREES = ("learning_rate", "num_leaves", "min_data_in_leaf", "feature_fraction", "bagging_fraction", "lambda_l2")


@dataclass(frozen=True)
class Tuned:
    """How a search ended.

    Attributes:
        plan: with the best settings.
        trials: that have ended.
        first: error of the usual settings.
        error: the least.
        best: the settings that it was of.
        interrupted: whether the user interrupted; the search can be resumed.
    """

    plan: FitPlan
    trials: int
    first: float
    error: float
    best: dict[str, float]
    interrupted: bool = False

    def as_json(self) -> dict[str, Any]:
        """What a predictor's description says of it."""
        return {"trials": self.trials, "error_of_the_usual": self.first, "error": self.error, "best": self.best}


@locked("out")
def tune_plan(
    data: PropertyData,
    plan: FitPlan,
    out: Path | str,
    *,
    trials: int,
    minutes: float,
    resume: bool = False,
    force: bool = False,
    on_trial: Callable[[int, float, dict[str, float]], None] | None = None,
    progress: ProgressFactory = silent,
) -> Tuned:
    """Search for the settings with the least error.

    Args:
        data: what to learn from.
        plan: the kind, and the settings that are tried first.
        out: folder of the predictor; the search is in `out/training/tuning` until the predictor is complete.
        trials: how many are to have ended.
        minutes: no trial is begun after these.
        resume: go on with the search in `out`.
        force: replace an earlier predictor.
        on_trial: called with the number, the error and the settings of each trial.
        progress: counts the steps of each member.

    Raises:
        OptionError: no trials, no minutes, or a kind that has no settings to search.
        OutputError: `out` exists (without `force` or `resume`).
        CheckpointError: the search to resume is of other data or of another kind.
        MissingDependencyError: optuna, or what the kind needs, is not installed.
    """
    if trials < 1 or not minutes > 0:
        raise OptionError(f"a search of {trials} trials in {minutes:g} minutes: both must be above 0")
    if plan.kind == "language_model":
        raise OptionError("--tune searches settings of networks and trees, not of language models")
    require_kind(data, plan.kind)
    require_optuna()
    folder = Path(out) / "training" / "tuning"
    if not resume:
        refuse_to_overwrite(out, force=force)
        shutil.rmtree(folder, ignore_errors=True)
    study = _study(folder, data, plan)
    plan_of_trials = _with_budget(data, plan, minutes / trials)
    began, interrupted = time.monotonic(), False
    while len(_ended(study)) < trials and not interrupted:
        if _ended(study) and time.monotonic() - began > 60 * minutes:
            break
        trial = study.ask()
        chosen = _proposed(trial, plan)
        error = _try(trial, study, data, with_settings(plan_of_trials, chosen), folder, progress)
        interrupted = error is None
        if error is not None and on_trial:
            on_trial(trial.number, error, chosen)
    ended = _ended(study)
    if not ended:
        return Tuned(plan, 0, np.nan, np.nan, {}, True)
    best = min(ended, key=lambda trial: trial.value)
    settings = dict(best.params)
    return Tuned(
        with_settings(plan, settings), len(ended), float(ended[0].value), float(best.value), settings, interrupted
    )


def with_settings(plan: FitPlan, chosen: dict[str, Any]) -> FitPlan:
    """The plan with chosen settings in place of its own."""
    if plan.kind == "trees":
        return dataclasses.replace(plan, trees={**plan.trees, **chosen})
    size = {name: chosen[name] for name in (*_SIZE, "dropout") if name in chosen}
    if "width" in size:
        size["feed_forward"] = size["width"] * plan.size.feed_forward // plan.size.width
    settings = {name: chosen[name] for name in ("learning_rate", "weight_decay")}
    return dataclasses.replace(
        plan,
        size=dataclasses.replace(plan.size, **size),
        settings=dataclasses.replace(plan.settings, **settings),
    )


def _proposed(trial: optuna.Trial, plan: FitPlan) -> dict[str, Any]:
    """The settings that a trial stands for."""
    if plan.kind == "trees":
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 4, 255, log=True),
            "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 1, 50, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.2, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "lambda_l2": trial.suggest_float("lambda_l2", 1e-3, 30.0, log=True),
        }
    chosen: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.3, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
    }
    if plan.init is None:  # else the size is that of what training begins with
        chosen["layers"] = trial.suggest_int("layers", 1, 4)
        chosen["width"] = trial.suggest_categorical("width", (32, 64, 128, 192))
    return chosen


def _usual(data: PropertyData, plan: FitPlan) -> dict[str, Any]:
    """The plan's own settings, as the first trial."""
    if plan.kind == "trees":
        known = usual_parameters(int((data.part == "train").sum()))
        return {name: known.get(name, plan.trees.get(name, 1e-3)) for name in _OF_TREES}
    usual: dict[str, Any] = {
        "learning_rate": plan.settings.learning_rate,
        "weight_decay": plan.settings.weight_decay,
        "dropout": plan.size.dropout,
    }
    return usual | ({"layers": plan.size.layers, "width": plan.size.width} if plan.init is None else {})


def _study(folder: Path, data: PropertyData, plan: FitPlan) -> optuna.Study:
    """The search of a folder.

    Raises:
        CheckpointError: it is of other data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began = (folder / JOURNAL).is_file()
    study = journal_study(folder, seed=plan.settings.seed)
    # By value: rows in another order or with other targets are other data.
    weighed = float(np.sum(data.target * np.arange(1, len(data.target) + 1)))
    identity = f"{plan.kind} {data.name} {len(data.target)} {len(data.features)} {weighed:.6g}"
    if began and study.user_attrs.get("data", identity) != identity:
        raise CheckpointError(f"the search in {folder} is of another table or kind: start without --resume")
    study.set_user_attr("data", identity)
    if not any(trial.state.name in ("COMPLETE", "WAITING") for trial in study.trials):
        study.enqueue_trial(_usual(data, plan))
    return study


def _with_budget(data: PropertyData, plan: FitPlan, minutes: float) -> FitPlan:
    """The plan of each trial, which on large tables trains for its share of the minutes."""
    if plan.kind == "trees" or (data.part == "train").sum() <= _WITHIN_EPOCHS:
        return plan
    return dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, max_minutes=minutes))


def _try(
    trial: optuna.Trial,
    study: optuna.Study,
    data: PropertyData,
    plan: FitPlan,
    folder: Path,
    progress: ProgressFactory,
) -> float | None:
    """The error of a plan on rows that its members have not learned from; None where the user interrupted."""
    import optuna

    scratch = folder / f"trial-{trial.number}"
    state, error = optuna.trial.TrialState.FAIL, None
    try:
        error = _error(tasks_of(data, plan, scratch), progress)
        if error is not None:
            state = optuna.trial.TrialState.COMPLETE
    finally:  # whatever ends it, the journal knows
        study.tell(trial, error, state=state)
        shutil.rmtree(scratch, ignore_errors=True)
    return error


def _error(tasks: list[MemberTask], progress: ProgressFactory) -> float | None:
    data, kind = tasks[0].data, tasks[0].plan.kind
    if data.fold is None:
        tasks = tasks[:1]
    elif kind != "trees":
        tasks = tasks[:_FOLDS_OF_NETWORKS]
    total, rows = 0.0, 0
    for task in tasks:
        fitted = fit_member(task, progress)
        if fitted is None:
            return None
        unseen = task.stop if data.fold is None else np.flatnonzero(data.fold == task.member)
        batch, target = task.rows(unseen)
        said, _ = fitted[0].outputs(batch)
        total += len(unseen) * error_of(said, target, task.scale, classify=task.classify)
        rows += len(unseen)
    return total / rows


def _ended(study: optuna.Study) -> list[Any]:
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]
