"""matgen push: a checkpoint to the Hugging Face Hub."""

from __future__ import annotations

import argparse
from typing import Any

from matgen.cli.beginning import require_checkpoint
from matgen.cli.shared import say, verb
from matgen.errors import OptionError
from matgen.io.places import bundled_checkpoints, is_hub_name


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "push",
        run,
        "upload a checkpoint to the Hugging Face Hub",
        "matgen push runs/gptj organization/name",
        "matgen sample -n 10000 --model organization/name",
        begin=begin,
    )
    parser.add_argument("model", metavar="CHECKPOINT", help="folder, or name of a bundled checkpoint")
    parser.add_argument("name", metavar="ORGANIZATION/NAME", help="repository on the Hub, made if it does not exist")
    parser.add_argument("--private", action="store_true", help="hide a new repository from others")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def begin(arguments: argparse.Namespace) -> str:
    """Find the checkpoint."""
    checkpoint = require_checkpoint(arguments.model)
    if not is_hub_name(arguments.name):
        raise OptionError(f"{arguments.name!r} is no name on the Hub: write it as organization/name")
    return f"uploading {checkpoint} to {arguments.name}"


def run(arguments: argparse.Namespace) -> None:
    """Upload a checkpoint."""
    from matgen.models.hub import push

    folder = bundled_checkpoints().get(arguments.model, arguments.model)
    address = push(folder, arguments.name, private=arguments.private)
    say(arguments, f"uploaded: {address}. Next: matgen sample -n 10000 --model {arguments.name}")
