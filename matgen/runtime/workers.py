"""Many independent tasks on one machine or many, by Dask; a lost worker's tasks go to the others."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import chain, islice
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
    _require_dask()
    from dask.distributed import as_completed

    with _client(min(workers, max(len(tasks), 1)), scheduler) as client:
        futures = client.map(_attempt, [(work, task) for task in tasks], pure=False)
        place = {future.key: index for index, future in enumerate(futures)}
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except Exception as error:  # the worker died over it, again and again
                outcome = RuntimeError(f"its worker was lost {_LOSSES} times: {first_line(error)}")
            yield place[future.key], outcome


def stream_tasks(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    threads: int = 1,
    scheduler: str | None = None,
    torch: bool = True,
) -> Iterator[tuple[Task, Result]]:
    """Do tasks that are made one by one, and yield each with its result as it ends, in whatever order.

    At most a few are under way at once, so that any number of them takes constant memory. A task alone has this
    process to itself, with all threads of its libraries; of several, each has one.

    Args:
        work: what is done; with a scheduler a function of the module level, so that workers can import it.
        tasks: what to call it with.
        threads: of this process that work side by side.
        scheduler: address of a running Dask scheduler instead, such as `tcp://host:8786`.
        torch: whether the work needs torch.

    Raises:
        Exception: what `work` raised, at the first task that failed; the others are given up.
        MissingDependencyError: Dask is not installed.
        DataError: the scheduler does not answer, or lost its workers over a task.
    """
    tasks = iter(tasks)
    if scheduler is not None:
        yield from _stream_by_dask(work, tasks, scheduler, torch)
        return
    first = [] if threads == 1 else list(islice(tasks, 2))
    if len(first) < 2:
        for task in chain(first, tasks):
            yield task, work(task)
        return
    tasks = chain(first, tasks)
    with one_thread(torch), ThreadPoolExecutor(threads) as pool:
        running = {pool.submit(work, task): task for task in islice(tasks, threads + 1)}
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    running |= {pool.submit(work, following): following for following in islice(tasks, 1)}
                    yield task, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _stream_by_dask(
    work: Callable[[Task], Result], tasks: Iterator[Task], scheduler: str, torch: bool
) -> Iterator[tuple[Task, Result]]:
    _require_dask()
    from dask.distributed import as_completed

    with _client(1, scheduler) as client:
        running: dict[Any, Task] = {}

        def submit(task: Task) -> Any:
            future = client.submit(_attempt, (work, task), torch, pure=False)
            running[future.key] = task
            return future

        most = 2 * max(sum(client.nthreads().values()), 1)
        futures = as_completed([submit(task) for task in islice(tasks, most)])
        for future in futures:
            task = running.pop(future.key)
            try:
                outcome = future.result()
            except Exception as error:  # the worker died over it, again and again
                raise DataError(f"{scheduler} lost {_LOSSES} workers over one task: {first_line(error)}") from error
            if isinstance(outcome, Exception):
                raise outcome
            for following in islice(tasks, 1):
                futures.add(submit(following))
            yield task, outcome


def _require_dask() -> None:
    try:
        import dask.distributed  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("several workers need dask: pip install 'matgen[structures]'") from error


def _here(work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result | Exception]]:
    for place, task in enumerate(tasks):
        yield place, _attempt((work, task))


def _attempt(task: tuple[Callable[[Any], Any], Any], torch: bool = True) -> Any:
    """Do one task on one thread; its error is its result."""
    work, argument = task
    with one_thread(torch):
        try:
            return work(argument)
        except Exception as error:
            return error


@contextlib.contextmanager
def one_thread(torch: bool = True) -> Iterator[None]:
    """Keep numerical libraries to one thread: the tasks themselves fill the cores.

    Args:
        torch: whether torch is one of them; it is loaded where it is not yet.
    """
    from threadpoolctl import threadpool_limits

    with contextlib.ExitStack() as stack:
        if torch:
            import torch as library

            stack.callback(library.set_num_threads, library.get_num_threads())
            library.set_num_threads(1)
        stack.enter_context(threadpool_limits(limits=1))
        yield


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
