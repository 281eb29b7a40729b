"""Tables of compositions as files: CSV or Parquet, by the suffix of their name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from matgen.errors import OptionError, OutputError
from matgen.io.files import atomic_write, locked, refuse_to_overwrite, write_json
from matgen.io.own_columns import columns_of_metadata
from matgen.io.parquet import require_utf8, write_parquet

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class TableResult:
    """What a stage made of a table.

    Attributes:
        frame: the rows that are written.
        bad: rows of the input that could not be read, each with its reason.
        summary: figures that go into `<out>.json`.
    """

    frame: pd.DataFrame
    bad: Sequence[Any]
    summary: dict[str, Any]

    @property
    def unreadable(self) -> str:
        """How many rows could not be read and the first of them, as the end of a sentence; "" where all could."""
        return f"; {len(self.bad):,} rows could not be read, first: {self.bad[0]}" if self.bad else ""


Result = TypeVar("Result", bound=TableResult)


@locked("out")
def process_table(
    out: Path,
    read: Callable[[], tuple[pd.DataFrame, str]],
    work: Callable[[pd.DataFrame, str], Result],
    *,
    metadata: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Result:
    """Table in, table out: claim and lock the output, read, work, and write the result with `<out>.json` beside it.

    Args:
        out: CSV or Parquet file.
        read: gives the input and the name of its formula column; called once the output is claimed.
        work: what is done with them.
        metadata: what `<out>.json` holds besides the names of the formula column and of matgen's, and the summary.
        force: replace an earlier file.

    Raises:
        OptionError: `out` ends otherwise than in `SUFFIXES`.
        OutputError: `out` exists and `force` is off, another run is writing it, or it cannot be written.
    """
    claim(out, force=force)
    frame, column = read()
    result = work(frame, column)
    own = columns_of_metadata(result.frame)
    write_with_metadata(out, result.frame, {"column": column, **own, **(metadata or {}), **result.summary})
    return result


def claim(out: Path, *, force: bool) -> None:
    """Refuse a file that could not be written, before any work is done.

    Raises:
        OptionError: its name ends otherwise than in `SUFFIXES`.
        OutputError: it exists and `force` is off, it is a folder, or nothing can be written beside it.
    """
    if out.suffix not in SUFFIXES:
        raise OptionError(f"cannot write {out}: the name must end in {' or '.join(SUFFIXES)}")
    if out.suffix == ".parquet":
        require_utf8(out, OutputError)
    refuse_to_overwrite(out, force=force)
    if out.is_dir():
        raise OutputError(f"cannot write {out}: it is a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error


def write_with_metadata(out: Path, frame: pd.DataFrame, metadata: dict[str, Any]) -> None:
    """Write a table, and what is to be known of it into `<out>.json`.

    Raises:
        OutputError: the place cannot be written.
    """
    with atomic_write(out) as temporary:
        if out.suffix == ".parquet":
            write_parquet(frame, temporary)
        else:
            frame.to_csv(temporary, index=False)
    write_json(Path(f"{out}.json"), metadata)
