"""The command line: one verb per stage. Stages are imported inside the verbs, so that `matgen --help` is instant."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from matgen import __version__
from matgen.cli.beginning import is_main_process
from matgen.cli.encodings import write_in_any_encoding
from matgen.cli.interruption import after_interrupt
from matgen.cli.numbers import require_ranges
from matgen.cli.parser import Parser
from matgen.cli.shared import INTERRUPTED, reading_as_asked, say
from matgen.errors import MatgenError, MatgenWarning, OptionError
from matgen.runtime.cores import limit_threads

GROUPS = {
    "make": ("discover", "sample", "tinker", "train", "tune", "reinforce", "push"),
    "judge": ("check", "evaluate", "compare", "score"),
    "predict": ("predict", "fit", "screen"),
    "structures and DFT": ("structure", "export", "dft"),
    "tables": ("data", "lift"),
    "tools": ("app",),
}
"""Verbs by what they are for, in the order of the help; each is a module of this package with `add`, which adds its
parser."""

VERBS = tuple(verb for verbs in GROUPS.values() for verb in verbs)
"""The same in one row."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 on bad input (one line says why), 130 after Ctrl-C."""
    write_in_any_encoding()
    words = sys.argv[1:] if argv is None else argv
    # The module of one verb is imported where it is named first; help, completion and mistakes need all of them.
    parser = _parser(words[0] if words and words[0] in VERBS else None)
    arguments = parser.parse_args(argv)
    if arguments.verb is None:
        parser.print_help()
        return 0
    limit_threads()
    try:
        require_ranges(arguments)
        _begin(arguments)
        with _warnings_in_one_line(arguments), reading_as_asked(arguments), _elapsed_time(arguments):
            return int(arguments.run(arguments) or 0)
    except OptionError as error:
        return _complain(arguments, f"{error} (see `matgen {arguments.verb} --help`)")
    except MatgenError as error:
        return _complain(arguments, str(error))
    except ImportError as error:
        if (error.name or "matgen").startswith("matgen"):
            raise
        return _complain(arguments, f"{error.name} is not installed: pip install {error.name}")
    except KeyboardInterrupt:
        _complain(arguments, after_interrupt(arguments, words))
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nothing to say to anyone
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _complain(arguments, f"{error.strerror or error}{where}")
    except UnicodeEncodeError as error:
        if not any(0xDC80 <= ord(sign) <= 0xDCFF for sign in error.object[error.start : error.end]):
            raise
        return _complain(
            arguments, f"{error.object[:200]!r} holds bytes that are not UTF-8: give the file another name"
        )
    except MemoryError:
        return _complain(arguments, "out of memory: take a smaller --batch-size, or fewer rows at once")


def _begin(arguments: argparse.Namespace) -> None:
    """Let a verb find what is missing, and say at once what it will do: before torch, pandas or pymatgen is loaded."""
    begin = getattr(arguments, "begin", None)
    line = begin(arguments) if begin else ""
    if line and is_main_process():
        say(arguments, line)


def _elapsed_time(arguments: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """How long a verb has been silent, on a terminal, until it ends; not of what answers at once, nor of a server."""
    if getattr(arguments, "begin", None) is None or arguments.verb == "app" or getattr(arguments, "quiet", False):
        return contextlib.nullcontext()
    from matgen.runtime.progress import waiting

    return waiting("working")


@contextlib.contextmanager
def _warnings_in_one_line(arguments: argparse.Namespace) -> Iterator[None]:
    """Print matgen's own warnings as one line each, and none where the user wants silence."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **options: Any) -> None:
            if not issubclass(category, MatgenWarning):
                usual(message, category, *rest, **options)
            elif not getattr(arguments, "quiet", False):
                print(f"matgen {arguments.verb}: {message}", file=sys.stderr, flush=True)

        warnings.showwarning = show
        warnings.simplefilter("always", MatgenWarning)
        yield


class _Completion(argparse.Action):
    """Prints the completion script of a shell, and ends."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        import shtab

        if values not in shtab.SUPPORTED_SHELLS:
            parser.error(f"no completion for {values!r}; known: {', '.join(shtab.SUPPORTED_SHELLS)}")
        print(shtab.complete(parser, values))
        parser.exit(0)


class _Compilation(argparse.Action):
    """Compiles all kernels, and ends."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        from matgen.cli.compilation import compile_kernels

        parser.exit(compile_kernels())


def _complain(arguments: argparse.Namespace, reason: str) -> int:
    print(f"matgen {arguments.verb}: {' '.join(reason.split())}", file=sys.stderr)
    return 2


class _Main(Parser):
    """The parser of the whole command line, whose help lists the verbs by what they are for."""

    def format_help(self) -> str:
        """See `argparse.ArgumentParser`."""
        formatter = self._get_formatter()
        formatter.add_text(f"usage: {self.prog} VERB [options]")
        formatter.add_text(self.description)
        verbs = next(action for action in self._actions if isinstance(action, argparse._SubParsersAction))
        help_of = {action.dest: action for action in verbs._get_subactions()}
        for name, members in GROUPS.items():
            formatter.start_section(name)
            formatter.add_arguments([help_of[verb] for verb in members])
            formatter.end_section()
        formatter.start_section("options")
        formatter.add_arguments([action for action in self._actions if action.option_strings])
        formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()


def _add(verb: str, verbs: Any) -> None:
    """Add the parser of a verb."""
    import_module(f"{__name__}.{verb}").add(verbs)


def parser_of(verb: str) -> Parser:
    """The parser of one verb, from which Python takes the names of its options and what they are by default.

    Args:
        verb: one of `VERBS`.
    """
    verbs = Parser(prog="matgen").add_subparsers(parser_class=Parser)
    _add(verb, verbs)
    parser: Parser = verbs.choices[verb]
    return parser


def _parser(only: str | None = None) -> Parser:
    """The parser of the command line, with all verbs or with one of them."""
    parser = _Main(
        prog="matgen",
        description="From known inorganic compounds to new, valid, likely stable compositions.",
        epilog="`matgen VERB --help` lists the options of a verb. Start with: matgen discover",
    )
    parser.add_argument("--version", action="version", version=f"matgen {__version__}")
    parser.add_argument(
        "--completion",
        action=_Completion,
        metavar="SHELL",
        help="print a script that completes verbs and options: bash, zsh, fish ...",
    )
    parser.add_argument(
        "--compile",
        action=_Compilation,
        nargs=0,
        help="compile what numba would compile when it is first used, such as after an installation, and end",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for verb in VERBS if only is None else (only,):
        _add(verb, verbs)
    return parser
