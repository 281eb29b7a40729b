"""How likely a composition is stable: its predicted energy against the hull of what is known, spread included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.errors import OptionError
from matgen.hull import CompetingPhases
from matgen.prediction.made_model import COLUMN as MADE
from matgen.prediction.made_model import bundled_made_model
from matgen.prediction.selection import SelectionCalibration
from matgen.prediction.stability_model import LIMITS, Said
from matgen.runtime.progress import ProgressFactory, silent

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch
    from matgen.prediction.predictor import Predictor


def calibrate_selection(
    predictor: Predictor, batch: CompositionBatch, energy: np.ndarray, phases: CompetingPhases
) -> SelectionCalibration:
    """How wrong predictions are by predicted distance to the hull, on compositions that nothing was learned from.

    Args:
        predictor: of formation energies.
        batch: `n` compositions that it has not seen.
        energy: float64 `(n,)`, their formation energies.
        phases: what competes.
    """
    hull = phases.decompose(batch).energy
    mean, spread, _ = predictor.spread(batch)
    return SelectionCalibration.of(mean - hull, energy - hull, spread)


def probability_column(limit: float) -> str:
    """Name of the column with the probability to be at most `limit` eV/atom above the hull."""
    return f"probability_hull_{limit:g}"


def stability(
    batch: CompositionBatch,
    energy: pd.DataFrame,
    predictor: Predictor,
    phases: CompetingPhases,
    *,
    progress: ProgressFactory = silent,
) -> pd.DataFrame:
    """Distance to the hull of competing phases, each composition left out of its own.

    Args:
        batch: `n` compositions.
        energy: what `predictor` predicted for them.
        predictor: of formation energies, of the source of `phases`.
        phases: what competes.
        progress: counts the compositions.

    Returns:
        Columns `energy_above_hull` (eV/atom, below zero where a composition would change the hull),
        `energy_above_hull_std` (that of the prediction: the competitors' labels are taken as they are),
        `probability_hull_0`, `probability_hull_0.05`, `probability_hull_0.1` (by the predictor's
        `stability_model`; where it has none, from its spread, corrected for selection if it was calibrated for that,
        see `selection`), `probability_made` (see `made_model`), `decomposition`, and `in_domain`: that of the
        prediction, and not where the model finds it likely that the distance is far off. Where `phases` do not know an
        element of a composition, energies and probabilities of the hull are NaN and `decomposition` says which.

    Raises:
        OptionError: labels of different sources would meet.
    """
    energy_source = predictor.metadata["source"]
    if phases.source in ("oqmd", "mp") and energy_source != phases.source:
        raise OptionError(f"a formation energy of {energy_source} cannot be placed on a hull of {phases.source}")
    decomposition = phases.decompose(batch, progress=progress)
    mean = energy["formation_energy"].to_numpy() - decomposition.energy
    known = np.isfinite(decomposition.energy)
    spread = np.where(known, energy["formation_energy_std"].to_numpy(), np.nan)
    columns: dict[str, np.ndarray | list[str]] = {"energy_above_hull": mean, "energy_above_hull_std": spread}
    uncertain = np.flatnonzero(known & (spread > 0))
    chances = np.full((len(batch), len(LIMITS)), np.nan)
    elements = known & (spread == 0)
    chances[elements] = mean[elements, None] <= np.array(LIMITS)
    in_domain = energy["in_domain"].to_numpy(dtype=bool, copy=True)
    if predictor.stability is None:
        calibration = predictor.calibration if predictor.selection is None else predictor.selection
        for column, limit in enumerate(LIMITS):
            chances[uncertain, column] = calibration.probability_below(mean[uncertain], spread[uncertain], limit)
    elif len(uncertain):
        said = Said(
            energy["formation_energy"].to_numpy()[uncertain], spread[uncertain], decomposition.energy[uncertain]
        )
        features = predictor.stability.features(batch[uncertain], said)
        chances[uncertain] = predictor.stability.probabilities(batch[uncertain], features)
        off = predictor.stability.probability_off(features) > predictor.stability.most_off
        in_domain[uncertain] &= ~off
    columns |= {probability_column(limit): chances[:, column] for column, limit in enumerate(LIMITS)}
    columns[MADE] = bundled_made_model().probability(batch)
    columns |= {"decomposition": phases.in_words(decomposition, len(batch)), "in_domain": in_domain}
    return pd.DataFrame(columns)
