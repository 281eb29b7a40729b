"""Datasets: the catalog, loading by name or from a file, fixed splits, and building from the sources.

Names are imported when they are asked for: what is in the catalog is known without pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matgen.runtime.lazy import lazily

if TYPE_CHECKING:
    from matgen.datasets.builders import BUILDERS, build
    from matgen.datasets.catalog import CATALOG, DEFAULT_DATASET, CatalogueRow, catalog_row
    from matgen.datasets.load import Dataset, describe, load_dataset, load_task, passes_published_filter
    from matgen.datasets.places import built_folder
    from matgen.datasets.splits import PARTS, SHIFTED_SPLITS, SPLITS, assign_splits, shifted_parts, split_batch
    from matgen.datasets.storage import data_folder
    from matgen.datasets.tables import read_formula_table

__all__ = [
    "BUILDERS",
    "CATALOG",
    "DEFAULT_DATASET",
    "PARTS",
    "SHIFTED_SPLITS",
    "SPLITS",
    "CatalogueRow",
    "Dataset",
    "assign_splits",
    "build",
    "built_folder",
    "catalog_row",
    "data_folder",
    "describe",
    "load_dataset",
    "load_task",
    "passes_published_filter",
    "read_formula_table",
    "shifted_parts",
    "split_batch",
]

_HOMES = {
    "BUILDERS": "builders",
    "CATALOG": "catalog",
    "CatalogueRow": "catalog",
    "DEFAULT_DATASET": "catalog",
    "Dataset": "load",
    "PARTS": "splits",
    "SHIFTED_SPLITS": "splits",
    "SPLITS": "splits",
    "assign_splits": "splits",
    "build": "builders",
    "built_folder": "places",
    "catalog_row": "catalog",
    "data_folder": "storage",
    "describe": "load",
    "load_dataset": "load",
    "load_task": "load",
    "passes_published_filter": "load",
    "read_formula_table": "tables",
    "shifted_parts": "splits",
    "split_batch": "splits",
}

__getattr__ = lazily(__name__, _HOMES)
