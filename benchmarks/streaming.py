"""Uniqueness, novelty and recovery of millions of candidates against as many references: seconds and peak memory.

Candidates and references are the bundled compositions, elements exchanged within them and counts changed, a quarter of
either also among the others and a tenth of the candidates repeated, as folders of Parquet in a temporary place. Each
size is measured in a process of its own, and so is a plain loop (pymatgen's `Composition(f).reduced_formula` row by
row, then pandas) on a part of the rows; rows of candidates and references count alike.

python -m benchmarks.streaming [--sizes 1e6 1e7] [--sample 200000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.record import write_result

ROWS_PER_FILE = 1_000_000
OVERLAP, REPEATED = 0.25, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e6, 1e7])
    parser.add_argument("--sample", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where the tables go (2 GB), by default temporary")
    parser.add_argument("--child", choices=["matgen", "loop"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        work = run_matgen if options.child == "matgen" else run_loop
        found = work(options.folder / "candidates", options.folder / "reference", options.sample)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        runs = {}
        for size in sorted(map(int, options.sizes)):
            folder = Path(name) / str(size)
            make_tables(size, folder)
            runs[size] = child("matgen", folder, options.sample)
            print(size, runs[size], flush=True)
        loop = child("loop", folder, min(options.sample, size))
        print("loop", loop, flush=True)
        check = child("matgen", sample_of(folder, loop["candidates"], Path(name) / "sample"), options.sample)
    for field in ("distinct", "novel", "recovered", "reference"):
        assert check[field] == loop[field], (field, check, loop)
    largest = runs[size]
    content = {
        "sizes": list(runs.values()),
        "loop": {**loop, "note": "the first rows of the same tables; its rate is taken to hold for more"},
        "rows_per_second": largest["rows_per_second"],
        "ratio": largest["rows_per_second"] / loop["rows_per_second"],
        "peak_rss_mb_smallest": next(iter(runs.values()))["peak_rss_mb"],
        "peak_rss_mb_largest": largest["peak_rss_mb"],
    }
    print(content)
    write_result("streaming", content)


def child(kind: str, folder: Path, sample: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.streaming", "--child", kind, "--folder", str(folder)]
    shown = subprocess.run([*command, "--sample", str(sample)], capture_output=True, text=True)
    if shown.returncode:
        raise SystemExit(shown.stderr)
    return json.loads(shown.stdout)


def run_matgen(candidates: Path, reference: Path, sample: int) -> dict:
    """Uniqueness, novelty and recovery by streaming; importing the library is counted too."""
    began = time.perf_counter()
    from matgen.composition.batch import parse_formulas
    from matgen.datasets.reference import ahead, open_reference
    from matgen.datasets.splits import PARTS
    from matgen.datasets.tables import iterate_formula_table
    from matgen.evaluation.membership import Membership

    distinct = novel = n = 0
    recovered = np.zeros(len(PARTS) + 1, dtype=np.int64)
    with Membership() as membership:
        for batch, part in open_reference(reference).batches():
            membership.add_reference("reference", batch.keys(), part)
        chunks = ahead(iterate_formula_table(candidates, formula_only=True))
        for start, length, parsed in ahead(
            (frame.index[0], len(frame), parse_formulas(frame[column])) for frame, column in chunks
        ):
            membership.add_candidates(start + parsed.rows, parsed.batch.keys())
            n += length
        for found in membership.results():
            first = found.first == found.rows
            distinct += int(first.sum())
            recovered += np.bincount(found.part[first, 0], minlength=len(recovered))
        (known,) = membership.references.values()
    novel = int(recovered[0])
    seconds = time.perf_counter() - began
    return {
        "candidates": n,
        "references": sum(pq.read_metadata(path).num_rows for path in reference.iterdir()),
        "distinct": distinct,
        "novel": novel,
        "recovered": int(recovered[1:].sum()),
        "recovery": {name: int(recovered[1 + i]) / known.parts.get(1 + i, 1) for i, name in enumerate(PARTS)},
        "reference": known.size,
        "seconds": seconds,
        "rows_per_second": (n + sum(pq.read_metadata(path).num_rows for path in reference.iterdir())) / seconds,
        "peak_rss_mb": peak_rss_mb(),
    }


def run_loop(candidates: Path, reference: Path, sample: int) -> dict:
    """The same of the first rows, formula by formula with pymatgen, then with pandas."""
    import pandas as pd
    from pymatgen.core import Composition

    def first_rows(folder: Path) -> list[str]:
        return next(pq.ParquetFile(sorted(folder.iterdir())[0]).iter_batches(sample))["formula"].to_pylist()

    Composition("NaCl")
    began = time.perf_counter()
    rows = pd.Series([Composition(formula).reduced_formula for formula in first_rows(candidates)])
    known = pd.Series([Composition(formula).reduced_formula for formula in first_rows(reference)]).drop_duplicates()
    distinct = rows.drop_duplicates()
    novel = ~distinct.isin(known)
    seconds = time.perf_counter() - began
    return {
        "candidates": len(rows),
        "references": len(rows),
        "distinct": len(distinct),
        "novel": int(novel.sum()),
        "recovered": int((~novel).sum()),
        "reference": len(known),
        "seconds": seconds,
        "rows_per_second": 2 * len(rows) / seconds,
        "peak_rss_mb": peak_rss_mb(),
    }


def peak_rss_mb() -> float:
    """Peak resident memory of this process. On Linux from its own status: `ru_maxrss` begins at the parent's size."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def make_tables(n: int, folder: Path) -> None:
    """`n` candidates and `n` references; composition `i` is a function of `i`, drawn from overlapping ranges."""
    from matgen.composition.batch import CompositionBatch
    from matgen.datasets import load_dataset

    bundled = load_dataset("hybrid").batch
    bundled = bundled[(bundled.n_elements >= 2) & (bundled.elements.max(axis=1) <= 94)]
    for name, seed, low in (("candidates", 1, int(n * (1 - OVERLAP))), ("reference", 2, 0)):
        rng = np.random.default_rng(seed)
        (folder / name).mkdir(parents=True)
        for start in range(0, n, ROWS_PER_FILE):
            ids = low + np.arange(start, min(start + ROWS_PER_FILE, n))
            if name == "candidates":
                again = rng.random(len(ids)) < REPEATED
                ids[again] = low + rng.integers(0, start + len(ids), again.sum())
            random = np.stack([hashed(ids, lane) for lane in range(4)])
            rows = bundled[random[0] % len(bundled)]
            elements, counts = rows.elements.astype(np.int64), rows.counts.astype(np.int64)
            # All elements move on by as many places, so that they stay different.
            elements = np.where(elements > 0, 1 + (elements - 1 + random[1][:, None] % 94) % 94, 0)
            for lane in (2, 3):
                counts[np.arange(len(ids)), random[lane] % rows.n_elements] += random[lane] // 8 % 6
            formulas = CompositionBatch.from_arrays(elements, counts).formulas()
            path = folder / name / f"{start // ROWS_PER_FILE:05d}.parquet"
            pq.write_table(pa.table({"formula": formulas}), path, row_group_size=250_000)


def hashed(ids: np.ndarray, lane: int) -> np.ndarray:
    """A number that looks random for each id."""
    x = (ids.astype(np.uint64) + np.uint64(lane << 40)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return (x >> np.uint64(34)).astype(np.int64)


def sample_of(folder: Path, n: int, into: Path) -> Path:
    """The first `n` rows of both tables, as tables of their own."""
    for name in ("candidates", "reference"):
        (into / name).mkdir(parents=True)
        first = next(pq.ParquetFile(sorted((folder / name).iterdir())[0]).iter_batches(n))
        pq.write_table(pa.Table.from_batches([first]), into / name / "0.parquet")
    return into


if __name__ == "__main__":
    main()
