"""Modules of functions compiled by numba, loaded where that works: each has a way without, with equal results."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def load_kernel(name: str) -> ModuleType | None:
    """A compiled module of matgen, such as `validity.kernel`, or None where numba cannot work here.

    It may not be installed, may find numpy too new for it, or have nowhere to keep compiled code.
    """
    try:
        return import_module(f"matgen.{name}")
    except RuntimeError:
        return None
    except ImportError as error:
        if (error.name or "").startswith("matgen"):
            raise
        return None
