"""Tables as templates: `STAGE.md` declares them, `STAGE.py` holds functions for what has to be computed.

    <!-- NAME from FILE OTHER_FILE -->
    | header | header |
    | {key:,} | {part[key]!p} | <- each PATH
    | {key} | {function()} | <- with PATH
    | text | {part[key]:.2f} |

    A sentence.

Files are stems under `results/`; of several, the content holds each under its stem. `each PATH` makes a row for each
entry there (of a dictionary, for each entry that is a dictionary, with its key as `name`), `with PATH` one row of the
dictionary there; other lines are filled from the content alone. Templates are those of `str.format`, filled from a row
and the content behind it. `{name()}`, and `name()` as a path, calls the stage's function with them. Before a format,
`!p` makes percent, `!c` is hundredfold, `!k` thousandfold, `!M` in millions, `!m` in minutes of seconds, `!n` the
length and `!u` capitals. None is shown as `-`, and what is missing at `{path?}` not at all; rows at a missing `PATH?`
are left out, and so are empty paragraphs.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from matgen.io.files import read_json

Json = dict[str, Any]
_TABLE = re.compile(r"<!-- (\w+) from ([\w ]+) -->\n(.*?)(?=\n<!-- |\Z)", re.DOTALL)
_MISSING = object()


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


class _Template(string.Formatter):
    """Paths and conversions of the module's docstring; `functions` is the stage's module."""

    conversions: Mapping[str, Any] = {
        "p": percent,
        "c": lambda value: 100 * value,
        "k": lambda value: 1000 * value,
        "M": lambda value: value / 1e6,
        "m": lambda value: value / 60,
        "n": len,
        "u": str.upper,
    }

    def __init__(self, functions: Any = None) -> None:
        self.functions = functions

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        return self.look_up(field_name, kwargs), ""

    def look_up(self, path: str, content: Any) -> Any:
        if path.endswith("()"):
            return getattr(self.functions, path[:-2])(content)
        for key in re.findall(r"[^\[\]?]+", path):
            try:
                content = content[int(key)] if isinstance(content, list | tuple) else content[key]
            except KeyError:
                if path.endswith("?"):
                    return _MISSING
                raise
        return content

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        known = conversion is not None and value is not None and value is not _MISSING
        return self.conversions[str(conversion)](value) if known else value

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None or value is _MISSING:
            return "-" if value is None else ""
        return super().format_field(value, format_spec)


def fill(template: str, content: Json) -> str:
    """The template filled from a dictionary."""
    return _Template().vformat(template, (), content)


@dataclass(frozen=True)
class Table:
    """A block of Markdown: its stage, the files of results and the template."""

    stage: str
    sources: tuple[str, ...]
    template: str

    def read(self) -> Json:
        """Content of the file, or of the files by their stems."""
        contents = {name: read_json(RESULTS / f"{name}.json") for name in self.sources}
        return contents if len(contents) > 1 else contents[self.sources[0]]

    def lines(self, content: Json | None = None) -> list[str]:
        """Lines of Markdown, of the files' content unless another is given."""
        content = self.read() if content is None else content
        form = _Template(import_module(f"benchmarks.tables.{self.stage}"))
        lines: list[str] = []
        for line in self.template.strip().split("\n"):
            template, _, selection = line.partition(" <- ")
            filled = [form.vformat(template, (), row) for row in _rows(form, selection, content)]
            if filled == [""] and lines[-1] == "":  # of a paragraph that was left out
                continue
            if not lines and line.startswith("|"):
                filled.append("|---" * len(re.findall(r"(?<= )\|", filled[0])) + "|")
            lines += filled
        return lines if lines[-1] else lines[:-1]


def _rows(form: _Template, selection: str, content: Json) -> Iterator[Json]:
    how, _, path = selection.partition(" ")
    found = form.look_up(path, content) if path else {}
    if found is _MISSING:
        return
    if how == "each" and isinstance(found, dict):
        found = [{"name": name, **row} for name, row in found.items() if isinstance(row, dict)]
    for row in found if how == "each" else [found]:
        yield {**content, **row}


def tables(stage: str) -> dict[str, Table]:
    """Tables that `STAGE.md` declares, by name."""
    text = (Path(__file__).parent / f"{stage}.md").read_text(encoding="utf-8")
    return {name: Table(stage, tuple(files.split()), template) for name, files, template in _TABLE.findall(text)}
