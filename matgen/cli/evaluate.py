"""matgen evaluate: from candidates to a report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import claim_output, require_input, require_references, shown
from matgen.cli.options import column_option, judging_options, pareto_option, reference_options, references_of, rules_of
from matgen.cli.shared import bars, common_options, path, say, verb
from matgen.errors import OptionError
from matgen.io.places import REPORT_FILES

if TYPE_CHECKING:
    from matgen.evaluation import Report


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "evaluate",
        run,
        "measure validity, uniqueness, novelty and recovery of candidates; stability of structures",
        "matgen evaluate candidates.csv --reference hybrid --out report/",
        "matgen evaluate structures/ --out report/",
        "matgen evaluate candidates.csv --protocol published",
        begin=begin,
    )
    parser.add_argument(
        "candidates",
        type=path,
        help="table of formulas (CSV, Excel, Parquet, JSON, text ...), a folder of them, a folder of `matgen "
        "structure`, or - for standard input",
    )
    column_option(parser)
    reference_options(parser)
    judging_options(parser)
    parser.group("structures").add_argument(
        "--reference-structures",
        type=path,
        metavar="FOLDER",
        help="CIF or POSCAR files of known crystals: novelty of structures is reported too",
    )
    pareto_option(parser, "rank candidates first that no other beats in all of these columns of the ranking")
    parser.group("computation").add_argument("--no-baselines", action="store_true", help="skip the random baselines")
    parser.group("computation").add_argument(
        "--scheduler", metavar="ADDRESS", help="a running Dask scheduler whose workers judge, such as tcp://host:8786"
    )
    parser.group("output").add_argument(
        "--verbose", action="store_true", help="print the tables by group, of recovery and of known compounds too"
    )
    common_options(parser, out="report")
    parser.common("--reference", "--column", "--protocol", "--pareto", "--out", "--force")


def begin(arguments: argparse.Namespace) -> str:
    """Find candidates and references, and where the report goes."""
    table = require_input(arguments.candidates)
    require_references(references_of(arguments))
    if arguments.reference_structures is not None:
        require_input(arguments.reference_structures)
    arguments.out = claim_output(arguments.out, "report", force=arguments.force, files=REPORT_FILES)
    references = ", ".join("standard input" if name == "-" else name for name in references_of(arguments))
    return f"judging {table} against {references} into {shown(arguments.out)}/"


def run(arguments: argparse.Namespace) -> None:
    """Judge candidates and print the summary."""
    from matgen.evaluation.page.terminal import print_summary
    from matgen.io.files import next_free

    judge = judging_of(arguments)
    out = arguments.out or next_free(Path("report"))
    report = judge(arguments.candidates, out=out)
    if not arguments.quiet:
        print_summary(report.content, verbose=arguments.verbose)
        say(arguments, f"open {shown(out)}/report.html, or read {shown(out)}/report.json")


def judging_of(arguments: argparse.Namespace) -> Callable[..., Report]:
    """What judges as the options say; it takes the candidates and `out`.

    Raises:
        OptionError: options that contradict each other, or do not go with this input.
    """
    return partial(
        _evaluation(arguments),
        reference=references_of(arguments),
        rules=rules_of(arguments),
        protocol=arguments.protocol,
        split=arguments.reference_split,
        column=arguments.column,
        seed=arguments.seed,
        baselines=not arguments.no_baselines,
        force=arguments.force,
        progress=bars(arguments),
    )


def _evaluation(arguments: argparse.Namespace) -> Callable[..., Report]:
    """What judges this input: compositions alone, or with their structures."""
    # By the file's name alone, so that tables are judged where no structure package is installed.
    if arguments.candidates is not None and (arguments.candidates / "structures.parquet").is_file():
        from matgen.structure_report import evaluate_structures

        if arguments.scheduler is not None:
            raise OptionError("--scheduler goes with tables of compositions, not with a folder of structures")
        if arguments.pareto:
            raise OptionError("--pareto goes with tables of compositions, not with a folder of structures")
        return partial(evaluate_structures, reference_structures=arguments.reference_structures)
    if arguments.reference_structures is not None:
        raise OptionError("--reference-structures goes with a folder that `matgen structure` wrote")
    from matgen.evaluation import evaluate

    return partial(evaluate, scheduler=arguments.scheduler, pareto=arguments.pareto)
