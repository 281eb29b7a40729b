"""Running the calculations of a folder with a code that is installed: `matgen dft run`."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.dft import espresso, gpaw, vasp_output
from matgen.dft.settings import STATUS, read_manifest
from matgen.errors import DataError, MatgenError, MissingDependencyError, OptionError, first_line, unknown_name
from matgen.files import read_json, write_json
from matgen.structures.workers import run_tasks

if TYPE_CHECKING:
    from matgen.progress import Progress


@dataclass(frozen=True)
class Engine:
    """A density-functional code.

    Attributes:
        name: as on the command line, and that of the format of its inputs.
        command: what is run in a job's folder, by default.
        stdout: file that takes what it prints.
        parse: reads what it left.
        install: how to get it.
    """

    name: str
    command: tuple[str, ...]
    stdout: str
    parse: Callable[[Path], dict[str, Any]]
    install: str


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("gpaw", ("gpaw", "python", gpaw.SCRIPT), "stdout.txt", gpaw.parse, "apt install gpaw gpaw-data"),
        Engine("espresso", ("pw.x", "-in", espresso.INPUT), espresso.OUTPUT, espresso.parse,
               "apt install quantum-espresso"),
        Engine("vasp", ("vasp_std",), "vasp.out", vasp_output.parse, "VASP is licensed: name yours by --command"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class RunSettings:
    """How calculations are run.

    Attributes:
        command: instead of the engine's own, such as `mpirun -n 4 pw.x -in pw.in`.
        hours: after so many a calculation is stopped and counts as failed; None waits for it.
        workers: calculations at once on this machine.
        scheduler: address of a Dask scheduler instead; its workers must see the same folder.
        again: whether failed ones are tried again.
    """

    command: str | None = None
    hours: float | None = None
    workers: int = 1
    scheduler: str | None = None
    again: bool = False

    def __post_init__(self) -> None:
        if self.hours is not None and not self.hours > 0:
            raise OptionError(f"hours is {self.hours}, it must be above 0")


@dataclass(frozen=True)
class RunSummary:
    """How a folder stands: ids of the calculations done, and reasons of those that failed."""

    done: list[str]
    failed: dict[str, str]
    run_now: int


def run_folder(
    folder: Path | str, engine: str, settings: RunSettings | None = None, *, progress: Progress | None = None
) -> RunSummary:
    """Run what is not done yet; each ended calculation leaves `status.json`, so that a later call goes on.

    Args:
        folder: that `matgen export` wrote for this engine.
        engine: one of `ENGINES`.
        settings: how.
        progress: advanced for each calculation.

    Raises:
        OptionError: an unknown engine, or inputs of another one.
        DataError: no such folder.
        MissingDependencyError: the engine's program is not installed.
    """
    settings = settings or RunSettings()
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    folder = Path(folder).resolve()
    manifest = read_manifest(folder)
    if manifest["format"] != engine:
        raise OptionError(f"{folder} holds inputs of {manifest['format']}: run them with --engine {manifest['format']}")
    command = tuple(shlex.split(settings.command)) if settings.command else ENGINES[engine].command
    if not command or (settings.scheduler is None and shutil.which(command[0]) is None):
        raise MissingDependencyError(f"{command[0] if command else 'an empty command'} is not installed: "
                                     f"{ENGINES[engine].install}")  # fmt: skip
    ids = [job["id"] for job in manifest["jobs"]]
    waiting = [id for id in ids if _waits(folder / id, again=settings.again)]
    if progress:
        progress.start(len(ids), len(ids) - len(waiting))
    tasks = [(str(folder / id), engine, command, settings.hours) for id in waiting]
    for place, outcome in run_tasks(_run_one, tasks, workers=settings.workers, scheduler=settings.scheduler):
        if isinstance(outcome, Exception):  # a lost worker: what it began is not trusted
            write_json(folder / waiting[place] / STATUS, {"state": "failed", "engine": engine, "reason": str(outcome)})
        if progress:
            progress.advance()
    if progress:
        progress.close()
    statuses = {id: read_status(folder / id) for id in ids}
    failed = {id: str(status.get("reason", "not run")) for id, status in statuses.items() if status["state"] != "done"}
    return RunSummary([id for id in ids if id not in failed], failed, len(waiting))


def read_status(folder: Path) -> dict[str, Any]:
    """What is known of one calculation; `state` is `done`, `failed` or `waiting`."""
    try:
        status = read_json(folder / STATUS)
        return dict(status) if status["state"] in ("done", "failed") else {"state": "waiting", "reason": "not run"}
    except (DataError, KeyError, TypeError, ValueError):
        return {"state": "waiting", "reason": "not run"}


def _waits(folder: Path, *, again: bool) -> bool:
    state = read_status(folder)["state"]
    return state == "waiting" or (again and state == "failed")


def _run_one(task: tuple[str, str, tuple[str, ...], float | None]) -> str:
    """Run one calculation in its folder and record how it ended; the state is returned."""
    place, name, command, hours = task
    folder, engine = Path(place), ENGINES[name]
    began = time.time()
    status: dict[str, Any] = {"engine": name, "command": list(command)}
    try:
        reason = _execute(engine, folder, command, None if hours is None else hours * 3600)
        if reason:
            status |= {"state": "failed", "reason": reason}
        else:
            result = engine.parse(folder)
            status |= {"state": "done" if result["converged"] else "failed", "result": result}
            if not result["converged"]:
                status["reason"] = "it did not converge"
    except MatgenError as error:
        status |= {"state": "failed", "reason": str(error)}
    write_json(folder / STATUS, status | {"seconds": round(time.time() - began, 1)})
    return str(status["state"])


def _execute(engine: Engine, folder: Path, command: tuple[str, ...], seconds: float | None) -> str:
    """Run the program; why it did not get to its end, empty where it did (its output may still complain)."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    # A program of the system's own Python must not find this environment's packages.
    for variable in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        environment.pop(variable, None)
    try:
        with (folder / engine.stdout).open("wb") as out, (folder / "stderr.txt").open("wb") as err:
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                                       env=environment, start_new_session=True)  # fmt: skip
            try:
                process.wait(timeout=seconds)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)  # its children too
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    return f"stopped after {seconds / 3600:g} hours" if seconds else "stopped"
                raise
    except OSError as error:
        return f"{command[0]} could not be started: {first_line(error)}"
    if process.returncode < 0:
        return f"{command[0]} was killed by signal {-process.returncode}"
    if process.returncode > 0:
        try:
            engine.parse(folder)
        except MatgenError as error:
            return str(error)
        return f"{command[0]} ended with status {process.returncode}"
    return ""
