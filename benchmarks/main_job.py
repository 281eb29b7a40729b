"""Seconds of `matgen --help`, and of the whole main job `matgen discover` as typed.

python -m benchmarks.main_job
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.commands import MATGEN
from benchmarks.record import write_result
from matgen.io.files import read_json

HELP_ROUNDS = 11


def seconds_of(command: list[str], **more: object) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, **more)  # type: ignore[call-overload]
    return time.perf_counter() - began


def main() -> None:
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
