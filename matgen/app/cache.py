"""Results for single formulas, kept over restarts: JSON files with a checksum, of which the least recently used go."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from matgen import __version__
from matgen.errors import DataError, OutputError
from matgen.io.files import read_checksummed, write_checksummed
from matgen.structures.folder import safe_name

MOST_BYTES = 500_000_000
"""Size on disk up to which results are kept."""

_LEAST_LEFT = 0.9  # of the bytes, once some had to go: not one at a time
_HELD = 256  # results in memory, so that a page goes on where nothing can be written
_LONGEST_NAME = 80


class FormulaCache:
    """What was computed of single formulas.

    A result is found by its kind, its formula and all else that it depends on, the version of matgen among it. A file
    that is damaged or that cannot be written is none: what it was of is computed again.

    Args:
        folder: of the files; it is made at the first of them.
        most_bytes: size of the files together, above which those go that were not used for longest.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._held: OrderedDict[Path, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, kind: str, formula: str, depends_on: Mapping[str, Any]) -> Any:
        """What `put` was given, as JSON has it; None where nothing is kept."""
        path, key = self._place(kind, formula, depends_on)
        with self._lock:
            if path in self._held:
                self._held.move_to_end(path)
                return self._held[path]
        if not path.exists():
            return None
        try:
            kept = read_checksummed(path)
        except DataError:
            kept = None
        if not isinstance(kept, dict) or kept.get("key") != key or "result" not in kept:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now
        self._hold(path, kept["result"])
        return kept["result"]

    def put(self, kind: str, formula: str, depends_on: Mapping[str, Any], result: Any) -> None:
        """Keep a result, which must be JSON; where the disk takes none, in memory alone."""
        path, key = self._place(kind, formula, depends_on)
        self._hold(path, result)
        with contextlib.suppress(OutputError, OSError):
            write_checksummed(path, {"key": key, "result": result})
            self._make_room()

    def _hold(self, path: Path, result: Any) -> None:
        with self._lock:
            self._held[path] = result
            self._held.move_to_end(path)
            while len(self._held) > _HELD:
                self._held.popitem(last=False)

    def _place(self, kind: str, formula: str, depends_on: Mapping[str, Any]) -> tuple[Path, str]:
        key = json.dumps([kind, formula, __version__, depends_on], sort_keys=True)
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / kind / f"{safe_name(formula)[:_LONGEST_NAME]}-{digest[:20]}.json", key

    def _make_room(self) -> None:
        files = [(path, path.stat()) for path in self.folder.glob("*/*.json")]
        total = sum(found.st_size for _, found in files)
        if total <= self.most_bytes:
            return
        for path, found in sorted(files, key=lambda one: one[1].st_mtime_ns):
            path.unlink(missing_ok=True)
            total -= found.st_size
            if total <= _LEAST_LEFT * self.most_bytes:
                return


def frame_to_json(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as JSON, from which `frame_from_json` makes the same one: values and types by column."""
    return {
        str(name): {"type": str(column.dtype), "values": [_plain(value) for value in column.tolist()]}
        for name, column in frame.items()
    }


def frame_from_json(content: Mapping[str, Any]) -> pd.DataFrame:
    """The table of `frame_to_json`, its rows numbered from 0."""
    return pd.DataFrame({name: pd.Series(one["values"], dtype=one["type"]) for name, one in content.items()})


def _plain(value: Any) -> Any:
    if value is pd.NA:
        return None
    return value.item() if hasattr(value, "item") else value
