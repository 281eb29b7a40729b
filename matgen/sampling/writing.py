"""Samples to a file, written as they are drawn: a kill loses at most the blocks being drawn.

Every block becomes a file in `<out>.parts/`, drawn by whichever process; they are then taken in order, filtered
(unique, novel) and joined. So the result is the same however many processes there were and however often it was
resumed.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.composition.keys import KeySet
from matgen.datasets import CATALOGUE, load_dataset
from matgen.errors import OptionError, OutputError
from matgen.io.files import atomic_write, file_sha256, locked, read_json, write_json
from matgen.io.outputs import claim
from matgen.io.parquet import CHECKED_READING, CHECKED_WRITING
from matgen.io.versions import versions
from matgen.runtime.processes import Processes
from matgen.runtime.progress import Progress, ProgressFactory, silent
from matgen.sampling.collect import BUDGET, Collector
from matgen.sampling.constraints.constraints import with_present_names
from matgen.sampling.decoders.decoding import Decoding
from matgen.sampling.engine import QUICK_TOKENS, SampleBlock, Sampler
from matgen.sampling.likelihood import N_MC

if TYPE_CHECKING:
    from matgen.sampling.constraints.constraints import Constraints

MOST_DRAWS = 100
"""Samples drawn at most, for each row that is asked for, where not every sample is kept."""

_COUNTED = 100_000
"""Compositions up to which those that exist under the constraints are counted."""

_SCHEMA = pa.schema([("formula", pa.string()), ("log_prob", pa.float64()), ("canonical", pa.bool_())])
_TRACE = pa.field("trace", pa.string())
_KEYS = ("key_0", "key_1")


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
        prompt: tokens that every sequence begins with.
        conditions: ranges of properties that a conditional model is told, such as `band_gap=2..3`.
        screen: what the sampler's own filter keeps, in words; rows are then those that it keeps.
        trace: write the steps of each sample into a column `trace`, of a blank language model.
        most_draws: samples after which drawing stops, by default `MOST_DRAWS` for each row.
        max_minutes: time after which drawing stops.
        block_size: samples of a block, by default chosen from `n`.

    Raises:
        OptionError: a number is out of range.
    """

    n: int
    seed: int = 0
    decoding: Decoding = dataclasses.field(default_factory=Decoding)
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


