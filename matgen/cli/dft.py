"""matgen dft: a campaign from a ranking to DFT energies; run exported calculations, and collect what came out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.beginning import TABLES, claim_output, require_folder, require_input, shown
from matgen.cli.export import calculation_options
from matgen.cli.options import column_option
from matgen.cli.parser import Parser, one_of
from matgen.cli.shared import INTERRUPTED, bars, common_options, path, say
from matgen.dft.codes import CODES
from matgen.dft.settings import MANIFEST
from matgen.errors import unknown_name


def add(verbs: Any) -> None:
    """Add the verb's parsers."""
    parser: Parser = verbs.add_parser(
        "dft",
        help="calculate ranked candidates by DFT in one command; run exported calculations and collect the results",
        description="Calculate ranked candidates by DFT in one command (campaign), or run exported calculations with "
        "an installed code (run) and collect the results (collect).",
        epilog="example: matgen dft campaign ranked.csv --top 20 --engine gpaw --out campaign/\n"
        "         matgen dft run dft/ --engine gpaw\n         matgen dft collect dft/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP", parser_class=Parser)
    running = steps.add_parser(
        "run",
        help="run the calculations that are not done yet",
        description="Run the calculations that are not done yet.",
    )
    running.add_argument("folder", type=path, help="folder that `matgen export` wrote")
    running.add_argument("--engine", required=True, metavar="NAME", help=one_of(CODES))
    running.add_argument(
        "--command",
        metavar="TEXT",
        help="command to run in each folder instead of the code's own, such as 'mpirun -n 4 pw.x -in pw.in'",
    )
    running.add_argument("--hours", type=float, metavar="H", help="hours after which a calculation is stopped")
    running.add_argument(
        "--workers", type=int, default=1, metavar="N", help="calculations to run in parallel (default: 1)"
    )
    running.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler, such as tcp://host:8786")
    running.add_argument("--retry-failed", action="store_true", help="run failed calculations again")
    running.rename("--again", "--retry-failed")
    running.add_argument("--quiet", action="store_true", help="print errors only")
    running.common("--engine", "--workers", "--hours", "--command", "--retry-failed")
    running.set_defaults(run=run, begin=_begin_run)
    _add_campaign(steps)
    collecting = steps.add_parser(
        "collect", help="collect all results in one table", description="Collect all results in one table."
    )
    collecting.add_argument("folder", type=path, help="folder that `matgen export` wrote")
    common_options(collecting, out="FOLDER/results.csv", seed=False)
    collecting.set_defaults(run=collect, begin=_begin_collect)


