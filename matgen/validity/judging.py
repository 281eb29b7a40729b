"""Judging whole batches: the compiled kernel over all cores, the unlimited one for what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ELECTRONEGATIVITY
from matgen.runtime.compiled import load_kernel
from matgen.runtime.cores import available_cores
from matgen.runtime.progress import ProgressFactory, silent
from matgen.validity import exact
from matgen.validity.rules import StateTable, ValidityRules, state_table

CHUNK = 100_000
"""Formulas a thread takes at a time."""

FEW = 500
"""Batches up to this size go through `exact`: it starts at once, while loading the compiled kernel takes a second."""


@dataclass(frozen=True)
class Validity:
    """Verdicts, each bool `(n,)`, one a composition.

    Attributes:
        charge_neutral: some assignment of oxidation states sums to zero. Single elements count as neutral, as in SMACT.
        electronegativity_balanced: some such assignment also passes the Pauling test: every cation is less
            electronegative than every anion. An element without an electronegativity never passes, as in SMACT.
        valid: balanced, or made of metals alone where `ValidityRules.include_alloys` is on.
        judged: False where charges are too large to add up (see `exact.MAX_SUMS`: tens of millions of atoms); the
            other columns are False there too, but for `valid` of an alloy that the alloy rule lets pass.
    """

    charge_neutral: np.ndarray
    electronegativity_balanced: np.ndarray
    valid: np.ndarray
    judged: np.ndarray


def check(
    batch: CompositionBatch | Any,
    rules: ValidityRules | None = None,
    *,
    workers: int | None = None,
    progress: ProgressFactory = silent,
) -> Validity:
    """Judge every composition of a batch, exactly as `smact.screening.smact_validity` of SMACT 4 does.

    Two things differ on purpose: mixed valence has no limit of combinations (SMACT answers False beyond 10^6), and
    elements beyond lawrencium, which SMACT does not know, have no states.

    Args:
        batch: `n` compositions, or formulas as `CompositionBatch.from_formulas` takes them.
        rules: the settings, by default SMACT's default table without its alloy rule.
        workers: threads, by default the number of cores this process may use.
        progress: counts the compositions judged.

    Raises:
        FormulaError: a formula cannot be read.
        DataError: the rules name a table that cannot be read.
    """
    batch = CompositionBatch.from_formulas(batch)
    rules = rules or ValidityRules()
    verdicts = _verdicts(batch, state_table(rules), workers, progress)
    balanced = verdicts == exact.BALANCED
    return Validity(
        charge_neutral=balanced | (verdicts == exact.NEUTRAL),
        electronegativity_balanced=balanced,
        valid=balanced | batch.all_metal if rules.include_alloys else balanced.copy(),
        judged=verdicts != exact.UNDECIDED,
    )


def slices(n: int, size: int = CHUNK) -> Iterator[slice]:
    """Slices of at most `size` that cover `n` rows."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _verdicts(batch: CompositionBatch, table: StateTable, workers: int | None, progress: ProgressFactory) -> np.ndarray:
    """Verdicts of `exact`, int8 `(n,)`."""
    verdicts = np.full(len(batch), exact.UNDECIDED, dtype=np.int8)
    kernel = load_kernel("validity.kernel") if len(batch) > FEW else None

    def judge(part: slice) -> int:
        if kernel is not None:
            kernel.judge(
                batch.elements[part],
                batch.counts[part],
                table.states,
                table.n_states,
                ELECTRONEGATIVITY,
                table.mixed,
                verdicts[part],
            )
        for i in part.start + np.flatnonzero(verdicts[part] == exact.UNDECIDED):
            present = batch.elements[i] > 0
            verdicts[i] = exact.judge(batch.elements[i][present], batch.counts[i][present], table, ELECTRONEGATIVITY)
        return part.stop - part.start

    with (
        progress(len(batch), "judge", "compositions") as count,
        ThreadPoolExecutor(workers or available_cores()) as pool,
    ):
        for done in pool.map(judge, slices(len(batch))):
            count.update(done)
    return verdicts
