"""`matgen lift fit` and `predict`: learn a column or rows of a table, answer for another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from matgen.cli.beginning import shown
from matgen.cli.lift_options import (
    backend_options,
    chosen,
    estimator_of,
    pairs,
    predictor,
    tell_requests,
    whole_numbers,
    with_targets,
)
from matgen.cli.shared import bars, say
from matgen.errors import DataError, OptionError
from matgen.lift.backends import BACKENDS, backend_kind

if TYPE_CHECKING:
    import pandas as pd

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
    content = "classes" if estimator.__class__.__name__ == "LiftClassifier" else "numbers"
    say(
        arguments,
        f"learning {arguments.target} ({content}) from {len(rows):,} rows of {rows.shape[1]} columns of "
        f"{arguments.table} by {arguments.backend} into {shown(out)}",
    )
    estimator.fit(rows, targets, folder=state, resume=arguments.resume, progress=_steps_bars(arguments))
    save(estimator, out, force=True)
    held_out = len(getattr(getattr(estimator, "calibration_", None), "scores", ()))
    calibrated = f", intervals calibrated on {held_out:,} rows held out" if held_out else ""
    weights = f"{estimator.n_parameters_:,} weights"
    say(arguments, f"{weights}{calibrated}. Next: matgen lift predict new.csv --model {shown(out)}")


def predict(arguments: argparse.Namespace) -> None:
    """Predict a table; rows that cannot be read keep an empty prediction."""
    import numpy as np

    from matgen.io.outputs import claim, write_with_metadata
    from matgen.lift import LiftClassifier, load
    from matgen.lift.files import read_any_table, unreadable_rows

    out = arguments.out
    claim(out, force=arguments.force)
    estimator = predictor(load(arguments.model), arguments.model)
    tell_requests(arguments)
    if hasattr(estimator.backend_, "progress"):  # of a server, whose answers take their time
        estimator.backend_.progress = bars(arguments)
    frame = read_any_table(arguments.table)
    sentences = estimator.sentences_
    target = sentences.target.name
    missing = [column.name for column in sentences.columns if column.name not in frame.columns]
    if missing:
        raise DataError(f"{arguments.table} has no column {missing[0]!r}; it has {', '.join(frame.columns[:20])}")
    if arguments.update:
        more, targets = with_targets(read_any_table(arguments.update), target, arguments.update)
        estimator.update(more, targets)
    bad = unreadable_rows(frame, sentences.columns)
    good = np.array([row not in bad for row in range(len(frame))])
    column = f"{target}_predicted"
    frame[column] = None
    if good.any():
        readable = frame.loc[good].reset_index(drop=True)
        if isinstance(estimator, LiftClassifier):
            chances = estimator.predict_proba(readable)
            frame.loc[good, column] = estimator.classes_[chances.argmax(axis=1)]
            for i, label in enumerate(estimator.classes_):
                frame.loc[good, f"{target}_probability_{label}"] = chances[:, i]
        else:
            frame.loc[good, column] = estimator.predict(readable)
            bounds = estimator.predict_interval(readable, arguments.confidence)
            frame.loc[good, f"{target}_low"], frame.loc[good, f"{target}_high"] = bounds[:, 0], bounds[:, 1]
            frame[column] = frame[column].astype(float)
    write_with_metadata(out, frame, {"model": str(arguments.model), "target": target, "rows_not_read": len(bad)})
    first = f"; {len(bad):,} rows cannot be read, first: row {min(bad) + 1}: {bad[min(bad)]}" if bad else ""
    say(arguments, f"{int(good.sum()):,} rows predicted into {shown(out)}{first}")


def _steps_bars(arguments: argparse.Namespace) -> ProgressFactory:
    return bars(arguments, loss_unit="nats/row", examples="rows")


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
