"""The documentation's commands and examples run and show what is printed; its pages, links and pictures exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from matgen.cli import _parser, main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = re.compile(r"^```(console|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)

ALLOYS = """alloy,temperature,yield_strength
Fe0.62Ni0.36C0.02,723,412
Fe0.9Cr0.1,300,250
"""
"""The table that examples of LIFT use."""


def sessions(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block, without `matgen`, and the lines shown below it."""
    commands = re.split(r"^\$ matgen ", block, flags=re.MULTILINE)
    assert not commands[0].strip(), "a console block starts with $ matgen"
    return [(lines[0], lines[1:]) for lines in (command.splitlines() for command in commands[1:])]


def is_shown(line: str, printed: list[str]) -> bool:
    """Whether a line was printed; `...` stands for any text."""
    pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("...")))
    return any(pattern.fullmatch(text.rstrip()) for text in printed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [path for path in PAGES if EXAMPLES.search(path.read_text(encoding="utf-8"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_examples_run_and_print_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("alloys.csv").write_text(ALLOYS, encoding="utf-8")
    for kind, block in EXAMPLES.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(block, page.name, "exec"), {})
            continue
        capsys.readouterr()
        for command, shown in sessions(block):
            assert main(shlex.split(command)) == 0, command
            captured = capsys.readouterr()
            printed = (captured.out + captured.err).splitlines()
            for line in shown:
                assert is_shown(line, printed), (line, printed)


def commands_of(text: str) -> list[list[str]]:
    """What follows `matgen` in the shell blocks of a page."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line.split("bash -c")[0]):
                words = shlex.split(part, comments=True)
                at = next((i for i, word in enumerate(words) if Path(word).name == "matgen"), None)
                if at is not None and words[:2] != ["podman", "build"]:
                    found.append(words[at + 1 :])
    return found


def test_commands_parse() -> None:
    found = [words for page in PAGES for words in commands_of(page.read_text(encoding="utf-8"))]
    assert len(found) > 20
    for words in found:
        _parser().parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert "://" in target or (page.parent / target).exists(), target


def test_pictures_are_small() -> None:
    for path in (ROOT / "docs" / "images").iterdir():
        assert path.stat().st_size < 300_000, path


@pytest.mark.slow
def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"EXECUTE_NOTEBOOKS": "false"}  # tests/test_notebooks.py runs them
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "verbs" / "index.html").read_text(encoding="utf-8")
    assert "matgen screen" in page
    assert "--max-per-system" in page
    assert "strontium" in (tmp_path / "site" / "notebooks" / "doping" / "index.html").read_text(encoding="utf-8")
    for found in (tmp_path / "site").rglob("*.html"):
        text = found.read_text(encoding="utf-8")
        assert "{{ " not in text, found
        for source in re.findall(r'<img[^>]* src="([^"]+)"', text):
            if not source.startswith(("http", "data:")):
                assert (found.parent / source).exists(), (found, source)
