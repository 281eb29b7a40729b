"""Tens of millions of candidates in flat memory, and an hour of the same work; for `benchmarks.trust`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

SECONDS_PER_LOOK = 0.5
ROUND = 2_000
"""Candidates of a round of the soak."""

PREDICTED = 200
"""Of these, those whose energies are predicted."""


def load(work: Path, sizes: list[int]) -> dict[str, Any]:
    """`sample`, then `evaluate`, which ranks: seconds and memory for each number of candidates."""
    results: dict[str, Any] = {"sizes": []}
    for n in sizes:
        drawn, report = work / f"{n}.parquet", work / f"{n}-report"
        row: dict[str, Any] = {"candidates": n}
        row["sample"] = _watched(["sample", "-n", str(n), "--out", str(drawn)])
        row["evaluate"] = _watched(["evaluate", str(drawn), "--no-baselines", "--out", str(report)])
        content = json.loads((report / "report.json").read_text())
        row |= {name: content[name] for name in ("n", "unique", "valid", "novel", "valid_unique_novel")}
        ranking = report / "ranked.csv"
        row["ranked"] = len(ranking.read_text().splitlines()) - 1 if ranking.exists() else 0
        drawn.unlink()
        results["sizes"].append(row)
        print(row, flush=True)
    results["faults"] = sum(row["n"] != row["candidates"] for row in results["sizes"])
    return results


def _watched(words: list[str]) -> dict[str, Any]:
    """Run a command: seconds, and the largest memory of its processes together, in MB.

    Raises:
        RuntimeError: it failed.
    """
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "matgen", *words, "--quiet"])
    looks: list[float] = []
    while process.poll() is None:
        looks.append(_memory(process.pid))
        time.sleep(SECONDS_PER_LOOK)
    if process.returncode != 0:
        raise RuntimeError(f"matgen {words[0]} gave {process.returncode}")
    half = len(looks) // 2
    return {
        "seconds": round(time.monotonic() - began, 1),
        "peak_memory_mb": round(max(looks)),
        "peak_of_first_half_mb": round(max(looks[:half], default=0.0)),
    }


def _memory(pid: int) -> float:
    """Resident memory of a process and its children, MB."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total / 2**20


def soak(work: Path, minutes: float) -> dict[str, Any]:
    """One process draws, judges and predicts again and again: memory, threads and open files over time."""
    from matgen.composition.batch import parse_formulas
    from matgen.evaluation import evaluate
    from matgen.models.locate import find_checkpoint
    from matgen.prediction import Predictor
    from matgen.prediction.locate import bundled_name, find_predictor
    from matgen.sampling import Sampler

    sampler = Sampler(find_checkpoint(None))
    predictor = Predictor.load(find_predictor(bundled_name("formation_energy", "oqmd")))
    process, looks, began = psutil.Process(), [], time.monotonic()
    rounds = 0
    while time.monotonic() - began < minutes * 60:
        for block in sampler.sample(ROUND, seed=rounds):
            evaluate(block.formulas, "hybrid", baselines=False, out=work / "soak", force=True)
            predictor.predict(parse_formulas(block.formulas[:PREDICTED]).batch)
        rounds += 1
        looks.append(
            (time.monotonic() - began, process.memory_info().rss / 2**20, process.num_fds(), threading.active_count())
        )
    return _growth(looks, rounds)


def _growth(looks: list[tuple[float, float, int, int]], rounds: int) -> dict[str, Any]:
    """Of the last three quarters, when all that is kept is there: slope and medians."""
    settled = looks[len(looks) // 4 :]
    third = max(1, len(settled) // 3)
    slope = statistics.linear_regression([look[0] for look in settled], [look[1] for look in settled]).slope
    first, last = (statistics.median(look[1] for look in part) for part in (settled[:third], settled[-third:]))
    return {
        "minutes": round(looks[-1][0] / 60, 1),
        "rounds": rounds,
        "memory_mb": {"first": round(first, 1), "last": round(last, 1), "an_hour": round(slope * 3600, 1)},
        "open_files": {"first": settled[0][2], "last": settled[-1][2]},
        "threads": {"first": settled[0][3], "last": settled[-1][3]},
    }
