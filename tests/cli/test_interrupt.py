"""Ctrl-C in real processes: what is said to be kept is on the disk, and the command that is named goes on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from matgen.cli import _parser, main
from matgen.cli.interruption import after_interrupt

# A suite that runs in a shell's background ignores Ctrl-C, and so would what it starts.
CODE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from matgen.cli import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def interrupted(words: str, ready: Callable[[], bool] | None = None) -> str:
    """The last line of a verb whose process group gets SIGINT once it is ready, by default at its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *shlex.split(words)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    deadline = time.monotonic() + 400
    while ready is not None and not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, first + said
    assert "Traceback" not in said, said
    return said.splitlines()[-1]


def go_on(line: str) -> None:
    """Give the command that a line names."""
    words = shlex.split(line.split(" with: matgen ")[1].split(";")[0])
    assert main([*words, "--quiet"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", ["train", "sample", "predict t.csv", "structure t.csv", "evaluate t.csv", "discover"])
def test_while_packages_are_loaded_nothing_is_written(words: str) -> None:
    Path("t.csv").write_text("formula\nNaCl\n")
    verb = words.split()[0]
    assert interrupted(words) == f"matgen {verb}: interrupted; nothing was written"
    assert [path.name for path in Path().iterdir()] == ["t.csv"]


@pytest.mark.slow
def test_sample_goes_on() -> None:
    line = interrupted("sample -n 30000 --block-size 2000", lambda: any(Path("candidates.csv.parts").glob("part-*")))
    assert line.endswith("Resume with: matgen sample -n 30000 --block-size 2000 --resume --out candidates.csv")
    assert any(Path("candidates.csv.parts").glob("part-*")) and not Path("candidates.csv").exists()
    go_on(line)
    assert len(pd.read_csv("candidates.csv")) == 30_000


@pytest.mark.slow
def test_predict_goes_on() -> None:
    # Different ones, of which no two are predicted as one, so that there is time to interrupt.
    different = [f"Sr{a}Ti{b}O{c}" for a in range(1, 31) for b in range(1, 31) for c in range(1, 61)]
    Path("t.csv").write_text("\n".join(["formula", *different]))
    line = interrupted("predict t.csv --no-hull", lambda: Path("predicted.csv.parts/plan.json").exists())
    assert line.endswith("Resume with: matgen predict t.csv --no-hull --resume --out predicted.csv")
    go_on(line)
    assert len(pd.read_csv("predicted.csv")) == len(different)


@pytest.mark.slow
def test_structure_goes_on() -> None:
    Path("t.csv").write_text("formula\nNaCl\nLi2O\n")
    options = "--workers 2 --per-formula 2 --max-atoms 8 --max-steps 20 --finish none"
    line = interrupted(f"structure t.csv {options}", lambda: Path("structures/parts/structures.json").exists())
    assert line.endswith(f"Resume with: matgen structure t.csv {options} --resume --out structures")
    go_on(line)
    assert Path("structures/structures.parquet").exists()


@pytest.mark.slow
def test_discover_goes_on() -> None:
    options = "-n 300 --structures 1 --finish-top 0"
    line = interrupted(f"discover {options}", lambda: Path("discovery/candidates.csv").exists())
    assert line.endswith(f"Resume with: matgen discover {options} --resume --out discovery")
    drawn = Path("discovery/candidates.csv").read_bytes()
    go_on(line)
    assert Path("discovery/candidates.csv").read_bytes() == drawn
    assert Path("discovery/discovery.json").exists() and Path("discovery/structures/structures.parquet").exists()


def said_after(words: str) -> str:
    listed = shlex.split(words)
    arguments = _parser().parse_args(listed)
    if getattr(arguments, "begin", None):
        arguments.begin(arguments)
    return after_interrupt(arguments, listed)


def test_verbs_without_resume_have_written_nothing_or_say_what_is_incomplete() -> None:
    Path("t.csv").write_text("formula\nNaCl\n")
    for words in ("screen t.csv", "evaluate t.csv", "score t.csv", "sample", "train", "predict t.csv"):
        assert said_after(words) == "interrupted; nothing was written"
    arguments = _parser().parse_args(["evaluate", "t.csv", "--out", "r"])
    Path("r").mkdir()
    Path("r/candidates.parquet").write_text("")
    assert after_interrupt(arguments, []) == "interrupted; r is not complete"


def test_calculations_go_on_with_the_same_command() -> None:
    Path("dft").mkdir()
    Path("dft/manifest.json").write_text("{}")
    words = "dft run dft --engine gpaw --command 'mpirun -n 4 gpaw python input.py'"
    assert said_after(words) == f"interrupted; what is done is kept. Go on with: matgen {words}"


def test_a_lift_fit_resumes_from_what_any_of_its_members_has_saved() -> None:
    Path("t.csv").write_text("x,y\n1,2\n")
    words = "lift fit --table t.csv --target y --out m"
    assert said_after(words) == "interrupted; nothing was written"
    Path(".m.training/member-0/table/training").mkdir(parents=True)
    Path(".m.training/member-0/table/training/latest.json").write_text("{}")
    assert said_after(words) == f"interrupted; what is done is kept. Resume with: matgen {words} --resume"
