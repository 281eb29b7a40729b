"""Where tables lie and what proves their content: data folder, cache, Parquet, checksums of the canonical content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.errors import DataError, OutputError, first_line
from matgen.io.files import atomic_write, read_json
from matgen.io.parquet import CHECKED_WRITING, read_parquet, require_utf8
from matgen.io.places import CHECKSUMS, data_folder


def write_table(frame: pd.DataFrame, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table as Parquet, whole: zstd, floats byte by byte, sorted text by its differences.

    Raises:
        OutputError: the folder cannot be written or the disk is full; an earlier file is left as it was.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_utf8(path, OutputError)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(metadata or {})})
    floats = [name for name in frame.columns if frame[name].dtype.kind == "f"]
    texts = [name for name in frame.columns if name == "formula"]
    others = [name for name in frame.columns if name not in (*floats, *texts)]
    encodings = dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | dict.fromkeys(texts, "DELTA_BYTE_ARRAY")
    with atomic_write(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=19,
            use_dictionary=others or False,
            column_encoding=encodings or None,
            **CHECKED_WRITING,
        )


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["unreadable"])[0]
        raise DataError(f"{path} is damaged ({reason}): build it again") from error


def read_metadata(path: Path) -> dict[str, str]:
    """matgen's own entries (`matgen.*`) in a Parquet file's metadata."""
    import pyarrow.parquet as pq

    try:
        entries = pq.read_schema(path).metadata or {}
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {first_line(error)}") from error
    return {key.decode(): value.decode() for key, value in entries.items() if key.startswith(b"matgen.")}


def content_sha256(frame: pd.DataFrame) -> str:
    """Hash of a table's canonical content, as hexadecimal text: of what it says, not of the Parquet bytes that say it.

    Column by column, in order, SHA-256 takes in `NAME\\nKIND\\n` and then the values in row order:

    * `text`: UTF-8, each followed by a line break; a missing value is the character U+0000;
    * `bool`: one byte each, 0 or 1;
    * `float32` and `int64`: little-endian; every missing number is 0x7FC00000, minus zero is zero;
    * `list` and one of these: the lengths as `int64`, then the values of all lists one after another.
    """
    digest = hashlib.sha256()
    for name in frame.columns:
        kind, content = _canonical(frame[name])
        digest.update(f"{name}\n{kind}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _canonical(column: pd.Series) -> tuple[str, bytes]:
    if column.dtype.kind == "b":
        return "bool", column.to_numpy(dtype=np.uint8).tobytes()
    if column.dtype.kind in "iu":
        return "int64", column.to_numpy(dtype="<i8").tobytes()
    if column.dtype.kind == "f":
        values = column.to_numpy(dtype="<f4") + np.float32(0)  # minus zero becomes zero
        bits = np.where(np.isnan(values), np.uint32(0x7FC00000), values.view("<u4"))
        return "float32", bits.astype("<u4").tobytes()
    if len(column) and isinstance(column.iloc[0], np.ndarray):
        kind, content = _canonical(pd.Series(np.concatenate(column.tolist())))
        return f"list {kind}", column.map(len).to_numpy(dtype="<i8").tobytes() + content
    # Not by `Series.where`: NumPy drops trailing U+0000, which would make a missing value an empty one.
    lines = ["\0\n" if gone else f"{text}\n" for text, gone in zip(column, column.isna(), strict=True)]
    return "text", "".join(lines).encode()


def checksum_entry(frame: pd.DataFrame) -> dict[str, Any]:
    """What `checksums.json` keeps of a table."""
    return {"rows": len(frame), "columns": list(frame.columns), "sha256": content_sha256(frame)}


def checksum_ok(frame: pd.DataFrame, file: str) -> bool | None:
    """Whether a table has the content that the bundled `checksums.json` states; None where it states nothing."""
    try:
        entry = read_json(data_folder() / CHECKSUMS)["files"].get(file)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{data_folder() / CHECKSUMS} is not a list of checksums: install matgen again") from error
    return None if entry is None else entry["sha256"] == content_sha256(frame)
