"""Training steps on a GPU that are recorded once as CUDA graphs and replayed.

A small network's step is a thousand small operations, and Python takes longer to say them than a GPU to do them. A
recording is of fixed shapes, so it is made for those that come back; what comes once, and every shape where recording
fails, is computed as usual.
"""

from __future__ import annotations

import contextlib
import gc
import warnings
from typing import TYPE_CHECKING, Any

import torch

from matgen.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

_STEPS = 8
"""Sizes that there are between a power of two and the next."""

_SMALLEST = 64

_MOST_RECORDED = 96
"""Each recording keeps the gradients that it writes."""

LARGEST = 1 << 25
"""Numbers of a model's weights up to which recording pays; operations of larger ones are longer than their words."""


def rounded_up(n: int) -> int:
    """The next of a few sizes, so that few shapes are met: at most an eighth more than `n`, from `_SMALLEST` on."""
    if n <= _SMALLEST:
        return _SMALLEST
    # Sizes up to a power of two p come in steps of p / 16: eight of them from p / 2 to p.
    step = max(1, (1 << (n - 1).bit_length()) // (2 * _STEPS))
    return -(-n // step) * step


class Replay:
    """Calls of a module's function that are recorded by the shapes of their arguments.

    Args:
        make: gives a module whose forward pass is the function; a fresh one of the same parameters for each recording.

    Attributes:
        recorded: how many shapes are.
        failure: why recording was given up, else None.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        self.make = make
        self.failure: str | None = None
        self._calls: dict[tuple[object, ...], nn.Module | None] = {}
        self._pool: Any = None

    @property
    def recorded(self) -> int:
        """Shapes that are replayed."""
        return sum(call is not None for call in self._calls.values())

    def find(self, arguments: tuple[Tensor, ...]) -> nn.Module | None:
        """The recorded call for arguments on a GPU, or None where the function is to be called as usual."""
        # Several processes exchange gradients within the backward pass, which is not recorded.
        if self.failure is not None or (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return None
        # A recording holds the kernels of one precision.
        precision = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else torch.float32
        key = (precision, *(tuple(one.shape) for one in arguments))
        if key not in self._calls:
            self._calls[key] = None  # the first time, which also gets all libraries ready
        elif self._calls[key] is None and self.recorded < _MOST_RECORDED:
            try:
                self._calls[key] = self._record(arguments)
            except (RuntimeError, AssertionError) as error:
                self.failure = first_line(error)
                self._end_recording()
                warnings.warn(f"training steps are not recorded as CUDA graphs: {self.failure}", stacklevel=2)
        return self._calls[key]

    def _record(self, arguments: tuple[Tensor, ...]) -> nn.Module:
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        static = tuple(one.clone() for one in arguments)  # replays read their arguments from here
        # One step is computed at a time, so that all recordings may use the same memory.
        module = self.make()
        with _nothing_freed():
            torch.cuda.make_graphed_callables(module, static, allow_unused_input=True, pool=self._pool)  # in place
        return module

    def _end_recording(self) -> None:
        """Leave the state of a failed recording: random numbers of its own, and memory that is not used again."""
        end = getattr(torch._C, "_cuda_endAllocateToPool", None)
        with contextlib.suppress(RuntimeError, AssertionError):
            if end is not None:
                end(torch.cuda.current_device(), self._pool)
        with contextlib.suppress(RuntimeError, AssertionError), torch.cuda.graph(torch.cuda.CUDAGraph()):
            torch.zeros((), device="cuda").add_(1)


@contextlib.contextmanager
def _nothing_freed() -> Iterator[None]:
    """No garbage is collected in the meantime: freeing another model's recordings would end the one under way."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
