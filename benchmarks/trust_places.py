"""Full disks, read-only folders, vanished inputs, a clock that goes back, two runs at once; for `benchmarks.trust`."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.trust_run import digest, digest_of_folder, fork, run, said_lines, wait
from benchmarks.trust_writers import Writer, writers

FREE = (0, 8_192, 65_536, 524_288, 4_194_304)
"""Bytes that are left on the full disk."""

DISK = "48m"


class _LeftOut(Exception):
    """This place cannot be had here."""


def places(work: Path, *, short: bool, names: list[str] | None = None) -> dict[str, Any]:
    """Each command in each place: runs, how they ended, and what was wrong with any."""
    measured: dict[str, Any] = {}
    commands = writers(work, short=short)
    for name in names or PLACES:
        check = PLACES[name]
        whole = [_whole(work)] if check is _no_network and not short else []
        rows, left_out = [], {}
        try:
            for command in (*commands, *whole):
                rows.append(check(work, command, short))
        except _LeftOut as error:
            left_out = {"left_out": str(error)}
        measured[name] = {
            "commands": len(rows),
            "runs": sum(row["runs"] for row in rows),
            "refused": sum(row["refused"] for row in rows),
            "faults": [fault for row in rows for fault in row["faults"]],
            **left_out,
        }
        print(name, measured[name], flush=True)
    return measured


def _whole(work: Path) -> Writer:
    options = ["-n", "500", "--structures", "2", "--max-minutes", "0.1", "--preset", "tiny"]
    return Writer("discover", ["discover", *options, "--dataset", str(work / "formulas.csv")], "discovery")


def _disk_full(work: Path, command: Writer, short: bool) -> dict[str, Any]:
    row, result = _row(), work / "earlier"
    with _mounted(work / "disk") as disk:
        for earlier in (False, True):
            for free in FREE[:: 2 if short else 1]:
                _empty(disk)
                out = disk / command.out
                before = None
                if earlier:
                    if not result.exists():
                        if run([*command.words, "--quiet", "--out", str(out)], work) != 0:
                            row["faults"].append(_fault(command, "the run before", work))
                            break
                        shutil.copytree(disk, result)
                    shutil.copytree(result, disk, dirs_exist_ok=True)
                    before = _files(out)
                _fill(disk, free)
                code = run([*command.words, "--quiet", "--out", str(out), *(["--force"] if earlier else [])], work)
                _judge(row, command, code, work, f"{free} bytes free{', over an earlier result' if earlier else ''}")
                if code == 2 and before is not None and not _intact(command, out, before):
                    row["faults"].append(_fault(command, f"{free} bytes free: the earlier result is damaged", work))
                (disk / "filler").unlink()
                if code == 2 and (again := run([*command.words, "--quiet", "--out", str(out), "--force"], work)):
                    row["faults"].append(_fault(command, f"{free} bytes free: with space again {again}", work))
    shutil.rmtree(result, ignore_errors=True)
    return row


def _read_only(work: Path, command: Writer, short: bool) -> dict[str, Any]:
    row = _row()
    with _mounted(work / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        code = run([*command.words, "--quiet", "--out", str(disk / command.out)], work)
        _judge(row, command, code, work, "read-only", must_refuse=True)
    return row


def _vanished(work: Path, command: Writer, short: bool) -> dict[str, Any]:
    """The input is renamed at a random moment of the run, and once before it."""
    row = _row()
    if command.reads is None:
        return row
    out, away, rng = work / "vanished" / command.out, command.reads.with_name("away"), random.Random(0)
    began = time.monotonic()
    run([*command.words, "--quiet", "--out", str(out)], work)
    expected, lasts = _result(command, out), time.monotonic() - began
    for moment in [0.0, *(rng.uniform(0, lasts) for _ in range(1 if short else 8))]:
        _empty(work / "vanished")
        if moment == 0:
            command.reads.rename(away)
            code = run([*command.words, "--quiet", "--out", str(out)], work)
        else:
            child = fork([*command.words, "--quiet", "--out", str(out)], work)
            time.sleep(moment)
            command.reads.rename(away)
            code = wait(child, 600)
        away.rename(command.reads)
        _judge(row, command, code, work, f"gone after {moment:.2f} s", must_refuse=moment == 0)
        if code == 0 and _result(command, out) != expected:
            row["faults"].append(_fault(command, f"gone after {moment:.2f} s: another result", work))
    _empty(work / "vanished")
    return row


def _clock_back(work: Path, command: Writer, short: bool) -> dict[str, Any]:
    """The clock goes back an hour each second."""
    row, results = _row(), []
    for back in (False, True):
        _empty(work / "clock")
        out = work / "clock" / command.out
        code = run([*command.words, "--quiet", "--out", str(out)], work, prepare=_go_back if back else None)
        _judge(row, command, code, work, "clock going back")
        results.append(_result(command, out) if out.exists() else "nothing")
    row["runs"] -= 1  # the first is what the second is compared with
    if results[0] != results[1]:
        row["faults"].append(_fault(command, "another result", work))
    _empty(work / "clock")
    return row


def _go_back() -> None:
    """From now on the clock goes back an hour each second."""
    now, began = time.time, time.monotonic()
    time.time = lambda: now() - 3600 * int(time.monotonic() - began)


def _no_network(work: Path, command: Writer, short: bool) -> dict[str, Any]:
    """In a network namespace of its own, whose only interface is the loopback: there is no route to anywhere."""
    row, out = _row(), work / "alone" / command.out
    if os.geteuid() != 0:
        raise _LeftOut("needs root, for a namespace without a network")
    _empty(work / "alone")
    code = run([*command.words, "--quiet", "--out", str(out)], work, prepare=_leave_the_network)
    _judge(row, command, code, work, "no network")
    if code != 0:
        row["faults"].append(_fault(command, f"no network: {code}", work))
    _empty(work / "alone")
    return row


def _leave_the_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no namespace without a network")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:  # the loopback, which Dask's workers need
        request = struct.pack("16sh", b"lo", _IFF_UP)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, request)
        try:
            handle.connect(("192.0.2.1", 9))  # an address for documentation
        except OSError:
            return
    raise OSError("there is a route to somewhere")


_CLONE_NEWNET, _IFF_UP, _SIOCSIFFLAGS = 0x40000000, 0x1, 0x8914


def _two_at_once(work: Path, command: Writer, short: bool) -> dict[str, Any]:
    """Two runs begin together: one of them writes, the other says so. Then an owner of the lock is killed."""
    row, folder = _row(), work / "two"
    _empty(folder)
    out = folder / command.out
    words = [*command.words, "--quiet", "--out", str(out)]
    logs = [folder.with_name(f"two-{n}") for n in range(2)]
    for log in logs:
        log.mkdir(exist_ok=True)
    children = [fork(words, log) for log in logs]
    codes = [wait(child, 600) for child in children]
    row["runs"], row["refused"] = 2, codes.count(2)
    lines = [line for log, code in zip(logs, codes, strict=True) if code for line in said_lines(log)]
    if sorted(codes) != [0, 2] or len(lines) != 1:
        row["faults"].append({"command": command.name, "what": f"two at once: {codes}", "said": lines[-3:]})
    _empty(folder)
    child = fork(words, logs[0])
    time.sleep(0.3)
    wait(child, 0)
    if (code := run([*words, "--force"], work)) != 0:
        row["faults"].append(_fault(command, f"after a killed owner: {code}", work))
    row["runs"] += 1
    _empty(folder)
    return row


PLACES: dict[str, Callable[[Path, Writer, bool], dict[str, Any]]] = {
    "disk_full": _disk_full,
    "read_only": _read_only,
    "vanished_input": _vanished,
    "clock_back": _clock_back,
    "two_at_once": _two_at_once,
    "no_network": _no_network,
}


def _files(out: Path) -> dict[Path, bytes]:
    paths = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else [out]
    return {path: path.read_bytes() for path in paths}


def _intact(command: Writer, out: Path, before: dict[Path, bytes]) -> bool:
    """Whether the earlier result is there, or, where `--force` removes it first, is not taken for complete."""
    if command.mark and not (out / command.mark).exists():
        return True
    return all(path.exists() and path.read_bytes() == content for path, content in before.items())


def _result(command: Writer, out: Path) -> str:
    return digest(out, command.files) if command.files else digest_of_folder(out)


def _row() -> dict[str, Any]:
    return {"runs": 0, "refused": 0, "faults": []}


def _judge(
    row: dict[str, Any], command: Writer, code: int, work: Path, what: str, *, must_refuse: bool = False
) -> None:
    row["runs"] += 1
    row["refused"] += code == 2
    one_line = len(said_lines(work)) == 1
    if code not in ((2,) if must_refuse else (0, 2)) or (code == 2 and not one_line):
        row["faults"].append(_fault(command, f"{what}: {code}", work))


def _fault(command: Writer, what: str, work: Path) -> dict[str, Any]:
    return {"command": command.name, "what": what, "said": [line[:300] for line in said_lines(work)[-4:]]}


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    """A small file system in memory, which only root can mount."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise _LeftOut("needs root, to mount a small disk")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _LeftOut(f"cannot mount a small disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(disk: Path, free: int) -> None:
    space = os.statvfs(disk)
    with open(disk / "filler", "wb") as filler:
        filler.write(bytes(max(0, space.f_bavail * space.f_frsize - free)))


def _empty(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
