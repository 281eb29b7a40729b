"""matgen push: a checkpoint to the Hugging Face Hub."""

from __future__ import annotations

import argparse
from typing import Any

from matgen.cli.shared import say, verb


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "push",
        run,
        "upload a checkpoint to the Hugging Face Hub",
        "matgen push runs/gptj organization/name",
        "matgen sample -n 10000 --model organization/name",
    )
    parser.add_argument("model", metavar="CHECKPOINT", help="folder, or name of a bundled checkpoint")
    parser.add_argument("name", metavar="ORGANIZATION/NAME", help="repository on the Hub, made if it does not exist")
    parser.add_argument("--private", action="store_true", help="hide a new repository from others")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(arguments: argparse.Namespace) -> None:
    """Upload a checkpoint."""
    from matgen.models.hub import push
    from matgen.models.locate import bundled_checkpoints

    folder = bundled_checkpoints().get(arguments.model, arguments.model)
    say(arguments, f"uploading {arguments.model} to {arguments.name}")
    address = push(folder, arguments.name, private=arguments.private)
    say(arguments, f"uploaded: {address}. Next: matgen sample -n 10000 --model {arguments.name}")
