"""Columns of formulas as Arrow keeps them, and compiled readers and writers where it pays to load them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from matgen.runtime.compiled import load_kernel

_WORTH_LOADING = 100_000
"""Rows from which a compiled module is loaded: numba takes about half a second to import."""

_WORTH_USING = 1_000
"""Rows from which it is used once numba is there."""


def kernel_for(n: int, name: str = "parser_kernel") -> ModuleType | None:
    """A compiled module of `matgen.composition`, or None where `n` rows are too few or numba cannot work here."""
    if n < (_WORTH_USING if f"matgen.composition.{name}" in sys.modules else _WORTH_LOADING):
        return None
    return load_kernel(f"composition.{name}")


def arrow_strings(column: Any) -> list[Any] | None:
    """The Arrow arrays of type string or large_string that hold a column, or None where it is not held by Arrow.

    Args:
        column: a pyarrow array or chunked array, or a pandas Series or array whose type keeps Arrow strings.
    """
    dtype = getattr(column, "dtype", None)
    in_pandas = hasattr(dtype, "pyarrow_dtype") or getattr(dtype, "storage", None) == "pyarrow"
    if not in_pandas and not type(column).__module__.startswith("pyarrow."):
        return None
    import pyarrow as pa

    if in_pandas:
        column = pa.array(column)
    if not isinstance(column, pa.Array | pa.ChunkedArray):
        return None
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if str(kind) not in ("string", "large_string", "string_view"):
        return None
    if str(column.type) not in ("string", "large_string"):
        column = column.cast(pa.large_string())
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]
