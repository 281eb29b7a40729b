"""matgen app: a local web page on the stages."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from matgen.cli.beginning import require_checkpoint
from matgen.cli.options import device_option, model_option, pick_device
from matgen.cli.shared import verb


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "app",
        run,
        "serve a local web page: choose elements, sample, substitute, relax, export",
        "matgen app",
        "matgen app --port 8090 --no-browser",
        begin=begin,
    )
    model_option(parser)
    parser.add_argument(
        "--predictor", metavar="NAME", help="formation-energy predictor: a folder, a bundled name or none"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8080, help="port (default: 8080)")
    parser.add_argument("--format", default="vasp", metavar="NAME", help="format of the DFT inputs (default: vasp)")
    device_option(parser, "cpu, cuda, mps or auto (default: auto)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")


def begin(arguments: argparse.Namespace) -> str:
    """Find checkpoint and predictor, and whether the port is free."""
    from matgen.dft.formats import require_format
    from matgen.prediction.locate import ranking_predictor
    from matgen.runtime.ports import refuse_taken_port

    refuse_taken_port(arguments.host, arguments.port)
    require_format(arguments.format)
    ranking_predictor(arguments.predictor)
    checkpoint = require_checkpoint(arguments.model)
    return f"serving {checkpoint} on http://{arguments.host}:{arguments.port} (Ctrl-C ends it)"


def run(arguments: argparse.Namespace) -> None:
    """Serve the page."""
    from matgen.app.serve import serve
    from matgen.dft.formats import require_format
    from matgen.models.locate import find_checkpoint
    from matgen.prediction.locate import ranking_predictor

    require_format(arguments.format)
    with contextlib.suppress(KeyboardInterrupt):  # how it is ended
        serve(
            find_checkpoint(arguments.model),
            ranking_predictor(arguments.predictor),
            host=arguments.host,
            port=arguments.port,
            device=pick_device(arguments.device),
            dft_format=arguments.format,
            browser=not arguments.no_browser,
        )
