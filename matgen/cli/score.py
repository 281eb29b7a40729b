"""matgen score: log-probabilities of the formulas of a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.beginning import TABLES, claim_output, require_checkpoint, require_input, shown
from matgen.cli.options import column_option, device_option, model_option, n_mc_option, pick_device
from matgen.cli.shared import bars, common_options, path, say, verb


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "score",
        run,
        "compute the log-probability of formulas under a model",
        "matgen score formulas.csv --model runs/gptj --out scored.csv",
        "matgen score formulas.csv --column formula",
        begin=begin,
    )
    parser.add_argument(
        "formulas",
        type=path,
        help="table of formulas (CSV, Excel, Parquet, JSON, text ...), a folder of them, or - for standard input",
    )
    column_option(parser)
    model_option(parser)
    n_mc_option(parser)
    device_option(parser)
    common_options(parser, out="scored.csv", seed=False)
    parser.common("--model", "--column", "--device", "--out", "--force")


def begin(arguments: argparse.Namespace) -> str:
    """Find table and checkpoint, and where the rows go."""
    table, checkpoint = require_input(arguments.formulas), require_checkpoint(arguments.model)
    arguments.out = claim_output(arguments.out, "scored.csv", force=arguments.force, suffixes=TABLES)
    return f"scoring {table} by {checkpoint} into {shown(arguments.out)}"


def run(arguments: argparse.Namespace) -> None:
    """Score a file."""
    from matgen.io.files import next_free
    from matgen.models.locate import find_checkpoint
    from matgen.sampling import Sampler
    from matgen.sampling.scoring import score_file

    folder = find_checkpoint(arguments.model)
    out = arguments.out or next_free(Path("scored.csv"))
    sampler = Sampler(folder, device=pick_device(arguments.device), precision="fp32")
    scored = score_file(
        sampler,
        arguments.formulas,
        out,
        column=arguments.column,
        n_mc=arguments.n_mc,
        force=arguments.force,
        progress=bars(arguments),
    )
    summary = scored.summary
    long = f"; {summary['too_long']:,} are longer than the model" if summary["too_long"] else ""
    if summary["impossible"]:
        long += f"; {summary['impossible']:,} are of a length that the model has not learned"
    if not summary["formulas"]:
        say(arguments, f"no formula fits the model{long}{scored.unreadable}")
        return
    say(
        arguments,
        f"{summary['formulas']:,} formulas, {summary['nats_per_formula']:.3f} nats a formula, "
        f"perplexity {summary['perplexity']:.3f} a token{long}{scored.unreadable}",
    )
    recovery = " and ".join(f"{100 * share:.2f} % in {int(n):,}" for n, share in summary["expected_recovery"].items())
    say(arguments, f"expected to be drawn, at least: {recovery} draws")
