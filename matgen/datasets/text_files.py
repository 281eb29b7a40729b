"""Text files, compressed or not: UTF-8 as a rule, UTF-16 and older encodings as Excel writes them."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from matgen.datasets.understood import understood
from matgen.errors import DataError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens a compressed file, by its last suffix."""

UTF8 = "utf-8-sig"
"""How a file is read unless its bytes say otherwise."""

HEAD = 1 << 16
"""Bytes of a file that are looked at first."""

ZERO_BYTE = "it holds a zero byte, at which a cell would end: the file is damaged, or no text"
"""Why a CSV file is refused of which pandas would drop the rest of a cell in silence."""

_BLOCK = 1 << 20  # bytes
_SAMPLE = 1 << 16  # bytes of lines that are not ASCII, from which an older encoding is guessed

_WESTERN = "cp1252"
_OLDER = [_WESTERN, "gb18030", "big5", "cp932", "euc_kr", "cp1251", "cp1250", "mac_roman"]
"""Encodings in which Excel and its kin save text where they do not save Unicode."""

_LIKELY = 0.1
"""charset-normalizer's `chaos` up to which Excel's Western encoding is taken: in short texts, others look as good."""


def open_text(path: Path, newline: str | None, encoding: str = UTF8) -> IO[str]:
    """Open a text file, without its byte-order mark, unpacked where its suffix says that it is compressed."""
    handle: IO[str] = _opener(path)(path, "rt", encoding=encoding, newline=newline)
    return handle


def head_of(path: Path) -> bytes:
    """The first `HEAD` bytes of a file, unpacked."""
    with _opener(path)(path, "rb") as handle:
        return bytes(handle.read(HEAD))


def has_zero_byte(path: Path) -> bool:
    """Whether a zero byte is anywhere in a file, unpacked."""
    with _opener(path)(path, "rb") as handle:
        return any(b"\0" in block for block in iter(lambda: handle.read(_BLOCK), b""))


def encoding_of(head: bytes) -> str:
    """UTF-8, or UTF-16 or 32 by the byte-order mark, or by the zeros of which UTF-16 of plain letters is half."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if zeros.count(0) > 0.5 * len(zeros) > 0 and letters.count(0) == 0:
            return encoding
    return UTF8


def text_blocks(path: Path) -> Iterator[str]:
    r"""A text file's content, piece by piece; each piece but the last ends with `\n`.

    Raises:
        DataError: it is not text; the message has the place of the first byte that is not UTF-8 in the unpacked file.
    """
    encoding = encoding_of(head_of(path))
    if encoding == UTF8:
        start = 0
        with _opener(path)(path, "rb") as handle:
            while block := b"".join(handle.readlines(_BLOCK)):
                content = block.removeprefix(codecs.BOM_UTF8) if not start else block
                try:
                    text = content.decode()
                except UnicodeDecodeError:
                    encoding = older_encoding(path)
                    understood(path, guesses=[older_guess(encoding)])
                    break
                yield text
                start += len(block)
        if encoding == UTF8:
            return
        with _opener(path)(path, "rb") as handle:
            handle.seek(start)
            while block := b"".join(handle.readlines(_BLOCK)):
                yield block.decode(encoding)
        return
    with open_text(path, "\n", encoding) as text_handle:
        while lines := text_handle.readlines(_BLOCK):
            yield "".join(lines)


def older_encoding(path: Path) -> str:
    """The encoding of a text file that is not in UTF-8, as charset-normalizer guesses it from its bytes.

    Raises:
        DataError: it is no text in any of the encodings that Excel and its kin write, or partly UTF-8.
    """
    sample: list[bytes] = []
    place: int | None = None
    start, unicode = 0, False
    with _opener(path)(path, "rb") as handle:
        for line in handle:
            content = line.removeprefix(codecs.BOM_UTF8) if not start else line
            if not content.isascii():
                try:
                    content.decode()
                    unicode = True
                except UnicodeDecodeError as error:
                    place = start + len(line) - len(content) + error.start if place is None else place
                if sum(map(len, sample)) < _SAMPLE:
                    sample.append(content)
            start += len(line)
    guess = None if unicode or any(b"\0" in line for line in sample) else _guessed(b"".join(sample))
    if guess is None:
        raise not_utf8(path, place or 0)
    try:
        with open_text(path, None, guess) as text:
            while text.read(_BLOCK):
                pass
    except UnicodeDecodeError as error:
        raise not_utf8(path, place or 0) from error
    return guess


def _guessed(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=_OLDER)
    if any(_WESTERN in match.could_be_from_charset and match.chaos <= _LIKELY for match in matches):
        return _WESTERN
    best = matches.best()
    if best is not None:
        return best.encoding
    # Signs such as those of units look like chaos to it.
    return None if any(byte < 32 and byte not in b"\t\r\n" for byte in sample) else _WESTERN


def older_guess(encoding: str) -> str:
    """What to tell of a file in an older encoding."""
    return f"not in Unicode, read as {encoding}"


def not_utf8(path: Path, place: int) -> DataError:
    """The error of a file that is not text in UTF-8 from byte `place` on."""
    return DataError(f"{path} is not text in UTF-8 (byte {place}): is it of another kind than its name says?")


def _opener(path: Path) -> Any:
    return OPENERS.get(path.suffix.lower(), open)
