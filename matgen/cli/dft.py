"""matgen dft: run exported calculations here, and collect what came out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.shared import Parser, bars, common_options, one_of, path, say
from matgen.dft.codes import CODES


def add(verbs: Any) -> None:
    """Add the verb's parsers."""
    parser: Parser = verbs.add_parser(
        "dft",
        help="run exported calculations with an installed code and collect the results",
        description="Run exported calculations with an installed code and collect the results.",
        epilog="example: matgen dft run dft/ --engine gpaw\n         matgen dft collect dft/",
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
    running.set_defaults(run=run)
    collecting = steps.add_parser(
        "collect", help="collect all results in one table", description="Collect all results in one table."
    )
    collecting.add_argument("folder", type=path, help="folder that `matgen export` wrote")
    common_options(collecting, out="FOLDER/results.csv", seed=False)
    collecting.set_defaults(run=collect)


def run(arguments: argparse.Namespace) -> int:
    """Run a folder; 1 where a calculation failed, or is still in another run's hands."""
    from matgen.dft.run import RunSettings, run_folder

    settings = RunSettings(
        arguments.command, arguments.hours, arguments.workers, arguments.scheduler, arguments.retry_failed
    )
    _say_changed(arguments)
    say(arguments, f"running {arguments.folder} with {arguments.engine}, {settings.workers} at once")
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
    say(arguments, f"{told_counts}; {out}")


def _say_changed(arguments: argparse.Namespace) -> None:
    """Name the files that a user has changed since the export; the results are of these."""
    from matgen.dft.settings import changed_inputs

    changed = changed_inputs(arguments.folder)
    if changed:
        more = f" and {len(changed) - 3:,} more" if len(changed) > 3 else ""
        say(arguments, f"note: changed since the export: {', '.join(changed[:3])}{more}")
