"""Which of the drawn samples are kept, and when there are enough: without repeats, new to a reference, until n."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from matgen.composition.batch import first_occurrence
from matgen.composition.keys import KeySet
from matgen.sampling.block import SampleBlock

REACHED, BUDGET, EXHAUSTED = "reached", "budget", "exhausted"
"""Why drawing stopped: n were kept; the draws allowed were used up; nothing else exists under the constraints."""


@dataclass
class Tally:
    """What became of the samples.

    Attributes:
        drawn: samples drawn.
        unfinished: cut off by the model's length (kept only where nothing is promised of the rows).
        refused: outside the constraints (under rejection, which draws freely) or screened out.
        repeated: drawn before.
        known: in a reference that rows must be new to (distinct ones, where rows are unique).
        kept: rows in the file.
    """

    drawn: int = 0
    unfinished: int = 0
    refused: int = 0
    repeated: int = 0
    known: int = 0
    kept: int = 0


class Collector:
    """Takes blocks in order and keeps what is asked for.

    Args:
        n: rows to keep at most.
        unique: keep each composition once, in order of arrival.
        novel_to: keys of compositions that are not kept, or None.
        most_draws: samples after which drawing stops.
        existing: compositions that exist under the constraints, where that is known.
    """

    def __init__(
        self,
        n: int,
        *,
        unique: bool = False,
        novel_to: KeySet | None = None,
        most_draws: int | None = None,
        existing: int | None = None,
    ) -> None:
        self.n, self.unique, self.novel_to = n, unique, novel_to
        self.most_draws, self.existing = most_draws, existing
        self.tally = Tally()
        self._seen = _Seen()

    def take(self, block: SampleBlock) -> SampleBlock:
        """The rows of the next block that are kept."""
        tally = self.tally
        tally.drawn += block.drawn
        tally.unfinished += block.unfinished
        held = np.isnan(block.log_prob) & ~block.keys.any(axis=1)
        tally.refused += block.drawn - len(block) - (0 if held.any() else block.unfinished)
        keep = np.ones(len(block), dtype=bool)
        if self.unique:
            keep &= ~held
            fresh = np.zeros(len(block), dtype=bool)
            fresh[keep] = self._seen.add(block.keys[keep])
            tally.repeated += int((keep & ~fresh).sum())
            keep = fresh
        if self.novel_to is not None:
            known = self.novel_to.contains(block.keys) & keep & ~held
            tally.known += int(known.sum())
            keep &= ~known & ~held
        rows = np.flatnonzero(keep)[: self.n - tally.kept]
        tally.kept += len(rows)
        return block[rows]

    @property
    def stopped(self) -> str | None:
        """Why there is nothing more to draw, or None."""
        if self.tally.kept >= self.n:
            return REACHED
        if self.unique and self.existing is not None and self.tally.kept + self.tally.known >= self.existing:
            return EXHAUSTED
        if self.most_draws is not None and self.tally.drawn >= self.most_draws:
            return BUDGET
        return None

    def numbers(self) -> dict[str, int]:
        """The tally, for metadata."""
        return asdict(self.tally)


class _Seen:
    """Keys seen so far, as a few sorted sets of doubling size, so that adding a block costs little."""

    def __init__(self) -> None:
        self.sets: list[KeySet] = []

    def add(self, keys: np.ndarray) -> np.ndarray:
        """Which keys are new, each at its first place, bool `(n,)`; they are then remembered."""
        new = first_occurrence(keys) == np.arange(len(keys))
        for known in self.sets:
            new &= ~known.contains(keys)
        if new.any():
            self.sets.append(KeySet(keys[new]))
        while len(self.sets) > 1 and len(self.sets[-1]) * 2 > len(self.sets[-2]):
            last = self.sets.pop()
            self.sets[-1] = KeySet(np.concatenate([self.sets[-1].keys, last.keys]))
        return new
