"""Texts and formulas as numbers: bytes of UTF-8, and one number for each element of a formula."""

from __future__ import annotations

import numpy as np

_BYTES = 256
_ELEMENTS = 119
"""Atomic numbers up to 118, and 0."""
SYMBOLS_OF_TEXTS = _BYTES + _ELEMENTS
"""Numbers that texts and formulas are spelled with: bytes, then elements."""


def spell(text: str, column_type: str, formulas_as: str = "text") -> list[int]:
    """Letters of a text as bytes of UTF-8; the elements of formulas one token each (256 and the atomic number)."""
    if column_type != "formula":
        return list(text.encode("utf-8", "surrogatepass"))
    from matgen.lift.sentences import element_fractions

    fractions = element_fractions(text) if formulas_as != "text" else None
    if fractions is not None:
        text = fractions if formulas_as == "fractions" else f"{text} ({fractions})"
    return _spelled_formula(text)


def _spelled_formula(text: str) -> list[int]:
    from matgen.composition.elements import ATOMIC_NUMBER, SYMBOLS

    ids: list[int] = []
    at = 0
    while at < len(text):
        symbol = next((text[at : at + k] for k in (2, 1) if SYMBOLS[ATOMIC_NUMBER.get(text[at : at + k], 0)]), "")
        z = ATOMIC_NUMBER.get(symbol, 0)
        if symbol and SYMBOLS[z] == symbol:  # D and T stay letters
            ids.append(_BYTES + z)
            at += len(symbol)
        else:
            ids += text[at].encode("utf-8", "surrogatepass")
            at += 1
    return ids


def unspell(ids: np.ndarray, column_type: str) -> str:
    """The text that `spell` was given (bytes that are no UTF-8 are replaced)."""
    from matgen.composition.elements import SYMBOLS

    out = bytearray()
    for i in ids.tolist():
        out += bytes([i]) if i < _BYTES else str(SYMBOLS[i - _BYTES]).encode()
    return out.decode("utf-8", "replace")
