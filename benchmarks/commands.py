"""Commands of matgen's, run as a user would type them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MATGEN = str(Path(sys.executable).parent / "matgen")


def matgen(*words: object, check: bool = True) -> None:
    """Run a command; without `check` it may fail."""
    print("matgen", *words, flush=True)
    subprocess.run([MATGEN, *map(str, words)], check=check)
