"""The folder `<out>.parts` of a run: its plan and numbered Parquet files, by which a killed run is resumed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matgen.errors import DataError, OutputError
from matgen.io.files import read_json, write_json
from matgen.io.parquet import require_utf8


def begun_otherwise(out: Path, differ: Iterable[str]) -> DataError:
    """The error of a run that is gone on with by other options than it was begun with.

    Args:
        out: what it writes.
        differ: names of what differs.
    """
    return DataError(f"{out} was begun with other {', '.join(differ)}: repeat them, or choose another --out")


class PartsFolder:
    """The parts of a run on disk.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, plan: dict[str, Any], *, resume: bool, force: bool) -> None:
        """Begin a run, or with `resume` go on with one of the same plan.

        Raises:
            OutputError: parts of another plan are there, parts that neither `resume` nor `force` asks for, or the
                folder's name is not in UTF-8.
        """
        require_utf8(self.folder, OutputError)
        path = self.folder / "plan.json"
        if path.is_file() and resume:
            if self.present_plan(read_json(path)) != plan:
                raise OutputError(
                    f"{self.folder} holds parts of another request: repeat its options, or remove the folder"
                )
            return
        if self.folder.exists() and not force:
            raise OutputError(f"{self.folder} holds an unfinished run: add --resume to go on, or --force to start anew")
        self.remove()
        write_json(path, plan)

    def present_plan(self, plan: Any) -> Any:
        """A plan as this version or an earlier one wrote it, under the names of today."""
        return plan

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_if_empty(self) -> None:
        """Delete the folder of a run that failed before its first part, since nothing of it can be resumed."""
        if not any(self.folder.glob("part-*")):
            self.remove()

    def holds(self, number: int) -> bool:
        """True where a part was written."""
        return self.path(number).is_file()

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"part-{number:06d}.parquet"
