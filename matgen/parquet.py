"""Parquet with a checksum of each page, so that a damaged file is refused and no wrong value read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

CHECKED_WRITING: dict[str, Any] = {"write_page_checksum": True}
"""Options for writing, of pandas and pyarrow alike."""

CHECKED_READING: dict[str, Any] = {"page_checksum_verification": True}
"""Options for reading. Files of other programs, without checksums, are read as well."""


def write_parquet(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a frame without its index."""
    frame.to_parquet(path, index=False, **CHECKED_WRITING)


def read_parquet(path: Path | str) -> pd.DataFrame:
    """Read one file.

    Raises:
        OSError, ValueError: it is damaged (pyarrow's errors are of these kinds).
    """
    return pd.read_parquet(path, **CHECKED_READING)
