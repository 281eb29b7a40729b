"""`Membership` without any thought of memory or time: an oracle with the same interface."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from matgen.composition.keys import KeySet
from matgen.evaluation.membership import MembershipAnswers, ReferenceCount


class BruteForceMembership:
    def __init__(self, memory_mb: float = 512, folder: object = None) -> None:
        self.candidates: list[tuple[int, tuple[int, int]]] = []
        self.known: dict[str, dict[tuple[int, int], int]] = {}

    def __enter__(self) -> BruteForceMembership:
        return self

    def __exit__(self, *_: object) -> None:
        self.candidates.clear()

    def add_candidates(self, rows: np.ndarray, keys: np.ndarray) -> None:
        assert keys.dtype == np.uint64
        self.candidates += [(int(row), (int(a), int(b))) for row, (a, b) in zip(rows, keys, strict=True)]
        numbers = [row for row, _ in self.candidates]
        assert numbers == sorted(set(numbers))

    def add_reference(self, name: str, keys: np.ndarray, part: np.ndarray) -> None:
        held = self.known.setdefault(name, {})
        for (a, b), code in zip(keys.tolist(), part.tolist(), strict=True):
            assert 1 <= code <= 255
            held.setdefault((a, b), code)

    @property
    def references(self) -> dict[str, ReferenceCount]:
        counts = {}
        for name, held in self.known.items():
            codes = list(held.values())
            keys = np.array(list(held), dtype=np.uint64).reshape(-1, 2)
            parts = {code: codes.count(code) for code in sorted(set(codes))}
            counts[name] = ReferenceCount(len(held), parts, KeySet(keys).sha256())
        return counts

    def results(self) -> Iterator[MembershipAnswers]:
        seen: dict[tuple[int, int], int] = {}
        for row, key in self.candidates:
            first = seen.setdefault(key, row)
            part = [held.get(key, 0) for held in self.known.values()]
            yield MembershipAnswers(np.array([row]), np.array([first]), np.array([part], dtype=np.uint8).reshape(1, -1))
