"""Progress that tests can read, and that ends work as a kill would."""

from __future__ import annotations

from typing import Self

from matgen.runtime.progress import SilentProgress


class Recorder(SilentProgress):
    """A factory that gives itself as every count.

    Attributes:
        begun: total, description, unit and what was done earlier, of each count.
        updates: how much was counted, of each update since the last count began.
        notes: figures of validations.
    """

    def __init__(self) -> None:
        self.begun: list[tuple[int | None, str, str, int]] = []
        self.updates: list[int] = []
        self.notes: list[dict[str, float]] = []

    def __call__(self, total: int | None, description: str, unit: str, *, done: int = 0) -> Self:
        self.begun.append((total, description, unit, done))
        self.updates = []
        return self

    def update(self, n: int = 1, rate: float | None = None) -> None:
        self.updates.append(n)

    def note(self, figures: dict[str, float]) -> None:
        self.notes.append(figures)


class StopAfter(Recorder):
    """Raises KeyboardInterrupt at the given update, or note, of a count."""

    def __init__(self, updates: int | None = None, *, notes: int | None = None) -> None:
        super().__init__()
        self.most_updates, self.most_notes = updates, notes

    def update(self, n: int = 1, rate: float | None = None) -> None:
        super().update(n, rate)
        if len(self.updates) == self.most_updates:
            raise KeyboardInterrupt

    def note(self, figures: dict[str, float]) -> None:
        super().note(figures)
        if len(self.notes) == self.most_notes:
            raise KeyboardInterrupt
