"""matgen discover: the whole pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import claim_output, require_checkpoint, require_predictors, require_references, shown
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
from matgen.cli.shared import bars, common_options, say, verb
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
        "matgen discover --structures 300 --resume --out discovery",
        begin=begin,
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
    parser.group("output").add_argument(
        "--resume", action="store_true", help="resume the interrupted run of the same options in --out"
    )
    parser.group("output").add_argument(
        "--verbose", action="store_true", help="print all metrics and structures, not only what was found"
    )
    common_options(parser, out="discovery")
    parser.common("-n", "--model", "--contains", "--exclude", "--structures", "--out")


def begin(arguments: argparse.Namespace) -> str:
    """Find the checkpoint and all else that the stages need, and where everything goes."""
    from matgen.dft.formats import require_format
    from matgen.prediction.locate import ranking_predictor

    given = [name for name in _TRAINING if getattr(arguments, name) is not None]
    if arguments.model and given:
        raise OptionError(f"--model takes a trained checkpoint: leave out --{given[0].replace('_', '-')}")
    require_format(arguments.dft_format)
    predictor = ranking_predictor(arguments.predictor)
    require_predictors([] if predictor is None else [predictor])
    require_references([*references_of(arguments), *(arguments.novel_to or ()), *_given_dataset(arguments)])
    start = "a model to be trained" if given else require_checkpoint(arguments.model)
    arguments.out = claim_output(arguments.out, "discovery", force=arguments.force, resume=arguments.resume)
    ranking = "ranked by its probability" if predictor is None else f"ranked by {shown(predictor)}"
    return f"{arguments.n:,} compositions from {start}, {ranking}, into {shown(arguments.out)}/"


def _given_dataset(arguments: argparse.Namespace) -> list[str]:
    """The dataset to train on, where one is named."""
    return [] if arguments.dataset is None else [arguments.dataset]


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline and print what came out of it."""
    from matgen.runtime.processes import leave_cores_to_others

    leave_cores_to_others()
    from matgen.discovery import discover
    from matgen.io.files import next_free

    out = arguments.out or next_free(Path("discovery"))
    plan = plan_of(arguments)
    minutes = plan.training.settings.max_minutes
    if plan.checkpoint is None:
        say(arguments, f"after {minutes:g} minutes of training (--max-minutes)")
    discovery = discover(
        plan,
        out,
        resume=arguments.resume,
        force=arguments.force,
        say=lambda text: say(arguments, text),
        progress=bars(arguments),
    )
    if discovery.report is None:
        raise KeyboardInterrupt  # of the training, which took it for itself; what is kept is said in one place
    if not arguments.quiet:
        _print_discovery(plan, discovery, verbose=arguments.verbose)
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


def _print_discovery(plan: DiscoveryPlan, discovery: Discovery, *, verbose: bool) -> None:
    """What was found, in ten lines at most; `verbose` puts all metrics and structures before them."""
    assert discovery.report is not None
    if verbose:
        _print_tables(plan, discovery)
    for line in closing_lines(plan, discovery):
        print(line)


def _print_tables(plan: DiscoveryPlan, discovery: Discovery) -> None:
    """All metrics, the first of the ranking with their oxidation states, and each structure."""
    from matgen.evaluation.page.terminal import print_summary
    from matgen.validity import RARE

    assert discovery.report is not None
    print_summary(discovery.report.content)
    first = discovery.ranked.head(12)
    print("\nthe first of the ranking: " + ", ".join(_named(row) for row in first.to_dict("records")))
    if len(first) and (first["rarest_state_share"] < RARE).any():
        print(f"  (!: needs an oxidation state with under {RARE:.0%} of its element's reports in the ICSD)")
    if discovery.structures is not None:
        _print_structures(discovery.structures, plan.finish)
    print()


def closing_lines(plan: DiscoveryPlan, discovery: Discovery) -> list[str]:
    """What the terminal ends in: counts, the first of the ranking, the structures in a line, the report, what is next.

    Returns:
        At most ten lines.
    """
    assert discovery.report is not None
    content, out = discovery.report.content, shown(discovery.folder)
    shares = ", ".join(f"{100 * content[name]:.1f} % {name}" for name in ("valid", "novel", "unique"))
    by = "the model's probability" if plan.predictor is None else "stability, oxidation states and novelty"
    first = ", ".join(str(formula) for formula in discovery.ranked["formula"].head(5))
    lines = [
        f"{content['n']:,} compositions: {shares}",
        f"{len(discovery.ranked):,} valid, novel ones, ranked by {by}; first: {first or 'none'}",
    ]
    if discovery.structures is not None:
        lines.append(_structures_in_words(discovery.structures, plan.finish))
    model = out + "/reinforced" if plan.reinforcement else shown(plan.checkpoint or discovery.folder / "model")
    aimed = plan.constraints or plan.conditions or plan.screen or plan.novel_to
    aim = "  (with the same constraints)" if aimed else ""
    inputs = "" if discovery.structures is None else f"; structures/ (CIF) and dft/ ({plan.dft_format} inputs)"
    lines += [
        f"report: {out}/report/report.html (all metrics on the terminal: --verbose)",
        f"files in {out}/: ranked.csv, candidates.csv{inputs}",
        f"next: matgen sample -n 100000 --model {model}{aim}",
    ]
    if len(discovery.ranked):
        lines.append(f"      matgen structure {out}/ranked.csv --top 20")
    return lines


def _structures_in_words(made: Any, finish: Finish | None) -> str:
    """How many of the relaxed structures are near the hull, by the first potential and where there is one by both."""
    from matgen.hull.limits import METASTABLE

    have, near = int(made["structure_id"].notna().sum()), made["energy_above_hull_chgnet"] <= METASTABLE
    within = f"{int(near.sum()):,} within {METASTABLE:g} eV/atom of the hull by chgnet"
    text = f"structures of {have:,} of {len(made):,}: {within}"
    if finish is None:
        return text
    second = made[f"energy_above_hull_{column_suffix(finish.potential)}"]
    both = int((near & (second <= METASTABLE)).sum())
    return f"{text}; of the {int(second.notna().sum()):,} that {finish.potential} relaxed too, {both:,} by both"


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
