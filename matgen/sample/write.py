"""Samples to a file, written as they are drawn: a kill loses at most the block being drawn."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.errors import OptionError, OutputError
from matgen.files import read_json, refuse_to_overwrite, whole_file, write_json
from matgen.sample.engine import BLOCK_SIZE, Decoding, Sampler
from matgen.versions import versions

if TYPE_CHECKING:
    from matgen.progress import Progress
    from matgen.sample.engine import SampleBlock

SUFFIXES = (".csv", ".parquet")
_SCHEMA = pa.schema([("formula", pa.string()), ("log_prob", pa.float64()), ("canonical", pa.bool_())])


@dataclass(frozen=True)
class SampleRequest:
    """What to draw: `n` rows with a seed and a way of decoding; `batch_size` rows are computed at once."""

    n: int
    seed: int = 0
    decoding: Decoding = dataclasses.field(default_factory=Decoding)
    batch_size: int = BLOCK_SIZE

    def __post_init__(self) -> None:
        if self.n < 1:
            raise OptionError(f"n is {self.n}, it must be at least 1")


def sample_to_file(
    sampler: Sampler,
    request: SampleRequest,
    out: Path | str,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Draw into a CSV or Parquet file with the columns `formula, log_prob, canonical`, and metadata in `<out>.json`.

    Blocks are kept in `<out>.parts/` until all are there, then joined and removed.

    Args:
        sampler: the model.
        request: what to draw.
        out: the file; its suffix decides the format.
        resume: keep the blocks of an interrupted run of the same request.
        force: replace an earlier file.
        progress: told of every block.

    Returns:
        The metadata.

    Raises:
        OptionError: the suffix is neither `.csv` nor `.parquet`.
        OutputError: `out` exists, cannot be written, or `resume` meets parts of another request.
    """
    out = Path(out)
    parts = Path(f"{out}.parts")
    if out.suffix not in SUFFIXES:
        raise OptionError(f"cannot write {out}: the name must end in {' or '.join(SUFFIXES)}")
    refuse_to_overwrite(out, force=force)
    identity = _identity(sampler, request)
    done = _start(parts, identity, resume=resume, force=force)
    began, rows_before = time.monotonic(), min(done * BLOCK_SIZE, request.n)
    if progress:
        progress.start(request.n, rows_before)
    blocks = sampler.sample(
        request.n,
        seed=request.seed,
        decoding=request.decoding,
        batch_size=request.batch_size,
        first_block=done,
    )
    for number, block in enumerate(blocks, start=done):
        _write_block(parts / f"part-{number:06d}.parquet", block)
        if progress:
            progress.advance(min(BLOCK_SIZE, request.n - number * BLOCK_SIZE))
    seconds = time.monotonic() - began
    if progress:
        progress.close()
    totals = _join(sorted(parts.glob("part-*.parquet")), out)
    metadata = (
        identity
        | totals
        | {
            "formulas_per_second": round((request.n - rows_before) / max(seconds, 1e-9), 1),
            "log_prob": "nats, of the canonical sequence"
            + (" (a lower bound, estimated)" if sampler.objective == "masked" else ""),
            "versions": versions("torch", "transformers", "numpy"),
        }
    )
    write_json(Path(f"{out}.json"), metadata)
    shutil.rmtree(parts, ignore_errors=True)
    return metadata


def _identity(sampler: Sampler, request: SampleRequest) -> dict[str, Any]:
    """What must be equal for a file to be continued."""
    weights = sampler.checkpoint.folder / "model.safetensors"
    return {
        "model": sampler.checkpoint.folder.name,
        "model_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "architecture": sampler.checkpoint.architecture.key,
        "notation": sampler.notation,
        "dataset": sampler.checkpoint.metadata.get("dataset"),
        "n": request.n,
        "seed": request.seed,
        "block_size": BLOCK_SIZE,
        **dataclasses.asdict(request.decoding),
    }


def _start(parts: Path, identity: dict[str, Any], *, resume: bool, force: bool) -> int:
    """Prepare the folder of parts; returns the number of blocks that are already there, in order from the first."""
    plan = parts / "plan.json"
    if plan.is_file() and resume:
        if read_json(plan) != identity:
            raise OutputError(f"{parts} holds parts of another request: repeat its options, or remove the folder")
        done = 0
        while (parts / f"part-{done:06d}.parquet").is_file():
            done += 1
        return done
    if parts.exists() and not force:
        raise OutputError(f"{parts} holds an unfinished run: add --resume to go on, or --force to start anew")
    shutil.rmtree(parts, ignore_errors=True)
    write_json(plan, identity)
    return 0


def _write_block(path: Path, block: SampleBlock) -> None:
    table = pa.table(
        {
            "formula": pa.array(block.formulas, pa.string()),
            "log_prob": pa.array(block.log_prob, pa.float64()),
            "canonical": pa.array(block.canonical, pa.bool_()),
        },
        schema=_SCHEMA,
    )
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _join(parts: list[Path], out: Path) -> dict[str, Any]:
    """Join the blocks, in order and one at a time, into one file; returns counts of its rows."""
    rows = canonical = unfinished = 0
    with whole_file(out) as temporary:
        writer = pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") if out.suffix == ".parquet" else None
        for i, path in enumerate(parts):
            table = pq.read_table(path)
            frame: pd.DataFrame = table.to_pandas()
            rows += len(frame)
            canonical += int(frame["canonical"].sum())
            unfinished += int(frame["log_prob"].isna().sum())
            if writer is not None:
                writer.write_table(table)
            else:
                frame.to_csv(temporary, mode="a", header=i == 0, index=False, float_format="%.6f")
        if writer is not None:
            writer.close()
    return {"rows": rows, "canonical": canonical, "unfinished": unfinished}
