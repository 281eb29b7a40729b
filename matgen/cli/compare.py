"""matgen compare: reports side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.beginning import claim_output, require_input, shown
from matgen.cli.shared import common_options, path, say, verb
from matgen.io.places import COMPARISON_FILES


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "compare",
        run,
        "compare reports side by side",
        "matgen compare report-a/ report-b/ --out comparison/",
        begin=begin,
    )
    parser.add_argument("reports", nargs="+", type=path, metavar="REPORT", help="folders that `matgen evaluate` wrote")
    common_options(parser, out="comparison", seed=False)


def begin(arguments: argparse.Namespace) -> str:
    """Find the reports, and where their comparison goes."""
    names = [require_input(one) for one in arguments.reports]
    arguments.out = claim_output(arguments.out, "comparison", force=arguments.force, files=COMPARISON_FILES)
    return f"comparing {', '.join(names)} into {shown(arguments.out)}/"


def run(arguments: argparse.Namespace) -> None:
    """Compare the reports and print the table."""
    from matgen.evaluation.comparison import compare
    from matgen.evaluation.page.terminal import print_comparison
    from matgen.io.files import next_free

    out = arguments.out or next_free(Path("comparison"))
    comparison = compare(arguments.reports, out=out, force=arguments.force)
    if not arguments.quiet:
        print_comparison(comparison.content)
        say(arguments, f"open {shown(out)}/compare.html")
