"""Verdicts by SMACT itself, formula by formula: what `check` is measured against."""

from __future__ import annotations

import math
import warnings

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.errors import MissingDependencyError
from matgen.runtime.cores import available_cores
from matgen.validity.judging import Validity
from matgen.validity.rules import TABLES, ValidityRules, state_table

MAX_COMBINATIONS = 20_000_000
"""SMACT tries every combination of states. Compositions with more than this are left unjudged (minutes each)."""

MAX_MIXED_COMBINATIONS = 1_000_000
"""Beyond this, SMACT's mixed valence answers False unasked; those are left unjudged too."""

_LAST_ELEMENT_OF_SMACT = 103
_CHUNK = 250


def smact_check(batch: CompositionBatch, rules: ValidityRules | None = None, *, workers: int | None = None) -> Validity:
    """What `check` returns, by `smact.screening.smact_validity`.

    Args:
        batch: `n` compositions.
        rules: the settings.
        workers: processes, by default the number of cores this process may use.

    Raises:
        MissingDependencyError: SMACT is not installed.
    """
    rules = rules or ValidityRules()
    try:
        import smact  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("the comparison needs SMACT: pip install smact") from error
    from joblib import Parallel, delayed

    workers = workers or available_cores()
    chunks = [batch[start : start + _CHUNK] for start in range(0, len(batch), _CHUNK)]
    # Workers import SMACT anew (seconds), so small batches are quicker here.
    pool = Parallel(n_jobs=workers if len(chunks) > 4 else 1)
    parts = pool(delayed(_judge_chunk)(chunk.elements, chunk.counts, rules) for chunk in chunks)
    neutral, balanced, judged = np.concatenate([np.empty((0, 3), dtype=bool), *parts]).T
    valid = balanced | batch.all_metal if rules.include_alloys else balanced
    return Validity(neutral, balanced, valid, judged)


def _judge_chunk(elements: np.ndarray, counts: np.ndarray, rules: ValidityRules) -> np.ndarray:
    with warnings.catch_warnings():
        # SMACT warns for each formula that its wiki table is doubtful and that it gives up on mixed valence.
        warnings.filterwarnings("ignore", module="smact")
        warnings.filterwarnings("ignore", message=".*oxidation states.*|.*[Mm]ixed-valence.*")
        return np.array(
            [_judge_one(z[z > 0], c[z > 0], rules) for z, c in zip(elements, counts, strict=True)], dtype=bool
        )


def _judge_one(elements: np.ndarray, counts: np.ndarray, rules: ValidityRules) -> tuple[bool, bool, bool]:
    from pymatgen.core import Composition
    from smact.screening import ICSD24FilterConfig, smact_validity

    if len(elements) == 1:
        return True, True, True
    if elements.max() > _LAST_ELEMENT_OF_SMACT:
        return False, False, True  # no table has states for them
    if not _within_limits(elements, counts, rules):
        return False, False, False
    composition = Composition({str(SYMBOLS[z]): int(c) for z, c in zip(elements, counts, strict=True)})

    def passes(pauling: bool) -> bool:
        return bool(
            smact_validity(
                composition,
                use_pauling_test=pauling,
                include_alloys=False,
                oxidation_states_set=TABLES.get(rules.oxidation_states, rules.oxidation_states),
                icsd_filter=ICSD24FilterConfig(rules.include_zero, rules.consensus, rules.commonality),
                mixed_valence=rules.mixed_valence,
            )
        )

    neutral = passes(False)
    return neutral, neutral and passes(True), True


def _within_limits(elements: np.ndarray, counts: np.ndarray, rules: ValidityRules) -> bool:
    table = state_table(rules)
    n_states = [max(1, int(table.n_states[z])) for z in elements]
    if math.prod(n_states) > MAX_COMBINATIONS:
        return False
    atoms = np.where(table.mixed[elements], counts, 1).tolist()
    mixed = any(table.mixed[elements])
    return not mixed or math.prod(n**c for n, c in zip(n_states, atoms, strict=True)) <= MAX_MIXED_COMBINATIONS
