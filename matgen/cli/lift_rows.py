"""`matgen lift sample`, `impute` and `show`: whole rows, holes filled in, sentences."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import shown
from matgen.cli.lift_options import chosen, given_parts, pairs, predictor
from matgen.cli.lift_targets import estimator_of, with_targets
from matgen.cli.shared import say
from matgen.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd


def sample(arguments: argparse.Namespace) -> None:
    """Draw rows into a file."""
    from matgen.io.outputs import claim, write_with_metadata
    from matgen.lift import load
    from matgen.lift.files import read_any_table

    out = arguments.out
    claim(out, force=arguments.force)
    generator = _generator(load(arguments.model), arguments.model)
    where, table, values = given_parts(arguments.given or [])
    given: Any = read_any_table(table) if table else pairs(",".join(values)) if values else None
    rows = generator.sample(
        arguments.n,
        given,
        where=where,
        temperature=arguments.temperature,
        seed=arguments.seed,
        guidance=arguments.guidance,
    )
    names = ("given", "seed", "temperature", "guidance")
    metadata = {"model": str(arguments.model), **{name: getattr(arguments, name) for name in names}}
    write_with_metadata(out, rows, metadata)
    again = f"; {100 * generator.redrawn_:.1f} % drawn again for formulas that cannot be read" * bool(
        generator.redrawn_
    )
    say(arguments, f"{len(rows):,} rows drawn into {shown(out)}{again}")


def impute(arguments: argparse.Namespace) -> None:
    """Fill in the empty cells of a file."""
    from matgen.io.outputs import claim, write_with_metadata
    from matgen.lift import load
    from matgen.lift.columns import typed
    from matgen.lift.files import read_any_table

    out = arguments.out
    claim(out, force=arguments.force)
    generator = _generator(load(arguments.model), arguments.model)
    frame = read_any_table(arguments.table)
    names = [column.name for column in generator.columns_]
    filled = generator.impute(frame, draws=arguments.draws, seed=arguments.seed)
    left = int(filled.isna().sum().sum())
    n_filled = int(typed(frame, generator.columns_).isna().sum().sum()) - left
    frame[names] = filled
    metadata = {"model": str(arguments.model), "cells": n_filled, "cells_left_empty": left, "draws": arguments.draws}
    write_with_metadata(out, frame, metadata)
    still = f"; {left:,} left empty: their columns had no value to learn, or no formula drawn can be read" * bool(left)
    say(arguments, f"{n_filled:,} empty cells filled in, into {shown(out)}{still}")


def show(arguments: argparse.Namespace) -> None:
    """Print sentences."""
    from matgen.lift import load
    from matgen.lift.files import read_any_table

    frame = read_any_table(arguments.table)
    if arguments.model:
        _show_fitted(arguments, predictor(load(arguments.model), arguments.model), frame)
        return
    if arguments.explain or arguments.plot:
        raise OptionError("--explain and --plot need a fitted model: give --model")
    if arguments.target is None:
        raise OptionError("give --target, the column to predict, or --model")
    rows, targets = with_targets(frame, arguments.target, arguments.table)
    for sentence in estimator_of(arguments, targets).show(chosen(rows, arguments), targets)[: arguments.rows]:
        print(sentence)


def _show_fitted(arguments: argparse.Namespace, estimator: Any, frame: pd.DataFrame) -> None:
    """Print sentences of a fitted estimator, and what explains its predictions."""
    from matgen.lift import LiftMultiTarget

    some = frame.head(arguments.rows)
    several = isinstance(estimator, LiftMultiTarget)
    if several and (arguments.explain or arguments.plot):
        raise OptionError("--explain and --plot are for models of one target")
    targets = estimator.targets_.names if several else [estimator.sentences_.target.name]
    there = all(name in frame.columns for name in targets)
    for i, sentence in enumerate(estimator.show(some, some[targets if several else targets[0]] if there else None)):
        print(sentence)
        if arguments.explain:
            from matgen.lift.explain import explain

            print(explain(estimator, some.iloc[[i]]))
    if arguments.plot:
        from matgen.io.files import refuse_to_overwrite
        from matgen.lift.plots import decision_boundary

        refuse_to_overwrite(arguments.plot, force=False)
        decision_boundary(estimator, *with_targets(frame, targets, arguments.table), arguments.plot)


def _generator(estimator: Any, folder: Path) -> Any:
    from matgen.lift import LiftGenerator

    if not isinstance(estimator, LiftGenerator):
        raise OptionError(f"{folder} predicts a column and draws no rows: fit without --target")
    return estimator
