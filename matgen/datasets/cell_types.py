"""CSV with what its cells say kept: codes with leading zeros, large integers, categories called `NA` or `None`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.datasets.csv_file import MISSING
from matgen.datasets.text_files import ZERO_BYTE, has_zero_byte

_MARKERS = frozenset(MISSING) - {""} | {"#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
_CODE = re.compile(r"[-+]?0\d+")
_INTEGER = re.compile(r"[-+]?\d{16,}")
_FLAGS = {"true", "false"}
_AS_WRITTEN: dict[str, Any] = {"skipinitialspace": True, "keep_default_na": False}


def read_csv_as_written(path: Path, separator: str = ",") -> tuple[pd.DataFrame, list[str]]:
    """A CSV table, each column of the type that loses nothing of it, and what to tell of it.

    A column of digits some of which begin with a zero stays text, and so does one of integers beyond 2^53 that would
    become floating-point numbers. What stands for a missing cell (`NA`, `None`, `null` ...) does so among numbers and
    flags; among text it is a text like any other, unless a column of numbers in the same file uses it for missing
    cells. A column without a name or any cell is left out.

    Args:
        path: UTF-8, decimal points.
        separator: of columns.

    Raises:
        ValueError: it holds a zero byte.
        ParserError: a row has too many fields (by more than one, or in other rows than the first).
    """
    if has_zero_byte(path):
        raise ValueError(ZERO_BYTE)
    raw = pd.read_csv(path, sep=separator, dtype=str, na_filter=False, **_AS_WRITTEN)
    columns = {str(name): _Cells(raw.iloc[:, place]) for place, name in enumerate(raw.columns)}
    among_numbers = {marker: name for name, cells in columns.items() if cells.are_numbers for marker in cells.markers}
    types, missing, told = {}, {}, []
    for name, cells in columns.items():
        missing[name] = ["", *_MARKERS]
        if cells.kept_as_text:
            types[name] = str
            told.append(f"{name} is read as text: {cells.kept_as_text}")
        if cells.are_numbers or not cells.markers or not cells.any_text:
            continue
        missing[name] = ["", *among_numbers.keys() & cells.markers]
        for marker, n in cells.markers.items():
            among = among_numbers.get(marker)
            meaning = f"as missing, as it is in {among}" if among else "as a value like others"
            told.append(f"{marker!r} in {name} ({n:,} {'cell' if n == 1 else 'cells'}) is read {meaning}")
    options: dict[str, Any] = {
        "dtype": types,
        "na_values": missing,
        "float_precision": "round_trip",
        "low_memory": False,
    }
    frame = pd.read_csv(path, sep=separator, **options, **_AS_WRITTEN)
    named = ~frame.columns.astype(str).str.startswith("Unnamed: ")
    return frame.loc[:, named | frame.notna().any().to_numpy()], told


class _Cells:
    """What the texts of one column are.

    Attributes:
        markers: what may stand for a missing cell, with its number of cells.
        any_text: some other cell is filled, or cells differ in what they have for a missing one (`NA`, `None`).
        are_numbers: all others are numbers or flags, and read as such.
        kept_as_text: why numbers stay text, empty where they do not.
    """

    def __init__(self, cells: pd.Series) -> None:
        texts = cells.str.strip()
        is_marker = texts.isin(_MARKERS)
        self.markers = {str(marker): int(n) for marker, n in texts[is_marker].value_counts().items()}
        others = texts[~is_marker & (texts != "")]
        self.any_text = bool(len(others)) or len(self.markers) > 1
        numeric = pd.to_numeric(others, errors="coerce").notna().all()
        flags = others.str.lower().isin(_FLAGS).all()
        self.kept_as_text = _lost_by_numbers(others, gaps=len(others) < len(texts)) if numeric and len(others) else ""
        self.are_numbers = bool(len(others) and (numeric or flags) and not self.kept_as_text)


def _lost_by_numbers(texts: pd.Series, *, gaps: bool) -> str:
    """What of numbers in a column would be lost: the first such cell and why; empty where nothing is."""
    codes = texts[texts.str.fullmatch(_CODE)]
    if len(codes):
        return f"{codes.iloc[0]!r} has leading zeros"
    if not texts.str.fullmatch(r"[-+]?\d+").all():
        return ""
    large = [text for text in texts[texts.str.fullmatch(_INTEGER)] if int(float(text)) != int(text)]
    fits = all(-(2**63) <= int(text) < 2**63 for text in large)
    return f"{large[0]!r} is an integer beyond 2^53" if large and (gaps or not fits) else ""