def _add_campaign(steps: Any) -> None:
    """Add the parser of a campaign."""
    parser: Parser = steps.add_parser(
        "campaign",
        help="structures, references, calculations and a report of the first candidates of a table",
        description="Structures, references, calculations and a report of the first candidates of a table. Run again "
        "with the same options, it resumes.",
        epilog="example: matgen dft campaign ranked.csv --top 20 --engine gpaw --out campaign/\n"
        "         matgen dft campaign structures/ --engine espresso --pseudopotentials SSSP/ --workers 4 --hours 12",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "candidates", type=path, help="table with formulas, best first, or a folder that `matgen structure` wrote"
    )
    parser.group("calculation").add_argument("--engine", required=True, metavar="NAME", help=one_of(CODES))
    column_option(parser)
    parser.group("which compositions").add_argument(
        "--top", type=int, default=20, metavar="N", help="candidates to take from the top (default: 20)"
    )
    parser.group("structures").add_argument(
        "--max-atoms",
        type=int,
        default=12,
        metavar="N",
        help="most atoms in a candidate's primitive cell; competing phases may have twice as many (default: 12)",
    )
    parser.group("structures").add_argument(
        "--per-formula",
        type=int,
        default=5,
        metavar="N",
        help="structures to relax for each composition; the lowest is calculated (default: 5)",
    )
    parser.group("structures").add_argument(
        "--potential", default="chgnet", metavar="NAME", help="potential that relaxes the structures (default: chgnet)"
    )
    parser.group("structures").add_argument(
        "--finish",
        metavar="NAME",
        help="potential that relaxes the lowest ones further, or none (default: that of `matgen structure`, if it is "
        "installed)",
    )
    calculation_options(parser)
    parser.group("calculation").add_argument(
        "--magnetic-orders",
        type=int,
        default=2,
        metavar="N",
        help="calculations of each structure with magnetic atoms: the ferromagnetic one, and antiferromagnetic ones "
        "(default: 2; 1 is ferromagnetic only)",
    )
    parser.group("computation").add_argument(
        "--workers", type=int, default=1, metavar="N", help="calculations at once (default: 1)"
    )
    parser.group("computation").add_argument(
        "--hours",
        type=float,
        metavar="H",
        help="hours of this call; what runs then is stopped, and run again by the next call",
    )
    parser.group("computation").add_argument(
        "--hours-each", type=float, metavar="H", help="hours after which a calculation is stopped and counts as failed"
    )
    parser.group("computation").add_argument(
        "--command", metavar="TEXT", help="command to run in each folder instead of the code's own"
    )
    parser.group("computation").add_argument(
        "--retry-failed", action="store_true", help="run failed calculations again"
    )
    parser.group("output").add_argument(
        "--dry-run", action="store_true", help="say how many calculations and atoms there would be, and write nothing"
    )
    parser.group("output").add_argument(
        "--out", type=path, default=Path("campaign"), metavar="PATH", help="folder of the campaign (default: campaign)"
    )
    parser.group("output").add_argument("--quiet", action="store_true", help="print errors only")
    parser.common("--engine", "--top", "--max-atoms", "--workers", "--hours", "--out")
    parser.set_defaults(run=campaign, begin=_begin_campaign)


def _begin_run(arguments: argparse.Namespace) -> str:
    """Find the calculations."""
    folder = require_folder(arguments.folder, MANIFEST, "matgen export")
    if arguments.engine not in CODES:
        raise unknown_name("engine", arguments.engine, CODES)
    return f"running {folder} with {arguments.engine}, {arguments.workers} at once"


def _begin_campaign(arguments: argparse.Namespace) -> str:
    """Find the candidates."""
    candidates = require_input(arguments.candidates)
    if arguments.engine not in CODES:
        raise unknown_name("engine", arguments.engine, CODES)
    if arguments.pseudopotentials is not None:
        require_input(arguments.pseudopotentials)
    return f"campaign by {arguments.engine} of the first {arguments.top:,} of {candidates}, in {shown(arguments.out)}/"


def _begin_collect(arguments: argparse.Namespace) -> str:
    """Find the calculations, and where their table goes."""
    folder = require_folder(arguments.folder, MANIFEST, "matgen export")
    default = arguments.folder / "results.csv"
    arguments.out = claim_output(arguments.out, default, force=arguments.force, suffixes=TABLES)
    return f"collecting the results of {folder} into {shown(arguments.out)}"


def _finish(arguments: argparse.Namespace) -> str | None:
    """The potential that relaxes structures further: as asked for, or by default where that is installed."""
    from matgen.structures.finish import Finish

    if arguments.finish is not None:
        return None if arguments.finish == "none" else str(arguments.finish)
    finish = Finish.if_installed()
    return None if finish is None or finish.potential == arguments.potential else finish.potential