@locked("out")
def sample_to_file(
    sampler: Sampler,
    request: SampleRequest,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    progress: ProgressFactory = silent,
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Draw into a CSV or Parquet file with the columns `formula, log_prob, canonical`, and metadata in `<out>.json`.

    Args:
        sampler: the model.
        request: what to draw.
        out: the file; its suffix decides the format.
        resume: keep the blocks of an interrupted run of the same request.
        force: replace an earlier file.
        progress: counts the compositions kept.
        processes: those that draw together, by default this one alone; all call this function alike.

    Returns:
        The metadata.

    Raises:
        OptionError: the suffix is neither `.csv` nor `.parquet`, or nothing can satisfy the request.
        OutputError: `out` exists, cannot be written, or `resume` meets parts of another request.
    """
    out = Path(out)
    processes = processes or Processes()
    run = _Run(sampler, request, Path(f"{out}.parts"), processes)
    processes.run_on_main(lambda: run.prepare(out, resume=resume, force=force))
    began = time.monotonic()
    with (progress if processes.is_main else silent)(request.n, "sample", "formulas") as count:
        stopped = run.draw(began, count)
    seconds = time.monotonic() - began
    processes.barrier()
    metadata: dict[str, Any] = {}
    if processes.is_main:
        collector = _join(run, out)
        metadata = run.identity | {
            "rows": collector.tally.kept,
            "stopped": stopped,
            "tally": collector.numbers(),
            "yield": collector.tally.kept / max(collector.tally.drawn, 1),
            **run.totals,
            "processes": processes.count,
            "formulas_per_second": round((collector.tally.drawn - run.drawn_before) / max(seconds, 1e-9), 1),
            "log_prob": "nats, of the canonical sequence"
            + (
                f", summed over orders: exact up to {QUICK_TOKENS} tokens, then estimated from {N_MC}"
                if sampler.checkpoint.architecture.any_order
                else ""
            ),
            "versions": versions("torch", "transformers", "numpy"),
        }
        write_json(Path(f"{out}.json"), metadata)
        shutil.rmtree(run.parts, ignore_errors=True)
    return processes.broadcast(metadata)


class _Run:
    """One request while it is carried out."""

    def __init__(self, sampler: Sampler, request: SampleRequest, parts: Path, processes: Processes) -> None:
        self.sampler, self.request, self.parts, self.processes = sampler, request, parts, processes
        self.size = request.block_size or sampler.block_size(request.n)
        self.mask, self.accept = sampler.masking(request.constraints, rejection=request.rejection)
        self.told = sampler.told(request.conditions)
        sampler.check(self.mask, request.prompt, trace=request.trace)
        self.novel_to, self.references = known_compositions(request.novel_to)
        self.existing = self._existing()
        self.identity = self._identity()
        self.totals = {"canonical": 0, "unfinished": 0}
        self.drawn_before = 0

    def prepare(self, out: Path, *, resume: bool, force: bool) -> None:
        """Claim the places that will be written."""
        claim(out, force=force)
        plan = self.parts / "plan.json"
        if plan.is_file() and resume:
            if _with_present_names(read_json(plan)) != self.identity:
                raise OutputError(
                    f"{self.parts} holds parts of another request: repeat its options, or remove the folder"
                )
            self.drawn_before = sum(block.drawn for block in self.blocks())
            return
        if self.parts.exists() and not force:
            raise OutputError(f"{self.parts} holds an unfinished run: add --resume to go on, or --force to start anew")
        shutil.rmtree(self.parts, ignore_errors=True)
        write_json(plan, self.identity)

    def collector(self) -> Collector:
        """A fresh collector for the blocks from the first on."""
        return Collector(
            self.request.n,
            unique=self.request.unique,
            novel_to=self.novel_to,
            most_draws=self.most_draws,
            existing=self.existing,
        )

    @property
    def most_draws(self) -> int:
        """Samples drawn at most."""
        if self.request.keeps_all and self.accept is None and not self.request.screen:
            return min(self.request.n, self.request.most_draws or self.request.n)
        return self.request.most_draws or MOST_DRAWS * self.request.n

    def draw(self, began: float, count: Progress) -> str:
        """Draw blocks until there are enough; returns why drawing stopped.

        The blocks go round the processes. After each round the first process looks whether there are enough; the
        others wait for its word.
        """
        collector, most = self.collector(), self.most_draws
        last = -(-most // self.size)
        for first in range(0, last, self.processes.count):
            number = first + self.processes.rank
            if number < last:
                self._draw_block(number, min(self.size, most - number * self.size))
            self.processes.barrier()
            stopped = None
            if self.processes.is_main:
                for done in range(first, min(first + self.processes.count, last)):
                    before = collector.tally.kept
                    if collector.stopped is None:
                        collector.take(_read_block(self._part(done)))
                    count.update(collector.tally.kept - before)
                stopped = collector.stopped
                if stopped is None and self._out_of_time(began):
                    stopped = "time"
            stopped = self.processes.broadcast(stopped)
            if stopped:
                return stopped
        return self.processes.broadcast(collector.stopped or BUDGET)

    def _out_of_time(self, began: float) -> bool:
        return self.request.max_minutes is not None and time.monotonic() - began > 60 * self.request.max_minutes

    def _draw_block(self, number: int, rows: int) -> None:
        path = self._part(number)
        if path.is_file():
            return
        request = self.request
        block = self.sampler.block(
            number,
            rows,
            seed=request.seed,
            decoding=request.decoding,
            mask=self.mask,
            accept=self.accept,
            prompt=request.prompt,
            told=self.told,
            trace=request.trace,
        )
        _write_block(path, block)

    def _part(self, number: int) -> Path:
        return self.parts / f"part-{number:06d}.parquet"

    def blocks(self) -> Iterator[SampleBlock]:
        """The blocks that were drawn, in order and without a gap."""
        number = 0
        while self._part(number).is_file():
            yield _read_block(self._part(number))
            number += 1

    def _existing(self) -> int | None:
        """Compositions that the constraints leave, where they are few enough to count and the answer is of use."""
        if not self.request.unique or self.mask is None:
            return None
        limit = max(self.request.n, _COUNTED)
        existing = self.mask.count_compositions(limit)
        if existing < self.request.n:
            raise OptionError(
                f"only {existing:,} compositions satisfy the constraints, fewer than n = {self.request.n:,}"
            )
        return existing if existing < limit else None

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a file to be continued."""
        sampler, request = self.sampler, self.request
        weights, conditions = sampler.checkpoint.folder / "model.safetensors", sampler.checkpoint.conditions
        return {
            "model": sampler.checkpoint.folder.name,
            "model_sha256": file_sha256(weights),
            "architecture": sampler.checkpoint.architecture.key,
            "notation": sampler.notation,
            "dataset": sampler.checkpoint.metadata.get("dataset"),
            "n": request.n,
            "seed": request.seed,
            "block_size": self.size,
            "precision": sampler.precision,
            "device": sampler.device.type,
            **dataclasses.asdict(request.decoding),
            "prompt": request.prompt,
            "conditions": list(request.conditions),
            "told": {} if self.told is None or conditions is None else conditions.in_words(self.told),
            "screen": request.screen,
            "trace": request.trace,
            "constraints": None if request.constraints is None else request.constraints.describe(),
            "constraints_meaning": None
            if request.constraints is None
            else ("rejection" if request.rejection else "masked"),
            "unique": request.unique,
            "novel_to": self.references,
            "max_draws": self.most_draws,
        }


def _with_present_names(identity: Any) -> Any:
    """What `_identity` gave, as this version or 0.2 wrote it, under the names of today."""
    if not isinstance(identity, dict) or not isinstance(identity.get("constraints"), dict):
        return identity
    meaning = identity.get("constraints_meaning")
    return identity | {
        "constraints": with_present_names(identity["constraints"]),
        "constraints_meaning": "rejection" if meaning == "exact" else meaning,
    }


def known_compositions(names: tuple[str, ...]) -> tuple[KeySet | None, list[dict[str, Any]]]:
    """The compositions that rows must be new to, and what they were."""
    if not names:
        return None, []
    if all(name in CATALOGUE and CATALOGUE[name].bundled for name in names):
        return _bundled_compositions(names)
    return _read_compositions(names)


def _read_compositions(names: tuple[str, ...]) -> tuple[KeySet, list[dict[str, Any]]]:
    datasets = [load_dataset(name) for name in names]
    keys = KeySet(np.concatenate([dataset.batch.keys() for dataset in datasets]))
    return keys, [{"name": one.name, "sha256": one.sha256, "size": len(one)} for one in datasets]


_bundled_compositions = functools.lru_cache(maxsize=2)(_read_compositions)  # bundled files do not change


def _write_block(path: Path, block: SampleBlock) -> None:
    table = pa.table(
        {
            "formula": pa.array(block.formulas, pa.string()),
            "log_prob": pa.array(block.log_prob, pa.float64()),
            "canonical": pa.array(block.canonical, pa.bool_()),
            _KEYS[0]: pa.array(block.keys[:, 0]),
            _KEYS[1]: pa.array(block.keys[:, 1]),
            **({} if block.trace is None else {_TRACE.name: pa.array(block.trace, pa.string())}),
        }
    ).replace_schema_metadata(
        {"number": str(block.number), "drawn": str(block.drawn), "unfinished": str(block.unfinished)}
    )
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", **CHECKED_WRITING)


def _read_block(path: Path) -> SampleBlock:
    table = pq.read_table(path, **CHECKED_READING)
    told = {name.decode(): int(value) for name, value in table.schema.metadata.items() if name != b"pandas"}
    keys = np.stack([table[name].to_numpy() for name in _KEYS], axis=1)
    formulas, canonical = table["formula"].to_numpy(zero_copy_only=False), table["canonical"].to_numpy()
    return SampleBlock(
        told["number"],
        told["drawn"],
        told["unfinished"],
        formulas.astype(object),
        table["log_prob"].to_numpy(),
        canonical.astype(bool),
        keys.astype(np.uint64).reshape(-1, 2),
        table[_TRACE.name].to_numpy(zero_copy_only=False) if _TRACE.name in table.schema.names else None,
    )


def _join(run: _Run, out: Path) -> Collector:
    """Join the kept rows of all blocks, in order and one block at a time, into one file."""
    collector, schema = run.collector(), _SCHEMA.append(_TRACE) if run.request.trace else _SCHEMA
    with atomic_write(out) as temporary:
        writer = (
            pq.ParquetWriter(temporary, schema, compression="zstd", **CHECKED_WRITING)
            if out.suffix == ".parquet"
            else None
        )
        if writer is None:
            pd.DataFrame(columns=schema.names).to_csv(temporary, index=False)
        for drawn in run.blocks():
            if collector.stopped is not None:
                break
            block = collector.take(drawn)
            run.totals["canonical"] += int(block.canonical.sum())
            run.totals["unfinished"] += int(np.isnan(block.log_prob).sum())
            columns = {"formula": block.formulas, "log_prob": block.log_prob, "canonical": block.canonical}
            if block.trace is not None:
                columns[_TRACE.name] = block.trace
            if writer is not None:
                writer.write_table(pa.table(columns, schema=schema))
            else:
                frame = pd.DataFrame(columns)
                frame.to_csv(temporary, mode="a", header=False, index=False, float_format="%.6f")
        if writer is not None:
            writer.close()
    return collector
