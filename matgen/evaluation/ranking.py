"""Which candidates to look at first.

    score = probability_hull_0.1 * (probability_made * oxidation_state_score * novelty) ** (1 / 3)

Stability counts as much as the other three together, whose geometric mean is taken: of relaxed draws, the probability
alone foretells most of what is found (`benchmarks/ranking.py`).

* `probability_hull_0.1`, of `matgen predict`: the probability of lying at most 0.1 eV/atom above the hull. That of a
  composition in neither database is lowered to what relaxed draws have taught (`StabilityModel.novel_shift`).
* `probability_made`, likewise: how much it is like compounds that have been made, by trees that tell these from draws
  of the bundled model. In tables without it the mean is of the other two.
* `oxidation_state_score`: how common the oxidation states are on which the composition rests, 0 to 1. A composition of
  metals that is valid by the alloy rule alone has none that mean anything: there, `metallicity_score` takes its place.
* `novelty = distance / (distance + HALF_NEW)`, 0 to 1, of the chemical distance from the nearest known composition: the
  element mover's distance along the modified Pettifor scale (`novelty.NearestKnown`). It does not count atoms, so that
  small formulas win nothing by being small.

Equal scores go by `energy_above_hull`, lower first, then by `log_prob`, higher first. Where some candidates were
relaxed, `settling.settled` puts what was found in the place of what was predicted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.evaluation.facts import facts
from matgen.evaluation.novelty import NearestKnown
from matgen.io.files import atomic_write, write_json
from matgen.pareto import COLUMN as PARETO
from matgen.pareto import Objective, on_front
from matgen.screening import supply

if TYPE_CHECKING:
    from collections.abc import Sequence

ABOVE_HULL = "energy_above_hull"
"""Column of `matgen predict`: predicted energy above the hull of known phases, eV/atom."""

PROBABILITY = "probability_hull_0.1"
"""Column of `matgen predict`: the probability to be at most 0.1 eV/atom above the hull."""

NEAR = "probability_hull_0.05"
"""Column of `matgen predict`: the same of 0.05 eV/atom, by which relaxation settles a ranking."""

MADE = "probability_made"
"""Column of `matgen predict`: the probability of having been made."""

HALF_NEW = 0.1
"""Chemical distance at which novelty is one half: one of ten atoms replaced by its neighbor on the scale."""

SUPPLY = ("cost", "scarcest_element", "toxic", "radioactive")
"""Columns of `matgen.screening.supply` that a ranking shows."""

_LEADING = (
    "rank",
    "formula",
    PARETO,
    "score",
    PROBABILITY,
    NEAR,
    MADE,
    "oxidation_state_score",
    "rarest_state",
    "rarest_state_share",
    "novelty",
    "chemical_distance",
    "nearest_known",
    "nearest_known_made",
    "nearest_known_energy_above_hull",
    "energy_above_hull",
    "energy_above_hull_std",
    "formation_energy",
    "formation_energy_std",
    "formation_energy_source",
    "decomposition",
    "in_domain",
    "oxidation_states",
    "balanced_common",
    "metallicity_score",
    *SUPPLY,
    "log_prob",
    "all_metal",
)


RANKED_NUMBERS = (
    PROBABILITY,
    MADE,
    "score",
    "oxidation_state_score",
    "rarest_state_share",
    "novelty",
    "chemical_distance",
    "energy_above_hull",
    "energy_above_hull_std",
    "formation_energy",
    "metallicity_score",
    "cost",
    "toxic",
    "radioactive",
)
"""Columns of every ranking with predictions that can be compared."""


def chosen(judged: pd.DataFrame) -> pd.DataFrame:
    """Rows of a judged table that are valid, novel, and the first of their composition."""
    return judged[judged["valid"] & judged["novel"] & judged["duplicate_of"].isna()]


def plausibility(rows: pd.DataFrame) -> pd.Series:
    """The score of something entirely new, which no candidate exceeds: float64 `(n,)`, NaN where a factor is.

    Args:
        rows: with `PROBABILITY`, and where they are there `MADE` and the columns of an evaluation.
    """
    return score(rows, pd.Series(1.0, rows.index))


def score(rows: pd.DataFrame, novelty: pd.Series, probability: pd.Series | None = None) -> pd.Series:
    """The score of the module's docstring, float64 `(n,)`; the mean is over the factors that the rows have.

    Args:
        rows: `n` candidates, with `PROBABILITY` unless a `probability` is given.
        novelty: of each.
        probability: of being near the hull, instead of the predicted one.
    """
    factors = [novelty]
    if MADE in rows:
        factors.append(_numbers(rows[MADE]))
    if "oxidation_state_score" in rows:
        states = _numbers(rows["oxidation_state_score"])
        if {"metallicity_score", "all_metal", "electronegativity_balanced"} <= set(rows):
            alloy = rows["all_metal"].astype(bool) & ~rows["electronegativity_balanced"].astype(bool)
            states = states.mask(alloy, _numbers(rows["metallicity_score"]))
        factors.append(states)
    product: pd.Series = pd.concat(factors, axis=1).prod(axis=1, skipna=False)
    stable = _numbers(rows[PROBABILITY]) if probability is None else probability
    return stable * product ** (1.0 / len(factors))


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype(np.float64)


def first_of(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """The rows that come first whatever is known, by `plausibility` or by `log_prob`, `most` at most."""
    key = plausibility(rows) if PROBABILITY in rows else rows["log_prob"]
    return rows.iloc[np.argsort(-key.to_numpy(np.float64), kind="stable")[:most]]  # NaN last


def ranked(
    rows: pd.DataFrame, known: Sequence[CompositionBatch] = (), objectives: Sequence[Objective] = ()
) -> pd.DataFrame:
    """The rows of `chosen` in the order in which to look at them.

    With predictions, by `score` (see the module); what is out of the predictor's domain comes last. Without, the most
    probable under the model first: what resembles known compounds, which says nothing of stability.

    Args:
        rows: with `formula`, and where they were predicted the columns of `matgen predict`.
        known: compositions that novelty is measured from, one batch a reference.
        objectives: with predictions, what is on their Pareto front (of what is in the domain) comes first.

    Returns:
        With predictions also `chemical_distance` (places of the modified Pettifor scale), `nearest_known` (of several
        as near, made ones first, then the lowest above the hull), `nearest_known_made` and
        `nearest_known_energy_above_hull` (see `facts`), and `SUPPLY`; with objectives `pareto_front`.

    Raises:
        OptionError: an objective is no column, or one of text.
    """
    ranked = rows.drop(columns="rank", errors="ignore")  # of an earlier ranking
    if PROBABILITY in ranked and known:
        batch = CompositionBatch.from_formulas(ranked["formula"].astype(str))
        ranked = ranked.assign(**_nearest(batch, CompositionBatch.concatenate(list(known))))
        ranked = ranked.assign(**{name: supply(batch)[name].to_numpy() for name in SUPPLY})
        ranked = ranked.assign(score=score(ranked, ranked["novelty"]))
        if objectives:
            within = ranked[ranked["in_domain"].astype(bool)]
            front = within.index[on_front(within, objectives)]
            ranked = ranked.assign(**{PARETO: ranked.index.isin(front)})
        ranked = in_order(ranked)
    elif "log_prob" in ranked:
        ranked = ranked.sort_values("log_prob", ascending=False, kind="stable")
    ranked = numbered(ranked)
    wanted = [*_LEADING, *(one.column for one in objectives if one.column not in _LEADING)]
    return ranked[[name for name in wanted if name in ranked]]


def write_ranked(order: pd.DataFrame, path: Path) -> None:
    """Write a ranking as CSV, and beside it to `<path>.json` which of its columns are matgen's.

    By that, commands that add such columns too (`matgen screen`) make them anew and take them for nobody's own.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_write(path) as temporary:
        order.to_csv(temporary, index=False, float_format="%.6f")
    ours = [name for name in order if _is_ours(str(name)) and name not in ("formula", "log_prob")]
    write_json(Path(f"{path}.json"), {"column": "formula", "columns": ours})


