"""A user's own columns stay as they are: what matgen adds under a name that is taken gets another one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import MatgenWarning

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = "_matgen"
"""Behind the name of a column of matgen's where the user has one of that name."""

_OWN = "matgen_columns"
_ALL = "*"


def columns_of_metadata(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The entry of `<out>.json` that says which columns of a table are matgen's."""
    return {"columns": list(frame.attrs.get(_OWN, []))}


def note_own_columns(frame: pd.DataFrame, path: Path) -> None:
    """Note in a frame read from a file which of its columns an earlier run of matgen wrote, as `<path>.json` says."""
    try:
        metadata = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(metadata, dict) and "column" in metadata:  # up to 0.2 the metadata did not list the columns
        frame.attrs[_OWN] = [str(name) for name in metadata.get("columns", [_ALL])]


def add_own_columns(theirs: pd.DataFrame, ours: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """A user's rows with matgen's columns behind them; those of an earlier run of matgen are made anew.

    Where the user has a column of such a name, matgen's gets `SUFFIX`, and a `MatgenWarning` says so.

    Args:
        theirs: `n` rows, which are not changed.
        ours: `n` rows with the same index.

    Returns:
        The frame, and the names that columns of `ours` have in it where they differ.
    """
    joined, names = put_own_columns(theirs, ours)
    report_renamed(names)
    return joined, names


def report_renamed(names: Mapping[str, str]) -> None:
    """Warn (`MatgenWarning`) of columns of matgen's that got another name, where there are any."""
    if names:
        warnings.warn(
            f"the table has columns {', '.join(names)} of its own: matgen's are {', '.join(names.values())}",
            MatgenWarning,
            stacklevel=4,
        )


def put_own_columns(theirs: pd.DataFrame, ours: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """`add_own_columns` without a warning, for parts of a table."""
    earlier = theirs.attrs.get(_OWN, [])
    new = {str(name) for name in ours} | {f"{name}{SUFFIX}" for name in ours}
    remade = [name for name in theirs if name in new and (name in earlier or (earlier == [_ALL] and name in ours))]
    kept = theirs.drop(columns=remade)
    names = {str(name): f"{name}{SUFFIX}" for name in ours if name in kept}
    added = ours.rename(columns=names)
    import pandas as pd

    joined = pd.concat([kept, added], axis=1)
    before: list[Any] = [name for name in earlier if name in kept]
    joined.attrs[_OWN] = [*before, *map(str, added.columns)]
    return joined, names
