"""What all verbs share: common options, remarks and progress bars."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.parser import Parser
from matgen.runtime.reference_column import naming_reference_column
from matgen.runtime.unreadable import allowing_unreadable

if TYPE_CHECKING:
    from matgen.runtime.progress import ProgressFactory

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


Begin = Callable[[argparse.Namespace], str]
"""What a verb does before anything is loaded: it finds what is missing, and says in a line what will be done."""


def verb(
    verbs: Any,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    help_: str,
    *examples: str,
    begin: Begin | None = None,
) -> Parser:
    """Add the parser of a verb that `run` carries out after `begin`; its help ends with the examples, each a line."""
    parser: Parser = verbs.add_parser(
        name,
        help=help_,
        description=help_[0].upper() + help_[1:] + ".",
        epilog="example: " + "\n         ".join(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, begin=begin)
    return parser


def common_options(parser: Parser, *, out: str, seed: bool = True) -> None:
    """Options that every verb which writes has."""
    output, reading = parser.group("output"), parser.group("reading of tables")
    output.add_argument("--out", type=path, metavar="PATH", help=f"where to write (default: {out}, then numbered)")
    if seed:
        parser.group("computation").add_argument(
            "--seed", type=int, default=0, help="seed of everything random (default: 0)"
        )
    output.add_argument("--quiet", action="store_true", help="print errors only")
    output.add_argument("--force", action="store_true", help="replace an earlier result")
    reading.add_argument(
        "--allow-unreadable",
        action="store_true",
        help="take references, datasets and hull tables of which more than a fifth of the rows cannot be read",
    )
    reading.add_argument(
        "--reference-column",
        metavar="NAME",
        help="formula column of references, datasets and hull tables that are files (default: recognized by its name)",
    )


@contextlib.contextmanager
def reading_as_asked(arguments: argparse.Namespace) -> Iterator[None]:
    """Within the block, references and other known tables are read as the options of `common_options` say."""
    with (
        allowing_unreadable(getattr(arguments, "allow_unreadable", False)),
        naming_reference_column(getattr(arguments, "reference_column", None)),
    ):
        yield


def path(text: str) -> Path:
    """A path that a user names; an empty one, such as an unset variable, is not this folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty name")
    return Path(text)


def folder_name(text: str) -> str:
    """A name of a user's table, such as a column's, as the name of a folder: no separators, no leading dots."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.") or "table"


def say(arguments: argparse.Namespace, text: str) -> None:
    """A remark on standard error, so that standard output holds results only."""
    if not getattr(arguments, "quiet", False):
        print(text, file=sys.stderr, flush=True)


def bars(arguments: argparse.Namespace, **options: str) -> ProgressFactory:
    """Progress bars, silent where the user wants silence; options are those of `TerminalProgress`."""
    from matgen.runtime.progress import TerminalProgress, silent

    return silent if arguments.quiet else TerminalProgress(**options)
