"""matgen tune: search a model's size and training settings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import claim_output, require_references, shown
from matgen.cli.options import balance_exponent_of, balance_options, training_options
from matgen.cli.shared import INTERRUPTED, common_options, say, verb
from matgen.errors import OptionError

if TYPE_CHECKING:
    from matgen.models.presets import Preset

_TRIAL_MINUTES = 2.0


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "tune",
        run,
        "search a model's size and training settings",
        "matgen tune --model gptj --notation counted --max-minutes 60",
        "matgen train --preset tuning/gptj/preset.json",
        begin=begin,
    )
    parser.group("model").add_argument(
        "--model", default="gptj", help="gpt, gpt2, gptneo, gptj, bart ... (default: gptj)"
    )
    training_options(parser.group("training"))
    parser.group("data").add_argument(
        "--where", metavar="CONDITION", help="condition on rows to keep, such as 'band_gap > 1.98'"
    )
    parser.group("data").add_argument(
        "--split", default="split", help="split (by formula) or split_chemsys (default: split)"
    )
    balance_options(parser.group("data"))
    parser.group("search").add_argument(
        "--trials", type=int, metavar="N", help="stop after this many trials have ended (default: 30)"
    )
    budget = parser.group("search").add_mutually_exclusive_group()
    budget.add_argument(
        "--trial-minutes", type=float, metavar="M", help=f"minutes of training per trial (default: {_TRIAL_MINUTES:g})"
    )
    budget.add_argument("--epochs", type=float, help="passes over the data per trial, instead of minutes")
    parser.group("search").add_argument(
        "--search",
        nargs="+",
        metavar="NAME",
        help="learning_rate, weight_decay, batch_size, dropout, initializer, layers, width, head_width (default: all)",
    )
    parser.group("output").add_argument(
        "--resume", action="store_true", help="resume the search in --out, or join it from another terminal"
    )
    common_options(parser, out="tuning/<model>")
    parser.common("--model", "--dataset", "--max-minutes", "--trials", "--out", "--resume")


def begin(arguments: argparse.Namespace) -> str:
    """Find what is to be learned from, and where it goes."""
    default = Path("tuning") / arguments.model
    if arguments.resume:
        out = arguments.out or default
        if not out.exists():
            raise OptionError(f"no search in {out}: name its folder by --out")
        return f"resuming the search in {shown(out)}"
    require_references([arguments.dataset])
    arguments.out = claim_output(arguments.out, default, force=arguments.force)
    return f"tuning {arguments.model} on {arguments.dataset} into {shown(arguments.out)}"


def run(arguments: argparse.Namespace) -> int:
    """Search, or go on searching."""
    from matgen.io.files import next_free
    from matgen.runtime.processes import leave_cores_to_others
    from matgen.training.search import PRESET, search

    leave_cores_to_others()
    out = arguments.out or Path("tuning") / arguments.model
    if arguments.resume and not arguments.out and not out.exists():
        raise OptionError(f"no search in {out}: name its folder by --out")
    if not arguments.resume:
        out = arguments.out or next_free(out)
    plan = _plan(arguments)
    trials = 30 if arguments.trials is None else arguments.trials
    limit = f", none begun after {arguments.max_minutes:g} minutes" if arguments.max_minutes else ""
    if arguments.resume:
        say(arguments, f"until {trials} trials have ended{limit}")
    else:
        budget = plan.training.settings
        each = f"{budget.max_minutes:g} minutes" if budget.max_minutes else f"{budget.epochs:g} epochs"
        say(
            arguments,
            f"{plan.training.model} ({plan.training.notation}) on {plan.training.dataset}: {trials} trials of {each} "
            f"each{limit}",
        )

    def report(number: int, nats: float | None, preset: Preset) -> None:
        outcome = "stopped early " if nats is None else f"{nats:.3f} nats   "
        say(arguments, f"trial {number + 1:>3}  {outcome}  {_in_words(preset)}")

    result = search(
        plan,
        out,
        trials=trials,
        minutes=arguments.max_minutes,
        resume=arguments.resume,
        force=arguments.force,
        on_trial=report,
    )
    if result.interrupted:
        print(f"interrupted; resume with: matgen tune --resume --out {shown(out)}", file=sys.stderr)
        return INTERRUPTED
    if result.best is None:
        say(arguments, f"no trial has ended; resume with: matgen tune --resume --out {shown(out)}")
        return 0
    balanced = again = ""
    if not arguments.resume:  # of a resumed search the saved plan counts, not the options
        balanced = " (balanced)" if arguments.balance else ""
        again += f" --condition {' '.join(arguments.condition)}" if arguments.condition else ""
        again += f" --balance {arguments.balance}" if arguments.balance else ""
    say(
        arguments,
        f"best of {result.ended} trials: {result.best_nats:.3f} nats per validation formula{balanced} ({result.pruned} "
        f"more were stopped early). Next: matgen train --preset {shown(out / PRESET)}{again}",
    )
    return 0


def _plan(arguments: argparse.Namespace) -> Any:
    from matgen.cli.options import default_preset
    from matgen.models.presets import find_preset
    from matgen.training.plan import TrainingPlan, completed, default_settings
    from matgen.training.search import SearchPlan

    preset = find_preset(arguments.preset or default_preset(), arguments.model)
    minutes = arguments.trial_minutes
    if minutes is None and arguments.epochs is None:
        minutes = _TRIAL_MINUTES
    settings = default_settings(
        preset.name, preset.model, max_minutes=minutes, epochs=arguments.epochs, evaluations=8, seed=arguments.seed
    )
    training = TrainingPlan(
        model=preset.model,
        dataset=arguments.dataset,
        notation=arguments.notation or "auto",
        preset=preset.name,
        where=arguments.where,
        split=arguments.split,
        condition=tuple(arguments.condition),
        balance=arguments.balance,
        balance_exponent=balance_exponent_of(arguments),
        settings=settings,
    )
    return SearchPlan(completed(training), None if arguments.search is None else tuple(arguments.search))


def _in_words(preset: Preset) -> str:
    size, settings = preset.shape, preset.settings
    shown: dict[str, Any] = {
        "layers": size.layers,
        "heads": size.heads,
        "width": size.width,
        "dropout": f"{size.dropout:.2f}",
        "learning_rate": f"{settings['learning_rate']:.1e}",
        **{name: f"{settings[name]:.3g}" for name in ("weight_decay", "batch_size") if name in settings},
    }
    return ", ".join(f"{name} {value}" for name, value in shown.items())
