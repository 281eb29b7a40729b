"""Single rows of the bundled table, found by their formulas without pandas: what a look at a few compositions needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from matgen.errors import DataError, first_line
from matgen.io.arrow import read_arrow
from matgen.io.places import data_folder

_TABLE = "hybrid.parquet"


def bundled_rows(formulas: Iterable[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the bundled table says of some compositions, by formula; those that are not in it are left out.

    The table holds every composition once, under its reduced formula as matgen writes it, so that equal texts are equal
    compositions.

    Args:
        formulas: as `CompositionBatch.formulas` writes them.
        columns: of the table, such as `in_mp`.

    Returns:
        By formula the values by column: bool, float or text, None where there is none.

    Raises:
        DataError: the table is missing or damaged.
    """
    wanted, path = set(formulas), data_folder() / _TABLE
    try:
        known = read_arrow(path, ["formula"])["formula"].to_pylist()
        places = {formula: place for place, formula in enumerate(known) if formula in wanted}
        table = read_arrow(path, columns) if places else None
    except FileNotFoundError as error:
        raise DataError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({first_line(error)}): install matgen again") from error
    if table is None:
        return {}
    return {
        formula: {name: _known(table[name][place].as_py()) for name in columns} for formula, place in places.items()
    }


def _known(value: Any) -> Any:
    """A value, None for a NaN."""
    return None if value != value else value
