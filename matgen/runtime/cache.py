"""The folder of what is kept between runs, and files of bytes there that are read only where they are undamaged."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Where downloads, built datasets and compiled code are kept: `MATGEN_CACHE`, by default `~/.cache/matgen`."""
    named = os.environ.get("MATGEN_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "matgen"


def read_kept(path: Path) -> bytes | None:
    """What `keep` wrote; None where nothing is there, or it was damaged."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == digest else None


def keep(path: Path, content: bytes) -> bool:
    """Write bytes whole, behind their checksum; False where that cannot be done, and nothing is left."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        temporary.chmod(0o644)  # for whoever else uses this cache or installation
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        return False
    return True
