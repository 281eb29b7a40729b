"""What every measurement writes down: where it ran, with which versions, by which command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from matgen.io.files import write_json
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


def write_result(name: str, content: dict[str, Any]) -> Path:
    """Write `results/<name>.json` with the command and the machine beside the figures."""
    path = RESULTS / f"{name}.json"
    write_json(path, {"command": command_line(), "machine": machine(), **content})
    return path
