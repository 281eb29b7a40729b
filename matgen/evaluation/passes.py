"""The two passes over the candidates: keys first, then, knowing what repeats and what is known, judging row by row."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from matgen.composition.batch import first_occurrence, parse_formulas
from matgen.composition.keys import KeySet
from matgen.datasets.formula_notes import with_formula_notes
from matgen.errors import DataError, OptionError
from matgen.evaluation import baselines as random_baselines
from matgen.evaluation import metrics, neighbors
from matgen.evaluation.candidate_table import CandidateTable, without_ours
from matgen.evaluation.distributions import Census
from matgen.evaluation.known import Known
from matgen.evaluation.labels import BASELINES
from matgen.evaluation.limits import Limits
from matgen.evaluation.membership import Membership, ReferenceCount
from matgen.evaluation.memorization import LongestRun, PairKeys
from matgen.evaluation.protocol import Protocol
from matgen.evaluation.systems import SystemCounts, SystemSketch
from matgen.evaluation.tally import Tally, add_to_census
from matgen.evaluation.widths import by_width
from matgen.io.chunks import ColumnTypes
from matgen.runtime.progress import ProgressFactory, part_of, silent
from matgen.runtime.unreadable import report_remarks
from matgen.runtime.workers import stream_tasks
from matgen.validity import ValidityRules, explain

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
        remarks: `rows` that were read with a remark, and the `first` of them as a message shows it.
    """

    tally: Tally
    references: dict[str, ReferenceCount]
    reference_census: Census
    floor_census: Census
    systems: dict[str, Any]
    longest_run: int
    baselines: dict[str, dict[str, float]]
    remarks: dict[str, Any]


