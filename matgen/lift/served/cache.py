"""Answers of servers on disk, so that nothing is asked twice and an interrupted prediction goes on.

The cache holds answers by a hash of what was asked: no prompt, and no key.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Any

from matgen.errors import OutputError


def key_of(address: str, path: str, body: dict[str, Any]) -> str:
    """The key that a request's answer is kept under: a hash of server, path and body."""
    text = json.dumps([address, path, body], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """Answers by key, in one SQLite file that several processes may share; in memory alone without a path.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path, check_same_thread=False, timeout=60
            )
            weakref.finalize(self, self._connection.close)
            with self._connection:
                self._connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT)")
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"the cache of answers {path} cannot be opened ({error}): remove it, or cache=false"
            ) from error

    def get(self, key: str) -> Any | None:
        """The answer kept under a key; None where there is none, or none that can be read."""
        with self._lock:
            row = self._connection.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else json.loads(row[0])
        except ValueError:
            return None

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with self._lock, self._connection:
                self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, json.dumps(answer)))
        except sqlite3.Error as error:
            raise OutputError(f"the cache of answers {self.path} cannot be written: {error}") from error
