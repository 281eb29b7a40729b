"""What all verbs share: the parser, common options, remarks and progress bars."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from matgen.errors import did_you_mean
from matgen.runtime.reference_column import naming_reference_column
from matgen.runtime.unreadable import allowing_unreadable

if TYPE_CHECKING:
    from matgen.runtime.progress import ProgressFactory

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class Parser(argparse.ArgumentParser):
    """Complains in one line, with the place where help is, and knows the names that options had before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.renamed: dict[str, str] = {}

    def rename(self, old: str, new: str) -> None:
        """Let an option be written by the name it had in the last release, with a line that says the new one.

        Args:
            old: the former option, such as `--exact`; help and completion do not show it.
            new: one of the parser's options.
        """
        self._option_string_actions[old] = self._option_string_actions[new]
        self.renamed[old] = new

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser`; says of each former name what the option is called now."""
        for word in args or ():
            if word == "--":
                break
            if (old := word.partition("=")[0]) in self.renamed:
                print(f"{self.prog}: {old} is now {self.renamed[old]}; the old name goes in 0.4", file=sys.stderr)
        namespace, left = super().parse_known_args(args, namespace)
        if left:  # here and not in the parser of the whole command line, so that the error names the verb
            self.error(self._unknown(left[0]))
        return namespace, left

    def options(self) -> dict[str, argparse.Action]:
        """Options by the names that Python has for them: `--novel-to` is `novel_to`, `-n` is `n`."""
        return {
            written.lstrip("-").replace("-", "_"): action
            for action in self._actions
            for written in action.option_strings
            if written not in self.renamed
        }

    def _unknown(self, word: str) -> str:
        """What is wrong with a word that no option or argument takes."""
        if not word.startswith("-"):
            return f"{word!r} is one argument too many"
        option = word.partition("=")[0]
        return (
            f"unknown option {option}{did_you_mean(option, self._option_string_actions.keys() - self.renamed.keys())}"
        )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the choices, and say which is near."""
        known = [str(choice) for choice in action.choices or ()]
        if not known or value in (action.choices or ()):
            return
        near = did_you_mean(str(value), known)
        if isinstance(action, argparse._SubParsersAction):
            reason = f"unknown verb {value!r}{near or f'; known: {one_of(known)}'}"
        else:
            name = action.option_strings[0] if action.option_strings else action.dest
            reason = f"{name}: unknown value {value!r}{near or ';'} known: {one_of(known)}"
        raise argparse.ArgumentError(None, reason)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def verb(verbs: Any, name: str, run: Callable[[argparse.Namespace], int | None], help_: str, *examples: str) -> Parser:
    """Add the parser of a verb that `run` carries out; its help ends with the examples, each a line."""
    parser: Parser = verbs.add_parser(
        name,
        help=help_,
        description=help_[0].upper() + help_[1:] + ".",
        epilog="example: " + "\n         ".join(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def common_options(parser: argparse.ArgumentParser, *, out: str, seed: bool = True) -> None:
    """Options that every verb which writes has."""
    parser.add_argument("--out", type=path, metavar="PATH", help=f"where to write (default: {out}, then numbered)")
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--force", action="store_true", help="replace an earlier result")
    parser.add_argument(
        "--allow-unreadable",
        action="store_true",
        help="take references, datasets and hull tables of which more than a fifth of the rows cannot be read",
    )
    parser.add_argument(
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
    if not arguments.quiet:
        print(text, file=sys.stderr, flush=True)


def bars(arguments: argparse.Namespace, **options: str) -> ProgressFactory:
    """Progress bars, silent where the user wants silence; options are those of `TerminalProgress`."""
    from matgen.runtime.progress import TerminalProgress, silent

    return silent if arguments.quiet else TerminalProgress(**options)


def one_of(names: Iterable[str]) -> str:
    """Names as help lists them: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def shown(folder: Path) -> str:
    """The shortest form of a path, seen from the working directory."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)
