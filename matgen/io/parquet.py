"""Parquet with a checksum of each page, so that a damaged file is refused and no wrong value read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import DataError, MatgenError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CHECKED_WRITING: dict[str, Any] = {"write_page_checksum": True}
"""Options for writing, of pandas and pyarrow alike."""

CHECKED_READING: dict[str, Any] = {"page_checksum_verification": True}
"""Options for reading. Files of other programs, without checksums, are read as well."""


def require_utf8(path: Path | str, error: type[MatgenError]) -> None:
    """Refuse a name by which pyarrow cannot open a file.

    Args:
        path: of a Parquet or Feather file, or the folder of one.
        error: what to raise.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise error(
            f"{path}: files of this kind need a name in UTF-8, and this one has other bytes: rename it"
        ) from None


def write_parquet(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a frame without its index."""
    frame.to_parquet(path, index=False, **CHECKED_WRITING)


def read_parquet(path: Path | str) -> pd.DataFrame:
    """Read one file.

    Raises:
        OSError, ValueError: it is damaged (pyarrow's errors are of these kinds).
    """
    import pandas as pd

    require_utf8(path, DataError)
    check_names(path)
    try:
        return pd.read_parquet(path, **CHECKED_READING)
    except (LookupError, TypeError, AttributeError) as error:  # what pandas noted of the columns
        raise ValueError(f"what it says of its columns is damaged ({error!r})") from error


def check_names(path: Path | str) -> None:
    """Compare the places in which a file's footer, which has no checksum, names the columns.

    Raises:
        OSError, ValueError: they differ, or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = pq.read_metadata(path)
    noted = (footer.metadata or {}).get(b"ARROW:schema")
    if noted is None:
        return  # of a program that does not write them twice
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(noted)))
    leaves = [footer.schema.column(place).path for place in range(footer.num_columns)]
    if not _same(schema, leaves) or not _noted_by_pandas(schema):
        raise ValueError("its footer is damaged: it names its columns in two ways")


def _same(schema: pa.Schema, leaves: list[str]) -> bool:
    """Whether columns are those of Parquet's leaves, which for nested ones are `column.list.element`."""
    for field in schema:
        n, nested = _n_leaves(field.type), field.type.num_fields > 0
        here, leaves = leaves[:n], leaves[n:]
        if len(here) < n or not all(
            leaf.startswith(f"{field.name}.") if nested else leaf == field.name for leaf in here
        ):
            return False
    return not leaves


def _n_leaves(kind: pa.DataType) -> int:
    """Columns in which Parquet keeps a column of this type."""
    return sum(_n_leaves(kind.field(place).type) for place in range(kind.num_fields)) if kind.num_fields else 1


def _noted_by_pandas(schema: pa.Schema) -> bool:
    """Whether pandas, where it wrote the file, calls the columns as the schema does; it reads them by its own notes."""
    try:
        entries = (schema.pandas_metadata or {}).get("columns", [])
        fields = [(entry["name"], entry["field_name"]) for entry in entries]
    except (LookupError, TypeError, AttributeError):
        return False
    return all(name is None or str(name) == field or field.startswith("__index_level_") for name, field in fields)
