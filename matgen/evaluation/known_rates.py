"""What known compounds reach under the rules of a report: those that have been made, and those near the hull.

A share of valid or of commonly balanced candidates says little alone: not all compounds that exist are either.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch, ParsedFormulas
from matgen.datasets import load_dataset
from matgen.datasets.catalog import NEAR_HULL
from matgen.evaluation import metrics
from matgen.evaluation.labels import KNOWN_RATES
from matgen.evaluation.tally import Tally
from matgen.validity import ValidityRules, state_table

RATES = (
    "charge_neutral",
    "electronegativity_balanced",
    "valid",
    "balanced_common",
    "rare_state",
    "intermetallic",
)
"""Metrics that mean something of a compound that is known."""

STABLE = NEAR_HULL
"""eV/atom above the hull up to which a known composition counts as stable here."""


def known_rates(rules: ValidityRules) -> dict[str, dict[str, Any]]:
    """The fractions of `RATES` for each of `labels.KNOWN_RATES`, as the entry `known_rates` of a report holds them.

    Args:
        rules: how validity is judged.

    Returns:
        Of each set `n`, the fractions, and `groups` with the same of its ionic and its all-metal compositions.
    """
    # A user's table is known by its content: the file may change.
    return {name: _rates(name, rules, state_table(rules).sha256) for name in KNOWN_RATES}


@lru_cache(maxsize=16)
def _rates(name: str, rules: ValidityRules, sha256: str) -> dict[str, Any]:
    batch = _compositions(name)
    n = len(batch)
    tally = Tally(n)
    parsed = ParsedFormulas(batch, np.arange(n), [])
    tally.add(metrics.judge_alone(n, parsed, lambda keys: np.ones(len(keys), dtype=bool), rules))
    shares = metrics.fractions(tally.count())
    groups = {
        group: {"n": values["n"]} | {rate: values[rate] for rate in RATES} for group, values in tally.groups().items()
    }
    return {"n": n} | {rate: shares[rate] for rate in RATES} | {"groups": groups}


@lru_cache(maxsize=len(KNOWN_RATES))
def _compositions(name: str) -> CompositionBatch:
    if name == "made":
        return load_dataset("experimental").batch
    return load_dataset("hybrid", where=f"hull_distance <= {STABLE}").batch