def evaluate_in_passes(
    table: CandidateTable,
    known: Known,
    protocol: Protocol,
    seed: int,
    *,
    with_baselines: bool,
    sink: Callable[[int, pa.Schema], Sink],
    limits: Limits = Limits(),  # noqa: B008, frozen
    progress: ProgressFactory = silent,
    needs_file: bool = False,
    scheduler: str | None = None,
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
        limits: how many rows are held and looked at.
        progress: counts rows read, candidates (an upper bound: repeated ones are judged once) and random formulas.
        needs_file: nothing is written, so that more than `limits.rows_held` rows of a file have nowhere to go.
        scheduler: address of a running Dask scheduler whose workers judge.

    Raises:
        DataError: no rows, or none that can be read.
        OptionError: more than `limits.rows_held` rows of a file, and `needs_file`.
    """
    with Membership(memory_mb=256) as membership, Membership(memory_mb=64) as systems:
        first_look = _FirstLook.of(table, membership, systems, limits, progress, needs_file)
        known.add_to(membership, systems)
        sample = known.references[0].sample
        random = _RandomCompositions.draw(sample, first_look.n, seed, protocol) if with_baselines else None
        if random is not None:
            # They ride behind the candidates, since a large reference answers in passing and not again.
            membership.add_candidates(first_look.n + np.arange(len(random.keys)), random.keys)
        sizes = membership.references
        reference_census, floor_census = reference_distributions(sample, first_look.parsed, seed, protocol.rules)
        tally = Tally(first_look.n, len(known.references), census=Census(reference_census),
                      systems=SystemCounts(first_look.sketch.fullest()))  # fmt: skip
        answers = _Answers(membership)
        with progress(first_look.parsed, "candidates", "formulas") as count:
            longest_run = _judge_chunks(
                table,
                known,
                protocol.rules,
                membership,
                answers,
                tally,
                limits,
                sink(first_look.n, first_look.types.schema()),
                part_of(count),
                scheduler,
            )
        baselines = {} if random is None else random.judge(answers, first_look.n, progress)
        recovered_any = bool(tally.recovered[0, 1:].sum())
        return Findings(
            tally,
            sizes,
            reference_census,
            floor_census,
            _systems_entry(systems, tally, known, sizes[known.references[0].name].size),
            longest_run.rows or int(recovered_any),
            baselines,
            first_look.remarks,
        )


def _judge_chunks(
    table: CandidateTable,
    known: Known,
    rules: ValidityRules,
    membership: Membership,
    answers: _Answers,
    tally: Tally,
    limits: Limits,
    take: Sink,
    progress: ProgressFactory,
    scheduler: str | None,
) -> LongestRun:
    """The second pass: judge every chunk, count it in `tally` and give its rows to `take`, all in order."""
    longest_run, pairs, limit = LongestRun(), PairKeys(), _Limit(limits.novel_examined)
    if known.keys is None:
        contains = _look_again(table, membership, known, longest_run, limits).contains
    else:
        contains = known.keys.contains
    frames: dict[int, pd.DataFrame] = {}

    def tasks() -> Iterator[_Task]:
        for chunk in _chunks(table):
            rows = chunk.start + chunk.parsed.rows
            first, part = answers.take(rows)
            frames[chunk.start] = chunk.frame
            yield _Task(chunk.start, len(chunk.frame), chunk.parsed, first, part, limit.row(rows, first, part))

    work = partial(_judge, contains, rules, silent if scheduler else progress)
    for task, judged in _in_order(stream_tasks(work, tasks(), scheduler=scheduler, torch=False)):
        frame = frames.pop(task.start)
        if scheduler:
            with progress(len(judged.explanation.batch), "judge", "formulas") as count:
                count.update(len(judged.explanation.batch))
        tally.add(judged, task.examined)
        if known.pairs is not None:
            pair_rows, pair_keys = pairs.add(judged.rows, task.parsed.batch.keys())
            longest_run.add(pair_rows[known.pairs.contains(pair_keys)])
        take(pd.concat([without_ours(frame), judged.columns()], axis=1))
    return longest_run


@dataclass(frozen=True)
class _Task:
    """A chunk to judge: its first row and their number, its formulas, and what `metrics.judge` wants besides."""

    start: int
    n: int
    parsed: Any
    first: np.ndarray
    part: np.ndarray
    examined: int


def _judge(contains: metrics.Contains, rules: ValidityRules, progress: ProgressFactory, task: _Task) -> metrics.Judged:
    """Judge a chunk, here or on a worker of a scheduler."""
    return metrics.judge(task.n, task.parsed, task.first, task.part, rules, start=task.start, known=contains,
                         examined=task.examined, progress=progress)  # fmt: skip


def _in_order(judged: Iterator[tuple[_Task, metrics.Judged]]) -> Iterator[tuple[_Task, metrics.Judged]]:
    """Chunks in the order of their rows, whichever was judged first."""
    waiting: dict[int, tuple[_Task, metrics.Judged]] = {}
    row = 0
    for task, result in judged:
        waiting[task.start] = task, result
        while row in waiting:
            following = waiting.pop(row)
            row += following[0].n
            yield following


@dataclass(frozen=True)
class _RandomCompositions:
    """The random baselines' compositions: of each the same number, and their keys, uint64 `(baselines * n, 2)`."""

    sample: Any
    n: int
    keys: np.ndarray
    seed: int
    protocol: Protocol

    @classmethod
    def draw(cls, sample: Any, n_candidates: int, seed: int, protocol: Protocol) -> _RandomCompositions:
        n = min(max(n_candidates, random_baselines.FEWEST), random_baselines.MOST)
        drawn = [random_baselines.draw(name, sample, n, seed, protocol.most_atoms_of_one) for name in BASELINES]
        return cls(sample, n, np.concatenate([batch.keys() for batch in drawn]), seed, protocol)

    def judge(self, answers: _Answers, start: int, progress: ProgressFactory) -> dict[str, dict[str, float]]:
        """Fractions of each baseline, once `answers` has given all rows before `start`."""
        part = answers.take(start + np.arange(len(self.keys)))[1]
        known = KeySet(self.keys[(part > 0).any(axis=1)])
        return random_baselines.judge_baselines(self.sample, known, self.n, self.seed, self.protocol, progress=progress)


@dataclass(frozen=True)
class _Chunk:
    start: int
    frame: pd.DataFrame
    parsed: Any


def _chunks(table: CandidateTable, *, tell: bool = False) -> Iterator[_Chunk]:
    start = 0
    for frame, column in table.chunks():
        parsed = parse_formulas(frame[column])
        yield _Chunk(start, with_formula_notes(frame, parsed, tell=tell), parsed)
        start += len(frame)


@dataclass(frozen=True)
class _FirstLook:
    """What the first pass says of the candidates: rows, rows that were read, their columns, systems and remarks."""

    n: int
    parsed: int
    types: ColumnTypes
    sketch: SystemSketch
    remarks: dict[str, Any]

    @classmethod
    def of(
        cls,
        table: CandidateTable,
        membership: Membership,
        systems: Membership,
        limits: Limits,
        progress: ProgressFactory,
        needs_file: bool,
    ) -> _FirstLook:
        n, n_parsed, types, sketch = 0, 0, ColumnTypes(), SystemSketch()
        n_remarks, first_remark = 0, None
        first_bad = None
        reading = silent if table.held else progress
        with reading(None, "reading", "formulas") as count:
            for chunk in _chunks(table, tell=True):
                batch, rows = chunk.parsed.batch, chunk.start + chunk.parsed.rows
                membership.add_candidates(rows, batch.keys())
                system_keys = batch.chemical_system_keys()
                sketch.add(system_keys[:, 0])
                first = np.flatnonzero(first_occurrence(system_keys) == np.arange(len(batch)))
                systems.add_candidates(rows[first], system_keys[first])
                types.add(without_ours(chunk.frame))
                n, n_parsed = n + len(chunk.frame), n_parsed + len(batch)
                n_remarks += len(chunk.parsed.remarks)
                if chunk.parsed.remarks and first_remark is None:
                    one = chunk.parsed.remarks[0]
                    first_remark = str(replace(one, row=one.row + chunk.start))
                first_bad = first_bad or next(iter(chunk.parsed.bad), None)
                count.update(len(chunk.frame))
                if needs_file and n > limits.rows_held and not table.held:
                    raise OptionError(
                        f"{table.source} has more than {limits.rows_held:,} rows: name a folder for the report"
                    )
        if not n:
            raise DataError(f"{table.source}: no rows to evaluate")
        if not n_parsed:
            raise DataError(f"{table.source}: none of the {n} formulas can be read; {first_bad}")
        report_remarks(n_remarks, first_remark, table.source)
        return cls(n, n_parsed, types, sketch, {"rows": n_remarks, "first": first_remark})


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
            answers = next(self._results, None)
            if answers is None:
                raise DataError("the candidates changed while they were read")
            self._first, self._part = answers.first, answers.part
        parts = [part for part in parts if len(part)] or parts[-1:]
        return np.concatenate(firsts), np.concatenate(parts)


class _Limit:
    """The row of the last novel composition that is looked at for near-duplicates, once there are too many."""

    def __init__(self, novel_examined: int) -> None:
        self._left = novel_examined
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


def _look_again(
    table: CandidateTable, membership: Membership, known: Known, longest_run: LongestRun, limits: Limits
) -> KeySet:
    """Look up, on disk, swapped compositions in all references, and pairs of rows in the first one.

    Returns:
        The keys of swapped compositions that a reference has; `longest_run` has taken in the pairs.
    """
    with (
        Membership(memory_mb=256) as swaps,
        Membership(memory_mb=128) as pairs,
        tempfile.TemporaryFile() as spilled,
    ):
        answers, limit, pair_keys, n_swaps = _Answers(membership), _Limit(limits.novel_examined), PairKeys(), 0
        for chunk in _chunks(table):
            batch, rows = chunk.parsed.batch, chunk.start + chunk.parsed.rows
            first, part = answers.take(rows)
            pairs.add_candidates(*pair_keys.add(rows, batch.keys()))
            looked_at = (first == rows) & (part == 0).all(axis=1) & (first <= limit.row(rows, first, part))
            chosen = np.flatnonzero(looked_at)
            for _, block in by_width(batch[chosen], neighbors.BLOCK):
                keys = neighbors.swapped(block).batch.keys()
                swaps.add_candidates(n_swaps + np.arange(len(keys)), keys)
                keys.tofile(spilled)
                n_swaps += len(keys)
        for keys in known.stream_keys():
            swaps.add_reference("all", keys, np.ones(len(keys), dtype=np.uint8))
        for keys in known.stream_pairs():
            pairs.add_reference("first", keys, np.ones(len(keys), dtype=np.uint8))
        for joined in pairs.results():
            longest_run.add(joined.rows[joined.part[:, 0] > 0])
        spilled.seek(0)
        met = [np.zeros((0, 2), dtype=np.uint64)]
        for joined in swaps.results():
            keys = np.fromfile(spilled, dtype=np.uint64, count=2 * len(joined.rows)).reshape(-1, 2)
            met.append(keys[(joined.part[:, 0] > 0) & (joined.first == joined.rows)])
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
    for answers in systems.results():
        first_seen = answers.first == answers.rows
        distinct += int(first_seen.sum())
        novel += int((first_seen & (answers.part == 0).all(axis=1)).sum())
    assert tally.systems is not None
    codes, top = tally.systems.top()
    in_reference = known.in_systems(codes, size)
    top = [entry | {"in_reference": int(held)} for entry, held in zip(top, in_reference, strict=True)]
    return {"distinct": distinct, "novel": novel, "top": top}
