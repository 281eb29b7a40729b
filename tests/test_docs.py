"""The documentation's commands and examples run, and its pages and links are there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from matgen.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "```console" in path.read_text(encoding="utf-8"))


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


@pytest.mark.slow
def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "verbs" / "index.html").read_text(encoding="utf-8")
    assert "matgen screen" in page
    assert "--per-family" in page
    for found in (tmp_path / "site").rglob("*.html"):
        text = found.read_text(encoding="utf-8")
        assert "{{" not in text, found
        for source in re.findall(r'<img[^>]* src="([^"]+)"', text):
            if not source.startswith(("http", "data:")):
                assert (found.parent / source).exists(), (found, source)
