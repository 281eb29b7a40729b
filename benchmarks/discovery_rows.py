"""Rows of the table of `benchmarks.discovery`: what compositions are drawn from, and the draws themselves.

A random baseline, the same with only its valid formulas, a checkpoint at a temperature, or the best that drawing from
it for some minutes leaves.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.substitution import identity
from matgen.composition.batch import CompositionBatch, ParsedFormulas, parse_formulas
from matgen.errors import OptionError
from matgen.evaluation import baselines
from matgen.io.files import atomic_write
from matgen.models.locate import find_checkpoint
from matgen.runtime.progress import TerminalProgress
from matgen.sampling import Decoding, Sampler, SampleRequest
from matgen.validity import check

KEPT = 200
"""Compositions that draw-and-filter keeps unless it is told otherwise."""

_SPEC = re.compile(
    r"(?P<name>(?: = |[^=])+)=(?P<checkpoint>[^,@]+)(?:@(?P<temperature>[^,]+))?(?P<options>(?:,[^,]+)*)"
)

_NO_END = 1 << 40
"""Samples, where time ends the drawing."""

Reward = Callable[[CompositionBatch], np.ndarray]
"""From `m` compositions to float64 `(m,)`, higher is better, NaN where there is no answer."""


@dataclass(frozen=True)
class Row:
    """What is drawn from.

    Attributes:
        name: of the row.
        checkpoint: folder or name of a checkpoint, or the name of a random baseline.
        temperature: of the draws.
        conditions: ranges of properties that a conditional checkpoint draws from.
        minutes: draw for so long and keep the best; None to take all draws.
        keep: how many are kept then.
        random: `checkpoint` is a random baseline.
        valid_only: of a random baseline, draw until there are enough valid ones.
    """

    name: str
    checkpoint: str
    temperature: float = 1.0
    conditions: tuple[str, ...] = ()
    minutes: float | None = None
    keep: int = KEPT
    random: bool = False
    valid_only: bool = False

    @classmethod
    def of(cls, spec: str) -> Row:
        """The row of `NAME=CHECKPOINT[@T][,condition=RANGE][,filter=MINUTES][,keep=N]`; NAME may hold ` = `.

        Raises:
            OptionError: it cannot be read.
        """
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise OptionError(f"row {spec!r}: write NAME=CHECKPOINT[@T][,condition=RANGE][,filter=MINUTES][,keep=N]")
        given: dict[str, Any] = {"conditions": []}
        try:
            if found["temperature"]:
                given["temperature"] = float(found["temperature"])
            for option in found["options"].split(",")[1:]:
                key, _, value = option.partition("=")
                if key == "filter":
                    given["minutes"] = float(value)
                elif key == "keep":
                    given["keep"] = int(value)
                elif key == "condition" and value:
                    given["conditions"].append(value)
                else:
                    raise OptionError(f"row {spec!r}: {option!r} is none of condition=, filter=, keep=")
        except ValueError as error:
            raise OptionError(f"row {spec!r}: {error}") from error
        return cls(found["name"], found["checkpoint"], **given | {"conditions": tuple(given["conditions"])})

    def __str__(self) -> str:
        """The spec without the path of the checkpoint's folder."""
        options = [f"condition={condition}" for condition in self.conditions]
        if self.minutes is not None:
            options += [f"filter={self.minutes:g}", f"keep={self.keep}"]
        return ",".join([f"{self.name}={Path(self.checkpoint).name}@{self.temperature:g}", *options])

    def source(self) -> dict[str, Any]:
        """What identifies the source of the draws."""
        if self.random:
            return {"baseline": self.checkpoint, "valid_only": self.valid_only}
        folder = find_checkpoint(self.checkpoint)
        content = {"checkpoint": folder.name, **identity(folder), "temperature": self.temperature}
        if self.conditions:
            content["conditions"] = list(self.conditions)
        if self.minutes is not None:
            content |= {"filter_minutes": self.minutes, "keep": self.keep}
        return content


def random_rows() -> list[Row]:
    """The random baselines, and the same with only their valid formulas."""
    return [
        Row(f"random, {name.replace('_', ', ')}{', valid' if valid_only else ''}", name, random=True,
            valid_only=valid_only)
        for valid_only in (False, True) for name in baselines.BASELINES
    ]  # fmt: skip


