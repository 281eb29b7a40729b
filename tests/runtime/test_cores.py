"""Cores by affinity, cgroups and SLURM, on made-up systems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from matgen.runtime import cores


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 cores without bounds."""
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_nothing_bounds(system: Path) -> None:
    assert cores.available_cores() == 16  # no cgroups at all
    write(system / "own", "0::/a/b\n")
    write(system / "a" / "cpu.max", "max 100000\n")
    assert cores.available_cores() == 16


@pytest.mark.parametrize(("quota", "expected"), [("400000", 4), ("150000", 2), ("50000", 1), ("6400000", 16)])
@pytest.mark.parametrize("around", ["a/b", "a", ""])
def test_the_quota_of_a_container(system: Path, quota: str, expected: int, around: str) -> None:
    write(system / "own", "1:name=systemd:/\n0::/a/b\n")
    write(system / around / "cpu.max", f"{quota} 100000\n")
    assert cores.available_cores() == expected


def test_the_quota_of_version_1(system: Path) -> None:
    write(system / "own", "4:cpu,cpuacct:/docker/x\n")
    write(system / "cpu" / "docker" / "x" / "cpu.cfs_quota_us", "300000\n")
    write(system / "cpu" / "docker" / "x" / "cpu.cfs_period_us", "100000\n")
    write(system / "cpu" / "cpu.cfs_quota_us", "-1\n")
    write(system / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert cores.available_cores() == 3


def test_slurm_and_affinity(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    assert cores.available_cores() == 6
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert cores.available_cores() == 2
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "many")
    assert cores.available_cores() == 2


def test_threads_are_limited_but_for_what_the_user_set(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    cores.limit_threads()
    assert not [name for name in names if name in os.environ]
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    try:
        cores.limit_threads()
        assert [os.environ[name] for name in names] == ["3", "7", "3", "3"]
    finally:
        for name in names:
            os.environ.pop(name, None)
