"""matgen lift: language models that learn from tables as sentences."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.shared import Parser, bar, common_options, folder_name, path, say, shown
from matgen.errors import DataError, OptionError
from matgen.files import next_free, only_run

if TYPE_CHECKING:
    import pandas as pd

    from matgen.progress import Progress

_TASKS = ("classification", "regression")
_FEW_NUMBERS = 10
"""Distinct whole numbers up to which a target is a class where nothing else is said."""


def add(verbs: Any) -> None:
    """Add the verb's parsers."""
    parser: Parser = verbs.add_parser(
        "lift",
        help="learn from any table as sentences: predict, draw rows, fill in cells",
        description="Learn from any table as sentences: predict a column, draw rows, fill in missing cells.",
        epilog="example: matgen lift fit --table alloys.csv --target yield_strength --out models/steel\n"
        "         matgen lift predict new.csv --model models/steel --out predicted.csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP", parser_class=Parser)
    _add_fit(steps)
    _add_predict(steps)
    _add_evaluate(steps)
    _add_sample(steps)
    _add_impute(steps)
    _add_show(steps)


def _step(
    steps: Any,
    name: str,
    run: Any,
    help_: str,
    example: str,
    default: Callable[[argparse.Namespace], Path] | None = None,
) -> Parser:
    """Add the parser of a step; one that writes has a default for `--out`, and holds its output alone."""
    made: Parser = steps.add_parser(
        name, help=help_, description=help_[0].upper() + help_[1:] + ".", epilog=f"example: {example}"
    )

    def alone(arguments: argparse.Namespace) -> Any:
        arguments.out = arguments.out or default(arguments)  # type: ignore[misc]
        with only_run(arguments.out):
            return run(arguments)

    made.set_defaults(run=run if default is None else alone)
    return made


def _add_fit(steps: Any) -> None:
    parser = _step(
        steps,
        "fit",
        fit,
        "learn a column of a table, or (without --target) whole rows",
        "matgen lift fit --table iris.csv --target species --out models/iris",
        lambda arguments: next_free(Path("models") / folder_name(arguments.target or arguments.table.stem)),
    )
    parser.add_argument("--table", type=path, required=True, metavar="FILE", help="CSV or Parquet")
    parser.add_argument("--target", metavar="NAME", help="column to learn; without it rows are learned, to draw such")
    learning_options(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted fit in --out")
    common_options(parser, out="models/<target>")


def learning_options(parser: argparse.ArgumentParser) -> None:
    """Options of what learns, and of the sentences it learns from."""
    parser.add_argument(
        "--backend",
        default="scratch",
        help="scratch (a small model, from nothing), smollm2 (pre-trained, extra lift) or path (default: scratch)",
    )
    parser.add_argument(
        "--base", metavar="NAME", help="of the backend path: folder or Hub id of a causal language model"
    )
    parser.add_argument("--task", help="classification or regression (default: by what the target holds)")
    parser.add_argument(
        "--template",
        default="named",
        help="named, x1, shuffled, or a text with {column} in it (default: named)",
    )
    parser.add_argument("--formulas-as", default="text", help="text, fractions or both (default: text)")
    parser.add_argument("--columns", metavar="A,B", help="columns to learn from (default: all but the target)")
    parser.add_argument("--units", metavar="A=eV,B=K", help="of columns, written after their values")
    parser.add_argument("--precision", metavar="A=2,B=0", help="decimals of columns (default: what keeps information)")
    parser.add_argument("--kinds", metavar="A=category", help="of columns: number, category, text, formula")
    parser.add_argument(
        "--retrieval", type=int, default=0, metavar="K", help="near rows put into each prompt (default: 0)"
    )
    parser.add_argument(
        "--pretext", type=int, default=0, metavar="N", help="synthetic tasks learned first (default: 0)"
    )
    parser.add_argument("--noise", type=float, help="on numbers, in standard deviations (default: the backend's)")
    parser.add_argument("--mixup", type=float, help="share taken from another row at most (default: 0)")
    parser.add_argument(
        "--options",
        metavar="A=1,B=2",
        help="of the backend, such as steps=3000,width=96 (scratch) or epochs=5 (smollm2)",
    )


def _add_predict(steps: Any) -> None:
    parser = _step(
        steps,
        "predict",
        predict,
        "predict the learned column of a table",
        "matgen lift predict new.csv --model models/iris --out predicted.csv",
        lambda _: next_free(Path("predicted.csv")),
    )
    parser.add_argument("table", type=path, help="CSV or Parquet with the columns learned from, in any order")
    parser.add_argument("--model", type=path, required=True, metavar="FOLDER", help="what `matgen lift fit` wrote")
    parser.add_argument("--confidence", type=float, default=0.8, help="of the intervals of numbers (default: 0.8)")
    parser.add_argument("--update", type=path, metavar="FILE", help="further rows with answers, to retrieve from too")
    common_options(parser, out="predicted.csv", seed=False)


def _add_evaluate(steps: Any) -> None:
    parser = _step(
        steps,
        "evaluate",
        evaluate,
        "scores beside those of usual methods, on a table or by LIFT's published protocol",
        "matgen lift evaluate --protocol lift --tables iris,wine",
        _scores_file,
    )
    parser.add_argument("--table", type=path, metavar="FILE", help="CSV or Parquet with answers")
    parser.add_argument("--target", metavar="NAME", help="column of the answers")
    parser.add_argument("--model", type=path, metavar="FOLDER", help="a fitted model to score on the table, no new one")
    parser.add_argument("--folds", type=int, default=5, help="of cross-validation, without --model (default: 5)")
    parser.add_argument("--protocol", help="lift (the published tables and splits) or materials (official folds)")
    parser.add_argument("--tables", metavar="A,B", help="of the protocol (default: all)")
    parser.add_argument("--methods", metavar="A,B", help="to compare with (default: those published; none: no others)")
    parser.add_argument("--seeds", default="0,1,2", help="of the protocol (default: 0,1,2)")
    learning_options(parser)
    common_options(parser, out="lift-evaluation")


def _add_sample(steps: Any) -> None:
    parser = _step(
        steps,
        "sample",
        sample,
        "draw rows like those learned, given any columns",
        "matgen lift sample --model models/rows -n 100 --given species=setosa",
        lambda _: next_free(Path("rows.csv")),
    )
    parser.add_argument(
        "-n", type=int, default=100, help="rows, of each given row where a table is given (default: 100)"
    )
    parser.add_argument(
        "--model", type=path, required=True, metavar="FOLDER", help="of `matgen lift fit` without --target"
    )
    parser.add_argument("--given", metavar="A=1,B=x", help="values of columns, or a CSV or Parquet file of them")
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="below 1 draws what is more probable (default: 1)"
    )
    common_options(parser, out="rows.csv")


