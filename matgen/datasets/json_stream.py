"""The objects of a long JSON list one after another, in constant memory.

The standard library's decoder is used on a moving window. (Streaming parsers refuse `NaN` and `Infinity`, which files
written by Python hold.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from matgen.errors import DataError

_BLOCK = 1 << 20
_LONGEST = 1 << 26
"""Characters of one object at most; what has not ended by then is no JSON."""

_BETWEEN = " \t\r\n,"


def objects_of(stream: IO[str], name: str, key: str | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a list.

    Args:
        stream: text of the file.
        name: of the file, for messages.
        key: the list is the value of this key of an object; None where the file is the list itself.

    Raises:
        DataError: it is not such a list, it is cut short, or it holds something else than objects.
    """
    window = _Window(stream, name)
    if key is not None:
        window.find(f'"{key}"')
    window.find("[", blank_before=key is None)
    while window.next_character() != "]":
        yield window.take_object()


class _Window:
    """What has been read of a stream and not been used."""

    def __init__(self, stream: IO[str], name: str) -> None:
        self._stream, self._name = stream, name
        self._text, self._place = "", 0
        self._decoder = json.JSONDecoder()

    def find(self, mark: str, *, blank_before: bool = False) -> None:
        """Go behind the first place of a mark, before which nothing may stand where `blank_before` is on."""
        while (at := self._text.find(mark, self._place)) < 0:
            if len(self._text) > _LONGEST or not self._more():
                raise self._refusal(f"no {mark} in it")
        if blank_before and self._text[self._place : at].strip("\ufeff \t\r\n"):
            raise self._refusal("no list")
        self._place = at + len(mark)

    def next_character(self) -> str:
        """The next one that is neither blank nor a comma, which is not used up."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _BETWEEN:
                    return self._text[self._place]
                self._place += 1
            if not self._more():
                raise self._refusal("it is cut short")

    def take_object(self) -> dict[str, Any]:
        """The object that begins at the next character."""
        if self._text[self._place] != "{":
            raise self._refusal("its list holds something else than objects")
        while True:
            try:
                found, self._place = self._decoder.raw_decode(self._text, self._place)
            except ValueError as error:
                if len(self._text) - self._place > _LONGEST:
                    raise self._refusal("an object in it is no JSON") from error
                if not self._more():
                    raise self._refusal("it is cut short, or no JSON") from error
            else:
                content: dict[str, Any] = found
                return content

    def _more(self) -> bool:
        """Read on; False at the end."""
        block = self._stream.read(max(_BLOCK, len(self._text) - self._place))  # twice as much each time
        self._text, self._place = self._text[self._place :] + block, 0
        return bool(block)

    def _refusal(self, why: str) -> DataError:
        return DataError(f"cannot read {self._name}: {why}")
