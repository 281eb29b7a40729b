"""matgen fit: a predictor for a property of a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import claim_output, require_input, shown
from matgen.cli.options import column_option
from matgen.cli.shared import bars, common_options, folder_name, path, say, verb
from matgen.errors import OptionError

if TYPE_CHECKING:
    from matgen.prediction import FitPlan, Predictor, PropertyData
    from matgen.prediction.tuning import Tuned


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "fit",
        run,
        "train a predictor of a property from compositions and, if wanted, further columns",
        "matgen fit --table my.csv --target Tc --out models/tc",
        "matgen fit --table alloys.csv --target hardness --features temperature method --group paper --kind trees",
        "matgen fit --property band_gap --kind trees --out models/gap",
        begin=begin,
    )
    data = parser.group("data")
    data.add_argument(
        "--table",
        type=path,
        metavar="FILE",
        help="table with formulas (CSV, Excel, Parquet, JSON ...), or - for standard input",
    )
    data.add_argument(
        "--target",
        nargs="+",
        metavar="NAME",
        help="column of the table to predict: numbers, true and false, or names of classes; of several each gets a "
        "predictor in a folder of its own, <out>/<target>",
    )
    column_option(parser)
    data.add_argument(
        "--features",
        nargs="+",
        default=[],
        metavar="NAME",
        help="columns to learn from beside the formula (text as categories, cells may be empty), or all; tables to "
        "predict for need them too (default: none)",
    )
    data.add_argument(
        "--group", metavar="NAME", help="column whose rows of one value stay together in the split, such as a paper"
    )
    data.add_argument(
        "--duplicates",
        metavar="RULE",
        help="rows of one composition and the same features: mean or median of their numbers (of classes what more of "
        "them say), keep them all, or error (default: mean)",
    )
    data.add_argument(
        "--property", help="formation_energy, band_gap or is_metal of the bundled table, instead of a table"
    )
    data.add_argument("--source", default="oqmd", help="database of the labels: oqmd or mp (default: oqmd)")
    data.add_argument(
        "--split",
        help="what is held out: split (compositions), split_chemsys (chemical systems), split_anonymous (anonymous "
        "formulas), split_pair (pairs of elements) or split_without_Se (an element) (default: OQMD's official one, "
        "else split)",
    )
    predictor = parser.group("predictor")
    predictor.add_argument(
        "--kind",
        default="network",
        help="network (attention among elements), trees (boosted, on Magpie features) or language_model (a checkpoint "
        "with a head) (default: network)",
    )
    predictor.add_argument(
        "--init", metavar="NAME", help="start from a predictor (network) or a checkpoint (language_model)"
    )
    predictor.add_argument(
        "--ensemble-size",
        type=int,
        help="number of ensemble members, whose disagreement is part of the uncertainty (default: 3; with folds one "
        "each)",
    )
    parser.rename("--members", "--ensemble-size")
    predictor.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="calibrate intervals on every row in turn (cross-conformal, CV+), with one member for each of K folds; "
        "0: on a part that is set apart (default: 10 if the table has fewer than 800 rows, else 0)",
    )
    training = parser.group("training")
    training.add_argument(
        "--max-minutes", type=float, metavar="M", help="time budget in minutes for all members together"
    )
    training.add_argument(
        "--epochs", type=float, help="passes over the data for each member (default: 100; language_model: 20)"
    )
    predictor.add_argument("--layers", type=int, help="layers of each network (default: 3)")
    predictor.add_argument("--width", type=int, help="width of each network (default: 128)")
    training.add_argument(
        "--batch-size", type=int, help="compositions per step (default: 16 to 256, by the size of the table)"
    )
    training.add_argument(
        "--learning-rate", type=float, help="peak learning rate (default: 2e-3; language_model: 5e-4)"
    )
    search = parser.group("search of settings")
    search.add_argument(
        "--tune", action="store_true", help="search the settings of networks or trees first, by Optuna (resumable)"
    )
    search.add_argument("--trials", type=int, metavar="N", help="trials of --tune (default: 20)")
    search.add_argument(
        "--tune-minutes", type=float, metavar="M", help="begin no trial of --tune after these minutes (default: 10)"
    )
    parser.group("output").add_argument("--resume", action="store_true", help="resume the interrupted fit in --out")
    common_options(parser, out="models/<target>")
    parser.common("--table", "--target", "--property", "--kind", "--max-minutes", "--out")


def begin(arguments: argparse.Namespace) -> str:
    """Find the table, and where the predictor goes."""
    _require_sense(arguments)
    source = "the bundled table" if arguments.table is None else require_input(arguments.table)
    name = "-".join(arguments.target) if arguments.table is not None else f"{arguments.property}-{arguments.source}"
    resume, default = arguments.resume, Path("models") / folder_name(name)
    arguments.out = claim_output(arguments.out, default, force=arguments.force, resume=resume)
    what = ", ".join(arguments.target) if arguments.table is not None else arguments.property
    return f"learning {what} of {source} ({arguments.kind}) into {shown(arguments.out)}"


def run(arguments: argparse.Namespace) -> int:
    """Fit, or go on fitting."""
    from matgen.io.files import next_free, refuse_to_overwrite
    from matgen.prediction import bundled_property
    from matgen.prediction.training_tables import TableOptions, table_properties
    from matgen.runtime.processes import leave_cores_to_others

    leave_cores_to_others()
    _require_sense(arguments)
    if arguments.table is not None:
        options = TableOptions(
            arguments.column, arguments.split or "split", arguments.features, arguments.group,
            arguments.duplicates or "mean", arguments.folds,
        )  # fmt: skip
        properties = table_properties(arguments.table, arguments.target, options)
        default = Path("models") / folder_name("-".join(arguments.target))
    else:
        properties = [bundled_property(arguments.property, arguments.source, arguments.split or "official")]
        default = Path("models") / folder_name(f"{arguments.property}-{arguments.source}")
    out = arguments.out or (default if arguments.resume else next_free(default))
    folders = [out] if len(properties) == 1 else [out / folder_name(data.name) for data in properties]
    if len(folders) > 1 and not arguments.resume:
        refuse_to_overwrite(out, force=arguments.force)
    if len(set(folders)) < len(folders):
        raise OptionError("two targets would have the same folder: fit them one by one")
    for data, folder in zip(properties, folders, strict=True):
        if arguments.resume and len(folders) > 1 and (folder / "predictor.json").is_file():
            say(arguments, f"{data.name}: complete in {shown(folder)}")
        elif not _fit(arguments, data, folder):
            raise KeyboardInterrupt  # the fit took it for itself, and has saved what it needs to go on
    return 0


def _require_sense(arguments: argparse.Namespace) -> None:
    """Raise an `OptionError` where options are missing or contradict each other; say which ones are not used."""
    if (arguments.table is None) == (arguments.property is None):
        raise OptionError("name a --table and its --target, or a --property of the bundled table")
    if arguments.table is not None and arguments.target is None:
        raise OptionError("name the column to predict by --target")
    of_table = ("features", "group", "duplicates", "folds", "column", "target")
    named = [f"--{name}" for name in of_table if getattr(arguments, name) not in (None, [])]
    if arguments.table is None and named:
        raise OptionError(f"{', '.join(named)}: of a --table, not of a --property")
    if arguments.ensemble_size is not None and arguments.ensemble_size < 1:
        raise OptionError(f"--ensemble-size is {arguments.ensemble_size}, it must be above 0")
    of_trees = ("epochs", "layers", "width", "batch_size", "learning_rate", "max_minutes")
    of_kind = {"trees": of_trees, "language_model": ("layers", "width")}.get(arguments.kind, ())
    unused = [name for name in of_kind if getattr(arguments, name) is not None]
    unused += [name for name in ("trials", "tune_minutes") if not arguments.tune and getattr(arguments, name)]
    if unused:
        shown = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        what = f"{arguments.kind} without --tune" if {"trials", "tune_minutes"} & set(unused) else arguments.kind
        say(arguments, f"note: {shown} {'is' if len(unused) == 1 else 'are'} not used by {what}")


def _fit(arguments: argparse.Namespace, data: PropertyData, out: Path) -> bool:
    """Fit one predictor; False where the user interrupted."""
    from matgen.prediction import fit_predictor

    plan = _plan(arguments, data)
    learned = int((data.part == "train").sum())
    members = plan.members if data.fold is None else int(data.fold.max()) + 1
    what = "rows" if data.features else "compositions"
    how = f"{members} members" if data.fold is None else f"{members} folds that calibrate in turn, a member each"
    say(arguments, f"{data.name}{_of_classes(data)}: {learned:,} {what} to learn from, {how}, into {shown(out)}")
    if data.features:
        say(arguments, f"features beside the formula: {', '.join(map(str, data.features))}")
    for reason, count in data.left_out.items():
        say(arguments, f"note: {count:,} {reason}")
    for remark in data.remarks:
        say(arguments, f"note: {remark}")
    if data.fold is not None and arguments.ensemble_size is not None:
        say(arguments, "note: --ensemble-size is not used where there is a member for each fold (--folds)")

    force, tuning = arguments.force, None
    if arguments.tune:
        tuned = _tuned(arguments, data, plan, out)
        if tuned is None:
            return False
        plan, tuning, force = tuned.plan, tuned.as_json(), True  # what is there is the search
    progress = bars(arguments, loss_unit=data.unit or data.name)
    predictor = fit_predictor(data, plan, out, resume=arguments.resume, force=force, tuning=tuning, progress=progress)
    if predictor is None:
        return False
    also = "".join(f", with {', '.join(one.name for one in data.features)} as columns" for _ in data.features[:1])
    say(arguments, f"{_in_words(data, predictor)}. Next: matgen predict candidates.csv --model {shown(out)}{also}")
    return True


def _plan(arguments: argparse.Namespace, data: PropertyData) -> FitPlan:
    from matgen.prediction import FitPlan, NetworkSize
    from matgen.prediction.plan import default_fit_settings

    members = 3 if arguments.ensemble_size is None else arguments.ensemble_size
    shared = members if data.fold is None else int(data.fold.max()) + 1
    shared *= len(arguments.target or ["the property"])
    settings = default_fit_settings(
        arguments.kind,
        int((data.part == "train").sum()),
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        max_minutes=None if arguments.max_minutes is None else arguments.max_minutes / shared,
        seed=arguments.seed,
    )
    width = 128 if arguments.width is None else arguments.width
    size = NetworkSize(3 if arguments.layers is None else arguments.layers, width=width, feed_forward=2 * width)
    return FitPlan(arguments.kind, size, members, arguments.init, settings)


def _tuned(arguments: argparse.Namespace, data: PropertyData, plan: FitPlan, out: Path) -> Tuned | None:
    """The plan with the settings that a search has found; None where the user interrupted it."""
    from matgen.prediction.tuning import tune_plan

    trials = 20 if arguments.trials is None else arguments.trials
    minutes = 10.0 if arguments.tune_minutes is None else arguments.tune_minutes
    say(arguments, f"tune: up to {trials} trials, none begun after {minutes:g} minutes")
    unit = f" {data.unit}" if data.unit else ""

    def report(number: int, error: float, chosen: dict[str, Any]) -> None:
        shown = ", ".join(f"{name} {value:.3g}" for name, value in chosen.items())
        say(arguments, f"trial {number + 1:>3}  {error:.4f}{unit}  {shown}")

    tuned = tune_plan(
        data, plan, out, trials=trials, minutes=minutes, resume=arguments.resume, force=arguments.force,
        on_trial=report,
    )  # fmt: skip
    if tuned.interrupted:
        return None
    usual = f"the usual settings: {tuned.first:.4f}{unit}"
    say(arguments, f"best of {tuned.trials} trials: {tuned.error:.4f}{unit} ({usual})")
    return tuned


def _of_classes(data: PropertyData) -> str:
    return "" if data.classes is None else f" ({', '.join(data.classes)})"


def _in_words(data: PropertyData, predictor: Predictor) -> str:
    """How well the test part is predicted, or what was not learned from in each fold."""
    metrics = predictor.metadata["metrics"]
    tested, crossed = "n" in metrics, metrics.get("cross_validation")
    parts = []
    if crossed:
        parts.append(f"cross-validation: {_errors(data, crossed)}")
    if tested:
        parts.append(f"test: {_errors(data, metrics)}")
    if tested and not predictor.classifies:
        from matgen.prediction.card import held_in_words

        parts[-1] += f", intervals of 95 % hold {held_in_words(metrics, '0.95')}"
    elif crossed and not predictor.classifies:
        from matgen.prediction.cross_conformal import guarantee

        least = 100 * guarantee(crossed["n"], predictor.metadata["folds"], 0.95)
        parts.append(f"intervals of 95 % by CV+ hold at least {least:.0f} % (untested: no row is set apart of so few)")
    return "; ".join(parts)


def _errors(data: PropertyData, metrics: dict[str, Any]) -> str:
    if data.task == "classification":
        area = f", area under the ROC curve {metrics['roc_auc']:.4f}" if metrics["roc_auc"] is not None else ""
        majority = f"the majority alone: {100 * metrics['accuracy_of_the_majority']:.1f} %"
        return f"{100 * metrics['accuracy']:.1f} % right ({majority}){area}"
    unit = f" {data.unit}" if data.unit else ""
    return f"mean absolute error {metrics['mae']:.4f}{unit} (the median alone: {metrics['mae_of_the_median']:.4f})"
