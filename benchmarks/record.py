"""What every measurement writes down: where it ran, with which versions, by which command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matgen.io.files import read_json, write_json
from matgen.io.versions import versions
from matgen.runtime.cores import available_cores

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Processor, cores, GPU and versions of this machine."""
    import torch

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": available_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": versions("torch", "transformers", "accelerate", "numpy", "pymatgen-core", "smact"),
    }


def command_line() -> str:
    """The command that is running."""
    return shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])


def write_result(name: str, content: dict[str, Any], results: Path = RESULTS) -> Path:
    """Write `results/<name>.json` with the command and the machine beside the figures."""
    path = results / f"{name}.json"
    write_json(path, {"command": command_line(), "machine": machine(), **content})
    return path


def read_result(name: str, results: Path = RESULTS) -> dict[str, Any]:
    """What `<name>.json` holds, measured before by this or another process; empty if there is none."""
    path = results / f"{name}.json"
    return read_json(path) if path.is_file() else {}


def continued(name: str, results: Path = RESULTS, *, anew: bool = False, **settings: Any) -> dict[str, Any]:
    """An earlier content to add to, if the same kind of GPU measured it with the same settings; else an empty one.

    The command that is running is added to its commands, the machine and the settings are those of now.

    Args:
        name: stem of the file.
        results: folder of the file; it is made.
        anew: leave out what was measured before.
        settings: those that change what is measured.
    """
    results.mkdir(parents=True, exist_ok=True)
    here, content = machine(), read_result(name, results)
    alike = all(content.get(setting, value) == value for setting, value in settings.items())
    if anew or not alike or content.get("machine", here)["gpu"] != here["gpu"]:
        content = {}
    return {**content, "commands": [*content.get("commands", []), command_line()], "machine": here, **settings}


def kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file holds, or else what is measured now and written there, so that a long run goes on."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, measure())
    return read_json(path)
