"""What a finished run records in `matgen.json`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from matgen.fitting.loop import FitResult
    from matgen.models.objectives import Objective
    from matgen.training.data import TrainingData
    from matgen.training.plan import TrainingPlan


def run_metrics(
    result: FitResult, objective: Objective, steps_per_epoch: int, model: PreTrainedModel
) -> dict[str, Any]:
    """Figures of a run: nats per formula, counts, seconds, and training formulas per second (median)."""
    state = result.state
    return {
        "valid_nats": round(state.best_loss, 4),
        "figure": objective.figure,
        "best_step": state.best_step,
        "steps": state.step,
        "epochs": round(state.step / steps_per_epoch, 3),
        "seconds": round(state.seconds, 1),
        "precision": state.precision,
        "stopped_early": result.stopped_early,
        "formulas_per_second": float(np.median([entry["formulas_per_second"] for entry in state.history])),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def run_metadata(
    plan: TrainingPlan, data: TrainingData, objective: Objective, histogram: list[int], metrics: dict[str, Any]
) -> dict[str, Any]:
    """The content of `matgen.json`.

    Args:
        plan: of the run.
        data: what it learned from.
        objective: by which.
        histogram: training sequences by their number of tokens.
        metrics: as `run_metrics` gives them.
    """
    used = {part: len(rows) for part, rows in data.rows.items()}
    content = {
        "architecture": plan.model,
        "preset": plan.preset,
        "shape": plan.shape and dataclasses.asdict(plan.shape),
        "notation": plan.notation,
        "objective": objective.key,
        "dataset": plan.dataset,
        "dataset_sha256": data.dataset.sha256,
        "published_filter": plan.published_filter,
        "where": plan.where,
        "split": plan.split,
        "condition": list(plan.condition),
        "balance": None if data.balance is None else data.balance.describe(),
        "init": plan.init,
        "formulas": used,
        "formulas_too_long": len(data.dataset.batch) - sum(used.values()),
        "seed": plan.settings.seed,
        "settings": dataclasses.asdict(plan.settings) | {"trackers": list(plan.settings.trackers)},
        "length_histogram": histogram,
        "elements": data.elements(),
        "metrics": metrics,
    }
    return content if data.conditions is None else content | {"conditions": data.conditions.describe()}
