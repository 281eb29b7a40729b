"""Fitting a predictor: members of one kind, from one property."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.elements import SYMBOLS
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.io.files import locked, refuse_to_overwrite
from matgen.prediction.card import predictor_card
from matgen.prediction.classes import calibrated_classes
from matgen.prediction.cross_conformal import CrossCalibration, out_of_fold
from matgen.prediction.measure import measured, measured_out_of_fold
from matgen.prediction.members import calibrates, fit_member, require_kind, tasks_of
from matgen.prediction.plan import FitPlan, default_fit_settings
from matgen.prediction.predictor import FEWEST_OF_AN_ELEMENT, Member, Predictor, largest_shares
from matgen.prediction.stability import calibrate_selection
from matgen.prediction.stability_fit import fit_stability, stability_figures, stability_rows
from matgen.prediction.uncertainty import Calibration
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch
    from matgen.prediction.training_tables import PropertyData

__all__ = ["FitPlan", "calibrate", "default_fit_settings", "fit_in_memory", "fit_predictor"]

_OF_HULL = 20_000
"""Compositions whose distance to the hull is calibrated by; a minute of one core."""
_SHARE_OF_AN_ELEMENT = 0.02
"""Of a small table, the share of its compositions with an element from which on the element counts as known."""


@locked("out")
def fit_predictor(
    data: PropertyData,
    plan: FitPlan,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    tuning: dict[str, Any] | None = None,
    progress: ProgressFactory = silent,
) -> Predictor | None:
    """Fit a predictor and write it.

    Half of the validation part says when to stop, the other half calibrates the spreads; the test part is only
    measured. Where the data has folds, every row calibrates in turn (see `cross_conformal`).

    Args:
        data: what to learn from.
        plan: how.
        out: folder; the state of unfinished members is in `out/training`.
        resume: resume what is unfinished in `out`.
        force: replace an earlier predictor.
        tuning: how the plan was found, for the predictor's description.
        progress: counts the steps of each member.

    Returns:
        The predictor, or None where training was interrupted.

    Raises:
        OutputError: `out` exists (without `force` or `resume`) or cannot be written.
        CheckpointError: there is nothing of the name in `plan.init`.
        OptionError: what `plan.init` names does not fit, or the kind cannot learn the data.
        MissingDependencyError: a library that the kind needs is not installed.
    """
    out = Path(out)
    if not resume:
        refuse_to_overwrite(out, force=force)
    predictor = fit_in_memory(data, plan, out / "training", resume=resume, progress=progress)
    if predictor is None:
        return None
    predictor.folder = out
    predictor.metadata["tuning"] = tuning
    predictor.metadata["metrics"] = _metrics(predictor, data)
    predictor.save(out, predictor_card(predictor.metadata))
    return predictor


def fit_in_memory(
    data: PropertyData, plan: FitPlan, training: Path, *, resume: bool = False, progress: ProgressFactory = silent
) -> Predictor | None:
    """`fit_predictor` without writing and measuring: the calibrated predictor, or None where it was interrupted.

    Args:
        data: what to learn from.
        plan: how.
        training: folder of the state of unfinished networks; trees write nothing.
        resume: resume what is unfinished there.
        progress: counts the steps of each member.
    """
    require_kind(data, plan.kind)
    tasks = tasks_of(data, plan, training, resume=resume)
    members: list[Member] = []
    trained: list[dict[str, Any]] = []
    for task in tasks:
        fitted = fit_member(task, progress)
        if fitted is None:
            return None
        members.append(fitted[0])
        trained.append(fitted[1])
    metadata = _metadata(data, plan, tasks[0].center, tasks[0].scale)
    metadata |= {"training": trained, "parameters": members[0].parameters}
    predictor = Predictor(members, metadata, Calibration(np.zeros(0)))
    calibrate(predictor, data, stability=plan.stability)
    return predictor


def _metadata(data: PropertyData, plan: FitPlan, center: float, scale: float) -> dict[str, Any]:
    """What is to be known of a predictor besides how its training went."""
    train, target = data.of("train")
    elements, counted = np.unique(train.elements[train.elements > 0], return_counts=True)
    of_table = {} if data.source in SOURCES else {"fewest_of_an_element": _fewest_of_an_element(len(train))}
    return {
        "kind": plan.kind,
        "property": data.name,
        "task": data.task,
        "classes": None if data.classes is None else list(data.classes),
        "source": data.source,
        "unit": data.unit,
        "center": center,
        "scale": scale,
        "lowest": data.lowest,
        "elements": {str(SYMBOLS[z]): int(n) for z, n in zip(elements, counted, strict=True)},
        **of_table,
        "range": [float(target.min()), float(target.max())],
        "largest_usual_share": _largest_usual_share(train),
        "features": [one.as_json() for one in data.features],
        "formulas": {part: int((data.part == part).sum()) for part in ("train", "valid", "test")},
        "folds": None if data.fold is None else int(data.fold.max()) + 1,
        "left_out": dict(data.left_out),
        "remarks": list(data.remarks),
        "init": plan.init,
        "settings": dataclasses.asdict(plan.settings) | {"trackers": []},
        "trees": dict(plan.trees),
    }


def _fewest_of_an_element(compositions: int) -> int:
    """Compositions with an element from which on it counts as known: few of a small table."""
    return int(np.clip(_SHARE_OF_AN_ELEMENT * compositions, 1, FEWEST_OF_AN_ELEMENT))


def _largest_usual_share(batch: CompositionBatch) -> float:
    """Share of the atoms that the most abundant element has in all but one in a thousand compounds."""
    shares = largest_shares(batch)[batch.n_elements > 1]
    return float(np.quantile(shares, 0.999, method="higher")) if len(shares) else 1.0


def _metrics(predictor: Predictor, data: PropertyData) -> dict[str, Any]:
    """How well the test part is predicted, and of folds what was not learned from in each."""
    metrics = measured(predictor, *data.of("test"))
    if data.fold is not None:
        rows = np.flatnonzero(data.fold >= 0)
        metrics["cross_validation"] = measured_out_of_fold(
            predictor, data.batch[rows], data.target[rows], data.fold[rows]
        )
    return metrics


def calibrate(predictor: Predictor, data: PropertyData, *, stability: bool = True) -> None:
    """Calibrate a predictor's spreads on rows that nothing was learned from: half of the validation part, or all folds.

    Also says how much its members usually disagree, and, of formation energies of a bundled source, how wrong
    distances to the hull are by what was predicted and, with LightGBM, by what a composition is (`stability_fit`).
    """
    if data.fold is not None:
        _calibrate_by_folds(predictor, data)
        return
    batch, target = data.of("valid")
    unseen = calibrates(len(batch))
    if predictor.classifies:
        log_odds, _ = predictor.outputs(batch)
        predictor.calibration = calibrated_classes(log_odds[:, unseen], target[unseen])
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


def _calibrate_by_folds(predictor: Predictor, data: PropertyData) -> None:
    assert data.fold is not None
    rows = np.flatnonzero(data.fold >= 0)
    fold, target = data.fold[rows], data.target[rows]
    means, scales = predictor.outputs(data.batch[rows])
    mean = out_of_fold(means, fold)
    if predictor.classifies:
        predictor.calibration = calibrated_classes(mean[None], target)
    else:
        predictor.calibration = CrossCalibration.of_folds(mean - target, out_of_fold(scales, fold), fold)
    # All members but one have learned from each row, so that they disagree less on it than on others: no limit.
    predictor.metadata["largest_usual_disagreement"] = None
