"""matgen screen: keep candidates that satisfy conditions, at most so many of a family."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.beginning import TABLES, claim_output, require_input, shown
from matgen.cli.options import column_option, pareto_option
from matgen.cli.shared import common_options, path, say, verb


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "screen",
        run,
        "filter candidates by cost, abundance, toxicity or any column; limit each family",
        "matgen screen predicted.csv --where 'cost < 50 and toxic = 0 and energy_above_hull < 0.1' --max-per-system 3",
        "matgen screen candidates.csv --max-per-system 1 --family anonymous_formula",
        "matgen screen ranked.csv --pareto energy_above_hull,cost,novelty",
        begin=begin,
    )
    parser.add_argument(
        "candidates",
        type=path,
        help="table of formulas (CSV, Excel, Parquet, JSON, text ...), a folder of them, or - for standard input",
    )
    column_option(parser)
    parser.group("which rows are kept").add_argument(
        "--where",
        metavar="CONDITION",
        help="condition on columns of the file and on these, which are added: cost (US dollars per kilogram), "
        "crustal_abundance (mg/kg, of the least abundant element), hhi_production, hhi_reserve (0 to 10,000), toxic, "
        "radioactive (0 or 1); such as 'cost < 50 and (source == \"exp\" or toxic == false)'",
    )
    parser.group("which rows are kept").add_argument(
        "--max-per-system", type=int, metavar="N", help="most rows of one family, see --family (default: all)"
    )
    parser.rename("--per-family", "--max-per-system")
    parser.group("which rows are kept").add_argument(
        "--family",
        default="chemical_system",
        metavar="NAME",
        help="chemical_system or anonymous_formula (default: chemical_system)",
    )
    pareto_option(parser, "keep only rows that no other row beats in all of these columns")
    common_options(parser, out="screened.csv", seed=False)
    parser.common("--where", "--max-per-system", "--pareto", "--column", "--out", "--force")


def begin(arguments: argparse.Namespace) -> str:
    """Find the table, and where the rows go."""
    table = require_input(arguments.candidates)
    arguments.out = claim_output(arguments.out, "screened.csv", force=arguments.force, suffixes=TABLES)
    return f"screening {table} into {shown(arguments.out)}"


def run(arguments: argparse.Namespace) -> None:
    """Screen a file."""
    from matgen.io.files import next_free
    from matgen.screening import screen_file

    out = arguments.out or next_free(Path("screened.csv"))
    screened = screen_file(
        arguments.candidates,
        out,
        column=arguments.column,
        where=arguments.where,
        max_per_system=arguments.max_per_system,
        family=arguments.family,
        pareto=arguments.pareto,
        force=arguments.force,
    )
    summary = screened.summary
    failed = "".join(f"; {n:,} do not satisfy {condition}" for condition, n in summary["fail"].items() if n)
    beaten = f"; {summary['beyond_front']:,} not on the Pareto front" * bool(summary["beyond_front"])
    beyond = f"; {summary['beyond_family']:,} beyond the cap of their family" * bool(summary["beyond_family"])
    kept = f"{summary['kept']:,} of {summary['rows']:,} rows kept"
    say(arguments, f"{kept}, into {shown(out)}{failed}{beaten}{beyond}{screened.unreadable}")
