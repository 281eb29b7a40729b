"""Fitting an ensemble of networks to one property."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.chemistry import SYMBOLS
from matgen.files import refuse_to_overwrite
from matgen.fitting import FitSettings, Fitter
from matgen.predict.card import predictor_card
from matgen.predict.network import CompositionNetwork, NetworkSize, network_inputs, network_loss
from matgen.predict.predictor import Predictor, network_outputs
from matgen.predict.uncertainty import CONFIDENCES, Calibration, combined

if TYPE_CHECKING:
    from matgen.composition import CompositionBatch
    from matgen.predict.tables import PropertyData
    from matgen.progress import Progress


@dataclass(frozen=True)
class FitPlan:
    """How to fit.

    Attributes:
        size: of each network.
        members: networks of the ensemble, which differ in their first weights and in the order of examples.
        settings: of the training of each; their `max_minutes` is that of one member.
    """

    size: NetworkSize = field(default_factory=NetworkSize)
    members: int = 3
    settings: FitSettings = field(
        default_factory=lambda: FitSettings(learning_rate=2e-3, weight_decay=0.01, epochs=100.0, patience=8)
    )


@dataclass(frozen=True)
class PropertyExamples:
    """Examples of the training loop: elements uint8 `(n, k)`, fractions float32 `(n, k)`, targets float32 `(n, T)`."""

    elements: torch.Tensor
    fractions: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(cls, batch: CompositionBatch, targets: np.ndarray) -> PropertyExamples:
        """From compositions and standardised targets `(n,)`."""
        elements, fractions = network_inputs(batch)
        return cls(
            torch.from_numpy(elements),
            torch.from_numpy(fractions),
            torch.from_numpy(targets.astype(np.float32))[:, None],
            torch.from_numpy(batch.n_elements.astype(np.int64)),
        )

    def __len__(self) -> int:
        return len(self.elements)

    def share(self, rank: int, count: int) -> PropertyExamples:
        """The rows that are one process's of `count`."""
        return PropertyExamples(*(tensor[rank::count].contiguous() for tensor in self._tensors()))

    def to(self, device: torch.device) -> PropertyExamples:
        """The examples on another device."""
        return PropertyExamples(*(tensor.to(device) for tensor in self._tensors()))

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The rows named, trimmed to as many elements as they have."""
        index = torch.from_numpy(rows).to(self.elements.device)
        width = int(self.lengths[index].max())
        return self.elements[index, :width].long(), self.fractions[index, :width], self.targets[index]

    def _tensors(self) -> tuple[torch.Tensor, ...]:
        return self.elements, self.fractions, self.targets, self.lengths


def fit_predictor(
    data: PropertyData,
    plan: FitPlan,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[int], Progress | None] = lambda member: None,
) -> Predictor | None:
    """Fit an ensemble and write it.

    Half of the validation part says when to stop, the other half calibrates the spreads; the test part is only
    measured.

    Args:
        data: what to learn from.
        plan: how.
        out: folder; the state of unfinished members is in `out/training`.
        resume: go on with what is unfinished in `out`.
        force: replace an earlier predictor.
        progress: makes the progress bar of each member.

    Returns:
        The predictor, or None where training was interrupted.

    Raises:
        OutputError: `out` exists (without `force` or `resume`) or cannot be written.
    """
    out = Path(out)
    if not resume:
        refuse_to_overwrite(out, force=force)
    train, target = data.of("train")
    center = float(np.median(target))
    scale = float(np.abs(target - center).mean()) or 1.0
    examples = PropertyExamples.of(train, (target - center) / scale)
    held_out, held_out_target = data.of("valid")
    stopping = np.arange(len(held_out)) % 2 == 0
    stop_batch, stop_target = held_out[np.flatnonzero(stopping)], held_out_target[stopping]

    def error(network: Any) -> float:
        mean, _ = network_outputs(network, stop_batch)
        return float(np.abs(center + scale * mean - stop_target).mean())

    members, trained = [], []
    for member in range(plan.members):
        settings = dataclasses.replace(plan.settings, seed=plan.settings.seed + member)
        folder = out / "training" / f"member-{member}"
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            network = CompositionNetwork(plan.size)
        fitter = Fitter(network, examples, network_loss, error, folder, settings, progress(member))
        result = fitter.run(resume=resume and (folder / "training" / "latest.json").is_file())
        if result.interrupted:
            return None
        members.append(network.eval())
        trained.append({"steps": result.state.step, "seconds": result.state.seconds})

    elements, counted = np.unique(train.elements[train.elements > 0], return_counts=True)
    metadata: dict[str, Any] = {
        "property": data.name,
        "source": data.source,
        "unit": data.unit,
        "center": center,
        "scale": scale,
        "elements": {str(SYMBOLS[z]): int(n) for z, n in zip(elements, counted, strict=True)},
        "range": [float(target.min()), float(target.max())],
        "formulas": {part: int((data.part == part).sum()) for part in ("train", "valid", "test")},
        "left_out": dict(data.left_out),
        "settings": dataclasses.asdict(plan.settings) | {"trackers": []},
        "training": {"members": trained, "precision": result.state.precision},
        "parameters": sum(p.numel() for p in members[0].parameters()),
    }
    predictor = Predictor(members, metadata, Calibration(np.zeros(0)), out)
    mean, spread, disagreement = predictor.spread(held_out)
    predictor.calibration = Calibration.of((mean - held_out_target)[~stopping], spread[~stopping])
    usual = float(np.quantile(disagreement, 0.99)) if len(members) > 1 else float("inf")
    metadata["largest_usual_disagreement"] = usual
    metadata["metrics"] = measured(predictor, *data.of("test"))
    predictor.save(out, predictor_card(metadata))
    return predictor


def measured(predictor: Predictor, batch: CompositionBatch, target: np.ndarray) -> dict[str, Any]:
    """Errors of a predictor and of its members, and what share of the truth its intervals hold.

    Args:
        predictor: what to measure.
        batch: `n` compositions that it has not seen.
        target: float64 `(n,)`, the truth.
    """
    if not len(batch):
        return {}
    means, scales = predictor.outputs(batch)
    mean, spread, _ = combined(means, scales)
    error = np.abs(mean - target)
    coverage = {}
    for confidence in CONFIDENCES:
        low, high = predictor.calibration.intervals(mean, spread, confidence).T
        coverage[str(confidence)] = float(((low <= target) & (target <= high)).mean())
    return {
        "n": len(batch),
        "mae": float(error.mean()),
        "mae_of_members": np.abs(means - target).mean(axis=1).tolist(),
        "median_absolute_error": float(np.median(error)),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae_of_the_median": float(np.abs(target - predictor.metadata["center"]).mean()),
        "coverage": coverage,
    }
