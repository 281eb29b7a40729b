"""`matgen lift evaluate --drawn`: drawn rows beside the table that their model learned."""

from __future__ import annotations

import argparse

from matgen.cli.lift_options import chosen, pairs
from matgen.cli.parser import Parser
from matgen.cli.shared import path
from matgen.errors import OptionError


def drawn_options(parser: Parser) -> None:
    """Add the options of the comparison."""
    drawn = parser.group("drawn rows")
    drawn.add_argument(
        "--drawn",
        type=path,
        metavar="FILE",
        help="compare these rows, drawn by any model of --table, with it: distributions, relations, a forest that "
        "tells them apart, closest records, membership inference",
    )
    drawn.add_argument(
        "--held-out",
        type=path,
        metavar="FILE",
        help="with --drawn: rows of the same table that the model did not learn from, as a baseline; needed for "
        "membership inference, and for --target, which a forest then learns from drawn rows",
    )
    drawn.add_argument(
        "--quasi-identifiers",
        nargs="+",
        metavar="NAME",
        help="with --drawn: columns that are known of a row, for k-anonymity",
    )
    drawn.add_argument(
        "--bins", type=int, default=5, help="quantiles that numbers among --quasi-identifiers are cut at (default: 5)"
    )


def compare(arguments: argparse.Namespace) -> None:
    """Compare two or three tables, write the report and print it in words."""
    from matgen.io.files import refuse_to_overwrite, write_json
    from matgen.lift.drawn.comparison import as_text, compared
    from matgen.lift.files import read_any_table

    if not arguments.table:
        raise OptionError("--drawn needs --table, the rows that were learned from")
    if arguments.model or arguments.protocol:
        raise OptionError("--drawn compares tables: leave out --model and --protocol")
    if arguments.target and not arguments.held_out:
        raise OptionError("with --drawn, --target needs --held-out, the rows that it is predicted for")
    refuse_to_overwrite(arguments.out, force=arguments.force)
    report = compared(
        chosen(read_any_table(arguments.table), arguments),
        read_any_table(arguments.drawn),
        read_any_table(arguments.held_out) if arguments.held_out else None,
        quasi_identifiers=arguments.quasi_identifiers or (),
        bins=arguments.bins,
        targets=arguments.target or (),
        column_types=pairs(arguments.column_types),
        seed=arguments.seed,
    )
    files = {name: str(getattr(arguments, name)) for name in ("table", "drawn", "held_out") if getattr(arguments, name)}
    write_json(arguments.out, {**files, "seed": arguments.seed, **report})
    print(as_text(report))
