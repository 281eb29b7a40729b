"""Progress of long work, in one shape: a factory of counts that library, command line and web page implement.

A function that takes long has a keyword `progress`, a `ProgressFactory`. It calls the factory once for each thing that
it counts and updates what it gets:

    with progress(len(batch), "score", "formulas") as count:
        for part in parts:
            ...
            count.update(len(part))

What `update` raises ends the work: so the web page cancels it.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Protocol, Self

from matgen.runtime.progress_screen import SCREEN


class Progress(Protocol):
    """A count that goes on while its context is open."""

    def __enter__(self) -> Self:
        """Begin to count."""

    def __exit__(self, *error: object) -> None:
        """Leave the count as it stands."""

    def update(self, n: int = 1, rate: float | None = None) -> None:
        """Count `n` more things, and show a rate (examples of a training per second) where one is given."""

    def note(self, figures: dict[str, float]) -> None:
        """Take in the figures of one validation of a training, an entry of `FitState.history`."""


class ProgressFactory(Protocol):
    """Begins counts."""

    def __call__(self, total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
        """A count.

        Args:
            total: how many things there are; None where it is not known.
            description: of the work, such as `score`.
            unit: of the things, such as `formulas`.
            done: how many of them were done earlier, of work that is resumed.
        """


class SilentProgress:
    """A count that shows nothing, to derive others from."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def update(self, n: int = 1, rate: float | None = None) -> None:
        """Do nothing."""

    def note(self, figures: dict[str, float]) -> None:
        """Do nothing."""


def silent(total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
    """The factory of a run that nobody watches."""
    return SilentProgress()


def part_of(count: Progress) -> ProgressFactory:
    """A factory for parts of counted work: what they count is counted in `count`, and they show nothing themselves."""

    class Part(SilentProgress):
        def update(self, n: int = 1, rate: float | None = None) -> None:
            count.update(n, rate)

    return lambda total, description, unit, *, done=0: Part()


class TerminalProgress:
    """A factory of bars on standard error, with rate and ETA on a terminal; elsewhere only trainings print lines.

    Args:
        loss_unit: of the losses of a training.
        examples: what a training learns from, of which there are so many a second.
    """

    def __init__(self, *, loss_unit: str = "nats/formula", examples: str = "formulas") -> None:
        self.loss_unit, self.examples = loss_unit, examples

    def __call__(self, total: int | None, description: str, unit: str, *, done: int = 0) -> Progress:
        """A bar; see `ProgressFactory`."""
        return _Bar(self, total, description, unit, done)


class _Bar:
    """One bar of a `TerminalProgress`."""

    def __init__(self, factory: TerminalProgress, total: int | None, description: str, unit: str, done: int) -> None:
        self._factory, self._what = factory, (total, description, unit, done)
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._task = SCREEN.begin(*self._what)
        return self

    def __exit__(self, *error: object) -> None:
        if self._task is not None:
            SCREEN.end(self._task)

    def update(self, n: int = 1, rate: float | None = None) -> None:
        if self._task is not None:
            SCREEN.advance(self._task, n, "" if rate is None else f"{rate:,.0f} {self._factory.examples}/s")

    def note(self, figures: dict[str, float]) -> None:
        """Print a line of figures; it goes above the bar."""
        if "train_loss" not in figures:
            line = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        else:
            rate = f"{figures['formulas_per_second']:7,.0f} {self._factory.examples}/s"
            line = (
                f"step {figures['step']:>7,.0f}  epoch {figures['epoch']:6.2f}  train {figures['train_loss']:7.3f}  "
                f"valid {figures['valid_loss']:7.3f} {self._factory.loss_unit}  {rate}"
            )
        print(line, file=sys.stderr, flush=True)


def waiting(description: str) -> contextlib.AbstractContextManager[None]:
    """Within the block, a terminal shows how long the work has been silent, wherever no bar is shown."""
    return SCREEN.waiting(description) if sys.stderr.isatty() else contextlib.nullcontext()
