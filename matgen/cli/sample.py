"""matgen sample: from a checkpoint to candidates."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.options import decoding_options, model_option, pick_device
from matgen.cli.shared import bar, common_options, say, shown, verb
from matgen.errors import OptionError


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "sample",
        run,
        "write hypothetical compositions",
        "matgen sample -n 10000 --model runs/gptj --out candidates.csv",
    )
    parser.add_argument("-n", type=int, default=10_000, help="compositions to draw (default: 10000)")
    model_option(parser)
    decoding_options(parser)
    parser.add_argument("--batch-size", type=int, default=2048, help="rows computed at once (default: 2048)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ... (default: auto)")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted file")
    common_options(parser, out="candidates.csv")


def run(arguments: argparse.Namespace) -> None:
    """Draw candidates into a file."""
    from matgen.files import next_free
    from matgen.models.locate import find_checkpoint
    from matgen.sample import Decoding, Sampler, SampleRequest, sample_to_file

    decoding = Decoding(arguments.temperature, arguments.top_k, arguments.top_p)
    request = SampleRequest(arguments.n, arguments.seed, decoding, arguments.batch_size)
    folder = find_checkpoint(arguments.model)
    out = arguments.out or (_unfinished_sample() if arguments.resume else next_free(Path("candidates.csv")))
    say(arguments, f"drawing {arguments.n:,} compositions from {shown(folder)} into {out}")
    sampler = Sampler(folder, device=pick_device(arguments.device))
    metadata = sample_to_file(
        sampler,
        request,
        out,
        resume=arguments.resume,
        force=arguments.force,
        progress=bar(arguments, "sample", "formulas"),
    )
    say(
        arguments,
        f"{metadata['rows']:,} rows, {metadata['formulas_per_second']:,.0f} formulas/s. Next: matgen evaluate {out}",
    )


def _unfinished_sample() -> Path:
    found = sorted(Path().glob("candidates*.parts"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise OptionError("nothing to resume here: name the file by --out")
    return found[-1].with_suffix("")
