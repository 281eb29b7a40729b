"""The folder of what is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where downloads, built datasets and compiled code are kept: `MATGEN_CACHE`, by default `~/.cache/matgen`."""
    named = os.environ.get("MATGEN_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "matgen"
