"""Where the tables of the catalog are."""

from __future__ import annotations

from pathlib import Path

from matgen.datasets.catalog import CatalogueRow
from matgen.io.places import data_folder
from matgen.runtime.cache import cache_folder


def built_folder() -> Path:
    """The folder of tables that `matgen data build` makes, inside the cache."""
    return cache_folder() / "datasets"


def table_path(row: CatalogueRow) -> Path:
    """Where a dataset's table is, or would be once it is built."""
    return (data_folder() if row.bundled else built_folder()) / row.file
