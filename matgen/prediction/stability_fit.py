"""Fitting a `StabilityModel`: compositions that a predictor has not seen, and how stable they are.

Three origins, because what a prediction is worth depends on where a composition comes from:

* `held_out`: the validation part of the predictor's own source, whose families it knows;
* `other_source`: compositions that only the other database holds, with their distance to that database's hull (MP's own
  `energy_above_hull` where it is known);
* `drawn`: compositions that a generator drew, relaxed from several structures by CHGNet (`data/relaxed_draws.parquet`).

Everything said of the model is measured by cross-fitting: five folds of whole chemical systems, each judged by trees
that have seen no composition of its systems.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from matgen.composition.batch import CompositionBatch, parse_formulas
from matgen.datasets import data_folder, load_dataset
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.prediction.forest import Forest
from matgen.prediction.forest_fit import FOLDS, fit_forest, system_folds
from matgen.prediction.stability_model import (
    LIMITS,
    OFF,
    Said,
    StabilityModel,
    stability_feature_names,
    stability_features,
)

if TYPE_CHECKING:
    from matgen.prediction.predictor import Predictor

ORIGINS = ("held_out", "other_source", "drawn")
RELAXED_DRAWS = "relaxed_draws.parquet"
_MOST = 60_000
"""Compositions of an origin at most."""
_SHARE_OF_DRAWN = 0.15
"""Share of the weight of all compositions that the drawn ones have together, as long as each weighs at most ten."""
_FEWEST_DRAWN = 30
"""Drawn compositions that a shift of their odds needs."""
_FLAGGED = 0.10
"""Share of the compositions of other origins, predicted within `OFF`, that may be called out of domain."""


@dataclass(frozen=True)
class StabilityRows:
    """What is learned from.

    Attributes:
        batch: `n` compositions that the predictor has not seen.
        distance: float64 `(n,)`, their true distances to the hull of all others, eV/atom.
        origin: one of `ORIGINS` each, object `(n,)`.
    """

    batch: CompositionBatch
    distance: np.ndarray
    origin: np.ndarray

    def weights(self) -> np.ndarray:
        """Weight of each, float64 `(n,)`: 1 of those held out; others at most twice as much in all, drawn ones more."""
        drawn, other = self.origin == "drawn", self.origin == "other_source"
        held_out = (self.origin == "held_out").sum()
        weights = np.where(other, min(1.0, 2 * max(held_out, 1) / max(other.sum(), 1)), 1.0)
        share = _SHARE_OF_DRAWN / (1 - _SHARE_OF_DRAWN)
        each = min(10.0, share * weights[~drawn].sum() / max(drawn.sum(), 1))
        return np.where(drawn, max(each, 1.0), weights)

    def folds(self) -> np.ndarray:
        """Fold of each, int64 `(n,)`; a chemical system is in one."""
        return system_folds(self.batch)


def stability_rows(source: str, held_out: CompositionBatch, energy: np.ndarray) -> StabilityRows:
    """The compositions that a model for a predictor of one source learns from.

    Args:
        source: `oqmd` or `mp`.
        held_out: compositions of the source that the predictor has not seen.
        energy: float64 `(n,)`, their formation energies, eV/atom.
    """
    phases = labeled_phases(source)
    other, other_distance = _of_other_source(source)
    drawn, drawn_distance = relaxed_draws()
    chosen = _some(len(held_out))
    batches = [held_out[chosen], other, drawn]
    distance = [energy[chosen] - phases.decompose(batches[0]).energy, other_distance, drawn_distance]
    origin = np.repeat(np.array(ORIGINS, dtype=object), [len(batch) for batch in batches])
    batch, distances = CompositionBatch.concatenate(batches), np.concatenate(distance)
    placed = np.ones(len(batch), dtype=bool)
    placed[list(phases.lacking(batch))] = False
    rows = np.flatnonzero(placed & np.isfinite(distances) & (batch.n_elements > 1))
    return StabilityRows(batch[rows], distances[rows], origin[rows])


def _of_other_source(source: str) -> tuple[CompositionBatch, np.ndarray]:
    """Compositions that the other source has an energy of and this one has not, and their distances to its hull.

    Official test rows of OQMD are left out.
    """
    dataset = load_dataset("hybrid")
    frame = dataset.frame
    (other,) = (name for name in SOURCES if name != source)
    distance = frame[f"hull_distance_{other}"].to_numpy(np.float64)
    if other == "mp":
        own = frame["energy_above_hull_mp"].to_numpy(np.float64)
        distance = np.where(np.isfinite(own), own, distance)
    only = np.isfinite(distance) & frame[SOURCES[source]].isna().to_numpy()
    rows = np.flatnonzero(only & (frame["split_oqmd"] != "test").to_numpy())
    rows = rows[_some(len(rows))]
    return dataset.batch[rows], distance[rows]


def relaxed_draws() -> tuple[CompositionBatch, np.ndarray]:
    """The bundled drawn compositions with their distances to the hull by CHGNet, float64 `(n,)`, eV/atom."""
    frame = pd.read_parquet(data_folder() / RELAXED_DRAWS)
    parsed = parse_formulas(frame["formula"])
    return parsed.batch, frame["energy_above_hull_chgnet"].to_numpy(np.float64)[parsed.rows]


def _some(n: int) -> np.ndarray:
    """At most `_MOST` of `n` rows, ascending."""
    return np.arange(n) if n <= _MOST else np.sort(np.random.default_rng(0).permutation(n)[:_MOST])


@dataclass(frozen=True)
class CrossFitted:
    """What trees say that have not seen a composition's chemical system.

    Attributes:
        rows: the compositions.
        predicted: float64 `(n,)`, distances to the hull by the predictor alone, eV/atom.
        probability: float64 `(n, 3)`, of lying at most each of `LIMITS` above the hull.
        off: float64 `(n,)`, probability that `predicted` is wrong by more than `OFF`.
    """

    rows: StabilityRows
    predicted: np.ndarray
    probability: np.ndarray
    off: np.ndarray

    @property
    def is_off(self) -> np.ndarray:
        """Whether `predicted` is wrong by more than `OFF`, bool `(n,)`."""
        return np.abs(self.rows.distance - self.predicted) > OFF


def fit_stability(predictor: Predictor, rows: StabilityRows) -> tuple[StabilityModel, CrossFitted]:
    """Fit a model to compositions, and say what it is worth.

    Raises:
        MissingDependencyError: lightgbm is not installed.
    """
    source = str(predictor.metadata["source"])
    said = said_of(predictor, rows.batch, labeled_phases(source).decompose(rows.batch).energy)
    features = stability_features(rows.batch, said, source)
    cross_fitted = cross_fit(features, said, rows, rows.folds())
    shift = novel_shift(cross_fitted, np.ones(len(rows.batch), dtype=bool))
    cross_fitted = shifted_by_other_folds(cross_fitted)
    *below, off = (_fitted(features, target, rows.weights()) for target in _targets(said, rows))
    return StabilityModel(source, tuple(below), off, most_off(cross_fitted), shift), cross_fitted


def cross_fit(features: np.ndarray, said: Said, rows: StabilityRows, folds: np.ndarray) -> CrossFitted:
    """What trees say of each fold that have seen the others.

    Args:
        features: float64 `(n, p)`, of `stability_features`.
        said: by the predictor.
        rows: `n` compositions.
        folds: int64 `(n,)`, from 0; those of fold -1 are learned from and not judged (NaN).
    """
    weights, targets = rows.weights(), _targets(said, rows)
    crossed = np.full((len(weights), len(targets)), np.nan)
    for fold in range(folds.max() + 1):
        unseen = folds == fold
        for column, target in enumerate(targets):
            forest = _fitted(features[~unseen], target[~unseen], weights[~unseen])
            crossed[unseen, column] = expit(forest.sums(features[unseen]))
    probability = np.maximum.accumulate(crossed[:, : len(LIMITS)], axis=1)
    return CrossFitted(rows, said.distance, probability, crossed[:, -1])


def novel_shift(said: CrossFitted, chosen: np.ndarray) -> np.ndarray:
    """What has to be added to the logarithm of the odds of drawn compositions, float64 `(3,)`.

    With it the mean probability is the share that is found, of both one half more than counted, as by Jeffreys' prior.

    Args:
        said: of `n` compositions; the drawn ones count.
        chosen: bool `(n,)`, which of these may be looked at. 0 where there are fewer than `_FEWEST_DRAWN`.
    """
    rows = np.flatnonzero(chosen & (said.rows.origin == "drawn"))
    if len(rows) < _FEWEST_DRAWN:
        return np.zeros(len(LIMITS))
    odds = logit(np.clip(said.probability[rows], 1e-9, 1 - 1e-9))
    shares = [((said.rows.distance[rows] <= limit).sum() + 0.5) / (len(rows) + 1) for limit in LIMITS]
    return np.array([
        brentq(lambda shift, column=column, share=share: expit(odds[:, column] + shift).mean() - share, -30.0, 30.0)
        for column, share in enumerate(shares)
    ])  # fmt: skip


def shifted_by_other_folds(said: CrossFitted) -> CrossFitted:
    """The same with the drawn compositions' odds shifted, those of each fold by what the others find."""
    probability, folds = said.probability.copy(), said.rows.folds()
    for fold in range(FOLDS):
        rows = np.flatnonzero((folds == fold) & (said.rows.origin == "drawn"))
        odds = logit(np.clip(probability[rows], 1e-9, 1 - 1e-9)) + novel_shift(said, folds != fold)
        probability[rows] = np.maximum.accumulate(expit(odds), axis=1)
    return replace(said, probability=probability)