def _add_impute(steps: Any) -> None:
    parser = _step(
        steps,
        "impute",
        impute,
        "fill in the empty cells of a table",
        "matgen lift impute holes.csv --model models/rows --out filled.csv",
        lambda _: next_free(Path("filled.csv")),
    )
    parser.add_argument("table", type=path, help="CSV or Parquet")
    parser.add_argument(
        "--model", type=path, required=True, metavar="FOLDER", help="of `matgen lift fit` without --target"
    )
    parser.add_argument(
        "--draws", type=int, default=25, help="whose median or most frequent value counts (default: 25)"
    )
    common_options(parser, out="filled.csv")


def _add_show(steps: Any) -> None:
    parser = _step(
        steps,
        "show",
        show,
        "print the sentences that rows become",
        "matgen lift show --table iris.csv --target species --rows 2",
    )
    parser.add_argument("--table", type=path, required=True, metavar="FILE", help="CSV or Parquet")
    parser.add_argument("--target", metavar="NAME", help="column that is asked for")
    parser.add_argument("--model", type=path, metavar="FOLDER", help="a fitted model, whose sentences are shown")
    parser.add_argument("--rows", type=int, default=3, help="how many (default: 3)")
    parser.add_argument(
        "--picture", type=path, metavar="FILE", help="with --model, of two columns: the plane of its answers, as PNG"
    )
    parser.add_argument("--why", action="store_true", help="with --model: why it answers so, column by column")
    learning_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="of shuffled names (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")


# --- what the steps do -----------------------------------------------------------------------------------------------