@dataclass(frozen=True)
class Draws:
    """Compositions of a row.

    Attributes:
        n: how many there are, readable or not.
        parsed: those that can be read.
        drawn: samples that they were taken from: more than `n` where the best of them were kept.
        seconds: that drawing, and choosing, took.
    """

    n: int
    parsed: ParsedFormulas
    drawn: int
    seconds: float

    @property
    def batch(self) -> CompositionBatch:
        """The compositions that can be read, `(m,)`."""
        return self.parsed.batch


def draws_of(row: Row, n: int, seed: int, reference: CompositionBatch, sampler: Sampler | None) -> Draws:
    """`n` draws of a row in which nothing is filtered by its value.

    Args:
        row: what is drawn from.
        n: how many.
        seed: of the draws.
        reference: compositions whose stoichiometries and elements the random baselines draw.
        sampler: of the checkpoint; None for a random baseline.
    """
    began = time.perf_counter()
    if sampler is None:
        draw = valid_draws if row.valid_only else baselines.draw
        batch = draw(row.checkpoint, reference, n, seed)
        return Draws(n, ParsedFormulas(batch, np.arange(n), []), n, time.perf_counter() - began)
    request = SampleRequest(n, seed, Decoding(row.temperature), conditions=row.conditions)
    formulas = np.concatenate([block.formulas for block in sampler.sample(request)])[:n]
    return Draws(len(formulas), parse_formulas(formulas), len(formulas), time.perf_counter() - began)


def valid_draws(name: str, reference: CompositionBatch, n: int, seed: int) -> CompositionBatch:
    """The first `n` valid formulas of a random baseline."""
    many = 2 * n
    while True:
        batch = baselines.draw(name, reference, many, seed)
        valid = np.flatnonzero(check(batch).valid)
        if len(valid) >= n:
            return batch[valid[:n]]
        many *= 2


def filtered_draws(row: Row, seed: int, sampler: Sampler, reward: Reward, path: Path) -> Draws:
    """The best distinct compositions of as many draws as a row's minutes allow; kept in a file, for time is not exact.

    Scoring counts as time, as it does where a model learns from its scores.

    Args:
        row: with `minutes`.
        seed: of the draws.
        sampler: of the checkpoint.
        reward: what is best; compositions without an answer are left out.
        path: CSV of those that were kept, best first.
    """
    if not path.is_file():
        began = time.perf_counter()
        best, drawn = _best_of(row, seed, sampler, reward)
        seconds = round(time.perf_counter() - began, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            best.assign(drawn=drawn, seconds=seconds).to_csv(temporary, index=False)
    kept = pd.read_csv(path, dtype={"formula": str}, keep_default_na=False)
    parsed = parse_formulas(kept["formula"])
    return Draws(len(kept), parsed, int(kept["drawn"].iloc[0]), float(kept["seconds"].iloc[0]))


def _best_of(row: Row, seed: int, sampler: Sampler, reward: Reward) -> tuple[pd.DataFrame, int]:
    """Formulas and rewards, best first, and how many samples were drawn."""
    request = SampleRequest(_NO_END, seed, Decoding(row.temperature), conditions=row.conditions, unique=True,
                            most_draws=_NO_END, max_minutes=row.minutes, block_size=16_384)  # fmt: skip
    best, drawn = pd.DataFrame({"formula": [], "reward": []}).astype({"formula": object}), 0
    with TerminalProgress()(None, row.name, "samples") as count:
        for block in sampler.sample(request):
            drawn += block.drawn
            count.update(block.drawn)
            batch = parse_formulas(block.formulas).batch
            scored = pd.DataFrame({"formula": batch.formulas(), "reward": reward(batch)}).dropna()
            best = pd.concat([frame for frame in (best, scored) if len(frame)] or [best], ignore_index=True)
            best = best.sort_values("reward", ascending=False, kind="stable", ignore_index=True).head(row.keep)
    return best, drawn


def reward_of(expression: str) -> Reward:
    """What `matgen reinforce --reward` gives compositions: nothing outside of a predictor's domain.

    Raises:
        OptionError: an expression that cannot be read, or names a column that nothing writes.
    """
    from matgen.reinforcement.columns import RewardColumns
    from matgen.reinforcement.expression import parse_reward

    read = parse_reward(expression)
    columns = RewardColumns(read.columns)

    def reward(batch: CompositionBatch) -> np.ndarray:
        found, inside = columns(batch)
        return np.where(inside & (batch.n_elements > 1), read(found), np.nan)

    return reward
