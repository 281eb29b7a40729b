"""Errors that matgen raises on purpose. Each message is one line: what was wrong, where, and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any


class MatgenError(Exception):
    """Base of every error that is the input's fault, not the program's. The command line prints it and exits with 2."""


class FormulaError(MatgenError):
    """A formula that cannot be read as a composition."""


class DataError(MatgenError):
    """A file or dataset that is missing, damaged, empty or of the wrong kind."""


class CheckpointError(MatgenError):
    """A checkpoint that is missing, truncated, foreign or made with other settings."""


class StructureError(MatgenError):
    """A composition without a structure, or a structure that no potential or DFT code can start from."""


class OptionError(MatgenError):
    """An option whose value makes no sense, or options that contradict each other."""


class OutputError(MatgenError):
    """An output that cannot be written, or that would overwrite an earlier result."""


class MissingDependencyError(MatgenError):
    """A feature whose optional dependency is not installed."""


class MatgenWarning(UserWarning):
    """What was done is right only if the input was meant so. The command line prints it in one line and goes on."""


SECRETS = ("OPENAI_API_KEY", "MP_API_KEY", "PMG_MAPI_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY")
"""Variables of the environment whose values must never be shown."""


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line of at most 200 characters; its kind where it says nothing."""
    return without_secrets((str(error).strip().splitlines() or [type(error).__name__])[0])[:200]


def without_secrets(text: str) -> str:
    """The text without the values of `SECRETS`, and without names and passwords in addresses."""
    for name in SECRETS:
        if len(value := os.environ.get(name, "")) > 3:
            text = text.replace(value, f"({name})")
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def require_above_zero(options: Any, *names: str) -> None:
    """Raise an `OptionError` unless all attributes of these names are above 0."""
    for name in names:
        if not getattr(options, name) > 0:
            raise OptionError(f"{name} is {getattr(options, name)}, it must be above 0")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean sample?`, the nearest of the known names, as the end of a sentence; "" where none is near."""
    import difflib

    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.72)
    return f", did you mean {nearest[0]}?" if nearest else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> OptionError:
    """An `OptionError` that lists the known names of a kind, for every registry of matgen."""
    names = list(known)
    return OptionError(f"unknown {kind} {name!r}{did_you_mean(name, names) or ';'} known: {', '.join(names)}")
