"""matgen reinforce: from a checkpoint and a reward to a checkpoint that draws what earns more."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from matgen.cli.beginning import (
    claim_output,
    require_checkpoint,
    require_input,
    require_predictors,
    require_references,
    shown,
)
from matgen.cli.options import device_option, model_option, pick_device, reward_options
from matgen.cli.shared import INTERRUPTED, bars, common_options, path, say, verb
from matgen.errors import OptionError
from matgen.io.places import RUNS


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "reinforce",
        run,
        "teach a checkpoint to draw what a reward values",
        "matgen reinforce --reward 'probability_hull_0.05 * balanced_common * novel' --max-minutes 10",
        "matgen reinforce --reward '(band_gap > 2) * probability_hull_0.1 * not contains(Pb)' --out runs/gap",
        "matgen reinforce --resume --out runs/gap",
        begin=begin,
    )
    model_option(parser)
    group = parser.add_argument_group("reward")
    reward_options(group)
    group.add_argument(
        "--predictor", type=path, action="append", metavar="FOLDER", help="predictor to take before the bundled ones"
    )
    group.add_argument("--source", help="database whose labels the bundled predictors were trained on: oqmd or mp")
    group.add_argument(
        "--reference", action="append", metavar="NAME", help="dataset or file that novel refers to (default: hybrid)"
    )
    training = parser.group("training")
    training.add_argument("--steps", type=int, default=150, help="batches to draw and learn from (default: 150)")
    training.add_argument(
        "--max-minutes", type=float, metavar="M", help="end after so many minutes (default: no limit)"
    )
    training.add_argument("--batch-size", type=int, default=2048, help="draws of a step (default: 2048)")
    training.add_argument("--learning-rate", type=float, default=5e-4, help="of AdamW (default: 5e-4)")
    training.add_argument(
        "--kl",
        type=float,
        default=0.05,
        metavar="WEIGHT",
        help="cost of each nat away from the start, in standard deviations of the reward (default: 0.05; 0: none)",
    )
    parser.group("constraints (always satisfied; they can be combined)").add_argument(
        "--condition",
        nargs="+",
        default=[],
        metavar="band_gap=2..3",
        help="ranges of properties that a conditional model is to draw from",
    )
    training.add_argument(
        "--average",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="share of the reinforced weights in those that are written; the rest is the start's, which brings back "
        "variety and known compounds (default: 1)",
    )
    device_option(parser)
    parser.group("output").add_argument("--resume", action="store_true", help="resume the interrupted run in --out")
    common_options(parser, out="runs/reinforced")
    parser.common("--reward", "--model", "--max-minutes", "--reference", "--out", "--resume")


def begin(arguments: argparse.Namespace) -> str:
    """Find the checkpoint and what rewards, and where the run goes."""
    if arguments.resume:
        if arguments.out is None:
            raise OptionError("name the folder of the run to resume by --out")
        return f"resuming the run in {require_input(arguments.out)}"
    if not arguments.reward:
        raise OptionError("name what to reward: --reward 'probability_hull_0.05 * balanced_common * novel'")
    checkpoint = require_checkpoint(arguments.model)
    require_predictors(arguments.predictor or ())
    require_references(arguments.reference or ())
    arguments.out = claim_output(arguments.out, RUNS / "reinforced", force=arguments.force)
    return f"reinforcing {checkpoint} by {arguments.reward} into {shown(arguments.out)}"


def run(arguments: argparse.Namespace) -> int:
    """Reinforce, or go on with it."""
    from matgen.io.files import next_free
    from matgen.reinforcement import reinforce
    from matgen.reinforcement.plan import saved_plan

    if arguments.resume:
        if arguments.out is None:
            raise OptionError("name the folder of the run to resume by --out")
        out, plan = arguments.out, saved_plan(arguments.out)[0]
    else:
        out, plan = arguments.out or next_free(RUNS / "reinforced"), _plan(arguments)
        length = f"{plan.steps:,} steps" if plan.max_minutes is None else f"at most {plan.max_minutes:g} minutes"
        say(arguments, f"{plan.batch_size:,} draws a step, {length}")
    result = reinforce(
        plan,
        out,
        resume=arguments.resume,
        force=arguments.force,
        device=pick_device(arguments.device),
        progress=bars(arguments),
    )
    if result.interrupted:
        again = f"matgen reinforce --resume --out {shown(out)}"
        print(f"interrupted after step {len(result.history):,}; saved. Resume with: {again}", file=sys.stderr)
        return INTERRUPTED
    first, last = result.history[0], result.history[-1]
    say(
        arguments,
        f"reward {first['reward']:.4g} -> {last['reward']:.4g}, {last['kl']:.2f} nats from the start, chemical systems "
        f"{first['chemical_systems']:.1%} -> {last['chemical_systems']:.1%} of the draws. "
        f"Next: matgen sample -n 10000 --model {shown(out)}",
    )
    return 0


def _plan(arguments: argparse.Namespace) -> Any:
    from matgen.models.locate import DEFAULT_CHECKPOINT
    from matgen.reinforcement import ReinforcementPlan

    if not arguments.reward:
        raise OptionError("name what to reward: --reward 'probability_hull_0.05 * balanced_common * novel'")
    return ReinforcementPlan(
        model=arguments.model or DEFAULT_CHECKPOINT,
        reward=arguments.reward,
        steps=arguments.steps,
        max_minutes=arguments.max_minutes,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        kl=arguments.kl,
        diversity=arguments.diversity,
        conditions=tuple(arguments.condition),
        predictors=tuple(str(one) for one in arguments.predictor or ()),
        source=arguments.source,
        reference=tuple(arguments.reference or ("hybrid",)),
        allow_out_of_domain=arguments.allow_out_of_domain,
        seed=arguments.seed,
        average=arguments.average,
    )
