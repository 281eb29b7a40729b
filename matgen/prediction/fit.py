"""Fitting a predictor: members of one kind, from one property."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.composition.elements import SYMBOLS
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.errors import OptionError, require_above_zero, unknown_name
from matgen.fitting.loop import Fitter
from matgen.fitting.optimizers import BEST_OPTIMIZER
from matgen.fitting.settings import FitSettings
from matgen.io.files import locked, refuse_to_overwrite
from matgen.models.checkpoint import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.prediction.card import predictor_card
from matgen.prediction.language import LanguageNetwork
from matgen.prediction.learned import (
    PropertyExamples,
    TorchMember,
    classification_loss,
    network_outputs,
    regression_loss,
)
from matgen.prediction.locate import find_predictor
from matgen.prediction.measure import measured
from matgen.prediction.network import CompositionNetwork, NetworkSize
from matgen.prediction.predictor import MEMBERS, Member, Predictor, largest_shares
from matgen.prediction.stability import calibrate_selection
from matgen.prediction.stability_fit import fit_stability, stability_figures, stability_rows
from matgen.prediction.trees import fit_trees
from matgen.prediction.uncertainty import Calibration
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch
    from matgen.prediction.training_tables import PropertyData

_SETTINGS = {
    "network": FitSettings(learning_rate=2e-3, weight_decay=0.01, epochs=100.0, patience=8, optimizer=BEST_OPTIMIZER),
    "language_model": FitSettings(learning_rate=5e-4, weight_decay=0.05, epochs=20.0, patience=5),
    "trees": FitSettings(),
}
_OF_HULL = 20_000
"""Compositions whose distance to the hull is calibrated by; a minute of one core."""
_BATCHES_AN_EPOCH = 64
"""Of a small table: a batch of 256 would leave too few steps."""


@dataclass(frozen=True)
class FitPlan:
    """How to fit.

    Attributes:
        kind: of the members: `network` (attention among the elements), `trees` (boosted, on Magpie features) or
            `language_model` (a checkpoint with a head).
        size: of each network.
        members: how many; they differ in their first weights and in the order of examples.
        init: what to go on from: for networks a predictor (folder or bundled name), for language models a checkpoint
            (by default the bundled one).
        settings: of the training of each; their `max_minutes` is that of one member.
        stability: whether trees learn what predicted distances to the hull are worth (`stability_fit`; some minutes),
            of formation energies of a bundled source and with LightGBM.
    """

    kind: str = "network"
    size: NetworkSize = field(default_factory=NetworkSize)
    members: int = 3
    init: str | None = None
    settings: FitSettings = _SETTINGS["network"]
    stability: bool = True

    def __post_init__(self) -> None:
        if self.kind not in MEMBERS:
            raise unknown_name("kind of predictor", self.kind, MEMBERS)
        if self.kind == "trees" and self.init is not None:
            raise OptionError("trees begin anew: leave out --init")
        require_above_zero(self, "members")


def default_fit_settings(kind: str, compositions: int, **changes: Any) -> FitSettings:
    """`FitSettings` for a kind of predictor and so many compositions to learn from; None changes nothing.

    Raises:
        OptionError: an unknown kind.
    """
    if kind not in _SETTINGS:
        raise unknown_name("kind of predictor", kind, _SETTINGS)
    batch_size = int(np.clip(compositions // _BATCHES_AN_EPOCH, 16, 256))
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(_SETTINGS[kind], **{"batch_size": batch_size} | given)


@dataclass(frozen=True)
class _Task:
    """What each member learns: standardised targets, and half of the validation part to stop by."""

    train: CompositionBatch
    target: np.ndarray
    stop: CompositionBatch
    stop_target: np.ndarray
    scale: float
    classify: bool
    plan: FitPlan
    out: Path
    resume: bool

    def error(self, network: Any) -> float:
        """What stops: mean absolute error in the property's unit, or nats of what is true."""
        prediction, _ = network_outputs(network, self.stop)
        if self.classify:
            return float(np.logaddexp(0, np.where(self.stop_target > 0, -prediction, prediction)).mean())
        return float(self.scale * np.abs(prediction - self.stop_target).mean())


@locked("out")
def fit_predictor(
    data: PropertyData,
    plan: FitPlan,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    progress: ProgressFactory = silent,
) -> Predictor | None:
    """Fit a predictor and write it.

    Half of the validation part says when to stop, the other half calibrates the spreads; the test part is only
    measured.

    Args:
        data: what to learn from.
        plan: how.
        out: folder; the state of unfinished members is in `out/training`.
        resume: resume what is unfinished in `out`.
        force: replace an earlier predictor.
        progress: counts the steps of each member.

    Returns:
        The predictor, or None where training was interrupted.

    Raises:
        OutputError: `out` exists (without `force` or `resume`) or cannot be written.
        CheckpointError: there is nothing of the name in `plan.init`.
        OptionError: what `plan.init` names does not fit.
        MissingDependencyError: a library that the kind needs is not installed.
    """
    out = Path(out)
    if not resume:
        refuse_to_overwrite(out, force=force)
    train, target = data.of("train")
    classify = data.task == "classification"
    center = 0.0 if classify else float(np.median(target))
    scale = 1.0 if classify else float(np.abs(target - center).mean()) or 1.0
    held_out, held_out_target = data.of("valid")
    stop = np.flatnonzero(~_unseen(len(held_out)))
    task = _Task(
        train, (target - center) / scale, held_out[stop], (held_out_target[stop] - center) / scale, scale, classify,
        plan, out, resume,
    )  # fmt: skip
    members: list[Member] = []
    trained: list[dict[str, Any]] = []
    for i in range(plan.members):
        fitted = _fit_trees(task, i) if plan.kind == "trees" else _fit_network(task, i, progress)
        if fitted is None:
            return None
        members.append(fitted[0])
        trained.append(fitted[1])
    metadata = _metadata(data, plan, center, scale) | {"training": trained, "parameters": members[0].parameters}
    predictor = Predictor(members, metadata, Calibration(np.zeros(0)), out)
    calibrate(predictor, data, stability=plan.stability)
    metadata["metrics"] = measured(predictor, *data.of("test"))
    predictor.save(out, predictor_card(metadata))
    return predictor


