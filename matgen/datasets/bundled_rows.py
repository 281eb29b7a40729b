"""Single rows of the bundled table, found by their formulas without pandas: what a look at a few compositions needs.

The table holds every composition once, under its reduced formula as matgen writes it, so that equal texts are equal
compositions. What is asked for is kept in the cache as plain bytes, so that the next look needs no pyarrow either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from matgen.errors import DataError, first_line
from matgen.io.files import file_sha256
from matgen.io.places import data_folder
from matgen.runtime.cache import cache_folder, keep, read_kept

_TABLE = "hybrid.parquet"


def bundled_rows(formulas: Iterable[str], columns: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """What the bundled table says of some compositions, by formula; those that are not in it are left out.

    Args:
        formulas: as `CompositionBatch.formulas` writes them.
        columns: of the table, of numbers or truth values, such as `in_mp`.

    Returns:
        By formula the values by column, 1 and 0 for truth values, None where there is none.

    Raises:
        DataError: the table is missing or damaged.
    """
    path = data_folder() / _TABLE
    if not path.is_file():
        raise DataError(f"no such file: {path}: install matgen again")
    told = repr((file_sha256(path), list(columns)))
    kept = cache_folder() / "rows" / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}.bin"
    rows = _Rows.read(kept)
    if rows is None:
        rows = _Rows.of_table(path, columns)
        rows.keep(kept)
    found = {formula: rows.find(formula) for formula in set(formulas)}
    return {
        formula: {name: _known(value) for name, value in zip(columns, rows.values[place].tolist(), strict=True)}
        for formula, place in found.items()
        if place is not None
    }


@dataclass(frozen=True)
class _Rows:
    """Formulas and values of a table.

    Attributes:
        text: a line break, and each of `n` formulas followed by one, in UTF-8.
        values: float64 `(n, columns)`, NaN where there is none.
    """

    text: bytes
    values: np.ndarray

    @classmethod
    def of_table(cls, path: Path, columns: Sequence[str]) -> _Rows:
        """The rows of a Parquet file, some of whose columns may lack values."""
        from matgen.io.arrow import read_arrow

        try:
            table = read_arrow(path, ["formula", *columns])
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is damaged ({first_line(error)}): install matgen again") from error
        text = "".join(f"{formula}\n" for formula in table["formula"].to_pylist())
        # None becomes NaN.
        values = [np.array(table[name].to_pylist(), dtype=np.float64) for name in columns]
        return cls(f"\n{text}".encode(), np.stack(values, axis=1))

    @classmethod
    def read(cls, path: Path) -> _Rows | None:
        """What was kept; None where nothing was, or it is damaged."""
        content = read_kept(path)
        if content is None:
            return None
        size, _, rest = content.partition(b"\n")
        length, n, columns = json.loads(size)
        return cls(rest[:length], np.frombuffer(rest, offset=length, dtype="<f8").reshape(n, columns))

    def keep(self, path: Path) -> None:
        """Keep the rows for the next look; a cache that cannot be written keeps nothing."""
        size = json.dumps([len(self.text), *self.values.shape]).encode()
        keep(path, size + b"\n" + self.text + self.values.astype("<f8").tobytes())

    def find(self, formula: str) -> int | None:
        """The row of a formula, None where it is not there."""
        at = self.text.find(f"\n{formula}\n".encode())
        return None if at < 0 else self.text.count(b"\n", 0, at)


def _known(value: float) -> float | None:
    """A value, None for a NaN."""
    return None if value != value else value
