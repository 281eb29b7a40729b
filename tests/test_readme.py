"""The README tells the truth: tables from results, tree from folders, commands that exist, examples that run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.tables.markers import filled_pages, pages
from matgen.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_results() -> None:
    assert filled_pages() == pages(), "run: python -m benchmarks.tables"


@pytest.mark.parametrize("more", ["", "<!-- hull -->\n<!-- /hull -->\n"])
def test_a_table_without_its_one_place_is_named(tmp_path: Path, more: str) -> None:
    for path, text in pages().items():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text if more else text.replace("<!-- hull -->", ""), encoding="utf-8")
    (tmp_path / "docs" / "more.md").write_text(more)
    with pytest.raises(SystemExit, match="<!-- hull -->") as stop:
        filled_pages(tmp_path)
    assert "<!-- dft -->" not in str(stop.value)


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


def test_verbs_in_the_readme_are_those_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in set(re.findall(r"^\| `matgen (\w+)", README, re.MULTILINE)):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        capsys.readouterr()


@pytest.mark.slow
def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
