"""The references of one evaluation: opened by name or taken as they are, and what is kept of them in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.keys import KeySet
from matgen.datasets import Dataset
from matgen.datasets.reference import Reference, open_reference
from matgen.errors import DataError, OptionError
from matgen.evaluation.limits import Limits
from matgen.evaluation.membership import Membership
from matgen.evaluation.memorization import PairKeys
from matgen.evaluation.systems import system_codes
from matgen.evaluation.tally import cell_codes


def open_references(
    reference: Dataset | pd.DataFrame | Path | str | Sequence[Dataset | pd.DataFrame | Path | str], split: str = "split"
) -> list[Reference]:
    """Open one reference or several; a loaded dataset keeps its own split, a table in memory needs a formula column.

    Raises:
        OptionError: none at all, an unknown name, or one that is named twice.
        DataError: a reference that cannot be read or has no formulas.
    """
    several: list[Any] = list(reference) if isinstance(reference, list | tuple) else [reference]
    opened = [_open(one, split) for one in several]
    names = [one.name for one in opened]
    if not names:
        raise OptionError("no reference: name a dataset or a file")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise OptionError(f"the reference {twice} is named twice")
    return opened


def _open(one: Any, split: str) -> Reference:
    if isinstance(one, str | Path):
        return open_reference(one, split)
    if isinstance(one, pd.DataFrame):
        return Reference.of_frame(one, split=split)
    if hasattr(one, "batch") and hasattr(one, "split"):
        return Reference.of_dataset(one)
    raise DataError(f"a reference is a name, a path, a Dataset or a DataFrame with formulas, not {type(one).__name__}")


class Known:
    """Keys of the references, in memory where they are few, and otherwise to be streamed again.

    Attributes:
        references: as they were opened.
        keys: of all references; None where there are too many.
        pairs: of consecutive rows of the first reference; None likewise.
    """

    def __init__(self, references: list[Reference], keys_held: int = Limits.reference_keys_held) -> None:
        self.references = references
        self._keys_held = keys_held
        self.keys: KeySet | None = None
        self.pairs: KeySet | None = None

    def add_to(self, membership: Membership, systems: Membership) -> None:
        """Stream every reference into `membership`, and all their chemical systems into `systems`.

        Raises:
            DataError: a reference without formulas, or as reading it raises.
        """
        kept: list[np.ndarray] | None = []
        total = 0
        for reference in self.references:
            rows = 0
            for batch, part in reference.batches():
                keys = batch.keys()
                membership.add_reference(reference.name, keys, cell_codes(part, batch.n_elements))
                systems.add_reference("all", batch.chemical_system_keys(), np.ones(len(batch), dtype=np.uint8))
                rows, total = rows + len(keys), total + len(keys)
                if kept is not None:
                    kept = [*kept, keys] if total <= self._keys_held else None
            if not rows:
                raise DataError(f"reference {reference.name}: no formulas")
        if kept is not None:
            self.keys = KeySet(np.concatenate(kept))
            self.pairs = KeySet(np.concatenate(list(self.stream_pairs())))

    def stream_keys(self) -> Iterator[np.ndarray]:
        """The keys of all references, batch by batch, uint64 `(m, 2)`."""
        for reference in self.references:
            for batch, _ in reference.batches():
                yield batch.keys()

    def stream_pairs(self) -> Iterator[np.ndarray]:
        """The keys of consecutive rows of the first reference, batch by batch, uint64 `(m, 2)`."""
        pairs, row = PairKeys(), 0
        for batch, _ in self.references[0].batches():
            yield pairs.add(np.arange(row, row + len(batch)), batch.keys())[1]
            row += len(batch)

    def in_systems(self, codes: np.ndarray, size: int) -> np.ndarray:
        """How many distinct compositions of the first reference are in each of a few chemical systems.

        Args:
            codes: uint64 `(t,)`, as `systems.system_codes` gives them.
            size: distinct compositions in the reference.
        """
        sample = self.references[0].sample
        batches = [sample] if len(sample) == size else (batch for batch, _ in self.references[0].batches())
        order = np.argsort(codes)
        keys, places = [np.zeros((0, 2), dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
        for batch in batches:
            systems = system_codes(batch)
            at = np.minimum(np.searchsorted(codes[order], systems), len(codes) - 1)
            hit = np.flatnonzero(codes[order][at] == systems) if len(codes) else np.zeros(0, dtype=np.int64)
            keys.append(batch[hit].keys())
            places.append(order[at[hit]])
        _, first = np.unique(np.concatenate(keys), axis=0, return_index=True)
        return np.bincount(np.concatenate(places)[first], minlength=len(codes))
