"""Seconds and peak memory of `matgen predict` with hulls, and what evaluating members together is worth.

Compositions are drawn by the bundled model. Each size is predicted by the command as a user types it, in a process of
its own, imports and files included; figures are medians of `--rounds`. In the same run the network of the bundled
predictor of OQMD's formation energies is timed on `--timed` of the compositions: members one after another, as each
alone would be evaluated, together, and one after another in bfloat16, in turns.

python -m benchmarks.prediction_speed     (half an hour)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.commands import matgen
from benchmarks.record import write_result
from benchmarks.streaming import peak_rss_mb
from matgen.cli import main as command
from matgen.composition.batch import CompositionBatch
from matgen.prediction import Predictor
from matgen.prediction.ensemble import outputs_together
from matgen.prediction.learned import network_outputs
from matgen.prediction.locate import find_predictor
from matgen.runtime.cores import available_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--timed", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(predict(*options.child)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = folder / "drawn.csv"
        matgen("sample", "-n", max(*options.sizes, options.timed), "--out", drawn, "--quiet")
        sizes = {}
        for n in options.sizes:
            runs = [timed_command(drawn, n, folder) for _ in range(options.rounds)]
            sizes[str(n)] = {"n": n} | {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
            print(sizes[str(n)], flush=True)
        batch = CompositionBatch.from_formulas(pd.read_csv(drawn, nrows=options.timed)["formula"])
    members = ways(batch, options.rounds)
    print(members)
    write_result(
        "prediction_speed", {"rounds": options.rounds, "cores": available_cores(), "sizes": sizes, "members": members}
    )


def timed_command(drawn: Path, n: int, folder: Path) -> dict[str, float]:
    """Seconds of a whole process, and its peak memory."""
    part, out = folder / f"{n}.csv", folder / "predicted.csv"
    if not part.exists():
        with open(drawn, encoding="utf-8") as lines, open(part, "w", encoding="utf-8") as written:
            written.writelines(line for line, _ in zip(lines, range(n + 1), strict=False))
    words = [sys.executable, "-m", "benchmarks.prediction_speed", "--child", str(part), str(out)]
    began = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)
    if found["rows"] != n:
        raise SystemExit(f"{found['rows']} rows of {n} were written")
    return {"seconds": seconds, "peak_rss_mb": found["peak_rss_mb"], "formulas_per_second": n / seconds}


def predict(table: str, out: str) -> dict[str, float]:
    """The command, in this process."""
    if command(["predict", table, "--out", out, "--force", "--quiet"]):
        raise SystemExit("matgen predict failed")
    peak = peak_rss_mb()
    with open(out, encoding="utf-8") as lines:
        return {"peak_rss_mb": peak, "rows": sum(1 for _ in lines) - 1}


def ways(batch: CompositionBatch, rounds: int) -> dict[str, Any]:
    """Ways to evaluate the members: seconds, and how far their numbers are from one another."""
    predictor = Predictor.load(find_predictor("formation_energy-oqmd"))
    networks = [member.network for member in predictor.members]  # type: ignore[attr-defined]

    def alone() -> np.ndarray:
        return np.stack([network_outputs(network, batch)[0] for network in networks])

    def in_bfloat16() -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            return alone()

    means = {"together": lambda: outputs_together(networks, batch)[0], "alone": alone, "bfloat16": in_bfloat16}
    found = {name: way() for name, way in means.items()}  # functions are compiled, memory is mapped
    taken: dict[str, list[float]] = {name: [] for name in means}
    for _ in range(rounds):
        for name, way in means.items():
            taken[name].append(seconds_of(way))
    ratios = {name: float(np.median(np.array(taken["alone"]) / taken[name])) for name in ("together", "bfloat16")}
    rounded = np.abs(found["bfloat16"].mean(axis=0) - found["alone"].mean(axis=0)) * predictor.metadata["scale"]
    return {
        "n": len(batch),
        "members": len(networks),
        "seconds": {name: float(np.median(each)) for name, each in taken.items()},
        "ratio": ratios["together"],
        "largest_difference": float(np.abs(found["together"] - found["alone"]).max()),
        "ratio_of_bfloat16": ratios["bfloat16"],
        "changed_by_bfloat16": {"mean": float(rounded.mean()), "largest": float(rounded.max())},
    }


def seconds_of(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
