"""The folder `<out>.parts` of a run: its plan, and each block that was drawn as a Parquet file.

Blocks are written whole, by whichever process drew them, so that a run which is killed can be resumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.io.arrow import column_as_numpy, numbers_as_arrow, read_arrow, texts_as_arrow
from matgen.io.files import atomic_write
from matgen.io.parquet import CHECKED_WRITING
from matgen.io.parts import PartsFolder
from matgen.sampling.block import SampleBlock
from matgen.sampling.constraints.definition import with_present_names

_KEYS = ("key_0", "key_1")


class Parts(PartsFolder):
    """The blocks of a run on disk."""

    def present_plan(self, plan: Any) -> Any:
        """See `PartsFolder.present_plan`."""
        return _with_present_names(plan)

    def write(self, block: SampleBlock) -> None:
        """Write a block under its number."""
        table = pa.table(
            {
                "formula": texts_as_arrow(block.formulas),
                "log_prob": numbers_as_arrow(block.log_prob),
                "canonical": numbers_as_arrow(block.canonical),
                _KEYS[0]: numbers_as_arrow(block.keys[:, 0]),
                _KEYS[1]: numbers_as_arrow(block.keys[:, 1]),
                **({} if block.trace is None else {"trace": texts_as_arrow(block.trace)}),
            }
        ).replace_schema_metadata(
            {"number": str(block.number), "drawn": str(block.drawn), "unfinished": str(block.unfinished)}
        )
        with atomic_write(self.path(block.number)) as temporary:
            pq.write_table(table, temporary, compression="zstd", **CHECKED_WRITING)

    def read(self, number: int) -> SampleBlock:
        """A block that was written."""
        table = read_arrow(self.path(number))
        numbers = {name.decode(): int(value) for name, value in table.schema.metadata.items() if name != b"pandas"}
        keys = np.stack([column_as_numpy(table, name) for name in _KEYS], axis=1)
        return SampleBlock(
            numbers["number"],
            numbers["drawn"],
            numbers["unfinished"],
            column_as_numpy(table, "formula"),
            column_as_numpy(table, "log_prob"),
            column_as_numpy(table, "canonical"),
            keys,
            column_as_numpy(table, "trace") if "trace" in table.schema.names else None,
        )

    def __iter__(self) -> Iterator[SampleBlock]:
        """The blocks from the first on, up to the first that is missing."""
        number = 0
        while self.holds(number):
            yield self.read(number)
            number += 1


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
