"""Datasets: the catalog, loading by name or from a file, fixed splits, and building from the sources."""

from matgen.datasets.builders import BUILDERS, build
from matgen.datasets.catalog import CATALOG, DEFAULT_DATASET, CatalogueRow, catalog_row
from matgen.datasets.load import Dataset, describe, load_dataset, load_task, passes_published_filter
from matgen.datasets.splits import PARTS, SHIFTED_SPLITS, SPLITS, assign_splits, shifted_parts, split_batch
from matgen.datasets.storage import built_folder, data_folder
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
