"""The README is short and true: tables from results, tree from folders, every command named."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.tables.markers import filled_pages, pages
from matgen.cli import VERBS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_results() -> None:
    assert filled_pages() == pages(), "run: python -m benchmarks.tables"


def tree() -> set[str]:
    """Paths named in the file tree of the README."""
    block = re.search(r"```text\nmatgen/\n(.*?)```", README, re.DOTALL)[1]
    stack: list[str] = ["matgen"]
    paths = set()
    for line in block.splitlines():
        if line and not line.startswith(" "):
            stack = []
        match = re.match(r"( *)(\S+)", line)
        if match is None or len(match[1]) > 8:
            continue
        depth = len(match[1]) // 4
        stack = [*stack[:depth], match[2].rstrip("/")]
        paths.add("/".join(stack))
    return paths


def test_file_tree_is_that_of_the_repository() -> None:
    named = tree()
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "matgen").glob("*.py")}
    modules |= {str(path.parent.relative_to(ROOT)) for path in (ROOT / "matgen").glob("*/__init__.py")}
    assert modules <= named, modules - named


def test_the_readme_is_short_and_names_every_command() -> None:
    assert len(README.splitlines()) <= 200
    rows = re.findall(r"^\| `matgen .*?\|", README, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`matgen (\w+)`", row)}
    assert named == set(VERBS)
