"""How much an evaluation holds in memory, and how many rows its costlier parts look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Numbers of rows; the numbers of a report do not depend on them, but for `novel_examined` and `rows_ranked`.

    Attributes:
        rows_per_chunk: rows of the candidates that are worked on at once.
        rows_held: rows of a file up to which the judged table is kept in memory.
        rows_ranked: rows of `ranked.csv` at most.
        novel_examined: novel compositions that are examined for near-duplicates, the first ones.
        reference_keys_held: compositions of all references up to which their keys stay in memory (16 bytes each); more
            are streamed from the references again.
    """

    rows_per_chunk: int = 100_000
    rows_held: int = 1_000_000
    rows_ranked: int = 20_000
    novel_examined: int = 1_000_000
    reference_keys_held: int = 2_000_000
