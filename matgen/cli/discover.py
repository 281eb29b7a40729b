"""matgen discover: the whole pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.options import (
    condition_option,
    constraint_options,
    decoding_options,
    default_preset,
    device_option,
    judging_options,
    keeping_options,
    pareto_option,
    pick_device,
    reference_options,
    references_of,
    request_of,
    reward_options,
    rules_of,
    training_options,
)
from matgen.cli.shared import INTERRUPTED, bars, common_options, say, verb
from matgen.errors import OptionError
from matgen.structures.potentials.registry import column_suffix

if TYPE_CHECKING:
    from matgen.discovery import Discovery, DiscoveryPlan
    from matgen.reinforcement import ReinforcementPlan
    from matgen.structures.finish import Finish

_STRUCTURES = 8
"""Candidates that get structures by default: about a minute on two cores."""

_FINISHED = 5
"""Of these, how many a second potential relaxes further by default."""

_REWARD_MINUTES = 5.0
_MOST_STEPS = 10_000
"""Steps of a reinforcement that ends by its minutes."""

_TRAINING = ("architecture", "dataset", "notation", "preset", "max_minutes")
"""Options of which any one means that a model is to be trained."""


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "discover",
        run,
        "run the whole pipeline: sample, predict, evaluate, rank, relax, export",
        "matgen discover -n 10000 --out discovery",
        "matgen discover --contains Li-O --exclude toxic --screen 'band_gap > 2' --novel-to hybrid",
        "matgen discover --reward 'probability_hull_0.05 * balanced_common * novel'",
        "matgen discover --dataset mine.csv --max-minutes 10 --structures 20",
    )
    parser.group("which rows are kept (-n then counts those)").add_argument(
        "-n", type=int, default=10_000, help="compositions to draw (default: 10000)"
    )
    parser.group("model").add_argument(
        "--model",
        metavar="CHECKPOINT",
        help="checkpoint to draw from: folder, bundled name or Hub id (default: the bundled or newly trained one)",
    )
    parser.group("ranking").add_argument(
        "--predictor",
        metavar="NAME",
        help="formation-energy predictor to rank by: a folder, a bundled name or none (default: formation_energy-oqmd)",
    )
    parser.group("structures and DFT").add_argument(
        "--structures",
        type=int,
        metavar="N",
        help=f"number of top candidates to give relaxed structures and DFT inputs (default: {_STRUCTURES}; 0: none)",
    )
    parser.group("structures and DFT").add_argument(
        "--finish-top",
        type=int,
        default=_FINISHED,
        metavar="N",
        help=f"number of them that a second potential relaxes further (default: {_FINISHED}; 0: none)",
    )
    parser.group("structures and DFT").add_argument(
        "--dft-format",
        default="vasp",
        metavar="NAME",
        help="format of the DFT inputs, as for `matgen export` (default: vasp)",
    )
    group = parser.add_argument_group("training (any of these trains a model first)")
    group.add_argument("--architecture", help="gpt, gpt2, gptj ... (default: gptj)")
    training_options(group)
    # Training options have no default here: any of them that is given asks for training.
    parser.set_defaults(dataset=None)
    group = parser.add_argument_group("reward (reinforces the checkpoint before anything is drawn)")
    reward_options(group)
    group.add_argument(
        "--reward-minutes",
        type=float,
        metavar="M",
        help=f"minutes to reinforce (default: {_REWARD_MINUTES:g})",
    )
    decoding_options(parser)
    condition_option(parser)
    constraint_options(parser)
    keeping_options(parser)
    reference_options(parser)
    judging_options(parser)
    pareto_option(parser, "rank candidates first that no other beats in all of these columns of ranked.csv")
    device_option(parser)
    common_options(parser, out="discovery")
    parser.common("-n", "--model", "--contains", "--exclude", "--structures", "--out")


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline and print what came out of it."""
    from matgen.runtime.processes import leave_cores_to_others

    leave_cores_to_others()
    from matgen.discovery import discover
    from matgen.io.files import next_free

    out = arguments.out or next_free(Path("discovery"))
    plan = plan_of(arguments)
    minutes = plan.training.settings.max_minutes
    training = "" if plan.checkpoint else f", after {minutes:g} minutes of training (--max-minutes)"
    say(arguments, f"{arguments.n:,} compositions into {out}/{training}")
    discovery = discover(
        plan,
        out,
        force=arguments.force,
        say=lambda text: say(arguments, text),
        progress=bars(arguments),
    )
    if discovery.report is None:
        rewarded = (out / "reinforced").is_dir()
        what, name = ("reinforce", "reinforced") if rewarded else ("train", "model")
        again = f"matgen {what} --resume --out {out}/{name}"
        print(
            f"interrupted in `matgen {what}`; resume with: {again}; then run: matgen discover --model {out}/{name}",
            file=sys.stderr,
        )
        return INTERRUPTED
    if not arguments.quiet:
        _print_discovery(plan, discovery)
    return 0


