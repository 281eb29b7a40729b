"""Many independent tasks on one machine or many, by Dask; a lost worker's tasks go to the others."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from matgen.errors import DataError, MissingDependencyError, OptionError, first_line

Task = TypeVar("Task")
Result = TypeVar("Result")

_LOSSES = 3
"""Workers that may die over one task before the task is given up as the cause."""


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> Iterator[tuple[int, Result | Exception]]:
    """Do tasks and yield each with its place as it ends; one that raises yields its error and the others go on.

    Args:
        work: a function of the module level, so that workers can import it.
        tasks: what to call it with.
        workers: processes on this machine, each of one thread; 1 is this process itself.
        scheduler: address of a running Dask scheduler instead, such as `tcp://host:8786`.

    Raises:
        OptionError: `workers` is below 1.
        MissingDependencyError: Dask is not installed.
        DataError: the scheduler does not answer.
    """
    if workers < 1:
        raise OptionError(f"workers is {workers}, it must be at least 1")
    if scheduler is None and (workers == 1 or len(tasks) < 2):
        yield from _here(work, tasks)
        return
    try:
        from dask.distributed import as_completed
    except ImportError as error:
        raise MissingDependencyError("several workers need dask: pip install 'matgen[structures]'") from error
    with _client(min(workers, max(len(tasks), 1)), scheduler) as client:
        futures = client.map(_attempt, [(work, task) for task in tasks], pure=False)
        place = {future.key: index for index, future in enumerate(futures)}
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except Exception as error:  # the worker died over it, again and again
                outcome = RuntimeError(f"its worker was lost {_LOSSES} times: {first_line(error)}")
            yield place[future.key], outcome


def _here(work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result | Exception]]:
    for place, task in enumerate(tasks):
        yield place, _attempt((work, task))


def _attempt(task: tuple[Callable[[Any], Any], Any]) -> Any:
    """Do one task on one thread; its error is its result."""
    work, argument = task
    with _one_thread():
        try:
            return work(argument)
        except Exception as error:
            return error


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep numerical libraries to one thread: the tasks themselves fill the cores."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A client of a scheduler that runs elsewhere, or of a cluster of processes on this machine."""
    import dask
    from dask.distributed import Client, LocalCluster

    settings = {"distributed.scheduler.allowed-failures": _LOSSES - 1, "distributed.worker.daemon": False}
    with dask.config.set(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if scheduler is not None:
            try:
                client = Client(scheduler, timeout=10)
            except (OSError, ValueError, TimeoutError) as error:
                raise DataError(f"no Dask scheduler answers at {scheduler}: {first_line(error)}") from error
            with client:
                yield client
            return
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
                               silence_logs=50)  # fmt: skip
        with cluster, Client(cluster) as client:
            yield client
