"""Commands of matgen in forked processes, what they said, and digests of what they wrote; for `benchmarks.trust`."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMES = {
    "seconds",
    "formulas_per_second",
    "created",
    "began",
    "ended",
    "wall_seconds",
    "peak_memory_mb",
    "drawn_before",
}
"""Fields of results that say when or how fast, which no two runs have in common."""

_WITH_TIMES = (".html", ".log", ".jsonl", ".png", ".svg")

LONGEST = 600.0
"""Seconds after which a run counts as hanging."""


def run(words: list[str], folder: Path, kill_after: float = LONGEST, prepare: Callable[[], None] | None = None) -> int:
    """Exit code of `matgen` with these arguments, in a process of its own that is forked, so that nothing is imported
    again; negative where a signal ended it. What it says is in `folder`.

    Args:
        words: the arguments.
        folder: see `said`.
        kill_after: seconds after which it is killed.
        prepare: called first, in the process.
    """
    return wait(fork(words, folder, prepare), kill_after)


def fork(words: list[str], folder: Path, prepare: Callable[[], None] | None = None) -> int:
    """Begin what `run` runs; the process."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    with open(folder / "said", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    code = 1
    try:
        from matgen.cli import main

        if prepare is not None:
            prepare()
        code = main(words)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int, seconds: float) -> int:
    """Exit code of a process of `fork`, killed with all that it started after these seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def said(folder: Path) -> str:
    """The last line that the last run wrote."""
    return (said_lines(folder) or [""])[-1][:300]


def said_lines(folder: Path) -> list[str]:
    """What the last run wrote."""
    return (folder / "said").read_text().strip().splitlines()


def digest_of_folder(out: Path) -> str:
    """`digest` of a file, or of all that is in a folder but for pages, figures and logs."""
    if not out.is_dir():
        return digest(out, ("",))
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    return digest(out, tuple(file for file in files if Path(file).suffix not in _WITH_TIMES))


def digest(out: Path, files: tuple[str, ...]) -> str:
    """Of what matters in a result: bytes, or of JSON and Parquet the content without times."""
    total = hashlib.sha256()
    for name in files:
        path = out / name if name else out
        total.update(_content(path))
    return total.hexdigest()


def _content(path: Path) -> bytes:
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(path.read_text())), sort_keys=True).encode()
    if path.suffix == ".parquet":
        import pandas as pd

        frame = pd.read_parquet(path)
        return frame[[name for name in frame if name not in TIMES]].to_csv(index=False).encode()
    return path.read_bytes()


def _timeless(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _timeless(value) for name, value in content.items() if name not in TIMES}
    return [_timeless(value) for value in content] if isinstance(content, list) else content
