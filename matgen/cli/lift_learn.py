"""`matgen lift fit` and `predict`: learn a column or rows of a table, answer for another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import shown
from matgen.cli.lift_options import backend_options, chosen, pairs, predictor, tell_requests, whole_numbers
from matgen.cli.lift_targets import estimator_of, with_targets
from matgen.cli.shared import bars, say
from matgen.errors import DataError, OptionError
from matgen.lift.backends import BACKENDS, backend_kind

if TYPE_CHECKING:
    import pandas as pd

    from matgen.lift.columns import Column
    from matgen.runtime.progress import ProgressFactory


def fit(arguments: argparse.Namespace) -> int:
    """Fit an estimator and write it."""
    from matgen.io.files import refuse_to_overwrite
    from matgen.lift.files import read_any_table

    frame = read_any_table(arguments.table)
    if not arguments.resume:
        refuse_to_overwrite(arguments.out, force=arguments.force)
    state = arguments.out.with_name(f".{arguments.out.name}.training")
    if arguments.target is None:
        _fit_rows(arguments, frame, state)
    else:
        _fit_target(arguments, frame, state)
    _remove(state)
    return 0


def _fit_rows(arguments: argparse.Namespace, frame: pd.DataFrame, state: Path) -> None:
    from matgen.lift import LiftGenerator, save

    if not backend_kind(arguments.backend).learns_rows:
        able = " or ".join(kind.name for kind in BACKENDS.values() if kind.learns_rows)
        raise OptionError(f"rows are learned by the backend {able} only: leave out --backend, or give --target")
    frame, out = chosen(frame, arguments), arguments.out
    generator = LiftGenerator(
        units=pairs(arguments.units),
        precision=whole_numbers(arguments.precision),
        column_types=pairs(arguments.column_types),
        backend_options=backend_options(arguments, generator=True),
        random_state=arguments.seed,
        balance=arguments.balance,
    )
    say(
        arguments,
        f"learning {len(frame):,} rows of {frame.shape[1]} columns of {arguments.table} into {shown(out)}",
    )
    generator.fit(frame, folder=state, resume=arguments.resume, progress=_steps_bars(arguments))
    save(generator, out, force=True)
    say(arguments, f"{generator.n_parameters_:,} weights. Next: matgen lift sample --model {shown(out)}")


def _fit_target(arguments: argparse.Namespace, frame: pd.DataFrame, state: Path) -> None:
    from matgen.lift import save

    if arguments.balance:
        raise OptionError("--balance is of whole rows, drawn for rare values: leave out --target")
    rows, targets = with_targets(frame, arguments.target, arguments.table)
    rows, out = chosen(rows, arguments), arguments.out
    estimator = estimator_of(arguments, targets)
    say(
        arguments,
        f"learning {_in_words(estimator, targets)} from {len(rows):,} rows of {rows.shape[1]} columns of "
        f"{arguments.table} by {arguments.backend} into {shown(out)}",
    )
    estimator.fit(rows, targets, folder=state, resume=arguments.resume, progress=_steps_bars(arguments))
    save(estimator, out, force=True)
    calibrations = [*getattr(getattr(estimator, "targets_", None), "calibrations", {}).values()]
    calibrations += [estimator.calibration_] if hasattr(estimator, "calibration_") else []
    held_out = max((len(one.scores) for one in calibrations), default=0)
    calibrated = f", intervals calibrated on {held_out:,} rows held out" if held_out else ""
    weights = f"{estimator.n_parameters_:,} weights"
    say(arguments, f"{weights}{calibrated}. Next: matgen lift predict new.csv --model {shown(out)}")


def _in_words(estimator: Any, targets: pd.Series | pd.DataFrame) -> str:
    """What is learned, such as `a (numbers)`; several targets in their order."""
    import pandas as pd

    from matgen.lift import LiftClassifier
    from matgen.lift.estimators.targets import is_there
    from matgen.lift.estimators.tasks import task_of

    if isinstance(targets, pd.Series):
        return f"{targets.name} ({'classes' if isinstance(estimator, LiftClassifier) else 'numbers'})"
    there = {
        str(name): cells[is_there(cells)].reset_index(drop=True).infer_objects() for name, cells in targets.items()
    }
    tasks = {name: estimator.tasks.get(name) or task_of(cells) for name, cells in there.items()}
    words = {"classification": "classes", "regression": "numbers"}
    return ", then ".join(f"{name} ({words.get(task, task)})" for name, task in tasks.items())


def predict(arguments: argparse.Namespace) -> None:
    """Predict a table; rows that cannot be read keep an empty prediction."""
    import numpy as np

    from matgen.io.outputs import claim, write_with_metadata
    from matgen.lift import load
    from matgen.lift.files import read_any_table, unreadable_rows

    out = arguments.out
    claim(out, force=arguments.force)
    estimator = predictor(load(arguments.model), arguments.model)
    tell_requests(arguments)
    frame = read_any_table(arguments.table)
    columns, targets = _columns_of(estimator, arguments.known or [])
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise DataError(f"{arguments.table} has no column {missing[0]!r}; it has {', '.join(frame.columns[:20])}")
    if arguments.update:
        _update(estimator, targets, arguments.update)
    bad = unreadable_rows(frame, columns)
    good = np.array([row not in bad for row in range(len(frame))])
    if good.any():
        answers = _answers(estimator, frame.loc[good].reset_index(drop=True), arguments)
        for name, cells in answers.items():
            frame[name] = np.nan if cells.dtype.kind == "f" else None
            frame.loc[good, name] = cells.to_numpy()
    else:
        for target in targets:
            frame[f"{target}_predicted"] = None
    written: Any = targets[0] if len(targets) == 1 else targets
    write_with_metadata(out, frame, {"model": str(arguments.model), "target": written, "rows_not_read": len(bad)})
    first = f"; {len(bad):,} rows cannot be read, first: row {min(bad) + 1}: {bad[min(bad)]}" if bad else ""
    say(arguments, f"{int(good.sum()):,} rows predicted into {shown(out)}{first}")


def _columns_of(estimator: Any, known: list[str]) -> tuple[tuple[Column, ...], list[str]]:
    """Columns that an estimator reads, known targets among them, and names of the targets that it predicts."""
    from matgen.lift import LiftMultiTarget

    if not isinstance(estimator, LiftMultiTarget):
        if known:
            raise OptionError("--known is for models of several targets: fit one by --target A B")
        return estimator.sentences_.columns, [estimator.sentences_.target.name]
    of_targets = [column for column in estimator.targets_.columns if column.name in known]
    left = [name for name in estimator.targets_.names if name not in known]
    return (*estimator.columns_, *of_targets), left


def _update(estimator: Any, targets: list[str], path: Path) -> None:
    from matgen.lift import LiftMultiTarget
    from matgen.lift.files import read_any_table

    if isinstance(estimator, LiftMultiTarget):
        raise OptionError("--update is for models of one target that were fitted with --retrieval")
    estimator.update(*with_targets(read_any_table(path), targets, path))


def _answers(estimator: Any, readable: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    """Columns of the answers: predictions, and probabilities or intervals."""
    import pandas as pd

    from matgen.lift import LiftClassifier, LiftMultiTarget

    if isinstance(estimator, LiftMultiTarget):
        return estimator.predict_table(readable, confidence=arguments.confidence, known=arguments.known or ())
    if hasattr(estimator.backend_, "progress"):  # of a server, whose answers take their time
        estimator.backend_.progress = bars(arguments)
    target, out = estimator.sentences_.target.name, {}
    if isinstance(estimator, LiftClassifier):
        chances = estimator.predict_proba(readable)
        out[f"{target}_predicted"] = pd.Series(estimator.classes_[chances.argmax(axis=1)])
        out |= {f"{target}_probability_{label}": chances[:, i] for i, label in enumerate(estimator.classes_)}
    else:
        out[f"{target}_predicted"] = estimator.predict(readable)
        bounds = estimator.predict_interval(readable, arguments.confidence)
        out |= {f"{target}_low": bounds[:, 0], f"{target}_high": bounds[:, 1]}
    return pd.DataFrame(out)


def _steps_bars(arguments: argparse.Namespace) -> ProgressFactory:
    return bars(arguments, loss_unit="nats/row", examples="rows")


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
