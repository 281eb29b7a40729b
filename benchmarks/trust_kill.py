"""Runs killed at random moments and gone on with, against a run that nothing disturbed; for `benchmarks.trust`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.trust_run import digest, run, said


@dataclass(frozen=True)
class Case:
    """A command to be killed.

    Attributes:
        start: its arguments, without `--out`.
        resume: arguments that go on with it, without `--out`.
        out: name of what it writes.
        files: what is compared, relative to `out` (the empty name: `out` itself).
    """

    start: list[str]
    resume: list[str]
    out: str
    files: tuple[str, ...]


def killed(work: Path, trials: int, names: list[str] | None = None) -> dict[str, Any]:
    """Each case `trials` times: how many were killed before their end, and how many then ended as the whole run."""
    measured: dict[str, Any] = {}
    for name, make in CASES.items():
        if names is not None and name not in names:
            continue
        folder = work / f"kill-{name}"
        folder.mkdir(parents=True)
        case = make(folder)
        measured[name] = _trials(case, folder, trials) if isinstance(case, Case) else {"left_out": case}
        print(name, measured[name], flush=True)
    return measured


def _trials(case: Case, folder: Path, trials: int) -> dict[str, Any]:
    whole = folder / "whole" / case.out
    taken = []
    for _ in range(2):  # the first compiles and fills caches
        shutil.rmtree(whole.parent, ignore_errors=True)
        whole.parent.mkdir()
        began = time.monotonic()
        if (code := run([*case.start, "--out", str(whole)], folder)) != 0:
            return {"left_out": f"the whole run gave {code}: {(folder / 'said').read_text()[-300:]}"}
        taken.append(time.monotonic() - began)
    expected, rng = digest(whole, case.files), random.Random(0)
    row: dict[str, Any] = {"seconds": round(taken[-1], 2), "trials": trials, "killed": 0, "equal": 0, "differences": []}
    resumed = []
    for trial in range(trials):
        out = folder / f"cut-{trial}" / case.out
        out.parent.mkdir()
        cut = run([*case.start, "--out", str(out)], folder, kill_after=rng.uniform(0, taken[-1]))
        row["killed"] += cut == -signal.SIGKILL
        began = time.monotonic()
        # A run that was not killed has nothing to go on with.
        code = run([*case.resume, "--out", str(out)], folder) if cut == -signal.SIGKILL else cut
        resumed.append(time.monotonic() - began)
        left = [path.name for path in out.parent.iterdir() if path.name != case.out and not path.name.endswith(".json")]
        if code == 0 and digest(out, case.files) == expected and not left:
            row["equal"] += 1
        else:
            row["differences"].append({"trial": trial, "code": code, "left": left, "said": said(folder)})
        shutil.rmtree(out.parent)
    return row | {"resumed_seconds": round(statistics.median(resumed), 2)}


def _training(folder: Path) -> Case:
    from matgen.datasets import load_dataset

    table = folder / "table.csv"
    formulas = load_dataset("hybrid-pure").batch.formulas()[::60]
    table.write_text("formula\n" + "\n".join(formulas) + "\n")
    options = ["--preset", "tiny", "--epochs", "12", "--precision", "fp32", "--evaluations", "8", "--patience", "99"]
    start = ["train", "--model", "gptj", "--dataset", str(table), *options, "--quiet"]
    # With the options, a run that was killed before it saved anything begins.
    return Case(start, [*start, "--resume"], "run", ("model.safetensors",))


def _sampling(folder: Path) -> Case:
    start = [
        "sample",
        "-n",
        "30000",
        "--precision",
        "fp32",
        "--seed",
        "3",
        "--unique",
        "--block-size",
        "4096",
        "--quiet",
    ]
    return Case(start, [*start, "--resume"], "drawn.csv", ("",))


def _evaluation(folder: Path) -> Case:
    table = folder / "candidates.csv"
    if run(["sample", "-n", "30000", "--out", str(table), "--quiet"], folder) != 0:
        raise RuntimeError(said(folder))
    start = ["evaluate", str(table), "--quiet"]
    return Case(start, start, "report", ("candidates.parquet", "report.json"))


def _relaxation(folder: Path) -> Case | str:
    try:
        import chgnet  # noqa: F401
    except ImportError:
        return "chgnet is not installed"
    table = folder / "few.csv"
    table.write_text("formula\nNaCl\nSrTiO3\nMgO\nCsPbI3\n")
    start = ["structure", str(table), "--per-formula", "2", "--symmetric", "0", "--workers", "1", "--quiet"]
    return Case(start, [*start, "--resume"], "structures", ("structures.extxyz", "structures.parquet"))


def _collection(folder: Path) -> Case | str:
    if shutil.which("gpaw") is None:
        return "gpaw is not installed"
    table = folder / "few.csv"
    table.write_text("formula\nLiF\nMgO\n")
    steps = [
        ["structure", str(table), "--per-formula", "1", "--symmetric", "0", "--no-relax", "--out", "structures"],
        ["export", "structures", "--format", "gpaw", "--cutoff", "200", "--kpoint-density", "1.5", "--out", "dft"],
        ["dft", "run", "dft", "--engine", "gpaw"],
    ]
    before = Path.cwd()
    os.chdir(folder)
    try:
        for words in steps:
            if run([*words, "--quiet"], folder) != 0:
                return f"{words[0]}: {said(folder)}"
    finally:
        os.chdir(before)
    start = ["dft", "collect", str(folder / "dft"), "--quiet"]
    return Case(start, start, "results.csv", ("",))


CASES: dict[str, Callable[[Path], Case | str]] = {
    "training": _training,
    "sampling": _sampling,
    "evaluation": _evaluation,
    "relaxation": _relaxation,
    "dft_collection": _collection,
}
