"""matgen sample: from a checkpoint to candidates."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import (
    TABLES,
    claim_output,
    is_alone,
    require_checkpoint,
    require_predictors,
    require_references,
    shown,
)
from matgen.cli.options import (
    condition_option,
    constraint_options,
    decoding_options,
    device_option,
    keeping_options,
    model_option,
    pick_device,
    request_of,
)
from matgen.cli.shared import bars, common_options, path, say, verb
from matgen.errors import OptionError

if TYPE_CHECKING:
    from matgen.prediction.screening import Screen
    from matgen.runtime.processes import Processes
    from matgen.sampling import SampleRequest

WHY_STOPPED = {
    "reached": "",
    "budget": " (stopped at --max-draws)",
    "time": " (stopped at --max-minutes)",
    "exhausted": " (all that exist under the constraints)",
}


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "sample",
        run,
        "draw hypothetical compositions, optionally under constraints",
        "matgen sample -n 1000 --contains Li-O --exclude toxic --valid --unique --novel-to hybrid",
        "matgen sample -n 1000000 --out candidates.parquet",
        "matgen sample -n 500 --anonymous-formula ABC3 --temperature 0.8",
        begin=begin,
    )
    parser.group("which rows are kept (-n then counts those)").add_argument(
        "-n", type=int, default=10_000, help="compositions to draw (default: 10000)"
    )
    model_option(parser)
    decoding_options(parser)
    parser.group("decoding").add_argument(
        "--prompt", default="", metavar="'Li Fe'", help="tokens that every formula begins with"
    )
    condition_option(parser)
    parser.group("decoding").add_argument(
        "--trace", action="store_true", help="write the steps of each draw (blank language models only)"
    )
    constraint_options(parser)
    group = keeping_options(parser)
    group.add_argument(
        "--predictor",
        action="append",
        type=path,
        metavar="FOLDER",
        help="predictor to screen by, instead of a bundled one",
    )
    group.add_argument(
        "--source",
        help="database whose labels the predictors were trained on: oqmd or mp (default: oqmd if there is one)",
    )
    group.add_argument("--max-minutes", type=float, metavar="M", help="stop after this many minutes")
    parser.group("which rows are kept (-n then counts those)").add_argument(
        "--top", type=int, metavar="N", help="list the N most probable compositions instead of sampling"
    )
    parser.group("computation").add_argument(
        "--batch-size", type=int, help="distinct prefixes held at once (default: 8192; on a GPU 262144)"
    )
    parser.group("computation").add_argument(
        "--block-size", type=int, metavar="N", help="samples per block (default: by n)"
    )
    parser.group("computation").add_argument(
        "--precision", default="auto", help="auto, bf16 or fp32 (default: bf16 where built in)"
    )
    device_option(parser)
    parser.group("output").add_argument("--resume", action="store_true", help="resume an interrupted file")
    common_options(parser, out="candidates.csv")
    parser.common("-n", "--model", "--contains", "--valid", "--novel-to", "--out")


def begin(arguments: argparse.Namespace) -> str:
    """Find the checkpoint and all else that drawing needs, and where the rows go."""
    checkpoint = require_checkpoint(arguments.model)
    require_predictors(arguments.predictor or ())
    require_references(arguments.novel_to or ())
    listing = arguments.top is not None
    default = Path("most_probable.csv" if listing else "candidates.csv")
    if arguments.resume and arguments.out is None:
        arguments.out = _unfinished_sample()
    named = arguments.out is not None
    out = claim_output(arguments.out, default, force=arguments.force, resume=arguments.resume, suffixes=TABLES)
    if named or is_alone():
        arguments.out = out
    if listing:
        return f"listing the {arguments.top:,} most probable compositions of {checkpoint} into {shown(out)}"
    return f"drawing {arguments.n:,} compositions from {checkpoint} into {shown(out)}"


def run(arguments: argparse.Namespace) -> None:
    """Draw candidates into a file."""
    from matgen.runtime.processes import Processes

    screen = screen_of(arguments)
    request = sample_request_of(arguments, screen)
    processes = Processes()
    try:
        _sample(arguments, request, processes, screen)
    finally:
        processes.close()


def sample_request_of(arguments: argparse.Namespace, screen: Screen | None) -> SampleRequest:
    """What to draw, as the options say; raises as `request_of`."""
    return request_of(
        arguments,
        screen.describe() if screen else "",
        prompt=arguments.prompt,
        trace=arguments.trace,
        max_minutes=arguments.max_minutes,
        block_size=arguments.block_size,
    )


def screen_of(arguments: argparse.Namespace) -> Screen | None:
    """The filter of predicted properties that the options ask for, or None.

    Raises:
        OptionError: a condition that cannot be read, or predictors to screen by and no condition.
        CheckpointError: a folder that is no predictor.
    """
    if arguments.screen is None:
        if arguments.predictor or arguments.source:
            raise OptionError("--predictor and --source say what to screen by: add --screen")
        return None
    from matgen.prediction.screening import Screen

    return Screen(arguments.screen, arguments.predictor or (), arguments.source)


def _sample(arguments: argparse.Namespace, request: SampleRequest, processes: Processes, screen: Screen | None) -> None:
    from matgen.io.files import next_free
    from matgen.models.locate import find_checkpoint
    from matgen.sampling import Sampler, sample_to_file

    arguments.quiet |= not processes.is_main
    folder = find_checkpoint(arguments.model)
    sampler = Sampler(
        folder,
        device=processes.device(pick_device(arguments.device)),
        precision=arguments.precision,
        width=arguments.batch_size,
        accept=screen,
    )
    if arguments.top is not None:
        if processes.is_main:
            _list_most_probable(arguments, sampler, request)
        return
    out = arguments.out or (
        _unfinished_sample() if arguments.resume else processes.broadcast(next_free(Path("candidates.csv")))
    )
    metadata = sample_to_file(
        sampler,
        request,
        out,
        resume=arguments.resume,
        force=arguments.force,
        progress=bars(arguments),
        processes=processes,
    )
    drawn = metadata["tally"]["drawn"]
    kept = "" if drawn == metadata["rows"] else f" of {drawn:,} drawn"
    kept += WHY_STOPPED[metadata["stopped"]]
    say(
        arguments,
        f"{metadata['rows']:,} rows{kept}, {metadata['formulas_per_second']:,.0f} draws/s. "
        f"Next: matgen evaluate {shown(out)}",
    )


def _list_most_probable(arguments: argparse.Namespace, sampler: Any, request: Any) -> None:
    from matgen.io.files import next_free
    from matgen.sampling import Decoding
    from matgen.sampling.best_first import list_to_file

    names = ("unique", "novel_to", "prompt", "rejection", "trace", "conditions", "screen", "most_draws", "max_minutes")
    drawing = arguments.resume or any(getattr(request, name) for name in names)
    if drawing or request.decoding != Decoding():
        raise OptionError("--top lists the model's most probable compositions: it takes constraints and nothing else")
    out = arguments.out or next_free(Path("most_probable.csv"))
    listed = list_to_file(
        sampler.checkpoint,
        arguments.top,
        out,
        constraints=request.constraints,
        force=arguments.force,
        progress=bars(arguments),
    )
    say(
        arguments,
        f"{len(listed.frame):,} compositions hold {100 * listed.mass_listed:.2f} % of the probability; "
        f"at most {100 * listed.mass_not_listed:.2f} % is not listed",
    )


def _unfinished_sample() -> Path:
    parts = sorted(Path().glob("candidates*.parts"), key=lambda path: path.stat().st_mtime)
    if not parts:
        raise OptionError("nothing to resume here: name the file by --out")
    return parts[-1].with_suffix("")
