"""matgen lift: language models that learn from tables as sentences."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matgen.cli.beginning import TABLES, claim_output, require_input, shown
from matgen.cli.lift_data import ENCODINGS, IMAGE_SETS, data
from matgen.cli.lift_drawn import drawn_options
from matgen.cli.lift_evaluate import evaluate, scores_file
from matgen.cli.lift_learn import fit, predict
from matgen.cli.lift_options import given_parts, learning_options
from matgen.cli.lift_rows import impute, sample, show
from matgen.cli.lift_targets import target_option
from matgen.cli.parser import Parser
from matgen.cli.shared import common_options, folder_name, path
from matgen.errors import CheckpointError
from matgen.io.files import lock, next_free


def add(verbs: Any) -> None:
    """Add the verb's parsers."""
    parser: Parser = verbs.add_parser(
        "lift",
        help="learn any table as sentences (LIFT): predict, sample rows, impute cells",
        description="Learn any table as sentences (LIFT): predict a column, sample rows, impute missing cells.",
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
    _add_data(steps)


def _step(
    steps: Any,
    name: str,
    run: Any,
    help_: str,
    example: str,
    default: Callable[[argparse.Namespace], Path] | None = None,
    suffixes: tuple[str, ...] = (),
) -> Parser:
    """Add the parser of a step; one that writes has a default for `--out`, and holds its output alone."""
    made: Parser = steps.add_parser(
        name, help=help_, description=help_[0].upper() + help_[1:] + ".", epilog=f"example: {example}"
    )

    def alone(arguments: argparse.Namespace) -> Any:
        arguments.out = arguments.out or default(arguments)  # type: ignore[misc]
        with lock(arguments.out):
            return run(arguments)

    def begin(arguments: argparse.Namespace) -> str:
        for named in ("table", "update", "model", "drawn", "held_out"):
            if getattr(arguments, named, None) is not None:
                require_input(getattr(arguments, named))
        if table := given_parts(getattr(arguments, "given", None) or [])[1]:
            require_input(Path(table))
        if getattr(arguments, "model", None) is not None and not (arguments.model / "lift.json").is_file():
            raise CheckpointError(f"{arguments.model} has no lift.json: name a folder that `matgen lift fit` wrote")
        if default is None:
            return ""
        if arguments.out is None:
            arguments.out = default(arguments)
        elif not getattr(arguments, "resume", False) and not getattr(arguments, "protocol", None):
            claim_output(arguments.out, arguments.out, force=arguments.force, suffixes=suffixes)
        return _in_words(name, arguments)

    made.set_defaults(run=run if default is None else alone, begin=begin)
    return made


def _in_words(step: str, arguments: argparse.Namespace) -> str:
    """What a step does, in a line."""
    table = None if getattr(arguments, "table", None) is None else require_input(arguments.table)
    model = None if getattr(arguments, "model", None) is None else shown(arguments.model)
    target = getattr(arguments, "target", None)
    what = {
        "fit": f"learning {', '.join(target) if target else 'whole rows'} of {table}",
        "predict": f"predicting {table} by {model}",
        "evaluate": f"comparison of {shown(drawn)} with {table}"
        if (drawn := getattr(arguments, "drawn", None))
        else f"scores of {table}"
        if table
        else f"scores by the protocol {getattr(arguments, 'protocol', None)}",
        "sample": f"drawing {getattr(arguments, 'n', 0):,} rows from {model}",
        "impute": f"filling in {table} by {model}",
        "data": f"writing tables of {getattr(arguments, 'name', None)}",
    }[step]
    return f"{what} into {shown(arguments.out)}"


def _add_fit(steps: Any) -> None:
    parser = _step(
        steps,
        "fit",
        fit,
        "train a model of one or more columns of a table, or (without --target) of whole rows",
        "matgen lift fit --table iris.csv --target species --out models/iris",
        lambda arguments: next_free(Path("models") / folder_name("-".join(arguments.target or [arguments.table.stem]))),
    )
    parser.group("data").add_argument(
        "--table",
        type=path,
        required=True,
        metavar="FILE",
        help="table (CSV, Excel, Parquet, JSON ...), or - for standard input",
    )
    target_option(
        parser,
        "column to learn, or several, which one model learns in this order, each given those before it; without it "
        "whole rows are learned, for sampling",
    )
    learning_options(parser)
    parser.group("training").add_argument(
        "--balance",
        metavar="NAME",
        help="without --target: column whose rare values are learned from more often, for rows drawn for them",
    )
    parser.group("output").add_argument("--resume", action="store_true", help="resume the interrupted fit in --out")
    common_options(parser, out="models/<target>")
    parser.common("--table", "--target", "--backend", "--columns", "--out", "--resume")


def _add_predict(steps: Any) -> None:
    parser = _step(
        steps,
        "predict",
        predict,
        "predict the learned columns of a table",
        "matgen lift predict new.csv --model models/iris --out predicted.csv",
        lambda _: next_free(Path("predicted.csv")),
        TABLES,
    )
    parser.add_argument(
        "table",
        type=path,
        help="table with the columns learned from, in any order (CSV, Excel, Parquet, JSON ...), or - for standard "
        "input",
    )
    parser.group("model").add_argument(
        "--model", type=path, required=True, metavar="FOLDER", help="what `matgen lift fit` wrote"
    )
    parser.group("intervals").add_argument(
        "--confidence", type=float, default=0.8, help="confidence level of the intervals of numbers (default: 0.8)"
    )
    parser.group("data").add_argument(
        "--update", type=path, metavar="FILE", help="more rows with the target to retrieve from"
    )
    parser.group("data").add_argument(
        "--known",
        nargs="+",
        metavar="NAME",
        help="of a model of several targets: the first ones, whose values the table has, to predict the others from",
    )
    common_options(parser, out="predicted.csv", seed=False)
    parser.common("--model", "--confidence", "--update", "--out", "--force")


def _add_evaluate(steps: Any) -> None:
    parser = _step(
        steps,
        "evaluate",
        evaluate,
        "score a model beside standard methods, on a table or by LIFT's published protocol, or compare drawn rows with "
        "those learned from",
        "matgen lift evaluate --protocol lift --tables iris,wine",
        scores_file,
    )
    parser.group("data").add_argument(
        "--table", type=path, metavar="FILE", help="table with the target column (CSV, Excel, Parquet, JSON ...)"
    )
    target_option(parser, "column to predict, or several")
    parser.group("model").add_argument(
        "--model", type=path, metavar="FOLDER", help="score this fitted model on the table instead of fitting new ones"
    )
    parser.group("scores").add_argument(
        "--folds", type=int, default=5, help="folds of cross-validation, without --model (default: 5)"
    )
    parser.group("scores").add_argument(
        "--protocol", help="lift (the published tables and splits) or materials (official folds)"
    )
    parser.group("scores").add_argument("--tables", metavar="A,B", help="tables of the protocol (default: all)")
    parser.group("scores").add_argument(
        "--methods", metavar="A,B", help="methods to compare with (default: the published ones; none: no others)"
    )
    parser.group("scores").add_argument("--seeds", default="0,1,2", help="seeds of the protocol (default: 0,1,2)")
    drawn_options(parser)
    learning_options(parser)
    common_options(parser, out="lift-evaluation")
    parser.common("--table", "--target", "--model", "--protocol", "--drawn", "--out")


def _add_sample(steps: Any) -> None:
    parser = _step(
        steps,
        "sample",
        sample,
        "draw rows like those learned, given any columns",
        "matgen lift sample --model models/rows -n 100 --given species=setosa",
        lambda _: next_free(Path("rows.csv")),
        TABLES,
    )
    parser.group("drawing").add_argument(
        "-n", type=int, default=100, help="rows, of each given row where a table is given (default: 100)"
    )
    parser.group("model").add_argument(
        "--model", type=path, required=True, metavar="FOLDER", help="of `matgen lift fit` without --target"
    )
    parser.group("data").add_argument(
        "--given",
        nargs="+",
        metavar="A=1,B=x",
        help="values of columns (A=1,B=x), conditions ('age >= 40' 'class in a,b'), or a table of values (CSV, Excel, "
        "Parquet, JSON ...)",
    )
    parser.group("drawing").add_argument(
        "--temperature", type=float, default=1.0, help="below 1 draws what is more probable (default: 1)"
    )
    parser.group("drawing").add_argument(
        "--guidance",
        type=float,
        default=1.0,
        metavar="STRENGTH",
        help="with --given: above 1 rows follow it more closely and are less diverse (default: 1)",
    )
    common_options(parser, out="rows.csv")
    parser.common("-n", "--model", "--given", "--temperature", "--out", "--force")


def _add_impute(steps: Any) -> None:
    parser = _step(
        steps,
        "impute",
        impute,
        "fill in the empty cells of a table",
        "matgen lift impute holes.csv --model models/rows --out filled.csv",
        lambda _: next_free(Path("filled.csv")),
        TABLES,
    )
    parser.add_argument("table", type=path, help="table (CSV, Excel, Parquet, JSON ...), or - for standard input")
    parser.group("model").add_argument(
        "--model", type=path, required=True, metavar="FOLDER", help="of `matgen lift fit` without --target"
    )
    parser.group("drawing").add_argument(
        "--draws", type=int, default=25, help="whose median or most frequent value counts (default: 25)"
    )
    common_options(parser, out="filled.csv")
    parser.common("--model", "--draws", "--out", "--force")


def _add_show(steps: Any) -> None:
    parser = _step(
        steps,
        "show",
        show,
        "print the sentences that rows become",
        "matgen lift show --table iris.csv --target species --rows 2",
    )
    parser.group("data").add_argument(
        "--table",
        type=path,
        required=True,
        metavar="FILE",
        help="table (CSV, Excel, Parquet, JSON ...), or - for standard input",
    )
    target_option(parser, "column to predict, or several")
    parser.group("model").add_argument(
        "--model", type=path, metavar="FOLDER", help="a fitted model, whose sentences are shown"
    )
    parser.group("what is shown").add_argument("--rows", type=int, default=3, help="how many (default: 3)")
    parser.group("what is shown").add_argument(
        "--plot", type=path, metavar="FILE", help="with --model, of two columns: the plane of its predictions, as PNG"
    )
    parser.group("what is shown").add_argument(
        "--explain", action="store_true", help="with --model: effect of each column on the predictions"
    )
    parser.rename("--picture", "--plot")
    parser.rename("--why", "--explain")
    learning_options(parser)
    parser.group("computation").add_argument("--seed", type=int, default=0, help="of shuffled names (default: 0)")
    parser.group("output").add_argument("--quiet", action="store_true", help="print errors only")
    parser.common("--table", "--target", "--model", "--rows", "--plot", "--explain")


def _add_data(steps: Any) -> None:
    parser = _step(
        steps,
        "data",
        data,
        "fetch the images of LIFT's paper as tables to train and test on: mnist or fashion-mnist",
        "matgen lift data mnist --out digits",
        lambda arguments: next_free(Path(arguments.name)),
    )
    parser.add_argument("name", choices=IMAGE_SETS, help="mnist (10,000 digits) or fashion-mnist (70,000 clothes)")
    parser.group("columns").add_argument(
        "--encoding",
        choices=ENCODINGS,
        default="patches",
        help="patches (of 4 x 4 pixels, each as one of 256 words), coarse (means of 2 x 2 pixels in ten levels) or "
        "pixels (the gray values of the central 18 x 18, as published) (default: patches)",
    )
    parser.group("columns").add_argument(
        "--copies", type=int, default=0, metavar="N", help="moved copies of each training image (default: 0)"
    )
    common_options(parser, out="the name")
    parser.common("--encoding", "--copies", "--out", "--force")
