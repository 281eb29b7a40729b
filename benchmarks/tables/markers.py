"""Each table's place: the one page of README.md and docs/ that holds its markers."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.tables.render import tables

ROOT = Path(__file__).resolve().parents[2]
TABLES = {
    name: table for path in sorted(Path(__file__).parent.glob("*.md")) for name, table in tables(path.stem).items()
}


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Text of each page that may hold tables."""
    paths = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def filled_pages(root: Path = ROOT) -> dict[Path, str]:
    """Text of each page with its tables made anew.

    Raises:
        SystemExit: If a table's markers stand in no page, or more than once.
    """
    texts, misplaced = pages(root), []
    for name, table in TABLES.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        places = [(path, found) for path, text in texts.items() for found in block.finditer(text)]
        if len(places) == 1:
            ((path, found),) = places
            lines = "".join(f"{line}\n" for line in table.lines())
            texts[path] = texts[path][: found.end(1)] + lines + texts[path][found.start(2) :]
        else:
            where = ", ".join(str(path.relative_to(root)) for path, _ in places) or "no page"
            misplaced.append(f"<!-- {name} --> ... <!-- /{name} --> stands in {where}")
    if misplaced:
        raise SystemExit("each table has one place in README.md or docs/**/*.md\n" + "\n".join(misplaced))
    return texts
