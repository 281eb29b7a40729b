"""Arrow arrays from numpy ones and back, through their bytes.

pyarrow's own ways (`pa.array`, `to_numpy`, `pq.read_table`) import pandas, which takes longer than all that a table of
a few columns needs of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.io.parquet import CHECKED_READING

if TYPE_CHECKING:
    import pyarrow as pa


def numbers_as_arrow(values: np.ndarray) -> pa.Array:
    """An array of float64, of 64-bit integers, or of bool, `(n,)`; a NaN stays one."""
    import pyarrow as pa

    if values.dtype == bool:
        # Arrow keeps eight truth values a byte, the first in the lowest bit.
        return pa.Array.from_buffers(
            pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))]
        )
    kind = {"float64": pa.float64(), "uint64": pa.uint64(), "int64": pa.int64()}[values.dtype.name]
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def texts_as_arrow(texts: Sequence[str] | np.ndarray) -> pa.Array:
    """An array of strings."""
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in encoded], dtype=np.int64)]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def column_as_numpy(table: pa.Table, name: str) -> np.ndarray:
    """A column without missing values: of numbers or truth values, or of text as object, `(n,)`."""
    column = table[name]
    kind = str(column.type)
    if kind in ("string", "bool"):
        return np.array(column.to_pylist(), dtype=object if kind == "string" else bool)
    parts = [_numbers(chunk) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=column.type.to_pandas_dtype())


def _numbers(chunk: Any) -> np.ndarray:
    kind = np.dtype(chunk.type.to_pandas_dtype())  # a type of numpy, in spite of its name
    values = np.frombuffer(chunk.buffers()[1], dtype=kind, count=chunk.offset + len(chunk))
    return values[chunk.offset :]


def read_arrow(path: Path | str, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file, its checksums compared.

    Raises:
        OSError, ValueError: it is damaged (pyarrow's errors are of these kinds).
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, **CHECKED_READING) as file:
        return file.read(columns=None if columns is None else list(columns))
