"""What a program complained of, out of what it printed before it stopped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b")
"""The line of a Python traceback that says what was raised."""

_ERROR = re.compile(r"\berror\b|very bad news|\bfatal\b|\bkilled\b|out of memory|segmentation fault", re.IGNORECASE)

_LAUNCHER = re.compile(
    r"^(?:mpirun|mpiexec|srun|slurmstepd|prterun|hydra)\b|MPI_ABORT|Primary job|application called|BAD TERMINATION|"
    r"^\[\S+:\d+\]|^[-=+*|#\s]*$",
    re.IGNORECASE,
)
"""Lines by which MPI and SLURM comment on a program that stopped, and lines that hold nothing but rules."""

MOST_LETTERS = 160


def complaint(paths: Iterable[Path]) -> str:
    """The line that says why a program stopped, as `: line`; empty where it printed nothing.

    The last exception of a Python traceback, else the last line that speaks of an error, else the last line, of the
    first file that has one. What the launcher adds after it (MPI, SLURM) does not count.

    Args:
        paths: files with what it printed, the most telling first.
    """
    for path in paths:
        if not path.exists():
            continue
        every = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
        lines = [line.strip("|* ") for line in every if not _LAUNCHER.search(line)] or every
        for pattern in (_EXCEPTION, _ERROR, re.compile("")):
            telling = [line for line in lines if pattern.search(line)]
            if telling:
                return f": {telling[-1][:MOST_LETTERS]}"
    return ""