def _is_ours(name: str) -> bool:
    return name in _LEADING or name.startswith(f"{ABOVE_HULL}_")


def _nearest(batch: CompositionBatch, known: CompositionBatch) -> dict[str, np.ndarray]:
    """The columns of the nearest known compositions."""
    of_known = facts(known)
    preferred = np.lexsort((of_known["energy_above_hull"], ~of_known["made"]))  # NaN last
    distance, nearest = NearestKnown(known, preferred).of(batch)
    found = nearest >= 0
    names = np.full(len(batch), None, dtype=object)
    names[found] = known[nearest[found]].formulas()
    made = np.full(len(batch), None, dtype=object)
    made[found] = of_known["made"].to_numpy()[nearest[found]]
    above_hull = np.full(len(batch), np.nan)
    above_hull[found] = of_known["energy_above_hull"].to_numpy()[nearest[found]]
    return {
        "novelty": np.where(found, 1.0 - HALF_NEW / (distance + HALF_NEW), 1.0),
        "chemical_distance": np.where(found, distance, np.nan),
        "nearest_known": names,
        "nearest_known_made": made,
        "nearest_known_energy_above_hull": above_hull,
    }


def numbered(ranked: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of a ranking, with their `rank` in front."""
    ranked = ranked.reset_index(drop=True)
    ranked.insert(0, "rank", ranked.index + 1)
    return ranked


def in_order(ranked: pd.DataFrame) -> pd.DataFrame:
    """Rows with predictions, those to look at first first: what is in the domain, by the front, then by the score."""
    keys = {"in_domain": False, PARETO: False, "score": False, "energy_above_hull": True, "log_prob": False}
    by = [name for name in keys if name in ranked]
    return ranked.sort_values(by, ascending=[keys[name] for name in by], kind="stable", na_position="last")
