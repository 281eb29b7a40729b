"""matgen predict: properties of the formulas of a file, and their distance to the hull."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from matgen.cli.beginning import TABLES, claim_output, require_input, require_predictors, shown
from matgen.cli.options import column_option
from matgen.cli.shared import bars, common_options, path, say, verb
from matgen.errors import OptionError


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "predict",
        run,
        "predict a property of formulas, with its uncertainty",
        "matgen predict candidates.csv --property formation_energy --out predicted.csv",
        "matgen predict candidates.csv --model models/tc",
        "matgen predict shards/ --out predicted.parquet --resume",
        begin=begin,
    )
    parser.add_argument(
        "formulas",
        type=path,
        help="table of formulas (CSV, Excel, Parquet, JSON, text ...), a folder of them, or - for standard input",
    )
    column_option(parser)
    predictor = parser.group("predictor")
    predictor.add_argument("--property", help="formation_energy, band_gap or is_metal (default: formation_energy)")
    predictor.add_argument(
        "--source", help="database whose labels the predictor was trained on: oqmd or mp (default: oqmd if bundled)"
    )
    predictor.add_argument(
        "--model",
        "--predictor",
        metavar="FOLDER",
        help="a predictor of `matgen fit` instead of a bundled one; columns that it learned from beside the formula "
        "are found in the table by name",
    )
    hull = parser.group("hull")
    hull.add_argument(
        "--entries",
        metavar="FILE",
        help="competing phases, instead of those bundled: pymatgen ComputedEntry as JSON, a table with a column "
        "formation_energy, or materials-project (after `matgen data build materials-project`)",
    )
    hull.add_argument("--no-hull", dest="hull", action="store_false", help="do not compute the distance to the hull")
    parser.group("computation").add_argument(
        "--scheduler", metavar="ADDRESS", help="a running Dask scheduler whose workers predict, such as tcp://host:8786"
    )
    parser.group("output").add_argument(
        "--resume", action="store_true", help="resume the interrupted run of the same request in --out"
    )
    common_options(parser, out="predicted.csv", seed=False)
    parser.common("--property", "--model", "--column", "--no-hull", "--out", "--resume")
    # Figures are read only where the help is shown.
    parser.format_help = partial(_help_with_figures, parser.format_help)  # type: ignore[method-assign]


def _help_with_figures(help_without: Callable[[], str]) -> str:
    """The help, and what the probabilities of the bundled predictors are worth by their own descriptions."""
    from matgen.io.files import read_json
    from matgen.prediction.card import probabilities_in_words
    from matgen.prediction.locate import METADATA, bundled_predictors

    described = {name: read_json(folder / METADATA) for name, folder in bundled_predictors().items()}
    lines = [line for name, metadata in described.items() for line in probabilities_in_words(name, metadata)]
    options, example, commands = help_without().partition("\nexample:")
    return options + "".join(f"\n{line}" for line in lines) + "\n" * bool(lines) + example + commands


def predictor_folder(arguments: argparse.Namespace) -> Path:
    """The folder of the predictor that the options name.

    Raises:
        OptionError: a predictor and a property are named, or an unknown property.
        CheckpointError: there is no such predictor.
    """
    from matgen.prediction.locate import find_predictor, property_predictor

    if arguments.model and (arguments.property or arguments.source):
        raise OptionError("--model says what is predicted: leave out --property and --source")
    if arguments.model:
        return find_predictor(str(arguments.model))
    return property_predictor(arguments.property or "formation_energy", arguments.source)


def begin(arguments: argparse.Namespace) -> str:
    """Find table and predictor, and where the rows go."""
    from matgen.io.files import read_json
    from matgen.prediction.locate import METADATA

    table, folder = require_input(arguments.formulas), predictor_folder(arguments)
    require_predictors([folder])
    if arguments.entries and arguments.entries != "materials-project":
        require_input(Path(arguments.entries))
    resume = arguments.resume
    out = claim_output(arguments.out, "predicted.csv", force=arguments.force, resume=resume, suffixes=TABLES)
    arguments.out = out
    metadata = read_json(folder / METADATA)
    unit = f" in {metadata['unit']}" if metadata.get("unit") else ""
    return f"predicting {metadata.get('property', 'values')}{unit} of {table} by {shown(folder)} into {shown(out)}"


def run(arguments: argparse.Namespace) -> None:
    """Predict for a file."""
    from matgen.io.files import next_free
    from matgen.prediction import Predictor
    from matgen.prediction.writing import predict_file

    folder = predictor_folder(arguments)
    predictor = Predictor.load(folder)
    out = arguments.out or (Path("predicted.csv") if arguments.resume else next_free(Path("predicted.csv")))
    predicted = predict_file(
        predictor,
        arguments.formulas,
        out,
        column=arguments.column,
        entries=arguments.entries,
        hull=arguments.hull,
        resume=arguments.resume,
        scheduler=arguments.scheduler,
        force=arguments.force,
        progress=bars(arguments),
    )
    summary = predicted.summary
    beyond = f"; {summary['out_of_domain']:,} unlike what was learned from (in_domain)" * bool(summary["out_of_domain"])
    stable = ""
    if "on_or_below_hull" in summary:
        stable = f"; {summary['on_or_below_hull']:,} on or below the hull of {summary['hull']}"
    say(arguments, f"{summary['formulas']:,} formulas{stable}{beyond}{predicted.unreadable}")
