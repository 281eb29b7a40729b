"""`matgen lift evaluate`: scores across a table's folds, or by a paper's tables and splits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matgen.cli.lift_drawn import compare
from matgen.cli.lift_options import chosen, predictor
from matgen.cli.lift_targets import estimator_of, tasks_of, with_targets
from matgen.cli.shared import say
from matgen.errors import OptionError
from matgen.io.files import next_free


def evaluate(arguments: argparse.Namespace) -> None:
    """Scores by a protocol, by cross-validation, or of a fitted model; or a comparison of drawn rows."""
    if arguments.drawn:
        compare(arguments)
        return
    for name in ("held_out", "quasi_identifiers"):
        if getattr(arguments, name):
            raise OptionError(f"--{name.replace('_', '-')} is for drawn rows: give --drawn")
    if arguments.protocol:
        _by_protocol(arguments)
        return
    if not arguments.table:
        raise OptionError("give --table and --target, or --protocol lift")
    from matgen.io.files import refuse_to_overwrite

    refuse_to_overwrite(arguments.out, force=arguments.force)
    if arguments.model:
        _of_fitted_model(arguments)
    else:
        _by_folds(arguments)


def _by_protocol(arguments: argparse.Namespace) -> None:
    from matgen.lift import evaluation

    if arguments.table or arguments.model:
        raise OptionError("--protocol brings its own tables: leave out --table and --model")
    say(
        arguments,
        f"protocol {arguments.protocol}, results in {arguments.out}; the same command goes on where it was stopped",
    )
    text = evaluation.by_protocol(
        arguments.protocol,
        lambda table, seed: estimator_of(arguments, table.y, task=table.task, units=table.units, seed=seed),
        arguments.out,
        tables=_names(arguments.tables),
        methods=_names(arguments.methods),
        seeds=_seeds(arguments.seeds),
        settings=_settings(arguments),
        say=lambda line: say(arguments, line),
    )
    print(text)


def _of_fitted_model(arguments: argparse.Namespace) -> None:
    from matgen.io.files import write_json
    from matgen.lift import LiftMultiTarget, evaluation, load
    from matgen.lift.files import read_any_table

    estimator = predictor(load(arguments.model), arguments.model)
    several = isinstance(estimator, LiftMultiTarget)
    targets = estimator.targets_.names if several else [estimator.sentences_.target.name]
    if arguments.target not in (None, targets):
        raise OptionError(f"{arguments.model} predicts {', '.join(targets)}, not {', '.join(arguments.target)}")
    rows, truth = with_targets(read_any_table(arguments.table), targets, arguments.table)
    of_kind: Any = evaluation.scores_of_targets if several else evaluation.scores
    scores = of_kind(estimator, rows, truth)
    write_json(arguments.out, {"table": str(arguments.table), "model": str(arguments.model), **scores})
    print(json.dumps(scores, indent=2))


def _by_folds(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from matgen.io.files import write_json
    from matgen.lift import evaluation
    from matgen.lift.columns import types_of_mixed
    from matgen.lift.estimators.tasks import numbers_of, task_of
    from matgen.lift.files import read_any_table
    from matgen.lift.paper import protocol

    if not arguments.target:
        raise OptionError("give --target, the column to predict")
    rows, targets = with_targets(read_any_table(arguments.table), arguments.target, arguments.table, every=True)
    rows, tasks = chosen(rows, arguments), tasks_of(arguments, arguments.target)
    each = pd.DataFrame(targets)  # a column of its own for one target too
    tasks = {name: tasks.get(name) or task_of(each[name]) for name in arguments.target}
    truth = each.assign(**{name: numbers_of(each[name]) for name, task in tasks.items() if task == "regression"})
    odd = types_of_mixed(rows)
    settings: dict[str, Any] = {
        "folds": arguments.folds,
        "methods": _names(arguments.methods),
        "seed": arguments.seed,
        "say": lambda line: say(arguments, line),
    }

    def make(table: Any, seed: int) -> Any:
        model = estimator_of(arguments, targets, task=table.task, seed=seed)
        model.column_types = {**odd, **(model.column_types or {})} or None
        return model

    if targets.ndim == 1:
        (name,) = arguments.target
        summaries = evaluation.cross_validated(rows, truth[name], tasks[name], make, **settings)
    else:
        summaries = evaluation.cross_validated_targets(rows, truth, tasks, make, **settings)
    named: Any = arguments.target[0] if targets.ndim == 1 else arguments.target
    write_json(arguments.out, {"table": str(arguments.table), "target": named, "rows": summaries})
    print(protocol.as_text(summaries))


def scores_file(arguments: argparse.Namespace) -> Path:
    """A protocol goes on in its folder; the scores of a table take the next free file."""
    return Path("lift-evaluation") if arguments.protocol else next_free(Path("lift-evaluation.json"))


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in text.split(","))
    except ValueError as error:
        raise OptionError(f"seeds {text!r}: give whole numbers with commas between them") from error


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the estimator of a protocol is made with."""
    names = ("backend", "base", "template", "formulas_as", "retrieval", "pretext", "noise", "mixup", "options")
    given = {name: getattr(arguments, name) for name in ("base_url", "fine_tuning") if getattr(arguments, name)}
    return {name: getattr(arguments, name) for name in names} | given
