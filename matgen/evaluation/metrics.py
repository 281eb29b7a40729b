"""Judging candidates row by row, and the shares that counts of them make.

Words (see `labels`): fractions are over all rows `n`, read or not; `unique` is distinct compositions over parsed rows;
`novel` is the share of the distinct compositions whose key is in none of the references; `valid_unique_novel` counts
distinct compositions, over `n`. A row that could not be read is False everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from matgen.composition.batch import BadFormula, CompositionBatch, ParsedFormulas, first_occurrence
from matgen.evaluation.labels import COLUMNS
from matgen.evaluation.neighbors import near_duplicates
from matgen.evaluation.widths import by_width
from matgen.runtime.progress import ProgressFactory, silent
from matgen.validity import Explanation, Validity, ValidityRules, explain

Contains = Callable[[np.ndarray], np.ndarray]
"""Which keys, uint64 `(m, 2)`, are known, bool `(m,)`: `KeySet.contains`."""

TRIALS = {
    "parsed": "n",
    "novel": "distinct",
    "charge_neutral": "n",
    "electronegativity_balanced": "n",
    "valid": "n",
    "balanced_common": "n",
    "rare_state": "electronegativity_balanced",
    "intermetallic": "n",
    "valid_unique_novel": "n",
}
"""Fractions that get a binomial interval, and what they are a share of. `unique` is none of them: it falls with n."""


@dataclass(frozen=True)
class Judged:
    """Candidates in consecutive rows, and what was found of each that could be read.

    Attributes:
        start: row of the first one among all candidates.
        n: rows, read or not.
        batch: the `m` compositions that were read.
        rows: int64 `(m,)`, the row of each among all candidates.
        first: int64 `(m,)`, the first row of all candidates with the same composition.
        part: uint8 `(m, r)`, the part code in each reference, 0 where it is not in it.
        near: object `(m,)`, formula of a known composition that a novel one is one swap away from, or None.
        explanation: verdicts and reasons for the `d` distinct compositions.
        place: int64 `(m,)`, where each composition is among the distinct ones.
        bad: the rows that could not be read, counted within the chunk, with reasons.
    """

    start: int
    n: int
    batch: CompositionBatch
    rows: np.ndarray
    first: np.ndarray
    part: np.ndarray
    near: np.ndarray
    explanation: Explanation
    place: np.ndarray
    bad: list[BadFormula]

    @property
    def is_first(self) -> np.ndarray:
        """True on the first row of each distinct composition, bool `(m,)`."""
        return np.asarray(self.first == self.rows)

    @property
    def novel(self) -> np.ndarray:
        """True where no reference has the composition, bool `(m,)`."""
        return np.asarray((self.part == 0).all(axis=1))

    @property
    def validity(self) -> Validity:
        """The verdicts, each bool `(m,)`."""
        validity = self.explanation.validity
        return Validity(
            *(
                verdict[self.place]
                for verdict in (
                    validity.charge_neutral,
                    validity.electronegativity_balanced,
                    validity.valid,
                    validity.judged,
                )
            )
        )

    def columns(self) -> pd.DataFrame:
        """The columns of `labels.COLUMNS`, `n` rows, index from 0."""
        rows, validity = self.rows - self.start, self.validity
        duplicate_of = pd.array(np.zeros(self.n, dtype=np.int64), dtype="Int64")
        duplicate_of[:] = pd.NA
        explanation, place = self.explanation, self.place
        common = explanation.commonness
        repeated = ~self.is_first
        duplicate_of[rows[repeated]] = self.first[repeated]
        reason = _spread(self.n, rows, explanation.reason[place])
        reason[[bad.row for bad in self.bad]] = [bad.reason for bad in self.bad]
        values = {
            "parsed": _spread(self.n, rows, np.ones(len(rows), dtype=bool)),
            "reduced_formula": _spread(self.n, rows, formulas(explanation.batch)[place]),
            "duplicate_of": duplicate_of,
            "all_metal": _spread(self.n, rows, self.batch.all_metal),
            "charge_neutral": _spread(self.n, rows, validity.charge_neutral),
            "electronegativity_balanced": _spread(self.n, rows, validity.electronegativity_balanced),
            "valid": _spread(self.n, rows, validity.valid),
            "balanced_common": _spread(self.n, rows, explanation.balanced_common[place]),
            "novel": _spread(self.n, rows, self.novel),
            "near_duplicate_of": _spread(self.n, rows, self.near),
            "judged": _spread(self.n, rows, validity.judged),
            "oxidation_states": _spread(self.n, rows, explanation.oxidation_states[place]),
            "oxidation_state_score": _spread(self.n, rows, common.score[place]),
            "rarest_state": _spread(self.n, rows, common.rarest_state[place]),
            "rarest_state_share": _spread(self.n, rows, common.rarest_state_share[place]),
            "metallicity_score": _spread(self.n, rows, explanation.metallicity_score[place]),
            "reason": reason,
        }
        return pd.DataFrame({name: values[name] for name in COLUMNS})


def judge(
    n: int,
    parsed: ParsedFormulas,
    first: np.ndarray,
    part: np.ndarray,
    rules: ValidityRules | None = None,
    *,
    start: int = 0,
    known: Contains | None = None,
    examined: int | None = None,
    progress: ProgressFactory = silent,
) -> Judged:
    """Judge the candidates of consecutive rows.

    Args:
        n: how many rows there are.
        parsed: what `parse_formulas` made of them.
        first: int64 `(m,)`, for each row that was read the first row of all candidates with the same composition.
        part: uint8 `(m, r)`, its part code in each reference (`membership.MembershipAnswers`).
        rules: how validity is judged.
        start: the row of the first one among all candidates.
        known: which keys a reference has, to look for near-duplicates; None to look for none.
        examined: look for them only where `first` is at most this row; None for no bound.
        progress: counts the distinct compositions judged.
    """
    batch, rows = parsed.batch, parsed.rows + start
    _, representative, place = np.unique(first, return_index=True, return_inverse=True)
    near = np.full(len(batch), None, dtype=object)
    if known is not None:
        looked_at = (part == 0).all(axis=1)
        if examined is not None:
            looked_at &= first <= examined
        chosen = np.flatnonzero(looked_at[representative])
        neighbors = np.full(len(representative), None, dtype=object)
        neighbors[chosen] = near_duplicates(batch[representative[chosen]], known)
        near = neighbors[place]
    explanation = explain(batch[representative], rules, progress=progress)
    return Judged(start, n, batch, rows, first, part, near, explanation, place, parsed.bad)


def judge_alone(
    n: int,
    parsed: ParsedFormulas,
    contains: Contains,
    rules: ValidityRules | None = None,
    *,
    progress: ProgressFactory = silent,
) -> Judged:
    """Judge candidates that are all there is, against one set of keys; see `judge`."""
    keys = parsed.batch.keys()
    first = parsed.rows[first_occurrence(keys)] if len(keys) else parsed.rows
    return judge(n, parsed, first, contains(keys).astype(np.uint8)[:, None], rules, progress=progress)


def fractions(count: dict[str, int]) -> dict[str, float]:
    """The fractions of `labels.METRICS` from `Tally.count`, each 0 to 1; 0 where there is nothing to be a share of."""
    share = {name: ratio(count[name], count[of]) for name, of in TRIALS.items()}
    return {
        "parsed": share["parsed"],
        "unique": ratio(count["distinct"], count["parsed"]),
        **{name: value for name, value in share.items() if name != "parsed"},
    }


def intervals(count: dict[str, int]) -> dict[str, list[float]]:
    """Wilson 95 % intervals `[low, high]` of the fractions that are shares of trials.

    Rows are taken as independent draws. For `valid_unique_novel` that is an approximation, good while repeats are few.
    """
    return {name: list(wilson(count[name], count[of])) for name, of in TRIALS.items()}


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a binomial share (J. Am. Stat. Assoc. 22 (1927) 209); `(0, 1)` without trials."""
    if trials <= 0:
        return 0.0, 1.0
    share = successes / trials
    center = share + z * z / (2 * trials)
    margin = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At the ends the exact bounds are 0 and 1; rounding would miss them by 1e-17.
    low = 0.0 if successes == 0 else (center - margin) / scale
    high = 1.0 if successes == trials else (center + margin) / scale
    return low, high


def ratio(part: int, total: int) -> float:
    """A share, 0 where there is nothing to be a share of."""
    return part / total if total else 0.0


def formulas(batch: CompositionBatch) -> np.ndarray:
    """`batch.formulas()`, rows of very many elements apart, object `(n,)`."""
    texts = np.empty(len(batch), dtype=object)
    for rows, block in by_width(batch, max(len(batch), 1)):
        texts[rows] = block.formulas()
    return texts


def _spread(n: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of the parsed rows among all `n` rows; the others are False, NaN or, where values are text, None."""
    missing = {"O": None, "f": np.nan}.get(values.dtype.kind, False)
    full = np.full(n, missing, dtype=values.dtype)
    full[rows] = values
    return full
