"""Who is asked by `benchmarks.shift`: models that say how stable compositions are, one row of `MODELS` each.

A model is a function `say(batch)` from `n` compositions to a frame of `n` rows with

* `formation_energy` and `std`, eV/atom;
* `probability_hull_0`, `probability_hull_0.05`, `probability_hull_0.1`: to be at most so many eV/atom above the hull of
  the other phases of the source; NaN where the source does not know an element;
* and, where the model has its own, `energy_above_hull` (else the formation energy is placed on the hull of the source)
  and `low_0.5`, `high_0.5`, `low_0.8` ... `high_0.95` (else intervals are those of a normal distribution with `std`).

To measure another one, write a function that fits it (from the rows of a split and settings to `say`), one that opens
what is bundled (from a source to `say`), or both, and add a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.datasets.labels import labeled_phases
from matgen.prediction import FitPlan, NetworkSize, Predictor, PropertyData, fit_predictor
from matgen.prediction.fit import default_fit_settings
from matgen.prediction.locate import METADATA, bundled_predictors
from matgen.prediction.stability import stability
from matgen.prediction.uncertainty import CONFIDENCES
from matgen.runtime.progress import TerminalProgress

Say = Callable[[CompositionBatch], pd.DataFrame]
"""From compositions to what is said of them, see the module."""


@dataclass(frozen=True)
class FitOptions:
    """How to fit for a split.

    Attributes:
        minutes: of one core, of all members together.
        members: how many.
        width: of each network.
        seed: of weights and order.
    """

    minutes: float
    members: int
    width: int
    seed: int = 0


@dataclass(frozen=True)
class Model:
    """A row of the tables.

    Attributes:
        title: in words.
        fit: from what a split learns from, options, and a folder for what is to be resumed, to what is said; None for
            a model that is only opened.
        open: from the source that was learned to what the bundled one says; None where nothing is bundled.
        version: from the source to a text that changes with what is bundled.
    """

    title: str
    fit: Callable[[PropertyData, FitOptions, Path], Say] | None = None
    open: Callable[[str], Say] | None = None
    version: Callable[[str], str] = lambda source: ""


def say_of_predictor(predictor: Predictor) -> Say:
    """A predictor of formation energies, placed on the hull of the source that it learned from.

    Its probabilities are those of its spread: the trees of a bundled predictor have seen what other sources hold, and
    `benchmarks.stability_model` judges them on chemical systems that they have not.
    """
    predictor = replace(predictor, stability=None)

    def say(batch: CompositionBatch) -> pd.DataFrame:
        predicted = predictor.predict(batch)
        placed = stability(batch, predicted, predictor, labeled_phases(predictor.metadata["source"]))
        mean, std = predicted["formation_energy"].to_numpy(), predicted["formation_energy_std"].to_numpy()
        said = placed.filter(regex="^probability_hull_|^energy_above_hull$").assign(formation_energy=mean, std=std)
        for confidence in CONFIDENCES:
            bounds = predictor.calibration.intervals(mean, std, confidence)
            said[f"low_{confidence}"], said[f"high_{confidence}"] = bounds.T
        return said

    return say


def fit_networks(data: PropertyData, options: FitOptions, folder: Path) -> Say:
    """An ensemble of networks of formation energies."""
    if (folder / METADATA).is_file():
        return say_of_predictor(Predictor.load(folder))
    settings = default_fit_settings(
        "network", int((data.part == "train").sum()), max_minutes=options.minutes / options.members, seed=options.seed
    )
    size = NetworkSize(width=options.width, feed_forward=4 * options.width)
    plan = FitPlan("network", size, options.members, None, settings, stability=False)
    resume = (folder / "training").is_dir()
    predictor = fit_predictor(data, plan, folder, resume=resume, force=not resume, progress=TerminalProgress())
    if predictor is None:
        raise KeyboardInterrupt
    return say_of_predictor(predictor)


def _bundled(source: str) -> Path:
    return bundled_predictors()[f"formation_energy-{source}"]


def _hash_of_bundled(source: str) -> str:
    return hashlib.sha256((_bundled(source) / METADATA).read_bytes()).hexdigest()[:16]


MODELS: dict[str, Model] = {
    "predictor": Model(
        "formation energy on the hull",
        fit_networks,
        lambda source: say_of_predictor(Predictor.load(_bundled(source))),
        _hash_of_bundled,
    ),
}
"""Models by name."""


def checked(said: pd.DataFrame, n: int, limits: tuple[str, ...]) -> pd.DataFrame:
    """What a model said, if it said all that it has to.

    Raises:
        ValueError: rows or columns are missing, or a probability is none.
    """
    missing = {"formation_energy", "std", *limits} - set(said)
    if missing or len(said) != n:
        raise ValueError(f"a model said {len(said)} rows of {n}, without {', '.join(sorted(missing)) or 'lack'}")
    probabilities = said[list(limits)].to_numpy(np.float64)
    if ((probabilities < 0) | (probabilities > 1)).any():
        raise ValueError("a model said a probability below 0 or above 1")
    return said.reset_index(drop=True)