def plan_of(arguments: argparse.Namespace) -> DiscoveryPlan:
    """What `discover` does, as the options say.

    Raises:
        OptionError: a value out of range, or options that contradict each other.
        CheckpointError: no checkpoint or predictor of that name.
    """
    from matgen.datasets import DEFAULT_DATASET
    from matgen.discovery import DiscoveryPlan
    from matgen.models.locate import find_checkpoint
    from matgen.models.presets import find_preset
    from matgen.prediction.locate import ranking_predictor
    from matgen.runtime.cores import available_cores
    from matgen.training.plan import TrainingPlan, default_settings

    request = request_of(arguments, arguments.screen or "")
    given = [name for name in _TRAINING if getattr(arguments, name) is not None]
    if arguments.model and given:
        raise OptionError(f"--model takes a trained checkpoint: leave out --{given[0].replace('_', '-')}")
    preset = find_preset(arguments.preset or default_preset(), arguments.architecture)
    minutes = 4.0 if arguments.max_minutes is None else arguments.max_minutes
    settings = default_settings(preset.name, preset.model, max_minutes=minutes, evaluations=8, seed=arguments.seed)
    return DiscoveryPlan(
        training=TrainingPlan(
            model=preset.model,
            dataset=arguments.dataset or DEFAULT_DATASET,
            notation=arguments.notation or "auto",
            preset=preset.name,
            settings=settings,
        ),
        checkpoint=None if given else find_checkpoint(arguments.model),
        reinforcement=_reinforcement(arguments),
        predictor=ranking_predictor(arguments.predictor),
        n=request.n,
        reference=references_of(arguments),
        seed=request.seed,
        decoding=request.decoding,
        constraints=request.constraints,
        rejection=request.rejection,
        unique=request.unique,
        novel_to=request.novel_to,
        conditions=request.conditions,
        screen=request.screen,
        most_draws=request.most_draws,
        rules=rules_of(arguments),
        protocol=arguments.protocol,
        split=arguments.reference_split,
        pareto=arguments.pareto,
        device=pick_device(arguments.device),
        structures=_structures(arguments),
        dft_format=arguments.dft_format,
        workers=available_cores(),
        finish=_finish(arguments),
    )


def _reinforcement(arguments: argparse.Namespace) -> ReinforcementPlan | None:
    """How to reinforce, None without a reward."""
    from matgen.prediction.locate import ranking_predictor
    from matgen.reinforcement import ReinforcementPlan

    if arguments.reward is None:
        if arguments.reward_minutes is not None or arguments.allow_out_of_domain:
            raise OptionError("--reward-minutes and --allow-out-of-domain are of a reward: name one by --reward")
        return None
    predictor = ranking_predictor(arguments.predictor)
    return ReinforcementPlan(
        model="",  # the checkpoint that is taken or trained
        reward=arguments.reward,
        steps=_MOST_STEPS,
        max_minutes=_REWARD_MINUTES if arguments.reward_minutes is None else arguments.reward_minutes,
        diversity=arguments.diversity,
        conditions=tuple(arguments.condition),
        predictors=() if predictor is None else (str(predictor),),
        reference=references_of(arguments),
        allow_out_of_domain=arguments.allow_out_of_domain,
        seed=arguments.seed,
    )


