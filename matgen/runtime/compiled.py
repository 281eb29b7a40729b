"""Modules of functions compiled by numba, loaded where that works: each has a way without, with equal results."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from matgen.runtime.cache import cache_folder


@cache
def load_kernel(name: str) -> ModuleType | None:
    """A compiled module of matgen, such as `validity.kernel`, or None where numba cannot work here.

    It may not be installed, may find numpy too new for it, or have nowhere to keep compiled code.
    """
    _keep_code_in_the_cache()
    try:
        return import_module(f"matgen.{name}")
    except RuntimeError:
        return None
    except ImportError as error:
        if (error.name or "").startswith("matgen"):
            raise
        return None


def _keep_code_in_the_cache() -> None:
    """Let numba keep its code in matgen's cache where the package cannot be written and no folder is named.

    numba reads this when it is imported.
    """
    if not os.access(Path(__file__).parent, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
