"""Targets of `matgen lift`: the columns to learn, their tasks, and the estimator that learns them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.lift_options import backend_options, pairs, tell_requests, whole_numbers
from matgen.errors import DataError, OptionError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from matgen.cli.parser import Parser


def target_option(parser: Parser, help_: str) -> None:
    """Add `--target`, of one column or several."""
    parser.group("data").add_argument("--target", nargs="+", metavar="NAME", help=help_)


def estimator_of(
    arguments: argparse.Namespace,
    targets: pd.Series | pd.DataFrame,
    *,
    task: str | None = None,
    units: dict[str, str] | None = None,
    seed: int | None = None,
) -> Any:
    """The estimator that the options describe: for one target where `targets` is a series, for several of a table."""
    from matgen.lift import LiftClassifier, LiftRegressor
    from matgen.lift.estimators.tasks import TASKS, task_of

    if targets.ndim == 2:
        return _of_several(arguments, list(targets.columns), seed)
    tell_requests(arguments)
    task = task or tasks_of(arguments, [str(targets.name)]).get(str(targets.name)) or task_of(targets)
    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    kind = LiftClassifier if task == "classification" else LiftRegressor
    return kind(
        arguments.backend,
        model=arguments.base,
        template=arguments.template,
        retrieval=arguments.retrieval,
        pretext=arguments.pretext,
        backend_options=backend_options(arguments),
        **_shared(arguments, units, seed),
    )


def _of_several(arguments: argparse.Namespace, names: Sequence[str], seed: int | None) -> Any:
    from matgen.lift import LiftMultiTarget

    usual = {"backend": "scratch", "base": None, "base_url": None, "template": "named", "retrieval": 0, "pretext": 0}
    for name, value in usual.items():
        if getattr(arguments, name) != value:
            option = f"--{name.replace('_', '-')}"
            raise OptionError(f"{option} is for one target, --target names {len(names)}: leave one of them out")
    tasks = tasks_of(arguments, names)
    return LiftMultiTarget(tasks, backend_options=backend_options(arguments), **_shared(arguments, None, seed))


def _shared(arguments: argparse.Namespace, units: dict[str, str] | None, seed: int | None) -> dict[str, Any]:
    return {
        "formulas_as": arguments.formulas_as,
        "units": pairs(arguments.units) or units,
        "precision": whole_numbers(arguments.precision),
        "column_types": pairs(arguments.column_types),
        "noise": arguments.noise,
        "mixup": arguments.mixup,
        "random_state": arguments.seed if seed is None else seed,
    }


def tasks_of(arguments: argparse.Namespace, names: Sequence[str]) -> dict[str, str]:
    """What `--task` says of each target: one task for all, or NAME=TASK with commas between.

    Raises:
        OptionError: it names a column that is no target.
    """
    if not arguments.task or "=" not in arguments.task:
        return {name: arguments.task for name in names if arguments.task}
    tasks = pairs(arguments.task) or {}
    for name in tasks:
        if name not in names:
            raise OptionError(f"--task: there is no target {name!r}; the targets are {', '.join(names)}")
    return tasks


def with_targets(
    frame: pd.DataFrame, target: Sequence[str], table: Path, *, every: bool = False
) -> tuple[pd.DataFrame, pd.Series | pd.DataFrame]:
    """Rows with a target, and their targets: a series of one, a table of several; other rows are counted.

    Args:
        frame: the table.
        target: names of columns.
        table: its file, for messages.
        every: of several targets, leave out rows that lack one of them, not only those that lack all.

    Raises:
        DataError: a column is not there, or no row has a target.
        OptionError: a column is named twice.
    """
    import pandas as pd

    from matgen.lift.estimators.targets import is_there

    if len(set(target)) < len(target):
        raise OptionError(f"--target names {next(name for name in target if list(target).count(name) > 1)!r} twice")
    for name in target:
        if name not in frame.columns:
            raise DataError(f"{table} has no column {name!r}; it has {', '.join(frame.columns[:20])}")
        if not is_there(frame[name]).any():
            raise DataError(f"{table}: no row has a value in {name!r}")
    cells = pd.DataFrame({name: is_there(frame[name]) for name in target})
    there = cells.all(axis=1) if every else cells.any(axis=1)
    if not there.any():
        raise DataError(f"{table}: no row has a value in all of {', '.join(target)}")
    if not there.all():
        lacking = f"lack {'some' if every else 'all'} of {', '.join(target)}"
        lacking = f"have nothing in {target[0]}" if len(target) == 1 else lacking
        print(f"{int((~there).sum()):,} rows of {table} {lacking} and are left out", file=sys.stderr)
    kept = frame[there].reset_index(drop=True)
    return kept.drop(columns=list(target)), kept[target[0]] if len(target) == 1 else kept[list(target)]
