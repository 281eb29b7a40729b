"""Files written whole, and outputs that never overwrite earlier ones."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matgen.errors import DataError, OutputError


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    Raises:
        OutputError: the folder cannot be written or the disk is full; an earlier file is left as it was.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write a JSON file whole, indented, with a final line break."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}): it may be cut short") from error


def refuse_to_overwrite(path: Path | str, *, force: bool) -> None:
    """Stop before work begins where it would end by overwriting a result.

    Raises:
        OutputError: `path` is a file, or a folder with something in it, and `force` is off.
    """
    path = Path(path)
    taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if taken and not force:
        raise OutputError(f"{path} exists: choose another --out, or add --force to replace it")


def next_free(path: Path | str) -> Path:
    """`path` itself, or where it is taken `name-2`, `name-3` ... with the same suffix."""
    path = Path(path)
    candidate, number = path, 1
    while candidate.exists() or Path(f"{candidate}.parts").exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