def _targets(said: Said, rows: StabilityRows) -> list[np.ndarray]:
    """What is learned, bool `(n,)` each: at most each limit above the hull, and predicted far off."""
    return [rows.distance <= limit for limit in LIMITS] + [np.abs(rows.distance - said.distance) > OFF]


def said_of(predictor: Predictor, batch: CompositionBatch, hull: np.ndarray) -> Said:
    """What a predictor of formation energies says of compositions, beside the hull's energies."""
    energy, spread, _ = predictor.spread(batch)
    return Said(energy, spread, hull)


def _fitted(features: np.ndarray, target: np.ndarray, weights: np.ndarray) -> Forest:
    return fit_forest(features, target, weights, stability_feature_names())


def most_off(said: CrossFitted) -> float:
    """Probability of being off above which a share `_FLAGGED` of those that are not, and of other origins, lie."""
    others = ~said.is_off & (said.rows.origin != "held_out")
    return float(np.quantile(said.off[others], 1 - _FLAGGED))


def stability_figures(said: CrossFitted, threshold: float) -> dict[str, Any]:
    """By origin: of each limit the mean probability, the share found, the Brier score and that of always the share.

    And of those whose predicted distance is wrong by more than `OFF`, and of the others, the share called out of
    domain; and what is found of those that are called stable with 95 % or more.
    """
    figures = {}
    for origin in ORIGINS:
        chosen = (said.rows.origin == origin) & np.isfinite(said.off)  # not judged: NaN
        if not chosen.any():
            continue
        off, flagged = said.is_off[chosen], said.off[chosen] > threshold
        figures[origin] = {
            "n": int(chosen.sum()),
            **{f"{limit:g}": _figures(said.probability[chosen, i], said.rows.distance[chosen] <= limit)
               for i, limit in enumerate(LIMITS)},
            "off": round(float(off.mean()), 4),
            "flagged_of_off": round(float(flagged[off].mean()), 4) if off.any() else None,
            "flagged_of_others": round(float(flagged[~off].mean()), 4) if (~off).any() else None,
        }  # fmt: skip
    return figures


def _figures(probability: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    sure = probability >= 0.95
    share = float(truth.mean())
    measured = {
        "said": probability.mean(), "found": share, "brier": ((probability - truth) ** 2).mean(),
        "brier_of_share": share * (1 - share), "sure": sure.mean(),
        "true_of_sure": truth[sure].mean() if sure.any() else None,
    }  # fmt: skip
    return {name: None if value is None else round(float(value), 4) for name, value in measured.items()}
