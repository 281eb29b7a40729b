"""Tables that are read and written chunk by chunk: Parquet types that hold a column in every chunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.io.parquet import CHECKED_READING, CHECKED_WRITING


class ColumnTypes:
    """Parquet types that hold a column in every chunk: columns of mixed types become text, as do empty ones."""

    def __init__(self) -> None:
        self._types: dict[str, pa.DataType] = {}

    def add(self, frame: pd.DataFrame) -> None:
        """Take in a chunk's columns."""
        for place, name in enumerate(frame.columns):
            known = self._types.get(str(name), pa.null())
            self._types[str(name)] = _common(known, _arrow_type(frame.iloc[:, place]))

    def add_schema(self, schema: pa.Schema) -> None:
        """Take in the columns of a chunk that was written."""
        for field in schema:
            known = self._types.get(field.name, pa.null())
            self._types[field.name] = _common(known, field.type)

    def schema_so_far(self) -> pa.Schema:
        """The columns; those without a value are of no type yet."""
        return pa.schema(list(self._types.items()))

    def schema(self) -> pa.Schema:
        """The columns in order of their first appearance."""
        return pa.schema(
            [(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in self._types.items()]
        )


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its Arrow columns as pandas has them elsewhere, as reading a whole Parquet file gives them."""
    arrow = {
        name: pa.chunked_array(pa.array(column.array)).to_pandas()
        for name, column in frame.items()
        if isinstance(column.dtype, pd.ArrowDtype)
    }
    return frame.assign(**{str(name): values.set_axis(frame.index) for name, values in arrow.items()})


def _arrow_type(column: pd.Series) -> pa.DataType:
    """The type of one column of one chunk; null where it has no value."""
    if isinstance(column.dtype, pd.ArrowDtype):
        kind = column.dtype.pyarrow_dtype
        text = pa.types.is_dictionary(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        return pa.string() if text else kind
    if pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype):
        kinds = {"empty": pa.null(), "boolean": pa.bool_()}  # the second of flags with gaps
        return kinds.get(pd.api.types.infer_dtype(column, skipna=True), pa.string())
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pa.string()
    return pa.Array.from_pandas(column.iloc[:0]).type


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    kinds = {_kind(one), _kind(other)}
    if kinds == {"integer"}:
        return pa.int64()
    return pa.float64() if kinds <= {"integer", "float"} else pa.string()


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "integer"
    return "float" if pa.types.is_floating(kind) else str(kind)


def stored_column(frame: pd.DataFrame, field: pa.Field) -> Any:
    """One column's values as Parquet takes them: those of a text column that are no text are written as text."""
    if field.name not in frame:
        return pd.Series(None, index=frame.index, dtype=object)
    column = frame[field.name]
    if not pa.types.is_string(field.type):
        return column
    if isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_string(_arrow_type(column)):
        return column
    if pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty"):
        return column
    return column.astype(str).astype(object).where(column.notna(), None)


def as_table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A chunk in Arrow, with all columns of a schema and no others."""
    columns = pd.DataFrame({field.name: stored_column(frame, field) for field in schema}, index=frame.index)
    table = pa.Table.from_pandas(columns, schema=schema, preserve_index=False, safe=False)
    return table.replace_schema_metadata()


_ROW_GROUP = 131_072


def join_chunks(paths: Sequence[Path], schema: pa.Schema, out: Path, *, parquet: bool) -> None:
    """Write Parquet files one after another into one CSV or Parquet file, in constant memory.

    Its bytes do not depend on how the rows were distributed over the files.

    Args:
        paths: files of matgen's, whose columns are those of the schema or some of them.
        schema: of the result, as `ColumnTypes` of the files makes it.
        out: where to write.
        parquet: whether to write Parquet; else CSV.
    """
    tables = (_cast(pq.read_table(path, **CHECKED_READING), schema) for path in paths)
    if not parquet:
        for number, table in enumerate(tables):
            _in_pandas(table).to_csv(out, mode="a" if number else "w", header=number == 0, index=False)
        return
    with pq.ParquetWriter(out, schema, **CHECKED_WRITING) as writer:
        waiting: list[pa.Table] = []
        for table in tables:
            waiting.append(table)
            while sum(map(len, waiting)) >= _ROW_GROUP:
                whole = pa.concat_tables(waiting).combine_chunks()
                writer.write_table(whole.slice(0, _ROW_GROUP), row_group_size=_ROW_GROUP)
                waiting = [whole.slice(_ROW_GROUP)]
        if rest := [table for table in waiting if len(table)]:
            writer.write_table(pa.concat_tables(rest).combine_chunks(), row_group_size=_ROW_GROUP)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A chunk with all columns of the whole, of their types there."""
    if table.schema.remove_metadata() == schema:
        return table.replace_schema_metadata()
    return as_table(_in_pandas(table), schema)


def _in_pandas(table: pa.Table) -> pd.DataFrame:
    """As pandas, integers and flags with gaps as such."""

    def kept(kind: pa.DataType) -> Any:
        return pd.ArrowDtype(kind) if pa.types.is_integer(kind) or pa.types.is_boolean(kind) else None

    return table.to_pandas(types_mapper=kept)
