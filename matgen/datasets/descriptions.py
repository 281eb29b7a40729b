"""What `matgen data info` tells of a dataset of the catalog, kept in the cache: it takes reading all rows."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from matgen import __version__
from matgen.datasets.catalog import CATALOG, CatalogueRow, catalog_row
from matgen.datasets.places import table_path
from matgen.errors import DataError, OutputError
from matgen.io.files import file_sha256, read_checksummed, write_checksummed
from matgen.io.places import CHECKSUMS, data_folder
from matgen.runtime.cache import cache_folder


def description(name: str, column: str | None = None) -> dict[str, Any]:
    """As `load.describe`, without reading the table again where it and matgen are what they were; raises as it does."""
    row = CATALOG.get(name) if column is None else None
    if row is None or not table_path(row).is_file():
        return _described(name, column)
    kept = cache_folder() / "descriptions" / f"{name}-{_digest(row)}.json"
    try:
        return {**read_checksummed(kept), "path": str(table_path(row))}
    except DataError:  # not there, or damaged
        told = _described(name, column)
    with contextlib.suppress(OutputError):  # a cache that cannot be written keeps nothing
        write_checksummed(kept, told)
    return told


def _described(name: str, column: str | None) -> dict[str, Any]:
    from matgen.datasets.load import describe

    return describe(name, column)


def _digest(row: CatalogueRow) -> str:
    """Of all that a description depends on: the tables, what they should be, what is taken of them, and the version."""
    made = table_path(catalog_row("experimental"))
    files: list[Path] = [table_path(row), made, data_folder() / CHECKSUMS]
    sums = [file_sha256(path) if path.is_file() else "" for path in files]
    return hashlib.sha256(repr((__version__, row, sums)).encode()).hexdigest()[:24]