def campaign(arguments: argparse.Namespace) -> int:
    """Carry a campaign on; 1 where a calculation failed or is still to be run."""
    from matgen.dft.campaign import CampaignPlan, run_campaign
    from matgen.dft.campaign.steps import dry_run
    from matgen.dft.run import RunSettings
    from matgen.dft.settings import DFTSettings

    settings = DFTSettings(
        arguments.calculation,
        arguments.cutoff,
        arguments.kpoint_density,
        pseudopotentials=arguments.pseudopotentials,
        magnetic_orders=arguments.magnetic_orders,
    )
    plan = CampaignPlan(arguments.engine, arguments.top, arguments.max_atoms, arguments.per_formula,
                        arguments.potential, _finish(arguments), settings)  # fmt: skip
    running = RunSettings(arguments.command, arguments.hours_each, arguments.workers, again=arguments.retry_failed)
    if arguments.dry_run:
        for line in dry_run(arguments.candidates, arguments.out, plan, column=arguments.column):
            say(arguments, line)
        return 0
    try:
        made = run_campaign(
            arguments.candidates, arguments.out, plan, running, column=arguments.column, hours=arguments.hours,
            tell=lambda text: say(arguments, text), progress=bars(arguments),
        )  # fmt: skip
    except KeyboardInterrupt:
        say(arguments, "matgen dft campaign: interrupted; what is done is kept, the same command goes on")
        return INTERRUPTED
    for row in made.frame[made.frame["energy_above_hull_dft"].notna()].itertuples():
        say(arguments, f"{row.formula}: {row.energy_above_hull_dft:+.3f} eV/atom above the hull by DFT, against "
            f"{row.decomposition_dft}")  # fmt: skip
    content, later = made.content, len(made.summary.later) + len(made.summary.elsewhere)
    told = f"{content['calculations']['done']:,} done, {content['calculations']['failed']:,} failed"
    left = f", {later:,} still to be run (say the same again)" * bool(later)
    say(arguments, f"{told}{left}; stable {content['stable']:,}, within 0.1 eV/atom {content['within_0.1']:,} of "
        f"{content['with_energy_above_hull']:,} candidates with a distance to the hull")  # fmt: skip
    return 1 if later or made.summary.failed else 0


def run(arguments: argparse.Namespace) -> int:
    """Run a folder; 1 where a calculation failed, or is still in another run's hands."""
    from matgen.dft.run import RunSettings, run_folder

    settings = RunSettings(
        arguments.command, arguments.hours, arguments.workers, arguments.scheduler, arguments.retry_failed
    )
    _say_changed(arguments)
    summary = run_folder(arguments.folder, arguments.engine, settings, progress=bars(arguments))
    for id, reason in summary.failed.items():
        say(arguments, f"failed {id}: {reason}")
    done = f"{len(summary.done):,} done" + f" ({len(summary.adopted):,} elsewhere)" * bool(summary.adopted)
    left = f"; {len(summary.elsewhere):,} left alone, still running or cut short" * bool(summary.elsewhere)
    say(arguments, f"{summary.run_now:,} run now; {done}, {len(summary.failed):,} failed{left}")
    return 1 if summary.failed or summary.elsewhere else 0


def collect(arguments: argparse.Namespace) -> None:
    """Write the table of results."""
    from matgen.dft.collect import collect as collect_results
    from matgen.dft.settings import read_manifest
    from matgen.io.files import next_free
    from matgen.io.outputs import claim, write_with_metadata

    read_manifest(arguments.folder)
    out = arguments.out or next_free(Path(arguments.folder) / "results.csv")
    claim(out, force=arguments.force)
    _say_changed(arguments)
    frame = collect_results(arguments.folder)
    counts = frame["state"].value_counts().to_dict()
    write_with_metadata(out, frame, {"states": counts})
    calculated = frame.loc[frame["formation_energy_dft"].notna() & (frame["role"] != "element")]
    for row in calculated.itertuples():
        say(arguments, f"{row.structure_id}: formation energy {row.formation_energy_dft:.3f} eV/atom")
    for row in frame[frame["reason"] != ""].itertuples():
        say(arguments, f"{row.structure_id}: {row.reason}")
    told_counts = ", ".join(f"{counts.get(state, 0)} {state}" for state in ("done", "failed", "waiting"))
    say(arguments, f"{told_counts}; {shown(out)}")


def _say_changed(arguments: argparse.Namespace) -> None:
    """Name the files that a user has changed since the export; the results are of these."""
    from matgen.dft.settings import changed_inputs

    changed = changed_inputs(arguments.folder)
    if changed:
        more = f" and {len(changed) - 3:,} more" if len(changed) > 3 else ""
        say(arguments, f"note: changed since the export: {', '.join(changed[:3])}{more}")