def fit(arguments: argparse.Namespace) -> int:
    """Fit an estimator and write it."""
    from matgen.files import refuse_to_overwrite
    from matgen.lift import LiftGenerator
    from matgen.lift.files import read_any_table
    from matgen.lift.store import save

    frame = read_any_table(arguments.table)
    out = arguments.out
    if not arguments.resume:
        refuse_to_overwrite(out, force=arguments.force)
    state = out.with_name(f".{out.name}.training")
    if arguments.target is None:
        if arguments.backend != "scratch":
            raise OptionError("rows are learned by the backend scratch only: leave out --backend, or give --target")
        frame = _chosen(frame, arguments)
        generator = LiftGenerator(
            units=pairs(arguments.units),
            precision=_whole_numbers(arguments.precision),
            kinds=pairs(arguments.kinds),
            backend_options=_backend_options(arguments, generator=True),
            random_state=arguments.seed,
        )
        say(
            arguments,
            f"learning {len(frame):,} rows of {frame.shape[1]} columns of {arguments.table} into {shown(out)}",
        )
        generator.fit(frame, folder=state, resume=arguments.resume, progress=_steps_bar(arguments))
        save(generator, out, force=True)
        _remove(state)
        say(arguments, f"{generator.n_parameters_:,} weights. Next: matgen lift sample --model {shown(out)}")
        return 0
    rows, answers = _with_answers(frame, arguments.target, arguments.table)
    rows = _chosen(rows, arguments)
    estimator = estimator_of(arguments, answers)
    task = "classes" if estimator.__class__.__name__ == "LiftClassifier" else "numbers"
    say(
        arguments,
        f"learning {arguments.target} ({task}) from {len(rows):,} rows of {rows.shape[1]} columns of {arguments.table} "
        f"by {arguments.backend} into {shown(out)}",
    )
    estimator.fit(rows, answers, folder=state, resume=arguments.resume, progress=_steps_bar(arguments))
    save(estimator, out, force=True)
    _remove(state)
    held = len(getattr(getattr(estimator, "calibration_", None), "scores", ()))
    told = f", intervals calibrated on {held:,} rows held out" if held else ""
    say(arguments, f"{estimator.n_parameters_:,} weights{told}. Next: matgen lift predict new.csv --model {shown(out)}")
    return 0


def predict(arguments: argparse.Namespace) -> None:
    """Predict a table; rows that cannot be read keep an empty prediction."""
    import numpy as np

    from matgen.lift import LiftClassifier, load
    from matgen.lift.files import read_any_table, unreadable_rows
    from matgen.outputs import claim, write_with_metadata

    out = arguments.out
    claim(out, force=arguments.force)
    estimator = _answerer(load(arguments.model), arguments.model)
    frame = read_any_table(arguments.table)
    sentences = estimator.sentences_
    target = sentences.target.name
    missing = [column.name for column in sentences.columns if column.name not in frame.columns]
    if missing:
        raise DataError(f"{arguments.table} has no column {missing[0]!r}; it has {', '.join(frame.columns[:20])}")
    if arguments.update:
        more, answers = _with_answers(read_any_table(arguments.update), target, arguments.update)
        estimator.update(more, answers)
    bad = unreadable_rows(frame, sentences.columns)
    good = np.array([row not in bad for row in range(len(frame))])
    column = f"{target}_predicted"
    frame[column] = None
    if good.any():
        asked = frame.loc[good].reset_index(drop=True)
        if isinstance(estimator, LiftClassifier):
            chances = estimator.predict_proba(asked)
            frame.loc[good, column] = estimator.classes_[chances.argmax(axis=1)]
            for i, label in enumerate(estimator.classes_):
                frame.loc[good, f"{target}_probability_{label}"] = chances[:, i]
        else:
            frame.loc[good, column] = estimator.predict(asked)
            bounds = estimator.predict_interval(asked, arguments.confidence)
            frame.loc[good, f"{target}_low"], frame.loc[good, f"{target}_high"] = bounds[:, 0], bounds[:, 1]
            frame[column] = frame[column].astype(float)
    write_with_metadata(out, frame, {"model": str(arguments.model), "target": target, "rows_not_read": len(bad)})
    first = f"; {len(bad):,} rows cannot be read, first: row {min(bad) + 1}: {bad[min(bad)]}" if bad else ""
    unseen = _unseen(frame, sentences.columns)
    say(arguments, f"{int(good.sum()):,} rows predicted into {out}{first}{unseen}")


