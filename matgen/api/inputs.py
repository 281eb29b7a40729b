"""Formulas in any form as a table with a formula column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.api.candidates import Candidates
from matgen.composition.batch import CompositionBatch, as_texts, parse_formulas
from matgen.errors import DataError, FormulaError

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_NAME = 255


def table_of(formulas: Any, column: str | None = None) -> tuple[pd.DataFrame, str]:
    """A frame and the name of its formula column.

    Args:
        formulas: a formula, or several as a list, a Series, an array or a `CompositionBatch`; objects of pymatgen
            (`Composition`, `Structure`) and ASE (`Atoms`), one or several; a frame, `Candidates` or what another call
            gave; a file or folder as `read_formula_table` reads them.
        column: the column of formulas, by default recognized by its name.

    Raises:
        DataError: no rows, no formula column, or a file that cannot be read.
        FormulaError: one text that is neither a formula nor a file.
    """
    import pandas as pd

    from matgen.datasets import read_formula_table
    from matgen.datasets.formula_guess import with_formula_column

    if isinstance(formulas, Candidates):
        return formulas.frame, column or formulas.column
    if (path := path_of(formulas)) is not None:
        return read_formula_table(path, column)
    if isinstance(candidates := getattr(formulas, "candidates", None), Candidates):  # of `Structures`
        return table_of(candidates, column)
    for name in ("frame", "ranked"):  # of a Report or the result of a stage; of a Discovery
        if isinstance(table := getattr(formulas, name, None), pd.DataFrame):
            formulas = table
            break
    if isinstance(formulas, pd.DataFrame):
        return with_formula_column(formulas, column, "the table")
    texts = formulas.formulas() if isinstance(formulas, CompositionBatch) else as_texts(formulas)
    if not len(texts):
        raise DataError("there are no formulas")
    return pd.DataFrame({"formula": pd.Series(list(texts), dtype=object)}), "formula"


def batch_of(formulas: Any) -> CompositionBatch:
    """The compositions of `table_of`, all of which must be readable.

    Raises:
        DataError: as `table_of`.
        FormulaError: naming the first formula that cannot be read.
    """
    if isinstance(formulas, CompositionBatch):
        return formulas
    if isinstance(formulas, str | Path | Candidates) or hasattr(formulas, "columns") or hasattr(formulas, "frame"):
        frame, column = table_of(formulas)
        formulas = frame[column]
    return CompositionBatch.from_formulas(formulas)


def path_of(formulas: Any) -> Path | None:
    """The file or folder that is meant, None where formulas themselves are given.

    Raises:
        FormulaError: one text that is neither a formula nor a file.
    """
    if isinstance(formulas, Path):
        return formulas
    if not isinstance(formulas, str):
        return None
    from matgen.datasets.formats import TABLE_SUFFIXES, suffix_of

    if suffix_of(Path(formulas)) in TABLE_SUFFIXES:
        return Path(formulas)
    bad = parse_formulas([formulas]).bad
    if not bad:
        return None
    if len(formulas) <= _LONGEST_NAME and Path(formulas).exists():
        return Path(formulas)
    raise FormulaError(f"{formulas[:60]!r} is neither a formula nor a file: {bad[0].reason}")
