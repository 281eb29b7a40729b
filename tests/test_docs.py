"""The documentation's commands and examples run, and its pages and links are there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from matgen.cli import _parser, main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [path for path in DOCS if "```console" in path.read_text(encoding="utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_and_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, block in re.findall(r"```(console|python)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if kind == "python":
            exec(compile(block, page.name, "exec"), {})
            continue
        commands = re.findall(r"^\$ matgen (.*)$", block, re.MULTILINE)
        assert commands
        for command in commands:
            assert main(shlex.split(command)) == 0, command


ALLOYS = """alloy,temperature,yield_strength
Fe0.62Ni0.36C0.02,723,412
Fe0.9Cr0.1,300,250
"""
"""A table for the README's example of one."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL),
    ids=lambda text: text[2:15],
)
def test_the_readme_shows_what_commands_say(block, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("alloys.csv").write_text(ALLOYS, encoding="utf-8")
    command, *shown = block.splitlines()
    assert main(shlex.split(command.removeprefix("$ matgen "))) == 0
    said = capsys.readouterr().out.splitlines()
    for line in shown:
        if line.strip() != "...":
            assert any(told.startswith(line.removesuffix("...")) for told in said), (line, said)


def commands_of(text: str) -> list[list[str]]:
    """What stands behind `matgen` in the shell's blocks of a page."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", line.split("bash -c")[0]):
                words = shlex.split(part, comments=True)
                at = next((i for i, word in enumerate(words) if Path(word).name == "matgen"), None)
                if at is not None and words[:2] != ["podman", "build"]:
                    found.append(words[at + 1 :])
    return found


def test_the_readmes_commands_parse() -> None:
    found = commands_of(README.read_text(encoding="utf-8"))
    assert len(found) > 20
    for words in found:
        _parser().parse_args(words)


@pytest.mark.slow
def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "verbs" / "index.html").read_text(encoding="utf-8")
    assert "matgen screen" in page
    assert "--max-per-system" in page
    for found in (tmp_path / "site").rglob("*.html"):
        text = found.read_text(encoding="utf-8")
        assert "{{" not in text, found
        for source in re.findall(r'<img[^>]* src="([^"]+)"', text):
            if not source.startswith(("http", "data:")):
                assert (found.parent / source).exists(), (found, source)
