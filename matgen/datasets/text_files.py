"""Text files in UTF-8, compressed or not, with or without a byte-order mark."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from matgen.errors import DataError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens a compressed file, by its last suffix."""

_BLOCK = 1 << 20  # bytes


def open_text(path: Path, newline: str | None) -> IO[str]:
    """Open a text file, without its byte-order mark, unpacked where its suffix says that it is compressed."""
    opener = OPENERS.get(path.suffix.lower(), open)
    handle: IO[str] = opener(path, "rt", encoding="utf-8-sig", newline=newline)
    return handle


def text_blocks(path: Path) -> Iterator[str]:
    r"""A text file's content, piece by piece; each piece but the last ends with `\n`.

    Raises:
        DataError: it is not text in UTF-8; the message has the place of the first bad byte in the unpacked file.
    """
    with OPENERS.get(path.suffix.lower(), open)(path, "rb") as handle:
        start = 0
        while block := b"".join(handle.readlines(_BLOCK)):
            content = block.removeprefix(codecs.BOM_UTF8) if not start else block
            try:
                yield content.decode()
            except UnicodeDecodeError as error:
                raise not_utf8(path, start + len(block) - len(content) + error.start) from error
            start += len(block)


def not_utf8(path: Path, place: int) -> DataError:
    """The error of a file that is not text in UTF-8 from byte `place` on."""
    return DataError(f"{path} is not text in UTF-8 (byte {place}): is it of another kind than its name says?")
