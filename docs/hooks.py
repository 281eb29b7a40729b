"""Brings into the site what lives elsewhere in the repository: figures, notebooks, files, the help of commands.

In a page, `{{ file: NAME }}` stands for a file of the repository without its title, and `{{ verbs }}` for the help of
every command. Links are written as they work in the repository, and changed here to those of the site.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "data/README.md": "data.md",
    "data/LICENSES.md": "data.md",
    "LICENSES.md": "data.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Files of the repository to the pages that show them."""

FOLDERS = {"benchmarks/results/": "figures/", "notebooks/": "notebooks/", "docs/": ""}
"""Folders of the repository to those of the site."""

_work = Path()


def on_startup(command: str, dirty: bool) -> None:
    """Make a folder for the notebooks to run in, so that they leave nothing in the repository."""
    global _work
    _work = Path(tempfile.mkdtemp(prefix="matgen-docs-"))


def on_shutdown() -> None:
    """Remove it."""
    shutil.rmtree(_work, ignore_errors=True)


@event_priority(100)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Any, config: Any) -> Any:
    """Add the figures of the results, and copies of the notebooks."""
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.png")):
        files.append(File.generated(config, f"figures/{path.name}", abs_src_path=str(path)))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        place = _work / path.stem  # a folder each: notebooks write files of the same names
        (place / "notebooks").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / "notebooks")
        files.append(File(f"notebooks/{path.name}", str(place), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in what a page asks for."""
    to_root = "../" * page.file.src_uri.count("/")
    filled = re.sub(r"^\{\{ file: (.+?) \}\}$", lambda found: _linked(_file(found[1]), to_root), markdown, flags=re.M)
    filled = re.sub(
        r"\]\((?:\.\./)+(benchmarks/results/|notebooks/)", lambda found: f"]({to_root}{FOLDERS[found[1]]}", filled
    )
    return filled.replace("{{ verbs }}", verbs() if "{{ verbs }}" in filled else "")


def _file(name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"^# .*\n", "", text, count=1)


def _linked(text: str, to_root: str) -> str:
    """Links between files of the repository as links between pages; others lose their target."""

    def link(found: re.Match[str]) -> str:
        label, target, anchor = found[1], found[2], found[3] or ""
        if "://" in target:
            return found[0]
        for folder, place in FOLDERS.items():
            if target.startswith(folder):
                return f"[{label}]({to_root}{place}{target.removeprefix(folder)}{anchor})"
        return f"[{label}]({to_root}{PAGES[target]}{anchor})" if target in PAGES else f"`{target}`"

    return re.sub(r"(?<!\\)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)", link, text)


def verbs() -> str:
    """The help of every command, and of the steps of `dft`, `data` and `lift`."""
    from matgen.cli import _parser

    return "\n\n".join(_described("matgen", _parser()))


def _described(name: str, parser: argparse.ArgumentParser) -> list[str]:
    parser.formatter_class = partial(parser.formatter_class, width=100)
    texts = [f"## {name}\n\n```text\n{parser.format_help().strip()}\n```"]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for step, inner in action.choices.items():
                texts += _described(f"{name} {step}", inner)
    return texts
