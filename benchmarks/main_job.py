"""Seconds of `matgen --help`, and of the whole main job `matgen discover` as typed.

python -m benchmarks.main_job
python -m benchmarks.main_job --before ../earlier

With `--before` it compares this version with the checkout that is named (`git worktree add ../earlier COMMIT`): the
main job of each, in turns, with an empty cache (a first run, which compiles) and again (a second run), in time passed
and in processor time of all its processes, which depends less on what else the machine does.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.commands import MATGEN
from benchmarks.record import write_result
from benchmarks.startup import ROOT, commit_of, environment
from matgen.io.files import file_sha256, read_json

HELP_ROUNDS = 11


def seconds_of(command: list[str], **more: object) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, **more)  # type: ignore[call-overload]
    return time.perf_counter() - began


def job(tree: Path, folder: Path, out: str) -> dict[str, Any]:
    """The main job by the package of a checkout: seconds, and a hash of what it draws."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = [sys.executable, "-m", "matgen", "discover", "--out", out, "--quiet"]
    subprocess.run(words, cwd=folder, env=environment(tree, folder), stdout=subprocess.DEVNULL, check=True)
    passed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(passed, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "stages": read_json(folder / out / "discovery.json")["seconds"],
        "sha256_of_draws": file_sha256(folder / out / "candidates.csv"),
    }


def compare(earlier: Path) -> None:
    """First and second runs of both versions."""
    trees = {"before": earlier.resolve(), "now": ROOT}
    runs: dict[str, dict[str, Any]] = {name: {} for name in trees}
    with tempfile.TemporaryDirectory() as base:
        for run in ("first", "second"):
            for name, tree in trees.items():
                folder = Path(base, name)
                folder.mkdir(exist_ok=True)
                runs[name][run] = job(tree, folder, run)
                print(name, run, runs[name][run], flush=True)
    ratios = {
        run: {key: round(runs["now"][run][key] / of_before[key], 3) for key in ("seconds", "cpu_seconds")}
        for run, of_before in runs["before"].items()
    }
    content = {"commits": {name: commit_of(tree) for name, tree in trees.items()}, "runs": runs, "ratio": ratios}
    write_result("main_job_speed", {"command": "python -m benchmarks.main_job --before ../earlier", **content})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="a checkout to compare with")
    before = parser.parse_args().before
    if before is not None:
        compare(before)
        return
    helps = [seconds_of([MATGEN, "--help"], stdout=subprocess.DEVNULL) for _ in range(HELP_ROUNDS)]
    with tempfile.TemporaryDirectory() as folder:
        whole = seconds_of([MATGEN, "discover"], cwd=folder)
        summary = read_json(Path(folder) / "discovery" / "discovery.json")
    content = {
        "help_seconds": statistics.median(helps),
        "help_rounds": HELP_ROUNDS,
        "discover_seconds": whole,
        "stages": summary["seconds"],
        "training": summary["training"],
        "ranked": summary["ranked"],
        "metrics": summary["metrics"],
    }
    print({name: content[name] for name in ("help_seconds", "discover_seconds", "stages", "ranked")})
    write_result("main_job", content)


if __name__ == "__main__":
    main()