def evaluate(arguments: argparse.Namespace) -> None:
    """Scores by a protocol, by cross-validation, or of a fitted model."""
    from matgen.files import refuse_to_overwrite, write_json
    from matgen.lift import evaluation, load, protocol
    from matgen.lift.files import read_any_table

    methods = _names(arguments.methods)
    if arguments.protocol:
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
            methods=methods,
            seeds=_seeds(arguments.seeds),
            settings=_settings(arguments),
            say=lambda line: say(arguments, line),
        )
        print(text)
        return
    if not arguments.table:
        raise OptionError("give --table and --target, or --protocol lift")
    out = arguments.out
    refuse_to_overwrite(out, force=arguments.force)
    if arguments.model:
        estimator = _answerer(load(arguments.model), arguments.model)
        target = estimator.sentences_.target.name
        if arguments.target not in (None, target):
            raise OptionError(f"{arguments.model} predicts {target}, not {arguments.target}")
        found = evaluation.scores(estimator, *_with_answers(read_any_table(arguments.table), target, arguments.table))
        write_json(out, {"table": str(arguments.table), "model": str(arguments.model), **found})
        print(json.dumps(found, indent=2))
        return
    if not arguments.target:
        raise OptionError("give --target, the column of the answers")
    rows, answers = _with_answers(read_any_table(arguments.table), arguments.target, arguments.table)
    rows, task = _chosen(rows, arguments), arguments.task or _task_of(answers)
    summaries = evaluation.cross_validated(
        rows,
        answers if task == "classification" else answers.astype(float),
        task,
        lambda table, seed: estimator_of(arguments, answers, task=task, seed=seed),
        folds=arguments.folds,
        methods=methods,
        seed=arguments.seed,
        say=lambda line: say(arguments, line),
    )
    write_json(out, {"table": str(arguments.table), "target": arguments.target, "rows": summaries})
    print(protocol.as_text(summaries))


def _scores_file(arguments: argparse.Namespace) -> Path:
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
    return {name: getattr(arguments, name) for name in names}


def sample(arguments: argparse.Namespace) -> None:
    """Draw rows into a file."""
    from matgen.lift import load
    from matgen.lift.files import read_any_table
    from matgen.outputs import claim, write_with_metadata

    out = arguments.out
    claim(out, force=arguments.force)
    generator = _generator(load(arguments.model), arguments.model)
    given: Any = None
    if arguments.given:
        given = pairs(arguments.given) if "=" in arguments.given else read_any_table(arguments.given)
    rows = generator.sample(arguments.n, given, temperature=arguments.temperature, seed=arguments.seed)
    write_with_metadata(out, rows, {"model": str(arguments.model), "given": arguments.given, "seed": arguments.seed})
    again = f"; {100 * generator.redrawn_:.1f} % drawn again for formulas that cannot be read" * bool(
        generator.redrawn_
    )
    say(arguments, f"{len(rows):,} rows drawn into {out}{again}")


def impute(arguments: argparse.Namespace) -> None:
    """Fill in the empty cells of a file."""
    from matgen.lift import load
    from matgen.lift.files import read_any_table
    from matgen.outputs import claim, write_with_metadata

    out = arguments.out
    claim(out, force=arguments.force)
    generator = _generator(load(arguments.model), arguments.model)
    frame = read_any_table(arguments.table)
    names = [column.name for column in generator.columns_]
    filled = generator.impute(frame, draws=arguments.draws, seed=arguments.seed)
    before = int(frame[names].isna().sum().sum())
    for name in names:  # what was there stays as it was
        frame[name] = frame[name].where(frame[name].notna(), filled[name])
    write_with_metadata(out, frame, {"model": str(arguments.model), "cells": before, "draws": arguments.draws})
    say(arguments, f"{before:,} empty cells filled in, into {out}")


def show(arguments: argparse.Namespace) -> None:
    """Print sentences."""
    from matgen.lift import load
    from matgen.lift.files import read_any_table

    frame = read_any_table(arguments.table)
    if arguments.model:
        estimator = _answerer(load(arguments.model), arguments.model)
        target = estimator.sentences_.target.name
        some = frame.head(arguments.rows)
        for i, sentence in enumerate(estimator.show(some, some[target] if target in frame.columns else None)):
            print(sentence)
            if arguments.why:
                from matgen.lift.explain import explain

                print(explain(estimator, some.iloc[[i]]))
        if arguments.picture:
            from matgen.files import refuse_to_overwrite
            from matgen.lift.pictures import decision_boundary

            refuse_to_overwrite(arguments.picture, force=False)
            decision_boundary(estimator, *_with_answers(frame, target, arguments.table), arguments.picture)
        return
    if arguments.why or arguments.picture:
        raise OptionError("--why and --picture ask a fitted model: give --model")
    if arguments.target is None:
        raise OptionError("give --target, the column that is asked for, or --model")
    rows, answers = _with_answers(frame, arguments.target, arguments.table)
    for sentence in estimator_of(arguments, answers).show(_chosen(rows, arguments), answers)[: arguments.rows]:
        print(sentence)


# --- options ---------------------------------------------------------------------------------------------------------


