"""Samples to a file, written as they are drawn: a kill loses at most the blocks being drawn.

Every block becomes a file in `<out>.parts/`, drawn by whichever process; they are then taken in order, filtered
(unique, novel) and joined. So the result is the same however many processes there were and however often it was
resumed.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.io.arrow import numbers_as_arrow, texts_as_arrow
from matgen.io.files import atomic_write, file_sha256, locked, write_json
from matgen.io.outputs import claim
from matgen.io.parquet import CHECKED_WRITING
from matgen.io.versions import versions
from matgen.runtime.processes import Processes
from matgen.runtime.progress import Progress, ProgressFactory, silent
from matgen.sampling.collect import BUDGET, Collector
from matgen.sampling.engine import QUICK_TOKENS, Sampler
from matgen.sampling.likelihood import N_MC
from matgen.sampling.parts import Parts

if TYPE_CHECKING:
    from matgen.sampling.block import SampleBlock
    from matgen.sampling.decoders.decoding import Decoding
    from matgen.sampling.request import PreparedRequest, SampleRequest

_SCHEMA = pa.schema([("formula", pa.string()), ("log_prob", pa.float64()), ("canonical", pa.bool_())])
_TRACE = pa.field("trace", pa.string())


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
    run = _Run(sampler, request, Parts(Path(f"{out}.parts")), processes)
    processes.run_on_main(lambda: run.start(out, resume=resume, force=force))
    began = time.monotonic()
    with (progress if processes.is_main else silent)(request.n, "sample", "formulas") as count:
        stopped = run.draw(began, count)
    seconds = time.monotonic() - began
    processes.barrier()
    metadata: dict[str, Any] = {}
    if processes.is_main:
        totals = _join(run.parts, run.prepared, out)
        metadata = run.metadata(stopped, seconds, totals)
        write_json(Path(f"{out}.json"), metadata)
        run.parts.remove()
    return processes.broadcast(metadata)


class _Run:
    """One request while it is carried out."""

    def __init__(self, sampler: Sampler, request: SampleRequest, parts: Parts, processes: Processes) -> None:
        self.sampler, self.parts, self.processes = sampler, parts, processes
        self.prepared = sampler.prepare(request)
        self.plan = _plan(sampler, self.prepared)
        self.drawn_before = 0

    def start(self, out: Path, *, resume: bool, force: bool) -> None:
        """Claim the places that will be written."""
        claim(out, force=force)
        self.parts.open(self.plan, resume=resume, force=force)
        self.drawn_before = sum(block.drawn for block in self.parts)

    def draw(self, began: float, count: Progress) -> str:
        """Draw blocks until there are enough; returns why drawing stopped.

        The blocks go round the processes. After each round the first process looks whether there are enough; the
        others wait for its answer.
        """
        collector, n_blocks, processes = self.prepared.collector(), self.prepared.n_blocks, self.processes
        with closing(self.sampler.blocks(self.prepared, self._missing())) as missing:
            for first in range(0, n_blocks, processes.count):
                number = first + processes.rank
                if number < n_blocks and not self.parts.holds(number):
                    self.parts.write(next(missing))
                processes.barrier()
                stopped = None
                if processes.is_main:
                    for done in range(first, min(first + processes.count, n_blocks)):
                        self._take(collector, done, count)
                    out_of_time = self.prepared.request.out_of_time(began)
                    stopped = collector.stopped or ("time" if out_of_time else None)
                stopped = processes.broadcast(stopped)
                if stopped:
                    return stopped
        return processes.broadcast(collector.stopped or BUDGET)

    def _missing(self) -> Iterator[int]:
        """Numbers of the blocks that this process draws, looked up one at a time."""
        own = range(self.processes.rank, self.prepared.n_blocks, self.processes.count)
        return (number for number in own if not self.parts.holds(number))

    def _take(self, collector: Collector, number: int, count: Progress) -> None:
        before = collector.tally.kept
        if collector.stopped is None:
            collector.take(self.parts.read(number))
        count.update(collector.tally.kept - before)

    def metadata(self, stopped: str, seconds: float, joined: _Joined) -> dict[str, Any]:
        """What stands beside the file."""
        tally = joined.collector.tally
        return self.plan | {
            "rows": tally.kept,
            "stopped": stopped,
            "tally": joined.collector.numbers(),
            "yield": tally.kept / max(tally.drawn, 1),
            "canonical": joined.canonical,
            "unfinished": joined.unfinished,
            "processes": self.processes.count,
            "formulas_per_second": round((tally.drawn - self.drawn_before) / max(seconds, 1e-9), 1),
            "log_prob": "nats, of the canonical sequence"
            + (
                f", summed over orders: exact up to {QUICK_TOKENS} tokens, then estimated from {N_MC}"
                if self.sampler.checkpoint.architecture.any_order
                else ""
            ),
            "versions": versions("torch", "transformers", "numpy"),
        }


def _plan(sampler: Sampler, prepared: PreparedRequest) -> dict[str, Any]:
    """What must be equal for a file to be continued."""
    request, checkpoint = prepared.request, sampler.checkpoint
    weights, properties = prepared.condition_weights, checkpoint.conditions
    return {
        "model": checkpoint.folder.name,
        "model_sha256": file_sha256(checkpoint.folder / "model.safetensors"),
        "architecture": checkpoint.architecture.key,
        "notation": sampler.notation,
        "dataset": checkpoint.metadata.get("dataset"),
        "n": request.n,
        "seed": request.seed,
        "block_size": prepared.block_size,
        "precision": sampler.precision,
        "device": sampler.device.type,
        **_decoding(request.decoding),
        "prompt": request.prompt,
        "conditions": list(request.conditions),
        "condition_bins": {} if weights is None or properties is None else properties.in_words(weights),
        "screen": request.screen,
        "trace": request.trace,
        "constraints": None if request.constraints is None else request.constraints.describe(),
        "constraints_meaning": None
        if request.constraints is None
        else ("rejection" if request.rejection else "masked"),
        "unique": request.unique,
        "novel_to": prepared.references,
        "max_draws": prepared.most_draws,
    }


def _decoding(decoding: Decoding) -> dict[str, float]:
    """Temperature and cuts, and guidance where there is any: files begun without know no word for it."""
    content = dataclasses.asdict(decoding)
    return content if decoding.guidance != 1 else {name: v for name, v in content.items() if name != "guidance"}


@dataclasses.dataclass
class _Joined:
    """What went into a file.

    Attributes:
        collector: with the tally.
        canonical: rows that were drawn as their canonical sequence.
        unfinished: rows that the model's length cut off.
    """

    collector: Collector
    canonical: int = 0
    unfinished: int = 0

    def take(self, block: SampleBlock) -> SampleBlock:
        """The rows of the next block that are kept."""
        kept = self.collector.take(block)
        self.canonical += int(kept.canonical.sum())
        self.unfinished += int(np.isnan(kept.log_prob).sum())
        return kept


def _join(parts: Parts, prepared: PreparedRequest, out: Path) -> _Joined:
    """Join the kept rows of all blocks, in order and one block at a time, into one file."""
    joined = _Joined(prepared.collector())
    schema = _SCHEMA.append(_TRACE) if prepared.request.trace else _SCHEMA
    with atomic_write(out) as temporary:
        writer = (
            pq.ParquetWriter(temporary, schema, compression="zstd", **CHECKED_WRITING)
            if out.suffix == ".parquet"
            else None
        )
        if writer is None:
            _append_rows(temporary, [schema.names])
        for drawn in parts:
            if joined.collector.stopped is not None:
                break
            block = joined.take(drawn)
            if writer is not None:
                writer.write_table(_as_table(block, schema))
            else:
                _append_rows(temporary, _as_rows(block))
        if writer is not None:
            writer.close()
    return joined


def _as_table(block: SampleBlock, schema: pa.Schema) -> pa.Table:
    columns = [texts_as_arrow(block.formulas), numbers_as_arrow(block.log_prob), numbers_as_arrow(block.canonical)]
    if block.trace is not None:
        columns.append(texts_as_arrow(block.trace))
    return pa.Table.from_arrays(columns, schema=schema)


def _as_rows(block: SampleBlock) -> Iterable[tuple[str, ...]]:
    """The rows of a block as the text of their cells; an unknown probability is an empty one."""
    log_prob = ["" if math.isnan(value) else f"{value:.6f}" for value in block.log_prob.tolist()]
    traces = [] if block.trace is None else [block.trace.tolist()]
    return zip(block.formulas.tolist(), log_prob, map(str, block.canonical.tolist()), *traces, strict=True)


def _append_rows(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with open(path, "a", encoding="utf-8", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)
