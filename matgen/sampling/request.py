"""What to draw: the request of a user, and the same with all that a model makes of it before the first block."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.sampling.collect import Collector
from matgen.sampling.decoders.decoding import Decoding

if TYPE_CHECKING:
    from matgen.composition.keys import KeySet
    from matgen.sampling.constraints.definition import Constraints
    from matgen.sampling.constraints.reachability import DecodingMask

Accept = Callable[[CompositionBatch], np.ndarray]
"""A filter: from a batch of `b` compositions to bool `(b,)`."""


@dataclass(frozen=True)
class SampleRequest:
    """What to draw.

    Attributes:
        n: rows wanted: samples as they come, or, where some are not kept, rows that are.
        seed: of everything.
        decoding: temperature and cuts.
        constraints: what every row must satisfy.
        rejection: draw freely and reject what breaks a constraint (the model's distribution given the constraints),
            instead of masking tokens that lead there (always ends, but shifts the distribution).
        unique: each composition once, in order of arrival.
        novel_to: datasets or files; their compositions are not kept.
        prompt: tokens that every sequence begins with, such as `Li Fe`.
        conditions: ranges of properties that a conditional model draws from, such as `band_gap=2..3`; `log_prob` is
            then that given the bins drawn for a row.
        screen: what the sampler's own filter keeps, in words; rows are then those that it keeps.
        trace: keep the steps of each sample, of a blank language model.
        most_draws: samples after which drawing stops, by default 100 for each row where not every sample is kept.
        max_minutes: time after which drawing stops.
        block_size: samples of a block, by default chosen from `n`.

    Raises:
        OptionError: a number is out of range.
    """

    n: int
    seed: int = 0
    decoding: Decoding = field(default_factory=Decoding)
    constraints: Constraints | None = None
    rejection: bool = False
    unique: bool = False
    novel_to: tuple[str, ...] = ()
    prompt: str = ""
    conditions: tuple[str, ...] = ()
    screen: str = ""
    trace: bool = False
    most_draws: int | None = None
    max_minutes: float | None = None
    block_size: int | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise OptionError(f"n is {self.n}, it must be at least 1")
        if not 0 <= self.seed < 1 << 64:
            raise OptionError(f"seed is {self.seed}, it must be 0 or above, and below 2^64")
        if self.block_size is not None and self.block_size < 1:
            raise OptionError(f"block size is {self.block_size}, it must be at least 1")
        if self.most_draws is not None and self.most_draws < 1:
            raise OptionError(f"max-draws is {self.most_draws}, it must be at least 1")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise OptionError(f"max-minutes is {self.max_minutes}, it must be above 0")

    @property
    def keeps_all(self) -> bool:
        """True where every sample that the sampler gives becomes a row."""
        return not (self.unique or self.novel_to)

    def out_of_time(self, began: float) -> bool:
        """True once `max_minutes` have passed since `began`, a reading of `time.monotonic` in seconds."""
        return self.max_minutes is not None and time.monotonic() - began > 60 * self.max_minutes


@dataclass(frozen=True, eq=False)
class PreparedRequest:
    """A request with all that its blocks need, checked against a model and computed once.

    Attributes:
        request: what the user asks for.
        block_size: samples of a block.
        most_draws: samples drawn at most.
        prompt: token ids that every sequence begins with.
        mask: tokens that may follow a prefix under the constraints, where these are masked.
        accept: filter of drawn compositions by the constraints, under rejection or where a mask does not hold all.
        condition_weights: float64 `(combinations,)`, probability of each combination of bins under the conditions, sum
            1; None without conditions.
        novel_to: keys of compositions that are not kept, or None.
        references: name, SHA-256 and size of what `novel_to` was read from.
        existing: compositions that satisfy the constraints, where that was counted.
    """

    request: SampleRequest
    block_size: int
    most_draws: int
    prompt: tuple[int, ...] = ()
    mask: DecodingMask | None = None
    accept: Accept | None = None
    condition_weights: np.ndarray | None = None
    novel_to: KeySet | None = None
    references: list[dict[str, Any]] = field(default_factory=list)
    existing: int | None = None

    @property
    def n_blocks(self) -> int:
        """Blocks in which `most_draws` samples are drawn."""
        return -(-self.most_draws // self.block_size)

    def rows_of(self, number: int) -> int:
        """Samples of a block; the last one may be shorter."""
        return min(self.block_size, self.most_draws - number * self.block_size)

    def collector(self) -> Collector:
        """A fresh collector for the blocks from the first on."""
        return Collector(
            self.request.n,
            unique=self.request.unique,
            novel_to=self.novel_to,
            most_draws=self.most_draws,
            existing=self.existing,
        )
