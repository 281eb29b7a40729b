"""The folder `<out>.parts` of a run: its plan, and each block that was drawn as a Parquet file.

Blocks are written whole, by whichever process drew them, so that a run which is killed can be resumed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.errors import OutputError
from matgen.io.files import atomic_write, read_json, write_json
from matgen.io.parquet import CHECKED_READING, CHECKED_WRITING
from matgen.sampling.block import SampleBlock
from matgen.sampling.constraints.definition import with_present_names

_KEYS = ("key_0", "key_1")


class Parts:
    """The blocks of a run on disk.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, plan: dict[str, Any], *, resume: bool, force: bool) -> None:
        """Begin a run, or with `resume` go on with one of the same plan.

        Raises:
            OutputError: blocks of another plan are there, or blocks that neither `resume` nor `force` asks for.
        """
        path = self.folder / "plan.json"
        if path.is_file() and resume:
            if _with_present_names(read_json(path)) != plan:
                raise OutputError(
                    f"{self.folder} holds parts of another request: repeat its options, or remove the folder"
                )
            return
        if self.folder.exists() and not force:
            raise OutputError(f"{self.folder} holds an unfinished run: add --resume to go on, or --force to start anew")
        self.remove()
        write_json(path, plan)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def holds(self, number: int) -> bool:
        """True where a block was written."""
        return self._path(number).is_file()

    def write(self, block: SampleBlock) -> None:
        """Write a block under its number."""
        table = pa.table(
            {
                "formula": pa.array(block.formulas, pa.string()),
                "log_prob": pa.array(block.log_prob, pa.float64()),
                "canonical": pa.array(block.canonical, pa.bool_()),
                _KEYS[0]: pa.array(block.keys[:, 0]),
                _KEYS[1]: pa.array(block.keys[:, 1]),
                **({} if block.trace is None else {"trace": pa.array(block.trace, pa.string())}),
            }
        ).replace_schema_metadata(
            {"number": str(block.number), "drawn": str(block.drawn), "unfinished": str(block.unfinished)}
        )
        with atomic_write(self._path(block.number)) as temporary:
            pq.write_table(table, temporary, compression="zstd", **CHECKED_WRITING)

    def read(self, number: int) -> SampleBlock:
        """A block that was written."""
        table = pq.read_table(self._path(number), **CHECKED_READING)
        numbers = {name.decode(): int(value) for name, value in table.schema.metadata.items() if name != b"pandas"}
        keys = np.stack([table[name].to_numpy() for name in _KEYS], axis=1)
        formulas, canonical = table["formula"].to_numpy(zero_copy_only=False), table["canonical"].to_numpy()
        return SampleBlock(
            numbers["number"],
            numbers["drawn"],
            numbers["unfinished"],
            formulas.astype(object),
            table["log_prob"].to_numpy(),
            canonical.astype(bool),
            keys.astype(np.uint64).reshape(-1, 2),
            table["trace"].to_numpy(zero_copy_only=False) if "trace" in table.schema.names else None,
        )

    def __iter__(self) -> Iterator[SampleBlock]:
        """The blocks from the first on, up to the first that is missing."""
        number = 0
        while self.holds(number):
            yield self.read(number)
            number += 1

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"


def _with_present_names(plan: Any) -> Any:
    """A plan as this version or 0.2 wrote it, under the names of today."""
    if not isinstance(plan, dict):
        return plan
    plan = {"condition_bins" if name == "told" else name: value for name, value in plan.items()}
    if not isinstance(plan.get("constraints"), dict):
        return plan
    meaning = plan.get("constraints_meaning")
    return plan | {
        "constraints": with_present_names(plan["constraints"]),
        "constraints_meaning": "rejection" if meaning == "exact" else meaning,
    }
