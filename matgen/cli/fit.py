"""matgen fit: a predictor for a property of a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from matgen.cli.shared import INTERRUPTED, bar, common_options, path, say, verb
from matgen.errors import OptionError


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "fit",
        run,
        "learn to predict a property from compositions",
        "matgen fit --table my.csv --target Tc --out models/tc",
    )
    parser.add_argument("--table", type=path, metavar="FILE", help="CSV, Parquet or JSON lines with formulas")
    parser.add_argument("--target", metavar="NAME", help="column of the table to predict")
    parser.add_argument("--column", metavar="NAME", help="formula column (default: found by its name)")
    parser.add_argument("--property", help="formation_energy or band_gap of the bundled table, instead of a table")
    parser.add_argument("--source", default="oqmd", help="whose labels: oqmd or mp, never both (default: oqmd)")
    parser.add_argument("--split", help="split or split_chemsys (default: the official one of OQMD, else split)")
    parser.add_argument("--members", type=int, default=3, help="networks whose disagreement is told (default: 3)")
    parser.add_argument("--max-minutes", type=float, metavar="M", help="time budget of all members together")
    parser.add_argument("--epochs", type=float, help="passes over the data of each member (default: 100)")
    parser.add_argument("--layers", type=int, default=3, help="of each network (default: 3)")
    parser.add_argument("--width", type=int, default=128, help="of each network (default: 128)")
    parser.add_argument("--batch-size", type=int, default=256, help="compositions a step (default: 256)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak (default: 2e-3)")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted fit in --out")
    common_options(parser, out="models/<target>")


def run(arguments: argparse.Namespace) -> int:
    """Fit, or go on fitting."""
    from matgen.files import next_free
    from matgen.fitting import FitSettings
    from matgen.predict import FitPlan, NetworkSize, bundled_property, fit_predictor, table_property
    from matgen.processes import leave_cores_to_others

    leave_cores_to_others()
    if (arguments.table is None) == (arguments.property is None):
        raise OptionError("name a --table and its --target, or a --property of the bundled table")
    if arguments.members < 1:
        raise OptionError(f"--members is {arguments.members}, it must be above 0")
    if arguments.table is not None:
        if arguments.target is None:
            raise OptionError("name the column to predict by --target")
        data = table_property(arguments.table, arguments.target, arguments.column, arguments.split or "split")
    else:
        data = bundled_property(arguments.property, arguments.source, arguments.split or "official")
    minutes = None if arguments.max_minutes is None else arguments.max_minutes / arguments.members
    settings = FitSettings(
        learning_rate=arguments.learning_rate,
        weight_decay=0.01,
        batch_size=arguments.batch_size,
        epochs=100.0 if arguments.epochs is None else arguments.epochs,
        max_minutes=minutes,
        patience=8,
        seed=arguments.seed,
    )
    size = NetworkSize(arguments.layers, width=arguments.width, feed_forward=4 * arguments.width)
    plan = FitPlan(size, arguments.members, settings)
    default = Path("models") / (arguments.target or f"{data.name}-{data.source}").replace("/", "-")
    out = arguments.out or (default if arguments.resume else next_free(default))
    learned = int((data.part == "train").sum())
    say(arguments, f"{data.name}: {learned:,} compositions to learn from, {plan.members} members, into {out}")
    for reason, count in data.left_out.items():
        say(arguments, f"note: {count:,} {reason}")

    def progress(member: int) -> Any:
        made = bar(arguments, f"member {member + 1}", "steps")
        made.loss_unit = data.unit or data.name
        return made

    predictor = fit_predictor(data, plan, out, resume=arguments.resume, force=arguments.force, progress=progress)
    if predictor is None:
        print(f"interrupted; go on with the same command and --resume --out {out}", file=sys.stderr)
        return INTERRUPTED
    metrics = predictor.metadata["metrics"]
    unit = f" {data.unit}" if data.unit else ""
    coverage = metrics["coverage"]["0.95"]
    say(
        arguments,
        f"test: mean absolute error {metrics['mae']:.4f}{unit} (the median alone: {metrics['mae_of_the_median']:.4f}), "
        f"intervals of 95 % hold {100 * coverage:.1f} %. Next: matgen predict candidates.csv --model {out}",
    )
    return 0
