"""Tables of compositions as files: CSV or Parquet, by the suffix of their name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.errors import OptionError, OutputError
from matgen.io.files import atomic_write, refuse_to_overwrite, write_json
from matgen.io.parquet import write_parquet

SUFFIXES = (".csv", ".parquet")


def claim(out: Path, *, force: bool) -> None:
    """Refuse a file that could not be written, before any work is done.

    Raises:
        OptionError: its name ends otherwise than in `SUFFIXES`.
        OutputError: it exists and `force` is off, it is a folder, or nothing can be written beside it.
    """
    if out.suffix not in SUFFIXES:
        raise OptionError(f"cannot write {out}: the name must end in {' or '.join(SUFFIXES)}")
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
