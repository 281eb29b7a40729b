"""matgen check: one formula at a time, in words."""

from __future__ import annotations

import argparse
from typing import Any

from matgen.cli.options import judging_options, rules_of
from matgen.cli.shared import verb


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "check",
        run,
        "explain whether a formula is charge neutral and electronegativity balanced",
        "matgen check Fe3O4 --mixed-valence",
        "matgen check LiFePO4",
    )
    parser.add_argument("formulas", nargs="+", metavar="FORMULA", help="such as Fe3O4 or 'Ca(OH)2'")
    judging_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a paragraph a formula; returns 2 where one of them cannot be read."""
    from matgen.composition.batch import parse_formulas
    from matgen.evaluation.page.explanation import check_in_words

    print("\n\n".join(check_in_words(arguments.formulas, rules_of(arguments))))
    return 2 if parse_formulas(arguments.formulas).bad else 0
