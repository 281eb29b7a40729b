"""matgen tinker: what could take an element's place in a formula."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import TABLES, claim_output, require_checkpoint, require_references, shown
from matgen.cli.options import device_option, model_option, n_mc_option, pick_device
from matgen.cli.shared import bars, common_options, say, verb

if TYPE_CHECKING:
    import pandas as pd

    from matgen.sampling.tinkering.ranking import Tinkered
    from matgen.sampling.tinkering.request import TinkerRequest

LISTED = 10
"""Rows, and elements of a blank, that are printed."""

_WIDEST = 60


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "tinker",
        run,
        "rank what could replace an element of a formula, by probability",
        "matgen tinker SrTiO3 --mask Sr --exclude radioactive",
        "matgen tinker '_ Ti O3' --top 20",
        "matgen tinker SrTiO3 --mask Sr --dope 1/8",
        begin=begin,
    )
    parser.add_argument(
        "formula",
        help="such as SrTiO3; or with blanks, such as '_ Ti O3': _ is one atom, _3 three atoms of one element",
    )
    change = parser.add_argument_group("what to change (where no blank is written)")
    change.add_argument(
        "--mask",
        action="append",
        metavar="SITE",
        help="element to replace, or its position in order of electronegativity (in SrTiO3, 1 is Sr and 3 is O); "
        "separate several by commas, or repeat the option",
    )
    change.add_argument(
        "--dope",
        metavar="SHARE",
        help="replace only this share of the one masked site, such as 0.125 or 1/8; "
        "probabilities are those of replacing all of it",
    )
    change.add_argument("--insert", type=int, metavar="N", help="add N atoms of one more element")
    change.add_argument("--delete", action="store_true", help="leave out each element in turn")
    fill = parser.add_argument_group("what may fill a blank")
    fill.add_argument("--within", metavar="A-B-C", help="only these elements; groups may be named")
    fill.add_argument("--exclude", metavar="A,GROUP", help="none of these: elements, or lanthanides, toxic ...")
    model_option(parser)
    n_mc_option(parser)
    parser.group("output").add_argument("--top", type=int, metavar="N", help="rows to write (default: all)")
    parser.group("judging").add_argument(
        "--novel-to",
        action="append",
        metavar="NAME",
        help="dataset or file that novelty refers to; may be repeated (default: hybrid)",
    )
    device_option(parser)
    common_options(parser, out="tinker.csv", seed=False)
    parser.common("--mask", "--dope", "--exclude", "--model", "--top", "--out")


def begin(arguments: argparse.Namespace) -> str:
    """Find the checkpoint, and where the rows go."""
    checkpoint = require_checkpoint(arguments.model)
    require_references(arguments.novel_to or ())
    arguments.out = claim_output(arguments.out, "tinker.csv", force=arguments.force, suffixes=TABLES)
    return f"changing {arguments.formula} by {checkpoint} into {shown(arguments.out)}"


def tinker_request_of(arguments: argparse.Namespace) -> TinkerRequest:
    """What to change, as the options say.

    Raises:
        FormulaError: the formula cannot be read.
        OptionError: a value makes no sense, two contradict each other, or there is nothing to compare.
    """
    from matgen.sampling.tinkering.request import TinkerRequest

    request = TinkerRequest(
        arguments.formula,
        mask=tuple(arguments.mask or ()),
        insert=arguments.insert,
        delete=arguments.delete,
        dope=arguments.dope,
        within=arguments.within,
        exclude=arguments.exclude,
        n_mc=arguments.n_mc,
        novel_to=tuple(arguments.novel_to or ("hybrid",)),
    )
    _ = request.variants  # what cannot be is refused before a model is opened
    return request


def run(arguments: argparse.Namespace) -> None:
    """Rank the ways of changing a formula."""
    request = tinker_request_of(arguments)
    from matgen.io.files import next_free
    from matgen.models.locate import find_checkpoint
    from matgen.sampling import Sampler
    from matgen.sampling.tinkering.ranking import tinker_to_file

    folder = find_checkpoint(arguments.model)
    out = arguments.out or next_free(Path("tinker.csv"))
    say(arguments, str(request))
    sampler = Sampler(folder, device=pick_device(arguments.device), precision="fp32")
    tinkered = tinker_to_file(sampler, request, out, top=arguments.top, force=arguments.force, progress=bars(arguments))
    if not arguments.quiet:
        print("\n".join(_ranking(tinkered.frame) + _blanks(tinkered)), flush=True)
    say(arguments, "; ".join(_remarks(tinkered)))


def _ranking(frame: pd.DataFrame) -> list[str]:
    """The first rows, and that of the compound itself, as lines of text."""
    fills = [name for name in frame.columns if name.startswith(("fill_", "deleted"))]
    rows = [["", *fills, "formula", "probability", "valid", "novel", "oxidation states, or what stands in the way"]]
    for place, row in frame[(frame.index < LISTED) | frame["original"]].iterrows():
        why = str(
            (row["oxidation_states"] if row["valid"] else row["reason"]) or "too many atoms to show an assignment"
        )
        rows.append(
            [
                f"{int(str(place)) + 1:,}",
                *row[fills],
                row["formula"] + (" (itself)" if row["original"] else ""),
                f"{100 * row['probability']:.2f} %",
                "yes" if row["valid"] else "no",
                "yes" if row["novel"] else "no",
                why if len(why) <= _WIDEST else why[: _WIDEST - 1] + "…",
            ]
        )
    right = {0, len(fills) + 2}
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _blanks(tinkered: Tinkered) -> list[str]:
    """The elements of each blank, where there are several."""
    if len(tinkered.positions) < 2:
        return []
    lines = [""]
    for i, position in enumerate(tinkered.positions, 1):
        best = ", ".join(f"{symbol} {100 * p:.1f} %" for symbol, p in list(position.items())[:LISTED])
        lines.append(f"fill_{i}: {best}{' ...' if len(position) > LISTED else ''}")
    return lines


def _remarks(tinkered: Tinkered) -> list[str]:
    summary = tinkered.summary
    ways = summary["completions"]
    remarks = [f"{ways:,} way{'s' * (ways != 1)}" + (f", {summary['rows']:,} written" * (summary["rows"] < ways))]
    if summary["original_rank"]:
        share = f"{100 * summary['original_probability']:.2f} %"
        remarks.append(f"the compound itself is number {summary['original_rank']:,} with {share}")
    if summary["too_long"]:
        remarks.append(f"{summary['too_long']:,} are longer than the model reads")
    if summary["impossible"] > summary["too_long"]:
        remarks.append(
            f"{summary['impossible'] - summary['too_long']:,} are of a length that the model has not learned"
        )
    if summary["dope"] and not summary["in_domain"] and summary["completions"] > 1:
        remarks.append("every cell is larger than what the model has learned from, so take log_prob with care")
    return remarks