def _metadata(data: PropertyData, plan: FitPlan, center: float, scale: float) -> dict[str, Any]:
    """What is to be known of a predictor besides how its training went."""
    train, target = data.of("train")
    elements, counted = np.unique(train.elements[train.elements > 0], return_counts=True)
    return {
        "kind": plan.kind,
        "property": data.name,
        "task": data.task,
        "source": data.source,
        "unit": data.unit,
        "center": center,
        "scale": scale,
        "lowest": data.lowest,
        "elements": {str(SYMBOLS[z]): int(n) for z, n in zip(elements, counted, strict=True)},
        "range": [float(target.min()), float(target.max())],
        "largest_usual_share": _largest_usual_share(train),
        "formulas": {part: int((data.part == part).sum()) for part in ("train", "valid", "test")},
        "left_out": dict(data.left_out),
        "init": plan.init,
        "settings": dataclasses.asdict(plan.settings) | {"trackers": []},
    }


def _largest_usual_share(batch: CompositionBatch) -> float:
    """Share of the atoms that the most abundant element has in all but one in a thousand compounds."""
    shares = largest_shares(batch)[batch.n_elements > 1]
    return float(np.quantile(shares, 0.999, method="higher")) if len(shares) else 1.0


def calibrate(predictor: Predictor, data: PropertyData, *, stability: bool = True) -> None:
    """Calibrate a predictor's spreads on the half of the validation part that nothing was learned from.

    Also says how much its members usually disagree, and, of formation energies of a bundled source, how wrong
    distances to the hull are by what was predicted and, with LightGBM, by what a composition is (`stability_fit`).
    """
    batch, target = data.of("valid")
    unseen = _unseen(len(batch))
    if predictor.classifies:
        log_odds, _ = predictor.outputs(batch)
        predictor.calibration = Calibration.of_odds(log_odds[:, unseen], target[unseen])
    mean, spread, disagreement = predictor.spread(batch)
    if not predictor.classifies:
        predictor.calibration = Calibration.of((mean - target)[unseen], spread[unseen])
    # Of a single member, which cannot disagree with itself, there is none.
    usual = float(np.quantile(disagreement, 0.99)) if len(predictor.members) > 1 else None
    predictor.metadata["largest_usual_disagreement"] = usual
    if data.name == "formation_energy" and data.source in SOURCES:
        chosen = np.flatnonzero(unseen)[:_OF_HULL]
        phases = labeled_phases(data.source)
        predictor.selection = calibrate_selection(predictor, batch[chosen], target[chosen], phases)
        if stability and find_spec("lightgbm") is not None:
            rows = stability_rows(data.source, batch, target)
            predictor.stability, said = fit_stability(predictor, rows)
            predictor.metadata["stability"] = stability_figures(said, predictor.stability.most_off)


def _unseen(held_out: int) -> np.ndarray:
    """Which rows of the validation part calibrate; the others say when to stop."""
    return np.arange(held_out) % 2 == 1


def _fit_trees(task: _Task, member: int) -> tuple[Member, dict[str, Any]]:
    seed = task.plan.settings.seed + member
    fitted = fit_trees((task.train, task.target), (task.stop, task.stop_target), classify=task.classify, seed=seed)
    return fitted, {"trees": fitted.mean.num_trees()}


def _fit_network(task: _Task, member: int, progress: ProgressFactory) -> tuple[Member, dict[str, Any]] | None:
    """A trained network and how its training went; None where the user interrupted."""
    plan = task.plan
    settings = dataclasses.replace(plan.settings, seed=plan.settings.seed + member)
    folder = task.out / "training" / f"member-{member}"
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = _first_network(plan, member)
    examples = PropertyExamples.of(network, task.train, task.target)
    loss = classification_loss if task.classify else regression_loss
    fitter = Fitter(network, examples, loss, task.error, folder, settings, progress, f"member {member + 1}")
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


def _first_network(plan: FitPlan, member: int) -> Any:
    """The network that training begins with."""
    if plan.kind == "language_model":
        return LanguageNetwork.of(load_checkpoint(find_checkpoint(plan.init)))
    if plan.init is None:
        return CompositionNetwork(plan.size)
    earlier = Predictor.load(find_predictor(plan.init))
    if earlier.metadata["kind"] != "network":
        raise OptionError(f"{plan.init} is a predictor of kind {earlier.metadata['kind']}, not network")
    network = earlier.members[member % len(earlier.members)].network  # type: ignore[attr-defined]
    network.forget_output()
    return network
