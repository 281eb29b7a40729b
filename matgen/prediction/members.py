"""Fitting the members of a predictor: which rows each learns from, stops by and is calibrated on, and its training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.errors import OptionError
from matgen.fitting.loop import Fitter
from matgen.models.checkpoint import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.prediction.featured_network import begin_with, network_for
from matgen.prediction.language import LanguageNetwork
from matgen.prediction.learned import (
    PropertyExamples,
    TorchMember,
    classification_loss,
    network_outputs,
    regression_loss,
)
from matgen.prediction.locate import find_predictor
from matgen.prediction.predictor import Member, Predictor
from matgen.prediction.trees import fit_trees

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch
    from matgen.prediction.plan import FitPlan
    from matgen.prediction.training_tables import PropertyData
    from matgen.runtime.progress import ProgressFactory

_FEW = 100
"""Rows below which two folds stop a training instead of one: a handful would say when by chance."""


@dataclass(frozen=True)
class MemberTask:
    """What one member learns.

    Attributes:
        data: all rows.
        learn: int64, rows to learn from.
        stop: int64, rows to stop by.
        center, scale: that targets are standardised by.
        plan: how.
        member: its number, from 0.
        folder: of the state of an unfinished training.
        resume: resume what is unfinished there.
    """

    data: PropertyData
    learn: np.ndarray
    stop: np.ndarray
    center: float
    scale: float
    plan: FitPlan
    member: int
    folder: Path
    resume: bool = False

    @property
    def classify(self) -> bool:
        """Whether targets are places of classes."""
        return self.data.task == "classification"

    def rows(self, rows: np.ndarray) -> tuple[CompositionBatch, np.ndarray]:
        """Compositions and standardised targets."""
        return self.data.batch[rows], (self.data.target[rows] - self.center) / self.scale

    def error(self, network: Any) -> float:
        """What stops: mean absolute error in the property's unit, or nats of what is true."""
        batch, target = self.rows(self.stop)
        return error_of(network_outputs(network, batch)[0], target, self.scale, classify=self.classify)


def error_of(prediction: np.ndarray, target: np.ndarray, scale: float, *, classify: bool) -> float:
    """Mean absolute error in the property's unit of standardised predictions, or nats of what is true.

    Args:
        prediction: float `(n,)`, or logarithms of odds `(n, classes)`.
        target: float64 `(n,)`, standardised, or places of classes.
        scale: that targets are standardised by.
        classify: whether they are places of classes.
    """
    if not classify:
        return float(scale * np.abs(prediction - target).mean())
    if prediction.ndim == 1:
        return float(np.logaddexp(0, np.where(target > 0, -prediction, prediction)).mean())
    from scipy.special import log_softmax

    return float(-log_softmax(prediction, axis=-1)[np.arange(len(target)), target.astype(np.int64)].mean())


def tasks_of(data: PropertyData, plan: FitPlan, folder: Path, *, resume: bool = False) -> list[MemberTask]:
    """What each member learns: all but its own fold, or where there are no folds each the whole training part.

    Of folds, the next one (of few rows, the next two) says when to stop; else half of the validation part does.
    """
    classify = data.task == "classification"
    known = data.target[data.part != "test"] if data.fold is not None else data.of("train")[1]
    center = 0.0 if classify else float(np.median(known))
    scale = 1.0 if classify else float(np.abs(known - center).mean()) or 1.0

    def task(member: int, learn: np.ndarray, stop: np.ndarray) -> MemberTask:
        return MemberTask(data, learn, stop, center, scale, plan, member, folder / f"member-{member}", resume)

    if data.fold is None:
        learn, held_out = np.flatnonzero(data.part == "train"), np.flatnonzero(data.part == "valid")
        stop = held_out[~calibrates(len(held_out))]
        return [task(member, learn, stop) for member in range(plan.members)]
    folds = int(data.fold.max()) + 1
    ahead = np.where(data.fold < 0, -1, (data.fold[None, :] - np.arange(folds)[:, None]) % folds)  # (folds, n)
    stops = 2 if (data.fold >= 0).sum() < _FEW and folds > 3 else 1
    learns, halts = ahead > stops, (ahead > 0) & (ahead <= stops)  # (folds, n) each
    return [task(member, np.flatnonzero(learns[member]), np.flatnonzero(halts[member])) for member in range(folds)]


def calibrates(held_out: int) -> np.ndarray:
    """Which rows of the validation part calibrate; the others say when to stop."""
    return np.arange(held_out) % 2 == 1


def fit_member(task: MemberTask, progress: ProgressFactory) -> tuple[Member, dict[str, Any]] | None:
    """A member and how its training went; None where the user interrupted.

    Raises:
        OptionError: the plan's kind does not fit the data, or what its `init` names does not.
        MissingDependencyError: a library that the kind needs is not installed.
    """
    return _fit_trees(task) if task.plan.kind == "trees" else _fit_network(task, progress)


def require_kind(data: PropertyData, kind: str) -> None:
    """Raise an `OptionError` where a kind of member cannot learn the data."""
    if kind != "trees" and data.classes is not None and len(data.classes) > 2:
        raise OptionError(f"{data.name} has {len(data.classes)} classes: more than two need --kind trees")
    if kind == "language_model" and data.features:
        raise OptionError("language models read formulas only: with --features take --kind network or trees")


def _fit_trees(task: MemberTask) -> tuple[Member, dict[str, Any]]:
    fitted = fit_trees(
        task.rows(task.learn),
        task.rows(task.stop),
        classify=task.classify,
        seed=task.plan.settings.seed + task.member,
        classes=len(task.data.classes or (0, 1)),
        options=task.plan.trees,
    )
    return fitted, {"trees": fitted.mean.num_trees()}


def _fit_network(task: MemberTask, progress: ProgressFactory) -> tuple[Member, dict[str, Any]] | None:
    plan, folder = task.plan, task.folder
    settings = dataclasses.replace(plan.settings, seed=plan.settings.seed + task.member)
    batch, target = task.rows(task.learn)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = _first_network(plan, batch, task.member)
    examples = PropertyExamples.of(network, batch, target)
    loss = classification_loss if task.classify else regression_loss
    fitter = Fitter(network, examples, loss, task.error, folder, settings, progress, f"member {task.member + 1}")
    result = fitter.run(resume=task.resume and (folder / "training" / "latest.json").is_file())
    if result.interrupted:
        return None
    state = result.state
    return TorchMember(network.cpu()).rounded(), {
        "steps": state.step,
        "seconds": state.seconds,
        "precision": state.precision,
        "history": [[entry["seconds"], entry["epoch"], entry["valid_loss"]] for entry in state.history],
    }


def _first_network(plan: FitPlan, batch: CompositionBatch, member: int) -> Any:
    """The network that training begins with."""
    if plan.kind == "language_model":
        return LanguageNetwork.of(load_checkpoint(find_checkpoint(plan.init)))
    if plan.init is None:
        return network_for(plan.size, batch)
    earlier = Predictor.load(find_predictor(plan.init))
    if earlier.metadata["kind"] != "network":
        raise OptionError(f"{plan.init} is a predictor of kind {earlier.metadata['kind']}, not network")
    known = earlier.members[member % len(earlier.members)].network  # type: ignore[attr-defined]
    network = network_for(known.size, batch)
    begin_with(network, known)
    return network
