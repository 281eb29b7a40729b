"""Programs that tests run: Debian's gpaw and pw.x, skipped where they are missing but not in CI; and a stand-in."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

IN_CI = os.environ.get("CI", "").lower() in ("true", "1")


def needs(program: str, package: str) -> pytest.MarkDecorator:
    missing = shutil.which(program) is None and not IN_CI
    return pytest.mark.skipif(missing, reason=f"no {program} on this machine (apt-get install {package})")


NEEDS_GPAW = needs("gpaw", "gpaw gpaw-data")
NEEDS_PW = needs("pw.x", "quantum-espresso quantum-espresso-data")

STAND_IN = """
import json, os, subprocess, sys, time
from pathlib import Path

here = Path.cwd()
plan = json.loads(Path(sys.argv[1]).read_text())
told = plan.get(here.name, plan.get("*", {}))
with open(sys.argv[2], "a") as calls:
    calls.write(f"{here.name} {os.getpid()}\\n")
if "child" in told:
    child = subprocess.Popen(["sleep", "600"])
    (here / "child.pid").write_text(str(child.pid))
time.sleep(told.get("sleep", 0))
if "says" in told:
    sys.exit(told["says"])
if "writes" in told:
    (here / "result.json").write_text(told["writes"])
    sys.exit(told.get("status", 0))
lines = (here / "structure.extxyz").read_text().splitlines()
symbols = [line.split()[0] for line in lines[2:]]
result = {"energy": told.get("energy", -3.0 * len(symbols)), "n_atoms": len(symbols), "max_force": 0.01,
          "volume": 20.0 * len(symbols), "magnetic_moment": 0.0, "converged": told.get("converged", True),
          "structure": {"symbols": symbols, "cell": [], "scaled_positions": []}}
(here / "result.json").write_text(json.dumps(result))
sys.exit(told.get("status", 0))
"""
"""A program in GPAW's place that does what its plan says for each folder, and keeps a list of calls."""


class StandIn:
    def __init__(self, folder: Path, plan: dict[str, dict[str, object]]) -> None:
        folder.mkdir(exist_ok=True)
        self.script, self.plan, self.calls = folder / "standin.py", folder / "plan.json", folder / "calls.txt"
        self.script.write_text(STAND_IN)
        self.becomes(plan)
        self.command = shlex.join([sys.executable, str(self.script), str(self.plan), str(self.calls)])

    def becomes(self, plan: dict[str, dict[str, object]]) -> None:
        self.plan.write_text(json.dumps(plan))

    def called(self) -> list[str]:
        """Folders, in the order in which they were run."""
        return [line.split()[0] for line in self.calls.read_text().splitlines()] if self.calls.exists() else []

    def processes(self) -> list[int]:
        return [int(line.split()[1]) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
