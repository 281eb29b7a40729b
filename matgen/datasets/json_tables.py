"""Tables in JSON, in all the ways that pandas and databases write them, as a list of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from matgen.composition.batch import parse_formulas
from matgen.datasets.formula_column import has_formula_column
from matgen.datasets.formula_guess import may_hold_formulas

_HOLDERS = ("data", "results", "records", "rows", "entries", "response", "items")
"""Keys under which services put a list of rows."""

_MANY = 100
"""Keys that are looked at to see whether they are formulas."""


def entries_of(content: Any, column: str | None) -> list[Any] | None:
    """The rows in the content of a JSON file: dictionaries, or single values such as formulas; None where it has none.

    It may be a list of rows, one row, what `DataFrame.to_json` writes by any of its `orient` (of `values`, columns are
    called `0`, `1` ...; labels of rows that are formulas become a column `formula`), what `Series.to_json` writes of
    numbers labeled by formulas, columns as lists, or any of these under a key such as `data`. Rows of OPTIMADE, whose
    properties lie under `attributes`, are flattened.

    Args:
        content: as `json.loads` gives it.
        column: name of the formula column, by default recognized by its name.
    """
    if isinstance(content, dict):
        content = _of_dictionary(content, column)
    if not isinstance(content, list):
        return None
    if content and all(isinstance(row, list) for row in content):
        return [{str(place): cell for place, cell in enumerate(row)} for row in content]
    return [_flat(row) for row in content]


def _of_dictionary(content: dict[str, Any], column: str | None) -> Any:
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):  # orient="split"
        return _split(content["columns"], content.get("index"), content["data"], column)
    has_formulas = has_formula_column(content, column) or (column is None and may_hold_formulas(content))
    values = list(content.values())
    dictionaries = bool(values) and all(isinstance(value, dict) for value in values)
    for key in () if has_formulas else _HOLDERS:
        held = content.get(key)
        if isinstance(held, list):
            return held
        # Among other dictionaries it may be a column called so.
        if isinstance(held, dict) and (not dictionaries or len(values) == 1 or has_formula_column(held, column)):
            return _of_dictionary(held, column)
    if dictionaries:
        return _columns(content) if has_formulas else _labeled(content, column)
    if values and all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return [dict(zip(content, cells, strict=True)) for cells in zip(*values, strict=True)]
    if values and not any(isinstance(value, dict | list) for value in values) and _are_formulas(content):
        return [{"formula": label, "value": value} for label, value in content.items()]  # of a pandas series
    return [content]


def _labeled(content: dict[str, dict[str, Any]], column: str | None) -> list[dict[str, Any]]:
    """Rows by their labels, or columns by their names whose cells are labeled by formulas."""
    rows = list(content.values())
    if any(has_formula_column(row, column) for row in rows):
        return rows
    if _are_formulas(content):
        return [{"formula": label, **row} for label, row in content.items()]
    labels = list(dict.fromkeys(label for cells in rows for label in cells))
    if labels == [str(place) for place in range(len(labels))]:  # of rows that pandas counted
        return _columns(content)
    # `{"row": {"Fe": 2, "O": 3}}` has columns called by elements, no rows of compounds.
    if _are_formulas(labels) and np.mean(parse_formulas(labels).batch.n_elements > 1) > 0.5:
        return [
            {"formula": label} | {name: cells[label] for name, cells in content.items() if label in cells}
            for label in labels
        ]
    return rows


def _split(names: list[Any], labels: Any, rows: list[Any], column: str | None) -> list[dict[str, Any]]:
    records = [dict(zip(map(str, names), row, strict=False)) for row in rows if isinstance(row, list)]
    labeled = isinstance(labels, list) and len(labels) == len(records) and not has_formula_column(names, column)
    if labeled and _are_formulas(labels):
        return [{"formula": label, **record} for label, record in zip(labels, records, strict=True)]
    return records


def _columns(content: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    labels = dict.fromkeys(label for cells in content.values() for label in cells)
    return [{name: cells[label] for name, cells in content.items() if label in cells} for label in labels]


def _are_formulas(labels: Any) -> bool:
    some = [label for label, _ in zip(labels, range(_MANY), strict=False)]
    return bool(some) and all(isinstance(one, str) for one in some) and not parse_formulas(some).bad


def _flat(row: Any) -> Any:
    if isinstance(row, dict) and isinstance(row.get("attributes"), dict):
        return {key: value for key, value in row.items() if key != "attributes"} | row["attributes"]
    return row
