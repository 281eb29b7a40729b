"""matgen train: from a dataset to a checkpoint."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import claim_output, require_checkpoint, require_references, shown
from matgen.cli.options import (
    balance_exponent_of,
    balance_options,
    column_option,
    default_preset,
    training_options,
)
from matgen.cli.shared import INTERRUPTED, bars, common_options, say, verb
from matgen.errors import OptionError, OutputError
from matgen.io.places import CHECKPOINT_METADATA, RUNS, checkpoint_folder

if TYPE_CHECKING:
    from matgen.models.shapes import Shape
    from matgen.runtime.processes import Processes
    from matgen.training.plan import TrainingPlan


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "train",
        run,
        "train a language model on compositions",
        "matgen train --model gptj --dataset hybrid-pure --max-minutes 10 --out runs/gptj",
        "matgen train --resume --out runs/gptj",
        "matgen train --dataset mine.csv --init hybrid-pure-gptj-small --out runs/mine",
        begin=begin,
    )
    model = parser.group("model")
    model.add_argument("--model", help="gpt, gpt2, gptneo, gptj, bart, blmm or roberta (default: gptj)")
    training_options(parser.group("training"))
    data = parser.group("data")
    data.add_argument("--objective", metavar="NAME", help="masked-fixed: the published control for roberta")
    column_option(parser, "formula column of a file (default: recognized by its name)")
    data.add_argument("--where", metavar="CONDITION", help="condition on rows to keep, such as 'band_gap > 1.98'")
    data.add_argument("--split", default="split", help="split (by formula) or split_chemsys (default: split)")
    filters = parser.group("data").add_mutually_exclusive_group()
    filters.add_argument(
        "--published-filter",
        action="store_const",
        const=True,
        help="2-8 elements, at most 30 atoms (default: on for -mix, -pure and -strict)",
    )
    filters.add_argument("--no-published-filter", dest="published_filter", action="store_const", const=False)
    training = parser.group("training")
    training.add_argument("--epochs", type=float, help="passes over the data (default: the preset's, 30 for tiny)")
    training.add_argument("--batch-size", type=int, help="formulas per step, over all processes (default: 256)")
    training.add_argument(
        "--accumulate", type=int, help="parts that a batch is computed in, to save memory (default: 1)"
    )
    computation = parser.group("computation")
    computation.add_argument("--shard", action="store_true", help="shard the model over the processes (FSDP)")
    training.add_argument(
        "--learning-rate", type=float, help="peak learning rate (default: the preset's, 3e-3 for tiny)"
    )
    training.add_argument("--weight-decay", type=float, help="AdamW's weight decay, on matrices (default: 0.05)")
    training.add_argument("--optimizer", help="adamw, or muon for short budgets (default: adamw)")
    training.add_argument(
        "--dropout", type=float, metavar="P", help="dropout probability in training (default: the preset's)"
    )
    computation.add_argument("--precision", help="auto (times both), bf16 or fp32 (default: auto)")
    training.add_argument("--evaluations", type=int, help="number of validations over the run (default: 20)")
    training.add_argument("--patience", type=int, help="validations without improvement before stopping (default: 5)")
    training.add_argument(
        "--trackers", nargs="+", metavar="NAME", help="experiment trackers: tensorboard, wandb, trackio ..."
    )
    balance_options(data)
    model.add_argument(
        "--init",
        metavar="CHECKPOINT",
        help="fine-tune this checkpoint, at a fifth of the learning rate and for a quarter of the epochs",
    )
    parser.group("output").add_argument("--resume", action="store_true", help="resume the interrupted run in --out")
    common_options(parser, out="runs/<model>")
    parser.common("--model", "--dataset", "--preset", "--max-minutes", "--out", "--resume")


def begin(arguments: argparse.Namespace) -> str:
    """Find what is to be learned from, and where it goes."""
    if arguments.resume:
        out = arguments.out or _default_run(arguments)
        if not out.exists():
            raise OutputError(f"nothing to resume in {out}: it does not exist")
        return f"resuming the run in {shown(out)}"
    require_references([arguments.dataset])
    start = f" from {require_checkpoint(arguments.init)}" if arguments.init else ""
    name = arguments.model or ("the preset's model" if Path(arguments.preset or "").suffix else "gptj")
    model = _model_of(arguments.init) if arguments.init and not arguments.model else name
    if arguments.out is not None or " " not in model:
        out = claim_output(arguments.out, RUNS / model, force=arguments.force)
        into = f" into {shown(out)}"
    else:
        into = ""
    return f"training {model} on {arguments.dataset}{start}{into}"


def _model_of(checkpoint: str) -> str:
    """The architecture of a checkpoint, where that can be told at once."""
    from matgen.io.files import read_json

    folder = checkpoint_folder(checkpoint)
    path = None if folder is None else folder / CHECKPOINT_METADATA
    return str(read_json(path).get("architecture", "its model")) if path and path.is_file() else "its model"


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on training."""
    from matgen.runtime.processes import Processes, leave_cores_to_others

    leave_cores_to_others()
    processes = Processes()
    try:
        return _train(arguments, processes)
    finally:
        processes.close()


