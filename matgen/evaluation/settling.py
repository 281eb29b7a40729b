"""A ranking after some of its candidates were relaxed: what relaxation found takes the place of what was predicted.

The probability in the score of a relaxed candidate (see `ranking`) becomes

    P(true energy above hull <= 0.05) = Phi((0.05 - energy_above_hull_chgnet) / RELAXED_STD)

of a normal distribution around the relaxed energy, and that of the others the predicted `probability_hull_0.05`, so
that a relaxed one 0.05 eV/atom above the hull competes with a predicted probability of one half. The limit is half of
the ranking's: nearly all that relaxed to the hull or below it is within 0.1 eV/atom, and a probability that is close to
one for all of it leaves their order to the other factors (`benchmarks/discovery.py`). Only the potential that
relaxes every structure counts; a second one that finishes some of them is shown beside it and changes no order, so that
it stays an independent judge of the ranking.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from matgen.evaluation.ranking import ABOVE_HULL, NEAR, PROBABILITY, in_order, numbered, score
from matgen.hull.limits import METASTABLE

RELAXED = f"{ABOVE_HULL}_chgnet"
"""Column of relaxed tables: energy above the hull by the potential that relaxes all structures, eV/atom."""

LIMIT = 0.05
"""eV/atom above the hull, of `NEAR`."""

RELAXED_STD = 0.079
"""Standard deviation of its energies above hull, eV/atom: that of a normal distribution with the mean absolute error of
CHGNet 0.3.0 in Matbench Discovery, 0.063 (Riebesell et al., Nat. Mach. Intell. 7, 836 (2025)), times sqrt(pi / 2)."""


def settled(order: pd.DataFrame, relaxed: pd.DataFrame) -> pd.DataFrame:
    """A ranking in the order that it has once some of its candidates were relaxed.

    Args:
        order: of `ranking.ranked`, `n` rows; one without `NEAR`, of an earlier version, keeps the ranking's limit.
        relaxed: a row for each relaxed candidate, with `formula` as there and columns `energy_above_hull_<potential>`.

    Returns:
        The `n` rows with these columns behind `energy_above_hull`, with `score` and `rank` anew. A ranking without
        predictions starts with what is within 0.1 eV/atom of the hull, and ends with what was found above.
    """
    by_potential = [name for name in relaxed if str(name).startswith(f"{ABOVE_HULL}_") and name != f"{ABOVE_HULL}_std"]
    found = relaxed.drop_duplicates("formula").set_index("formula")[by_potential].reindex(order["formula"].to_numpy())
    kept = order.drop(columns=["rank", *(name for name in by_potential if name in order)])
    place = list(kept).index(ABOVE_HULL) + 1 if ABOVE_HULL in kept else len(kept.columns)
    for shift, name in enumerate(by_potential):
        kept.insert(place + shift, name, pd.to_numeric(found[name], errors="coerce").to_numpy(np.float64))
    if RELAXED not in kept:
        return numbered(kept)
    if "score" not in kept:
        group = np.select([kept[RELAXED] <= METASTABLE, kept[RELAXED].isna()], [0, 1], default=2)
        return numbered(kept.iloc[np.argsort(group, kind="stable")])
    limit, predicted = (LIMIT, NEAR) if NEAR in kept else (METASTABLE, PROBABILITY)
    probability = pd.Series(norm.cdf((limit - kept[RELAXED]) / RELAXED_STD), kept.index).fillna(kept[predicted])
    return numbered(in_order(kept.assign(score=score(kept, kept["novelty"], probability))))
