"""Running the calculations of a folder with a code that is installed: `matgen dft run`."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from matgen.dft.codes import CODES, code_named
from matgen.dft.interface import DFTCode
from matgen.dft.run_order import run_order
from matgen.dft.settings import STATUS, STDERR, read_manifest
from matgen.dft.status import claimed, ran_elsewhere, read_result, read_status, status_of_outputs
from matgen.errors import (
    DataError,
    MatgenError,
    MissingDependencyError,
    OptionError,
    first_line,
    require_above_zero,
)
from matgen.io.files import write_json
from matgen.runtime.progress import ProgressFactory, silent
from matgen.runtime.workers import run_tasks


@dataclass(frozen=True)
class RunSettings:
    """How calculations are run.

    Attributes:
        command: instead of the engine's own, such as `mpirun -n 4 pw.x -in pw.in`.
        hours: after so many a calculation is stopped and counts as failed; None waits for it.
        workers: calculations at once on this machine.
        scheduler: address of a Dask scheduler instead; its workers must see the same folder.
        again: whether failed ones are tried again.
        until: time (seconds since 1970) from which on no calculation is begun; those that run then are stopped and stay
            to be run. None for no end.
    """

    command: str | None = None
    hours: float | None = None
    workers: int = 1
    scheduler: str | None = None
    again: bool = False
    until: float | None = None

    def __post_init__(self) -> None:
        if self.hours is not None and not self.hours > 0:
            raise OptionError(f"hours is {self.hours}, it must be above 0")
        require_above_zero(self, "workers")


@dataclass(frozen=True)
class RunSummary:
    """How a folder stands.

    Attributes:
        done: ids of the calculations done.
        failed: id to reason, of those that failed.
        elsewhere: ids of those left alone: another run is at them, or their outputs are incomplete and fresh.
        run_now: how many were run by this call.
        adopted: ids of those that were found finished, such as by the SLURM script, and were not run again.
        later: ids of those that were not run, or stopped, because the time was up.
    """

    done: list[str]
    failed: dict[str, str]
    elsewhere: list[str]
    run_now: int
    adopted: list[str]
    later: list[str]


def run_folder(
    folder: Path | str,
    engine: str,
    settings: RunSettings | None = None,
    *,
    ended: Callable[[str], None] | None = None,
    progress: ProgressFactory = silent,
) -> RunSummary:
    """Run what is not done yet; each ended calculation leaves `status.json`, so that a later call goes on.

    They are run in the order of `run_order`.

    Two calls may be at one folder at the same time: each calculation is run by one of them. Finished outputs of a
    program that something else started, such as the SLURM script, are adopted; incomplete ones that changed within
    `FRESH_SECONDS` are left alone.

    Args:
        folder: that `matgen export` wrote for this engine.
        engine: one of `matgen.dft.codes.CODES`.
        settings: how.
        ended: called with the id of each calculation that has ended, or that was left alone.
        progress: counts the calculations.

    Raises:
        OptionError: an unknown engine, inputs of another one, or a command that cannot be read.
        DataError: no such folder.
        MissingDependencyError: the engine's program is not installed.
    """
    settings = settings or RunSettings()
    code = code_named(engine)
    folder = Path(folder).resolve()
    manifest = read_manifest(folder)
    if manifest["format"] != engine:
        raise OptionError(f"{folder} holds inputs of {manifest['format']}, not of {engine}")
    command = command_of(code, settings)
    ids = [job["id"] for job in manifest["jobs"]]
    before = {id: read_status(folder / id) for id in ids}
    waiting = [
        id
        for id in run_order(manifest["jobs"])
        if before[id]["state"] == "waiting" or (settings.again and before[id]["state"] == "failed")
    ]
    formulas = {job["id"]: job["formula"] for job in manifest["jobs"]}
    limits = settings.hours, settings.until
    tasks = [(str(folder / id), engine, command, limits, before[id], formulas[id]) for id in waiting]
    run_now = 0
    adopted, later = [], []
    with progress(len(ids), "dft", "calculations", done=len(ids) - len(waiting)) as count:
        for place, outcome in run_tasks(_run_one, tasks, workers=settings.workers, scheduler=settings.scheduler):
            if isinstance(outcome, Exception):  # a lost worker: what it began is not trusted
                reason = first_line(outcome)
                write_json(folder / waiting[place] / STATUS, {"state": "failed", "engine": engine, "reason": reason})
            run_now += outcome not in (ELSEWHERE, ADOPTED, LATER)
            if outcome == ADOPTED:
                adopted.append(waiting[place])
            if outcome in (LATER, "waiting"):
                later.append(waiting[place])
            count.update()
            if ended is not None:
                ended(waiting[place])
    after = {id: read_status(folder / id) for id in ids}
    return RunSummary(
        [id for id in ids if after[id]["state"] == "done"],
        {id: str(after[id].get("reason", "")) for id in ids if after[id]["state"] == "failed"},
        [id for id in ids if after[id]["state"] == "waiting" and id not in later],
        run_now,
        sorted(adopted),
        sorted(later),
    )


def command_of(code: DFTCode, settings: RunSettings) -> tuple[str, ...]:
    """What to run in each folder, its program by its whole path where it is to run on this machine.

    Raises:
        OptionError: the command cannot be read.
        MissingDependencyError: its program is not installed.
    """
    try:
        command = tuple(shlex.split(settings.command)) if settings.command is not None else code.command
    except ValueError as error:
        raise OptionError(f"--command {settings.command!r} cannot be read: {first_line(error)}") from error
    if not command:
        raise OptionError("--command is empty")
    if settings.scheduler is not None:
        return command
    executable = shutil.which(command[0])
    if executable is None:
        raise MissingDependencyError(f"{command[0]} is not installed: {code.install}")
    return (str(Path(executable).absolute()), *command[1:])


ELSEWHERE, ADOPTED, LATER = "elsewhere", "adopted", "later"

_Limits = tuple[float | None, float | None]
"""Hours of a calculation, and the time from which on none is begun or goes on."""

_Task = tuple[str, str, tuple[str, ...], _Limits, dict[str, Any], str]
"""Folder, engine, command, limits, the status before, and the formula."""


def _run_one(task: _Task) -> str:
    """Run one calculation in its folder and record how it ended.

    Returns:
        Its state, or `ELSEWHERE`, `ADOPTED`, or `LATER` where the time was up before it began.
    """
    place, name, command, limits, before, formula = task
    folder, code = Path(place), CODES[name]
    if not folder.is_dir():
        raise DataError(f"{folder} is missing")
    with claimed(folder) as lock:
        if lock is None or read_status(folder) != before:
            return ELSEWHERE
        if ran_elsewhere(folder, name):
            there = status_of_outputs(folder, name, formula)
            if there["state"] == "waiting":
                return ELSEWHERE
            if there["state"] == "done":
                write_json(folder / STATUS, {"engine": name, "adopted": True, **there})
                return ADOPTED
        seconds, until_end = _seconds(limits)
        if seconds is not None and seconds <= 0:
            return LATER
        began = time.monotonic()
        status: dict[str, Any] = {"engine": name, "command": list(command)}
        # Should this process be killed, the outputs are those of its own program, which the next run need not spare.
        write_json(folder / STATUS, status | {"state": "running"})
        reason = _execute(code, folder, command, seconds, lock)
        if until_end and reason.startswith(STOPPED):
            write_json(folder / STATUS, {"state": "waiting", "engine": name, "reason": "stopped when the time was up"})
            return "waiting"
        try:
            if reason and not reason.startswith(ENDED):
                raise DataError(reason)
            result = read_result(name, folder)
            status |= {"state": "done", "result": result}
            if not result["converged"]:
                status |= {"state": "failed", "reason": "it did not converge"}
            elif reason:
                status |= {"state": "failed", "reason": f"{command[0]} {reason}"}
        except MatgenError as error:
            status |= {"state": "failed", "reason": str(error)}
        write_json(folder / STATUS, status | {"seconds": round(time.monotonic() - began, 1)})
    return str(status["state"])


ENDED, STOPPED = "ended with status", "stopped"


def _seconds(limits: _Limits) -> tuple[float | None, bool]:
    """Seconds that a calculation may take, and whether they end because the time of the whole run is up."""
    hours, until = limits
    own = None if hours is None else hours * 3600
    left = None if until is None else until - time.time()
    if left is None or (own is not None and own < left):
        return own, False
    return left, True


def _execute(
    code: DFTCode, folder: Path, command: tuple[str, ...], seconds: float | None, lock: tuple[int, ...]
) -> str:
    """Run the program; why it did not get to its end, empty where it did (its output may still complain)."""
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    # A program of the system's own Python must not find this environment's packages.
    for variable in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        environment.pop(variable, None)
    try:
        for name in code.outputs:
            (folder / name).unlink(missing_ok=True)
        with (folder / code.stdout).open("wb") as out, (folder / STDERR).open("wb") as err:
            process = subprocess.Popen((*_leash(), *command), cwd=folder, stdout=out, stderr=err,
                                       stdin=subprocess.DEVNULL, env=environment, start_new_session=True,
                                       pass_fds=lock)  # fmt: skip
            try:
                process.wait(timeout=seconds)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its children too
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    return f"{STOPPED} after {seconds / 3600:g} hours" if seconds else STOPPED
                raise
    except OSError as error:
        return f"{command[0]} could not be started: {error.strerror or first_line(error)}"
    if process.returncode < 0:
        return f"{command[0]} was killed by signal {-process.returncode}"
    return f"{ENDED} {process.returncode}" if process.returncode else ""


@lru_cache(maxsize=1)
def _leash() -> tuple[str, ...]:
    """What lets a program die with this process, on Linux; elsewhere it holds the lock until it has ended."""
    leash = ("setpriv", "--pdeathsig", "KILL", "--")
    try:
        subprocess.run([*leash, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return leash
