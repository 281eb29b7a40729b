"""matgen evaluate: from candidates to a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.options import judging_options, reference_options, references_of, rules_of
from matgen.cli.shared import StageBars, common_options, path, say, verb


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "evaluate",
        run,
        "say how many candidates are neutral, balanced, unique, novel, recovered",
        "matgen evaluate candidates.csv --reference hybrid --out report/",
    )
    parser.add_argument("candidates", type=path, help="CSV, Parquet, JSON lines or text file, or a folder of them")
    parser.add_argument("--column", metavar="NAME", help="formula column (default: found by its name)")
    reference_options(parser)
    judging_options(parser)
    parser.add_argument("--no-baselines", action="store_true", help="leave the random baselines out")
    common_options(parser, out="report")


def run(arguments: argparse.Namespace) -> None:
    """Judge candidates and print the summary."""
    from matgen.evaluate import evaluate
    from matgen.evaluate.terminal import print_summary
    from matgen.files import next_free

    rules, references = rules_of(arguments), references_of(arguments)
    out = arguments.out or next_free(Path("report"))
    say(arguments, f"judging {arguments.candidates} against {', '.join(references)} into {out}/")
    bars = StageBars(arguments)
    report = evaluate(
        arguments.candidates,
        references,
        rules=rules,
        protocol=arguments.protocol,
        split=arguments.reference_split,
        column=arguments.column,
        seed=arguments.seed,
        baselines=not arguments.no_baselines,
        out=out,
        force=arguments.force,
        progress=bars,
    )
    bars.close()
    if not arguments.quiet:
        print_summary(report.content)
        say(arguments, f"open {out}/report.html, or read {out}/report.json")
