"""The two passes over the candidates: keys first, then, knowing what repeats and what is known, judging row by row."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from matgen.composition.batch import first_occurrence, parse_formulas
from matgen.composition.keys import KeySet
from matgen.errors import DataError, OptionError
from matgen.evaluation import baselines as random_baselines
from matgen.evaluation import metrics, neighbours
from matgen.evaluation.candidate_table import CandidateTable, ColumnTypes, without_ours
from matgen.evaluation.distributions import Census
from matgen.evaluation.known import Known
from matgen.evaluation.labels import BASELINES
from matgen.evaluation.membership import Membership, ReferenceCount
from matgen.evaluation.memorization import LongestRun, PairKeys
from matgen.evaluation.protocol import Protocol
from matgen.evaluation.systems import SystemCounts, SystemSketch
from matgen.evaluation.tally import Tally, add_to_census
from matgen.evaluation.widths import by_width
from matgen.runtime.progress import ProgressFactory, part_of, silent
from matgen.validity import ValidityRules, explain

MOST_EXAMINED = 1_000_000
"""Novel compositions that are looked at for near-duplicates, the first ones."""

MOST_HELD = 1_000_000
"""Rows of a file up to which the judged table is kept in memory."""

Sink = Callable[[pd.DataFrame], None]
"""Takes the judged rows, chunk by chunk."""


@dataclass(frozen=True)
class Findings:
    """What the passes found.

    Attributes:
        tally: all counts.
        references: what each reference holds, by name.
        reference_census: distributions of the first one, or of a sample of it.
        floor_census: distributions of as many compositions drawn from it.
        systems: the entry `chemical_systems` of a report.
        longest_run: rows in a row that repeat consecutive rows of the first reference.
        baselines: fractions of each random baseline.
    """

    tally: Tally
    references: dict[str, ReferenceCount]
    reference_census: Census
    floor_census: Census
    systems: dict[str, Any]
    longest_run: int
    baselines: dict[str, dict[str, float]]


def evaluate_in_passes(
    table: CandidateTable,
    known: Known,
    protocol: Protocol,
    seed: int,
    *,
    with_baselines: bool,
    sink: Callable[[int, pa.Schema], Sink],
    progress: ProgressFactory = silent,
    needs_file: bool = False,
) -> Findings:
    """Go through the candidates twice.

    Args:
        table: the candidates.
        known: the references, which are streamed in here.
        protocol: how validity is judged, and what it asks of the baselines.
        seed: of the random baselines, and of the compositions drawn from the reference to compare distributions with.
        with_baselines: judge the random baselines too.
        sink: called after the first pass with the number of rows and the input's columns; gives what takes the
            judged rows.
        progress: counts rows read, candidates (an upper bound: repeated ones are judged once) and random formulas.
        needs_file: nothing is written, so that more than `MOST_HELD` rows of a file have nowhere to go.

    Raises:
        DataError: no rows, or none that can be read.
        OptionError: more than `MOST_HELD` rows of a file, and `needs_file`.
    """
    rules = protocol.rules
    with ExitStack() as opened:
        membership = opened.enter_context(Membership(memory_mb=256))
        systems = opened.enter_context(Membership(memory_mb=64))
        first_look = _FirstLook.of(table, membership, systems, progress, needs_file)
        n = first_look.n
        known.add_to(membership, systems)
        sample = known.references[0].sample
        n_random = min(max(n, random_baselines.FEWEST), random_baselines.MOST)
        random_keys = np.zeros((0, 2), dtype=np.uint64)
        if with_baselines:
            # They ride behind the candidates, since a large reference answers in passing and not again.
            most = protocol.most_atoms_of_one
            random_keys = np.concatenate([random_baselines.draw(name, sample, n_random, seed, most).keys()
                                          for name in BASELINES])  # fmt: skip
            membership.add_candidates(n + np.arange(len(random_keys)), random_keys)
        sizes = membership.references
        reference_census, floor_census = reference_distributions(sample, first_look.parsed, seed, rules)
        second_look = None
        contains, longest_run = known.keys.contains if known.keys else None, LongestRun()
        if known.keys is None:
            second_look = _look_again(table, membership, known, longest_run)
            contains = second_look.contains

        tally = Tally(n, len(known.references), census=Census(reference_census),
                      systems=SystemCounts(first_look.sketch.fullest()))  # fmt: skip
        take = sink(n, first_look.types.schema())
        answers, limit, pairs = _Answers(membership), _Limit(), PairKeys()
        with progress(first_look.parsed, "candidates", "formulas") as count:
            for chunk in _chunks(table):
                first, part = answers.take(chunk.start + chunk.parsed.rows)
                examined = limit.row(chunk.start + chunk.parsed.rows, first, part)
                judged = metrics.judge(len(chunk.frame), chunk.parsed, first, part, rules, start=chunk.start,
                                       known=contains, examined=examined, progress=part_of(count))  # fmt: skip
                tally.add(judged, examined)
                if known.pairs is not None:
                    pair_rows, pair_keys = pairs.add(judged.rows, chunk.parsed.batch.keys())
                    longest_run.add(pair_rows[known.pairs.contains(pair_keys)])
                take(pd.concat([without_ours(chunk.frame), judged.columns()], axis=1))

        baselines = {}
        if with_baselines:
            part = answers.take(n + np.arange(len(random_keys)))[1]
            met = KeySet(random_keys[(part > 0).any(axis=1)])
            baselines = random_baselines.judge_baselines(sample, met, n_random, seed, protocol, progress=progress)
        found_any = bool(tally.recovered[0, 1:].sum())
        return Findings(
            tally,
            sizes,
            reference_census,
            floor_census,
            _systems_entry(systems, tally, known, sizes[known.references[0].name].size),
            longest_run.rows or int(found_any),
            baselines,
        )


@dataclass(frozen=True)
class _Chunk:
    start: int
    frame: pd.DataFrame
    parsed: Any


def _chunks(table: CandidateTable) -> Iterator[_Chunk]:
    start = 0
    for frame, column in table.chunks():
        yield _Chunk(start, frame, parse_formulas(frame[column]))
        start += len(frame)


@dataclass(frozen=True)
class _FirstLook:
    """What the first pass says of the candidates: rows, rows that were read, their columns, their systems."""

    n: int
    parsed: int
    types: ColumnTypes
    sketch: SystemSketch

    @classmethod
    def of(
        cls,
        table: CandidateTable,
        membership: Membership,
        systems: Membership,
        progress: ProgressFactory,
        needs_file: bool,
    ) -> _FirstLook:
        n, n_parsed, types, sketch = 0, 0, ColumnTypes(), SystemSketch()
        first_bad = None
        reading = silent if table.held else progress
        with reading(None, "reading", "formulas") as count:
            for chunk in _chunks(table):
                batch, rows = chunk.parsed.batch, chunk.start + chunk.parsed.rows
                membership.add_candidates(rows, batch.keys())
                system_keys = batch.chemical_system_keys()
                sketch.add(system_keys[:, 0])
                first = np.flatnonzero(first_occurrence(system_keys) == np.arange(len(batch)))
                systems.add_candidates(rows[first], system_keys[first])
                types.add(without_ours(chunk.frame))
                n, n_parsed = n + len(chunk.frame), n_parsed + len(batch)
                first_bad = first_bad or next(iter(chunk.parsed.bad), None)
                count.update(len(chunk.frame))
                if needs_file and n > MOST_HELD and not table.held:
                    raise OptionError(f"{table.source} has more than {MOST_HELD:,} rows: name a folder for the report")
        if not n:
            raise DataError(f"{table.source}: no rows to evaluate")
        if not n_parsed:
            raise DataError(f"{table.source}: none of the {n} formulas can be read; {first_bad}")
        return cls(n, n_parsed, types, sketch)


class _Answers:
    """`Membership.results` in pieces of the caller's choice."""

    def __init__(self, membership: Membership) -> None:
        self._results = membership.results()
        self._rows = np.zeros(0, dtype=np.int64)
        self._first = np.zeros(0, dtype=np.int64)
        self._part = np.zeros((0, 0), dtype=np.uint8)

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`first`, int64 `(m,)`, and `part`, uint8 `(m, r)`, of the next rows, int64 `(m,)`."""
        firsts, parts, missing = [], [], len(rows)
        while True:
            firsts.append(self._first[:missing])
            parts.append(self._part[:missing])
            self._first, self._part = self._first[missing:], self._part[missing:]
            missing -= len(firsts[-1])
            if not missing:
                break
            answer = next(self._results, None)
            if answer is None:
                raise DataError("the candidates changed while they were read")
            self._first, self._part = answer.first, answer.part
        parts = [part for part in parts if len(part)] or parts[-1:]
        return np.concatenate(firsts), np.concatenate(parts)


class _Limit:
    """The row of the last novel composition that is looked at for near-duplicates, once there are too many."""

    def __init__(self) -> None:
        self._left = MOST_EXAMINED
        self._last: int | None = None

    def row(self, rows: np.ndarray, first: np.ndarray, part: np.ndarray) -> int:
        """The row up to whose first occurrences those of the next chunk are looked at."""
        if self._last is None:
            novel = rows[(first == rows) & (part == 0).all(axis=1)]
            if len(novel) < self._left:
                self._left -= len(novel)
                return int(np.iinfo(np.int64).max)
            self._last = int(novel[self._left - 1])
        return self._last


def _look_again(table: CandidateTable, membership: Membership, known: Known, longest_run: LongestRun) -> KeySet:
    """Look up, on disk, swapped compositions in all references, and pairs of rows in the first one.

    Returns:
        The keys of swapped compositions that a reference has; `longest_run` has taken in the pairs.
    """
    with (
        Membership(memory_mb=256) as swaps,
        Membership(memory_mb=128) as pairs,
        tempfile.TemporaryFile() as spilled,
    ):
        answers, limit, pair_keys, n_swaps = _Answers(membership), _Limit(), PairKeys(), 0
        for chunk in _chunks(table):
            batch, rows = chunk.parsed.batch, chunk.start + chunk.parsed.rows
            first, part = answers.take(rows)
            pairs.add_candidates(*pair_keys.add(rows, batch.keys()))
            looked_at = (first == rows) & (part == 0).all(axis=1) & (first <= limit.row(rows, first, part))
            chosen = np.flatnonzero(looked_at)
            for _, block in by_width(batch[chosen], neighbours.BLOCK):
                keys = neighbours.swapped(block).batch.keys()
                swaps.add_candidates(n_swaps + np.arange(len(keys)), keys)
                keys.tofile(spilled)
                n_swaps += len(keys)
        for keys in known.stream_keys():
            swaps.add_reference("all", keys, np.ones(len(keys), dtype=np.uint8))
        for keys in known.stream_pairs():
            pairs.add_reference("first", keys, np.ones(len(keys), dtype=np.uint8))
        for answer in pairs.results():
            longest_run.add(answer.rows[answer.part[:, 0] > 0])
        spilled.seek(0)
        met = [np.zeros((0, 2), dtype=np.uint64)]
        for answer in swaps.results():
            keys = np.fromfile(spilled, dtype=np.uint64, count=2 * len(answer.rows)).reshape(-1, 2)
            met.append(keys[(answer.part[:, 0] > 0) & (answer.first == answer.rows)])
        return KeySet(np.concatenate(met))


def reference_distributions(
    sample: Any, n: int, seed: int, rules: ValidityRules, most_drawn: int = 10_000_000
) -> tuple[Census, Census]:
    """Distributions of a reference, and of `n` compositions drawn from it with replacement, each counted once.

    The draw is what a sampler without any flaw would give: what is left between the two comes from n alone.

    Args:
        sample: the reference's compositions.
        n: how many to draw.
        seed: of the draw.
        rules: for the oxidation states.
        most_drawn: beyond this many the draw holds all of the reference for all purposes.
    """
    explanation = explain(sample, rules)
    census = Census()
    add_to_census(census, explanation, np.ones(len(sample), dtype=bool))
    drawn = np.zeros(len(sample), dtype=bool)
    rng = np.random.default_rng([seed, len(BASELINES)])
    drawn[rng.integers(0, len(sample), size=min(n, most_drawn))] = True
    floor = Census(census)
    add_to_census(floor, explanation, drawn)
    return census, floor


def _systems_entry(systems: Membership, tally: Tally, known: Known, size: int) -> dict[str, Any]:
    distinct = novel = 0
    for answer in systems.results():
        new = answer.first == answer.rows
        distinct += int(new.sum())
        novel += int((new & (answer.part == 0).all(axis=1)).sum())
    assert tally.systems is not None
    codes, top = tally.systems.top()
    in_reference = known.in_systems(codes, size)
    top = [entry | {"in_reference": int(held)} for entry, held in zip(top, in_reference, strict=True)]
    return {"distinct": distinct, "novel": novel, "top": top}
