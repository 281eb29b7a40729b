"""matgen check: one formula at a time, in words."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from matgen.cli.options import judging_options, rules_of
from matgen.cli.shared import verb
from matgen.errors import FormulaError

_STATUS = """Each formula is answered, in order. The exit status is 0 where all of them could be
read, valid or not, and 2 where one of them could not."""


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "check",
        run,
        "explain whether formulas are charge neutral and electronegativity balanced",
        "matgen check Fe3O4 --mixed-valence",
        "matgen check LiFePO4 'Ca(OH)2' 'SiO2 (quartz)'",
        "matgen check --weight-percent Ti-6Al-4V Fe-18Cr-8Ni",
    )
    parser.description = f"{parser.description}\n\n{_STATUS}"
    parser.add_argument(
        "formulas", nargs="+", metavar="FORMULA", help="such as Fe3O4 or 'Ca(OH)2'; - reads lines of the standard input"
    )
    parser.add_argument(
        "--weight-percent",
        action="store_true",
        help="the formulas are alloys in weight per cent, such as Ti-6Al-4V: convert them to atomic fractions first",
    )
    judging_options(parser)
    parser.common("--weight-percent", "--mixed-valence", "--include-alloys", "--oxidation-states")


def run(arguments: argparse.Namespace) -> int:
    """Print a paragraph a formula.

    Raises:
        FormulaError: a formula cannot be read; the others have been answered by then.
    """
    from matgen.composition.batch import parse_formulas
    from matgen.evaluation.page.explanation import check_in_words

    formulas = _given(arguments.formulas)
    paragraphs = []
    if arguments.weight_percent:
        from matgen.composition.alloys import from_weight_percent

        alloys = [from_weight_percent(text) for text in formulas]
        paragraphs = [str(alloy) for alloy in alloys]
        formulas = [alloy.formula for alloy in alloys]
    print("\n\n".join([*paragraphs, *check_in_words(formulas, rules_of(arguments))]), flush=True)
    bad = parse_formulas(formulas).bad
    if bad:
        several = f"{len(bad)} of {len(formulas)} formulas cannot be read, the first: " if len(formulas) > 1 else ""
        raise FormulaError(f"{several}{bad[0]}")
    return 0


def _given(texts: list[str]) -> list[str]:
    """The formulas of the command line, those of the standard input in place of a `-`."""
    formulas: list[str] = []
    for text in texts:
        formulas += [line.strip() for line in sys.stdin if line.strip()] if text == "-" else [text]
    if not formulas:
        raise FormulaError("no formula on the standard input: write one a line")
    return formulas