def _train(arguments: argparse.Namespace, processes: Processes) -> int:
    from matgen.io.files import next_free
    from matgen.models.checkpoint import read_metadata
    from matgen.training import train_model
    from matgen.training.plan import completed

    plan = _plan(arguments)
    if not arguments.resume:
        plan = completed(plan)
    arguments.quiet |= not processes.is_main
    out = arguments.out or _default_run(arguments)
    if not arguments.resume:
        out = arguments.out or processes.broadcast(next_free(out))
        budget, init = plan.settings, f", starting from {plan.init}" if plan.init else ""
        length = f"{budget.max_minutes:g} minutes" if budget.max_minutes else f"at most {budget.epochs:g} epochs"
        say(arguments, f"{plan.model} ({plan.preset}, {plan.notation}) on {plan.dataset}{init}, {length}")
    result = train_model(
        plan,
        out,
        resume=arguments.resume,
        force=arguments.force,
        progress=bars(arguments),
        warn=_warn if processes.is_main else None,
    )
    if result.interrupted:
        again = f"matgen train --resume --out {shown(out)}"
        if processes.is_main:
            print(f"interrupted at step {result.state.step:,}; saved. Resume with: {again}", file=sys.stderr)
        return INTERRUPTED
    why = "stopped early: " if result.stopped_early else ""
    # Of a resumed run the saved plan counts, not the options; only the main process writes, and tells.
    balanced = " (balanced)" if processes.is_main and read_metadata(out)["balance"] else ""
    say(
        arguments,
        f"{why}{result.state.best_loss:.3f} nats per validation formula{balanced} at step {result.state.best_step:,}. "
        f"Next: matgen sample -n 10000 --model {shown(out)}",
    )
    return 0


def _plan(arguments: argparse.Namespace) -> TrainingPlan:
    """What the options ask for; training options that are not given are the preset's."""
    from matgen.training.plan import TrainingPlan, default_settings

    model, preset = _what(arguments)
    settings = default_settings(
        preset,
        model,
        transfer=arguments.init is not None,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        optimizer=arguments.optimizer,
        epochs=arguments.epochs,
        max_minutes=arguments.max_minutes,
        evaluations=arguments.evaluations,
        patience=arguments.patience,
        precision=arguments.precision,
        accumulate=arguments.accumulate,
        shard=arguments.shard or None,
        seed=arguments.seed,
        trackers=tuple(arguments.trackers) if arguments.trackers else None,
    )
    return TrainingPlan(
        model=model,
        dataset=arguments.dataset,
        notation=arguments.notation or "auto",
        preset=preset,
        shape=_with_dropout(arguments, preset, model),
        objective=arguments.objective,
        column=arguments.column,
        published_filter=arguments.published_filter,
        where=arguments.where,
        split=arguments.split,
        condition=tuple(arguments.condition),
        balance=arguments.balance,
        balance_exponent=balance_exponent_of(arguments),
        init=arguments.init,
        settings=settings,
    )


def _warn(remarks: list[str]) -> None:
    for remark in remarks:
        print(f"matgen train: note: {remark}", file=sys.stderr)


def _what(arguments: argparse.Namespace) -> tuple[str, str]:
    """Architecture and preset: as asked for, as the checkpoint has them, or the defaults."""
    from matgen.models.presets import find_preset

    if arguments.init is None:
        preset = find_preset(arguments.preset or default_preset(), arguments.model)
        return preset.model, preset.name
    from matgen.models.checkpoint import read_metadata
    from matgen.models.locate import find_checkpoint
    from matgen.models.shapes import PRESETS

    if arguments.preset or arguments.dropout is not None:
        raise OptionError("the shape is that of the checkpoint in --init: leave out --preset and --dropout")
    metadata = read_metadata(find_checkpoint(arguments.init))
    # The file of a preset may have gone: `small` is in the middle.
    preset_name = metadata["preset"] if metadata["preset"] in PRESETS else "small"
    return arguments.model or metadata["architecture"], preset_name


def _with_dropout(arguments: argparse.Namespace, preset: str, model: str) -> Shape | None:
    """The preset's shape with the dropout asked for, None where none was."""
    import dataclasses

    from matgen.models.presets import find_preset

    if arguments.dropout is None:
        return None
    return dataclasses.replace(find_preset(preset, model).shape, dropout=arguments.dropout)


def _default_run(arguments: argparse.Namespace) -> Path:
    """`runs/<model>`; to resume, the newest unfinished run."""
    if not arguments.resume:
        return RUNS / _what(arguments)[0]
    states = [p for p in RUNS.glob("*/training/plan.json") if not (p.parent.parent / "matgen.json").exists()]
    if not states:
        raise OptionError(f"no unfinished run in {RUNS}/: name its folder by --out")
    return max(states, key=lambda path: path.stat().st_mtime).parent.parent
