"""What Ctrl-C leaves: what each verb has kept, and the command that goes on. It is read from the disk, not assumed."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from matgen.cli.beginning import shown

_SAME_COMMAND = {("dft", "run"), ("dft", "campaign"), ("lift", "evaluate")}
"""Steps that go on where the same command is given again."""


def after_interrupt(arguments: argparse.Namespace, words: Sequence[str]) -> str:
    """What to tell the user of a verb that was interrupted.

    Args:
        arguments: of the verb, with `out` as it was settled.
        words: the command line without `matgen`.
    """
    out: Path | None = getattr(arguments, "out", None)
    step = (arguments.verb, getattr(arguments, "step", None))
    if step in _SAME_COMMAND and not (step[1] == "evaluate" and not arguments.protocol):
        return f"interrupted; what is done is kept. Go on with: {_command(words)}"
    if out is not None and hasattr(arguments, "resume") and _state(arguments, out).exists():
        return f"interrupted; what is done is kept. Resume with: {_command(_resuming(arguments, words, out))}"
    if out is not None and (out.is_file() or (out.is_dir() and any(out.iterdir()))) and not arguments.force:
        return f"interrupted; {shown(out)} is not complete"
    return "interrupted; nothing was written"


def _state(arguments: argparse.Namespace, out: Path) -> Path:
    """What is there where a run has something to resume from."""
    if arguments.verb in ("sample", "predict"):
        return Path(f"{out}.parts") / "plan.json"
    if arguments.verb == "discover":
        return out / "plan.json"
    if arguments.verb == "structure":
        return out / "parts" / "structures.json"
    if arguments.verb == "lift":
        folder = out.with_name(f".{out.name}.training")  # of which each member has a folder of its own
        return next(folder.glob("**/latest.json"), folder / "latest.json")
    if arguments.verb == "tune":
        return out / "journal.jsonl"
    if arguments.verb == "fit":
        return next(out.glob("**/training"), out / "training")
    return out / "training" / "latest.json"


def _resuming(arguments: argparse.Namespace, words: Sequence[str], out: Path) -> list[str]:
    """The command line that goes on: train and reinforce have kept their options, others need the same ones again."""
    if arguments.verb in ("train", "reinforce", "tune"):
        return [arguments.verb, "--resume", "--out", shown(out)]
    more = [] if "--resume" in words else ["--resume"]
    named = any(word == "--out" or word.startswith("--out=") for word in words)
    return [*words, *more, *([] if named else ["--out", shown(out)])]


def _command(words: Sequence[str]) -> str:
    return shlex.join(["matgen", *words])
