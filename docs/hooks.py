"""Builds the site from what exists: `--help` of the verbs, and other pages of the repository.

In a page, `{{ file: NAME }}` stands for a file of the repository, and `{{ verbs }}` for what every verb says of itself.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "data/README.md": "data.md",
    "data/LICENSES.md": "data.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changes.md",
}
"""Files of the repository to the pages that show them."""


def on_files(files: Any, config: Any) -> Any:
    """Take the figures of the results into the site."""
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.png")):
        files.append(File.generated(config, f"figures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in what a page asks for."""
    deep = "../" * page.file.src_uri.count("/")
    filled = re.sub(r"^\{\{ file: (.+?) \}\}$", lambda found: _linked(_file(found[1]), deep), markdown, flags=re.M)
    return filled.replace("{{ verbs }}", verbs() if "{{ verbs }}" in filled else "")


def _file(name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"^# .*\n", "", text, count=1)


def _linked(text: str, deep: str) -> str:
    """Links between files of the repository as links between pages; others lose their target."""

    def link(found: re.Match[str]) -> str:
        label, target = found[1], found[2]
        if target.startswith("benchmarks/results/"):
            return f"[{label}]({deep}figures/{Path(target).name})"
        if "://" in target:
            return found[0]
        page = PAGES.get(target) or PAGES.get(f"data/{target}")
        return f"[{label}]({deep}{page})" if page else f"`{target}`"

    return re.sub(r"(?<!\\)\[([^\]]*)\]\(([^)#\s]+)\)", link, text)


def verbs() -> str:
    """Every verb with its help, and the same of the steps of `dft`, `data` and `lift`."""
    from matgen.cli import _parser

    parts = [_described("matgen", _parser())]
    return "\n\n".join(text for part in parts for text in part)


def _described(name: str, parser: argparse.ArgumentParser) -> list[str]:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
    texts = [f"## {name}\n\n```text\n{parser.format_help().strip()}\n```"]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for step, inner in action.choices.items():
                texts += _described(f"{name} {step}", inner)
    return texts
