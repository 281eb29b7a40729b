"""Charge neutrality and electronegativity balance of compositions, judged by SMACT.

`check` is the interface; SMACT's own `smact_validity` does the judging, on distinct compositions, in as many processes
as there are cores.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from matgen.chemistry import SYMBOLS
from matgen.composition import CompositionBatch, first_occurrence
from matgen.errors import MissingDependencyError, unknown_name

TABLES: dict[str, str | None] = {
    "icsd24": None,
    "icsd16": "icsd16",
    "smact14": "smact14",
    "pymatgen": "pymatgen_sp",
    "wiki": "wiki",
}
"""Oxidation-state tables: matgen's name to the `oxidation_states_set` of `smact_validity`. `icsd24` is SMACT's default,
the ICSD (2024) states with at least 3 reports and without the state zero."""

MAX_COMBINATIONS = 20_000_000
"""SMACT tries every combination of states. Compositions with more than this are left unjudged (minutes each)."""

_LAST_ELEMENT_OF_SMACT = 103
_CHUNK = 500


@dataclass(frozen=True)
class ValidityRules:
    """How compositions are judged.

    Attributes:
        oxidation_states: a key of `TABLES`.
        include_alloys: call compositions of metals alone valid without a test, as SMACT does by default.
        mixed_valence: let an element take several states at once (SMACT's list of elements, up to its limit).
    """

    oxidation_states: str = "icsd24"
    include_alloys: bool = False
    mixed_valence: bool = False

    def __post_init__(self) -> None:
        if self.oxidation_states not in TABLES:
            raise unknown_name("oxidation-state table", self.oxidation_states, TABLES)


@dataclass(frozen=True)
class Validity:
    """Verdicts, each bool `(n,)`, one a composition.

    Attributes:
        charge_neutral: some assignment of oxidation states sums to zero. Single elements count as neutral, as in SMACT.
        electronegativity_balanced: some such assignment also passes the Pauling test: every cation is less
            electronegative than every anion.
        valid: balanced, or made of metals alone where `ValidityRules.include_alloys` is on.
        judged: False where SMACT would need more than `MAX_COMBINATIONS`; the other columns are False there too, but
            for `valid` of an alloy that the alloy rule lets pass.
    """

    charge_neutral: np.ndarray
    electronegativity_balanced: np.ndarray
    valid: np.ndarray
    judged: np.ndarray


def check(
    batch: CompositionBatch,
    rules: ValidityRules | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Validity:
    """Judge every composition of a batch.

    Args:
        batch: `n` compositions; repeated ones are judged once.
        rules: the settings, by default SMACT's default table without its alloy rule.
        workers: processes, by default the number of cores this process may use.
        progress: called with the number of distinct compositions judged since the last call.

    Raises:
        MissingDependencyError: SMACT is not installed.
    """
    rules = rules or ValidityRules()
    _require_smact()
    first = first_occurrence(batch.keys())
    distinct = np.flatnonzero(first == np.arange(len(batch)))
    verdicts = _judge_distinct(batch[distinct], rules, workers, progress)
    neutral, balanced, judged = verdicts[np.searchsorted(distinct, first)].T
    # SMACT lets alloys pass before it looks at states, so there the number of combinations does not matter.
    valid = balanced | batch.all_metal if rules.include_alloys else balanced
    return Validity(neutral, balanced, valid, judged)


def available_cores() -> int:
    """Cores this process may use, which in a container or a batch job are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _judge_distinct(
    batch: CompositionBatch, rules: ValidityRules, workers: int | None, progress: Callable[[int], None] | None
) -> np.ndarray:
    """Columns (neutral, balanced, judged) of each composition, bool `(n, 3)`."""
    from joblib import Parallel, delayed

    workers = workers or available_cores()
    chunks = [batch[start : start + _CHUNK] for start in range(0, len(batch), _CHUNK)]
    # Workers import SMACT anew (seconds), so small batches are quicker here.
    pool = Parallel(n_jobs=workers if len(chunks) > 4 else 1, return_as="generator")
    parts = [np.empty((0, 3), dtype=bool)]
    for part in pool(delayed(_judge_chunk)(chunk.elements, chunk.counts, rules) for chunk in chunks):
        parts.append(part)
        if progress:
            progress(len(part))
    return np.concatenate(parts)


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
    from smact.screening import smact_validity

    if len(elements) == 1:
        return True, True, True
    if elements.max() > _LAST_ELEMENT_OF_SMACT:
        return False, False, True  # no table has states for them
    if math.prod(_n_states(int(z), rules.oxidation_states) for z in elements) > MAX_COMBINATIONS:
        return False, False, False
    composition = Composition({str(SYMBOLS[z]): int(c) for z, c in zip(elements, counts, strict=True)})

    def passes(pauling: bool) -> bool:
        return bool(
            smact_validity(
                composition,
                use_pauling_test=pauling,
                include_alloys=False,
                oxidation_states_set=TABLES[rules.oxidation_states],
                mixed_valence=rules.mixed_valence,
            )
        )

    neutral = passes(False)
    return neutral, neutral and passes(True), True


@lru_cache(maxsize=1024)
def _n_states(atomic_number: int, table: str) -> int:
    """Number of oxidation states that SMACT tries for an element, at least 1."""
    from smact import Element

    attribute = {"icsd24": "oxidation_states_icsd24", "pymatgen": "oxidation_states_sp"}.get(
        table, f"oxidation_states_{table}"
    )
    return max(1, len(getattr(Element(str(SYMBOLS[atomic_number])), attribute) or ()))


def _require_smact() -> None:
    try:
        import smact  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("validity needs SMACT: pip install smact") from error
