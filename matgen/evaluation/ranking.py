"""Which candidates to look at first: valid, novel, each once, by probability of stability times novelty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.evaluation.novelty import NearestKnown

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBABILITY = "probability_hull_0.1"
"""Column of `matgen predict`: the probability to be at most 0.1 eV/atom above the hull."""

_LEADING = (
    "rank",
    "formula",
    "score",
    PROBABILITY,
    "novelty",
    "nearest_known",
    "energy_above_hull",
    "energy_above_hull_std",
    "formation_energy",
    "formation_energy_std",
    "formation_energy_source",
    "decomposition",
    "in_domain",
    "oxidation_states",
    "oxidation_state_score",
    "rarest_state",
    "rarest_state_share",
    "balanced_common",
    "metallicity_score",
    "log_prob",
    "all_metal",
)


def chosen(judged: pd.DataFrame) -> pd.DataFrame:
    """Rows of a judged table that are valid, novel, and the first of their composition."""
    return judged[judged["valid"] & judged["novel"] & judged["duplicate_of"].isna()]


def ranked(rows: pd.DataFrame, known: Sequence[CompositionBatch] = ()) -> pd.DataFrame:
    """The rows of `chosen` in the order in which to look at them.

    With predictions, by `score`: `probability_hull_0.1` times `novelty`, the distance to the nearest known composition.
    Without, the most probable under the model first: what resembles known compounds, which says nothing of stability.

    Args:
        rows: with `formula`, and where they were predicted the columns of `matgen predict`.
        known: compositions that novelty is measured from, one batch a reference.
    """
    ranked = rows.drop(columns="rank", errors="ignore")  # of an earlier ranking
    if PROBABILITY in ranked and known:
        batch = CompositionBatch.from_formulas(ranked["formula"].astype(str))
        whole = CompositionBatch.concatenate(list(known))
        distance, nearest = NearestKnown(whole).of(batch)
        names = np.full(len(batch), None, dtype=object)
        names[nearest >= 0] = whole[nearest[nearest >= 0]].formulas()
        ranked = ranked.assign(novelty=distance, nearest_known=names, score=ranked[PROBABILITY] * distance)
        # What is unlike anything learned from comes last, whatever is predicted for it.
        ranked = ranked.sort_values(["in_domain", "score"], ascending=False, kind="stable", na_position="last")
    elif "log_prob" in ranked:
        ranked = ranked.sort_values("log_prob", ascending=False, kind="stable")
    ranked = ranked.reset_index(drop=True)
    ranked.insert(0, "rank", ranked.index + 1)
    return ranked[[name for name in _LEADING if name in ranked]]
