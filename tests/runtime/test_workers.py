from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matgen.errors import DataError, OptionError
from matgen.runtime.workers import run_tasks, stream_tasks

NOWHERE = "tcp://127.0.0.1:9"


def double(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return 2 * number


def die_the_first_time(task: tuple[Path, int]) -> int:
    marker, number = task
    if number == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def always_die(task: tuple[Path, int]) -> int:
    folder, number = task
    if number == 1:
        (folder / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def process_and_threads(number: int) -> tuple[int, int]:
    import torch

    if number == 3:
        raise ValueError("three")
    time.sleep(0.5)
    return os.getpid(), torch.get_num_threads()


def done(work, tasks: list, **options) -> dict[int, object]:
    found = list(run_tasks(work, tasks, **options))
    assert len(found) == len(tasks)
    return dict(found)


def test_an_error_is_a_result() -> None:
    found = done(double, [1, 2, 3, 4])
    error = found.pop(2)
    assert found == {0: 2, 1: 4, 3: 8}
    assert isinstance(error, ValueError)
    assert str(error) == "three"
    assert done(double, []) == {}


def test_one_worker_is_this_process_and_keeps_its_threads() -> None:
    import torch

    before = torch.get_num_threads()
    assert done(process_and_threads, [0]) == {0: (os.getpid(), 1)}
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_several_processes_of_one_thread_each() -> None:
    found = done(process_and_threads, [0, 1, 2, 3, 4], workers=2)
    error = found.pop(3)
    assert isinstance(error, ValueError)
    assert str(error) == "three"
    processes, threads = zip(*found.values(), strict=True)
    assert len(set(processes)) == 2
    assert os.getpid() not in processes
    assert set(threads) == {1}


@pytest.mark.slow
def test_a_lost_worker_loses_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "died"
    found = done(die_the_first_time, [(marker, number) for number in range(6)], workers=2)
    assert marker.exists()
    assert found == {number: number for number in range(6)}


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    found = done(always_die, [(tmp_path, number) for number in range(6)], workers=2)
    error = found.pop(1)
    assert isinstance(error, RuntimeError)
    assert f"its worker was lost {len(list(tmp_path.iterdir()))} times" in str(error)
    assert found == {number: number for number in range(6) if number != 1}


def test_options() -> None:
    with pytest.raises(OptionError, match="workers is 0, it must be at least 1"):
        done(double, [1], workers=0)


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer() -> None:
    began = time.monotonic()
    with pytest.raises(DataError, match=f"no Dask scheduler answers at {NOWHERE}"):
        done(double, [1, 2], scheduler=NOWHERE)
    with pytest.raises(DataError, match="no Dask scheduler answers at nonsense"):
        done(double, [1, 2], scheduler="nonsense")
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_scheduler_that_runs_elsewhere() -> None:
    from dask.distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        found = done(double, [1, 2], scheduler=cluster.scheduler_address)
    assert found == {0: 2, 1: 4}


def test_threads_share_tasks_that_are_made_one_by_one() -> None:
    import torch

    before, made, most = torch.get_num_threads(), [], 0
    together = threading.Barrier(2, timeout=60)

    def tasks() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    def work(number: int) -> tuple[int, int]:
        if number < 2:
            together.wait()  # the first two run side by side, or this raises
        return 2 * number, torch.get_num_threads()

    found = {}
    for task, (result, threads) in stream_tasks(work, tasks(), threads=2):
        found[task] = result
        most = max(most, len(made) - len(found))
        assert threads == 1
    assert found == {number: 2 * number for number in range(20)}
    assert most <= 3  # under way; the others are not made yet
    assert torch.get_num_threads() == before


def test_a_task_alone_and_a_single_thread_keep_to_this_one() -> None:
    here = threading.get_ident()
    for threads, tasks in ((4, [1]), (1, [1, 2, 3]), (4, [])):
        found = list(stream_tasks(lambda number: (number, threading.get_ident()), tasks, threads=threads))
        assert found == [(number, (number, here)) for number in tasks]


def test_the_first_failure_of_a_stream_ends_it() -> None:
    for threads in (1, 2):
        with pytest.raises(ValueError, match="three"):
            list(stream_tasks(double, itertools.count(), threads=threads))


@pytest.mark.slow
def test_a_stream_by_a_scheduler() -> None:
    from dask.distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        found = dict(stream_tasks(double, [5, 6, 7, 8, 9], scheduler=cluster.scheduler_address))
        assert found == {number: 2 * number for number in range(5, 10)}
        with pytest.raises(ValueError, match="three"):
            list(stream_tasks(double, itertools.count(), scheduler=cluster.scheduler_address))
