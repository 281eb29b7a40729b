"""matgen fit: a predictor for a property of a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.shared import INTERRUPTED, bars, common_options, folder_name, path, say, verb
from matgen.errors import OptionError

if TYPE_CHECKING:
    from matgen.prediction import Predictor, PropertyData


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "fit",
        run,
        "train a predictor of a property from compositions",
        "matgen fit --table my.csv --target Tc --out models/tc",
        "matgen fit --property band_gap --kind trees --out models/gap",
    )
    parser.add_argument("--table", type=path, metavar="FILE", help="CSV, Parquet or JSON lines with formulas")
    parser.add_argument("--target", metavar="NAME", help="column of the table to predict")
    parser.add_argument("--column", metavar="NAME", help="formula column (default: recognized by its name)")
    parser.add_argument(
        "--property", help="formation_energy, band_gap or is_metal of the bundled table, instead of a table"
    )
    parser.add_argument("--source", default="oqmd", help="database of the labels: oqmd or mp (default: oqmd)")
    parser.add_argument("--split", help="split or split_chemsys (default: the official one of OQMD, else split)")
    parser.add_argument(
        "--kind",
        default="network",
        help="network (attention among elements), trees (boosted, on Magpie features) or language_model (a checkpoint "
        "with a head) (default: network)",
    )
    parser.add_argument(
        "--init", metavar="NAME", help="start from a predictor (network) or a checkpoint (language_model)"
    )
    parser.add_argument(
        "--ensemble-size",
        type=int,
        default=3,
        help="number of ensemble members, whose disagreement is part of the uncertainty (default: 3)",
    )
    parser.rename("--members", "--ensemble-size")
    parser.add_argument(
        "--max-minutes", type=float, metavar="M", help="time budget in minutes for all members together"
    )
    parser.add_argument(
        "--epochs", type=float, help="passes over the data for each member (default: 100; language_model: 20)"
    )
    parser.add_argument("--layers", type=int, default=3, help="layers of each network (default: 3)")
    parser.add_argument("--width", type=int, default=128, help="width of each network (default: 128)")
    parser.add_argument(
        "--batch-size", type=int, help="compositions per step (default: 16 to 256, by the size of the table)"
    )
    parser.add_argument("--learning-rate", type=float, help="peak learning rate (default: 2e-3; language_model: 5e-4)")
    parser.add_argument("--resume", action="store_true", help="resume the interrupted fit in --out")
    common_options(parser, out="models/<target>")


def run(arguments: argparse.Namespace) -> int:
    """Fit, or go on fitting."""
    from matgen.io.files import next_free
    from matgen.prediction import FitPlan, NetworkSize, bundled_property, fit_predictor, table_property
    from matgen.prediction.fit import default_fit_settings
    from matgen.runtime.processes import leave_cores_to_others

    leave_cores_to_others()
    if (arguments.table is None) == (arguments.property is None):
        raise OptionError("name a --table and its --target, or a --property of the bundled table")
    if arguments.ensemble_size < 1:
        raise OptionError(f"--ensemble-size is {arguments.ensemble_size}, it must be above 0")
    if arguments.table is not None:
        if arguments.target is None:
            raise OptionError("name the column to predict by --target")
        data = table_property(arguments.table, arguments.target, arguments.column, arguments.split or "split")
    else:
        data = bundled_property(arguments.property, arguments.source, arguments.split or "official")
    minutes = None if arguments.max_minutes is None else arguments.max_minutes / arguments.ensemble_size
    learned = int((data.part == "train").sum())
    settings = default_fit_settings(
        arguments.kind,
        learned,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        max_minutes=minutes,
        seed=arguments.seed,
    )
    size = NetworkSize(arguments.layers, width=arguments.width, feed_forward=2 * arguments.width)
    plan = FitPlan(arguments.kind, size, arguments.ensemble_size, arguments.init, settings)
    default = Path("models") / folder_name(arguments.target or f"{data.name}-{data.source}")
    out = arguments.out or (default if arguments.resume else next_free(default))
    say(arguments, f"{data.name}: {learned:,} compositions to learn from, {plan.members} members, into {out}")
    for reason, count in data.left_out.items():
        say(arguments, f"note: {count:,} {reason}")

    progress = bars(arguments, loss_unit=data.unit or data.name)
    predictor = fit_predictor(data, plan, out, resume=arguments.resume, force=arguments.force, progress=progress)
    if predictor is None:
        print(f"interrupted; resume with the same command and --resume --out {out}", file=sys.stderr)
        return INTERRUPTED
    say(arguments, f"test: {_in_words(data, predictor)}. Next: matgen predict candidates.csv --model {out}")
    return 0


def _in_words(data: PropertyData, predictor: Predictor) -> str:
    """How well the test part is predicted."""
    metrics = predictor.metadata["metrics"]
    if predictor.classifies:
        area = f", area under the ROC curve {metrics['roc_auc']:.4f}" if metrics["roc_auc"] is not None else ""
        majority = f"the majority alone: {100 * metrics['accuracy_of_the_majority']:.1f} %"
        return f"{100 * metrics['accuracy']:.1f} % right ({majority}){area}"
    unit = f" {data.unit}" if data.unit else ""
    alone = f"the median alone: {metrics['mae_of_the_median']:.4f}"
    held = 100 * metrics["coverage"]["0.95"]
    return f"mean absolute error {metrics['mae']:.4f}{unit} ({alone}), intervals of 95 % hold {held:.1f} %"