def _print_discovery(plan: DiscoveryPlan, discovery: Discovery) -> None:
    from matgen.evaluation.page.terminal import print_summary
    from matgen.validity import RARE

    out = discovery.folder
    assert discovery.report is not None
    print_summary(discovery.report.content)
    print(f"\nthe first of {len(discovery.ranked):,} valid, novel compositions (ranked.csv):")
    first = discovery.ranked.head(12)
    print("  " + ", ".join(_named(row) for row in first.to_dict("records")))
    if (first["rarest_state_share"] < RARE).any():
        print(f"  (!: needs an oxidation state with under {RARE:.0%} of its element's reports in the ICSD)")
    if plan.predictor is None:
        print("  ranked by the model's probability: like known compounds, not yet known to be stable")
    else:
        print("  ranked by the probabilities to be near the hull and to have been made, oxidation states and novelty")
    if discovery.structures is not None:
        _print_structures(discovery.structures, plan.finish)
    print(
        f"\nin {out}/: ranked.csv, candidates.csv, report/report.html, discovery.json"
        + ("" if plan.checkpoint else ", model/")
        + (", reinforced/" if plan.reinforcement else "")
        + ("" if discovery.structures is None else ", structures/ (CIF), dft/")
    )
    print(f"next: open {out}/report/report.html")
    model = out / "reinforced" if plan.reinforcement else plan.checkpoint or out / "model"
    aimed = plan.constraints or plan.conditions or plan.screen or plan.novel_to
    more = "with the same constraints: more of the same" if aimed else "more of the same"
    print(f"      matgen sample -n 100000 --model {model}     ({more})")
    print("      matgen discover --dataset mine.csv            (with a model of your own compounds)")


def _named(row: Mapping[Any, Any]) -> str:
    """A formula, with its rarest oxidation state where that is rare."""
    from matgen.validity import RARE

    return f"{row['formula']} ({row['rarest_state']}!)" if row["rarest_state_share"] < RARE else str(row["formula"])


def _structures(arguments: argparse.Namespace) -> int:
    """How many candidates get structures; by default none where the packages for it are missing."""
    from matgen.dft.formats import require_format
    from matgen.discovery import missing_for_structures

    require_format(arguments.dft_format)
    if arguments.structures is not None:
        if arguments.structures < 0:
            raise OptionError(f"--structures is {arguments.structures}, it must be 0 or more")
        return int(arguments.structures)
    if missing := missing_for_structures():
        say(arguments, f"no structures will be made: {missing} is missing, pip install 'matgen[structures]'")
        return 0
    return _STRUCTURES


def _finish(arguments: argparse.Namespace) -> Finish | None:
    """Which structures get a second potential; None where its package is missing."""
    from matgen.discovery import missing_for_structures
    from matgen.structures.finish import Finish

    if arguments.finish_top < 0:
        raise OptionError(f"--finish-top is {arguments.finish_top}, it must be 0 (none) or more")
    if arguments.finish_top == 0 or missing_for_structures():
        return None
    finish = Finish.if_installed(top=arguments.finish_top)
    if finish is None:
        say(arguments, "no second potential: sevenn is missing, pip install 'matgen[structures]'")
    return finish


def _print_structures(made: Any, finish: Finish | None) -> None:
    """The structures on the terminal, lowest above the hull first, those that were finished before the others."""
    import pandas as pd

    above = "energy_above_hull_chgnet"
    finished = None if finish is None else f"energy_above_hull_{column_suffix(finish.potential)}"
    further = "" if finish is None else f", the first {finish.top} further by {finish.potential} (!: they disagree)"
    print(f"\nrelaxed by chgnet{further}; eV/atom above the hull (predicted from the composition alone):")
    for row in made.sort_values([*([] if finished is None else [finished]), above]).to_dict("records"):
        if isinstance(row["structure_id"], str):
            predicted = row.get("energy_above_hull")
            in_brackets = "" if predicted is None else f" ({predicted:.3f})"
            if pd.notna(row[above]):
                second = "" if finished is None else f" {_of_second(row, finished)}"
                print(f"  {row['formula']:<16} {row[above]:7.3f}{second}{in_brackets}  {row['template']}")
            else:
                print(f"  {row['formula']:<16}       -  {row['energy_reason']}")
        else:
            print(f"  {row['formula']:<16}       -  {row['structure_reason']}")


def _of_second(row: dict[str, Any], above: str) -> str:
    """The second potential's energy above the hull, marked where it disagrees with the first."""
    import pandas as pd

    if pd.isna(row[above]):
        return f"{'-':>7} "
    disagree = row["potentials_disagree"]
    return f"{row[above]:7.3f}" + ("!" if pd.notna(disagree) and disagree else " ")
