"""How a calculation stands: its recorded status, its outputs, and whether a run is at it now."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from matgen.dft.codes import CODES
from matgen.dft.settings import STATUS
from matgen.errors import DataError, MatgenError, first_line
from matgen.io.files import read_json

LOCK = ".running"

FRESH_SECONDS = 15 * 60
"""Age up to which incomplete outputs may be those of a program that still runs, such as one that SLURM started."""


def read_status(folder: Path) -> dict[str, Any]:
    """What is known of one calculation; `state` is `done`, `failed` or `waiting`."""
    try:
        status = dict(read_json(folder / STATUS))
        if status["state"] in ("failed", "waiting"):
            return status
        if status["state"] == "done":
            require_sound(status["result"])
            return status
    except (DataError, KeyError, TypeError, ValueError):
        pass
    return {"state": "waiting", "reason": "not run"}


def read_result(code: str, folder: Path) -> dict[str, Any]:
    """What a code left in a folder.

    Raises:
        DataError: nothing whole is there.
    """
    result = CODES[code].parse(folder)
    require_sound(result)
    return result


def require_formula(result: dict[str, Any], folder: Path, formula: str) -> None:
    """Refuse a result of another composition.

    Raises:
        DataError: it is of another one.
    """
    from pymatgen.core import Composition

    calculated = Composition(dict(Counter(result["structure"]["symbols"]))).reduced_formula
    if calculated != formula:
        raise DataError(f"the output in {folder} is of {calculated}, not of {formula}")


def ran_elsewhere(folder: Path, code: str) -> bool:
    """Whether outputs are there that no `matgen dft run` left, such as those of the SLURM script."""
    return not (folder / STATUS).exists() and any((folder / name).exists() for name in CODES[code].outputs)


def may_still_run(folder: Path, code: str) -> bool:
    """Whether an output of a calculation changed within `FRESH_SECONDS`."""
    paths = [folder / name for name in (*CODES[code].outputs, CODES[code].stdout)]
    return any(time.time() - path.stat().st_mtime < FRESH_SECONDS for path in paths if path.exists())


def status_of_outputs(folder: Path, code: str, formula: str) -> dict[str, Any]:
    """How a calculation stands that ran elsewhere, as `read_status` gives it; `waiting` where it may still run."""
    try:
        result = read_result(code, folder)
    except (MatgenError, OSError) as error:
        if may_still_run(folder, code):
            return {"state": "waiting", "reason": f"still running or cut short: {error}"}
        return {"state": "failed", "reason": str(error)}
    try:
        require_formula(result, folder, formula)
    except DataError as error:
        return {"state": "failed", "reason": str(error)}
    if result["converged"]:
        return {"state": "done", "result": result}
    return {"state": "failed", "reason": "it did not converge", "result": result}


def require_sound(result: Any) -> None:
    """Refuse results that are no numbers.

    Raises:
        DataError: energy, volume, forces or the number of atoms is missing, not a number, or impossible.
    """
    try:
        numbers = [float(result[name]) for name in ("energy", "max_force", "volume", "n_atoms")]
        sound = all(map(math.isfinite, numbers)) and min(numbers[1:]) >= 0 and numbers[2] > 0 and numbers[3] >= 1
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a result without {first_line(error)}") from error
    if not sound or not isinstance(result.get("converged"), bool):
        raise DataError("a result that is no number")


def is_claimed(folder: Path) -> bool:
    """Whether a run is at a calculation now."""
    if not (folder / LOCK).exists():
        return False
    with claimed(folder) as lock:
        return lock is None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[tuple[int, ...] | None]:
    """A lock, which the system lifts when all that hold it are dead; None where another run holds it.

    What it yields are the file descriptors by which a program holds the lock too, so that a calculation whose matgen
    was killed stays claimed until it has ended. Where there is no `fcntl` (Windows), none can be passed on.
    """
    try:
        import fcntl
    except ImportError:
        held = FileLock(folder / LOCK, timeout=0)
        try:
            held.acquire()
        except Timeout:
            yield None
            return
        try:
            yield ()
        finally:
            held.release()
        return
    with (folder / LOCK).open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        try:
            yield (stream.fileno(),)
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)  # also for what the program left running, such as a daemon of MPI
