"""The parser of every verb: errors in one line, former names of options, help that opens with what people use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from matgen.errors import did_you_mean

COMMON = "common options"
"""Title of the options that a help opens with."""

MOST_COMMON = 6
"""How many options a help opens with at most."""


class Parser(argparse.ArgumentParser):
    """Complains in one line, with the place where help is, and knows the names that options had before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.renamed: dict[str, str] = {}
        self._common: list[argparse.Action] = []

    def rename(self, old: str, new: str) -> None:
        """Let an option be written by the name it had in the last release, with a line that says the new one.

        Args:
            old: the former option, such as `--exact`; help and completion do not show it.
            new: one of the parser's options.
        """
        self._option_string_actions[old] = self._option_string_actions[new]
        self.renamed[old] = new

    def common(self, *names: str) -> None:
        """Say which options the help opens with, whatever their group; all others follow by group.

        Args:
            names: at most `MOST_COMMON` options of the parser, such as `--model`, in the order of the help.

        Raises:
            ValueError: more than that.
            KeyError: the parser has no such option.
        """
        if len(names) > MOST_COMMON:
            raise ValueError(f"{len(names)} common options of {self.prog}, more than {MOST_COMMON}")
        self._common = [self._option_string_actions[name] for name in names]

    def group(self, title: str) -> argparse._ArgumentGroup:
        """The group of options of that title, made where there is none yet."""
        for group in self._action_groups:
            if group.title == title:
                return group
        return self.add_argument_group(title)

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

    def format_help(self) -> str:
        """See `argparse.ArgumentParser`; the usage names what must be given, the options follow by their purpose."""
        formatter = self._get_formatter()
        formatter.add_usage(self._short_usage(), [], [])
        formatter.add_text(self.description)
        for title, actions in self.sections().items():
            formatter.start_section(title)
            formatter.add_arguments(actions)
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def sections(self) -> dict[str | None, list[argparse.Action]]:
        """Arguments and options as the help lists them: each once, under the title of its section."""
        first = self._common
        own, *groups = self._action_groups[1:]  # argparse's own group of options, then the named ones
        found = {self._action_groups[0].title: self._action_groups[0]._group_actions, COMMON: first}
        found |= {group.title: [one for one in group._group_actions if one not in first] for group in groups}
        rest = [one for one in own._group_actions if one not in first]
        found["other options" if first else own.title] = rest
        return {title: actions for title, actions in found.items() if actions}

    def _short_usage(self) -> str:
        """What the verb must be given; all that may be left out is `[options]`."""
        words = [self.prog]
        for action in self._actions:
            name = action.metavar if isinstance(action.metavar, str) else action.dest
            if action.option_strings and action.required:
                words.append(f"{action.option_strings[0]} {action.metavar or action.dest.upper()}")
            elif not action.option_strings:
                words.append({"+": f"{name} [{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name))
        return " ".join([*words, "[options]"]).replace("%", "%%")

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


def one_of(names: Iterable[str]) -> str:
    """Names as help lists them: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
