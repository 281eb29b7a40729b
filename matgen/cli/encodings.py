"""Output that any encoding can take: what a terminal or a redirected file cannot write is written in plain signs."""

from __future__ import annotations

import codecs
import contextlib
import sys
import unicodedata

_HANDLER = "matgen.plain"
_PLAIN = {
    "·": "*", "•": "*",
    "–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "≤": "<=", "≥": ">=", "→": "->", "°": " deg",
    "‘": "'", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"', "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta",
}  # fmt: skip
"""Signs that Unicode has no plain form of."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Plain signs for those that cannot be encoded: `2` for a subscript, `\\xe9` for a file name's byte, else `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    written = ""
    for sign in error.object[error.start : error.end]:
        if 0xDC80 <= ord(sign) <= 0xDCFF:  # a byte of a file name that is not UTF-8
            written += f"\\x{ord(sign) - 0xDC00:02x}"
            continue
        plain = _PLAIN.get(sign) or unicodedata.normalize("NFKD", sign).replace("\u2044", "/")
        plain = "".join(one for one in plain if not unicodedata.combining(one))
        written += plain if plain.isascii() and plain.isprintable() and plain else "?"
    return written, error.end


def write_in_any_encoding() -> None:
    """Make standard output and standard error write what their encoding lacks in plain signs."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        # Streams that are no files, such as those of a notebook, take any text.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors=_HANDLER)  # type: ignore[union-attr]
