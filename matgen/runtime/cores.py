"""How many cores this process may use: its affinity, the quota of its cgroup, what SLURM gave it."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def available_cores() -> int:
    """The least of what bounds this process, at least 1.

    These are its affinity (or the machine's cores), the quotas of its cgroup and of those around it (containers:
    `cpu.max`, in version 1 `cpu.cfs_quota_us`), and `SLURM_CPUS_PER_TASK`.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bounds = [float(cores), *_quotas()]
    if (given := os.environ.get("SLURM_CPUS_PER_TASK", "")).isdigit():
        bounds.append(float(given))
    return max(1, math.ceil(min(bounds)))


def limit_threads() -> None:
    """Keep the libraries that a process will load to `available_cores`; what the user has set stays.

    They count the machine's cores, of which a container or a job may have a few; threads without a core are slow.
    """
    cores = available_cores()
    if cores < (os.cpu_count() or 1):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ.setdefault(name, str(cores))


def _quotas() -> list[float]:
    """Cores that the cgroups of this process allow; nothing where there are none, as on other systems than Linux."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return []
    quotas = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        files: tuple[str, ...]
        if not controllers:
            folder, files = CGROUPS, ("cpu.max",)
        elif "cpu" in controllers.split(","):
            folder, files = CGROUPS / "cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        else:
            continue
        inner = Path(place.lstrip("/"))
        for around in (inner, *inner.parents):
            quotas += _quota(folder / around, files)
    return quotas


def _quota(folder: Path, files: tuple[str, ...]) -> list[float]:
    try:
        quota, period = " ".join((folder / name).read_text().strip() for name in files).split()
        return [int(quota) / int(period)] if quota != "max" and int(quota) > 0 else []
    except (OSError, ValueError, ZeroDivisionError):
        return []