def estimator_of(
    arguments: argparse.Namespace,
    answers: Any,
    *,
    task: str | None = None,
    units: dict[str, str] | None = None,
    seed: int | None = None,
) -> Any:
    """The estimator that the options describe, for such answers."""
    from matgen.lift import LiftClassifier, LiftRegressor

    task = task or arguments.task or _task_of(answers)
    if task not in _TASKS:
        raise OptionError(f"task {task!r}: give {' or '.join(_TASKS)}")
    kind = LiftClassifier if task == "classification" else LiftRegressor
    return kind(
        arguments.backend,
        model=arguments.base,
        template=arguments.template,
        formulas_as=arguments.formulas_as,
        units=pairs(arguments.units) or units,
        precision=_whole_numbers(arguments.precision),
        kinds=pairs(arguments.kinds),
        retrieval=arguments.retrieval,
        pretext=arguments.pretext,
        noise=arguments.noise,
        mixup=arguments.mixup,
        backend_options=_backend_options(arguments),
        random_state=arguments.seed if seed is None else seed,
    )


def _backend_options(arguments: argparse.Namespace, *, generator: bool = False) -> dict[str, Any]:
    options = {name: _value(text) for name, text in (pairs(arguments.options) or {}).items()}
    if generator:
        options |= {k: v for k, v in (("noise", arguments.noise), ("mixup", arguments.mixup)) if v is not None}
    return options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _task_of(answers: Any) -> str:
    import numpy as np

    from matgen.lift.columns import as_numbers

    numbers = as_numbers(answers)
    if answers.dtype == bool or numbers is None:
        return "classification"
    few = len(np.unique(numbers)) <= _FEW_NUMBERS and bool((numbers == np.rint(numbers)).all())
    return "classification" if few else "regression"


def pairs(text: str | None) -> dict[str, str] | None:
    """`A=1,B=x` as a mapping; None of nothing.

    Raises:
        OptionError: a part has no `=`.
    """
    if not text:
        return None
    out: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"{part!r} in {text!r}: give NAME=VALUE, with commas between several")
        out[name.strip()] = value.strip()
    return out


def _whole_numbers(text: str | None) -> dict[str, int] | None:
    found = pairs(text)
    try:
        return None if found is None else {name: int(value) for name, value in found.items()}
    except ValueError as error:
        raise OptionError(f"precision {text!r}: decimals are whole numbers") from error


def _chosen(frame: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    if not arguments.columns:
        return frame
    names = [name.strip() for name in arguments.columns.split(",")]
    for name in names:
        if name not in frame.columns:
            raise OptionError(f"--columns: there is no column {name!r}; there are {', '.join(frame.columns[:20])}")
    return frame[names]


def _with_answers(frame: pd.DataFrame, target: str, table: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Rows with an answer, and their answers; others are left out and counted."""
    if target not in frame.columns:
        raise DataError(f"{table} has no column {target!r}; it has {', '.join(frame.columns[:20])}")
    there = frame[target].notna() & (frame[target].astype(str).str.strip() != "")
    if not there.any():
        raise DataError(f"{table}: no row has a value in {target!r}")
    if not there.all():
        print(f"{int((~there).sum()):,} rows of {table} have nothing in {target} and are left out", file=sys.stderr)
    kept = frame[there].reset_index(drop=True)
    return kept.drop(columns=target), kept[target]


def _unseen(frame: pd.DataFrame, columns: Any) -> str:
    """What is to be said of categories that were never learned."""
    from matgen.lift.columns import as_texts

    for column in columns:
        if column.kind == "category":
            odd = [text for text in as_texts(frame[column.name]) if text is not None and text not in column.values]
            if odd:
                return f"; {len(odd):,} rows hold a {column.name} that was never learned, such as {odd[0]!r}"
    return ""


def _answerer(estimator: Any, folder: Path) -> Any:
    from matgen.lift import LiftGenerator

    if isinstance(estimator, LiftGenerator):
        raise OptionError(f"{folder} draws rows and predicts no column: fit with --target, or use matgen lift sample")
    return estimator


def _generator(estimator: Any, folder: Path) -> Any:
    from matgen.lift import LiftGenerator

    if not isinstance(estimator, LiftGenerator):
        raise OptionError(f"{folder} predicts a column and draws no rows: fit without --target")
    return estimator


def _steps_bar(arguments: argparse.Namespace) -> Progress:
    made = bar(arguments, "lift", "steps")
    made.loss_unit, made.examples = "nats/row", "rows"
    return made


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
