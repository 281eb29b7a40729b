"""The processes that work together: one, or those that `accelerate launch` started."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from matgen.errors import MatgenError

Value = TypeVar("Value")


def leave_cores_to_others() -> None:
    """Make torch's threads sleep sooner when they have nothing to do.

    By default they go on asking for work for milliseconds, on the cores where compiled loops run between torch's own
    operations: a training step on two cores takes a sixth longer. To be called before torch is first imported; what the
    user has set stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class Processes:
    """This process among its peers.

    Attributes:
        rank: its number, 0 for the one that writes the result and speaks to the user.
        count: how many there are.
    """

    def __init__(self) -> None:
        self.rank, self.count = 0, 1
        self._state: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            import torch
            from accelerate import PartialState

            self._state = PartialState(cpu=not torch.cuda.is_available())
            self.rank, self.count = self._state.process_index, self._state.num_processes

    @property
    def is_main(self) -> bool:
        """True for the process that writes the result."""
        return self.rank == 0

    def barrier(self) -> None:
        """Go on when all processes are here."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def broadcast(self, value: Value) -> Value:
        """What the first process passes, for all."""
        if self._state is None:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def run_on_main(self, work: Callable[[], None]) -> None:
        """Let the first process do something; where that fails, all fail alike.

        Raises:
            MatgenError: the work raised it.
        """
        error: MatgenError | None = None
        if self.is_main:
            try:
                work()
            except MatgenError as raised:
                error = raised
        error = self.broadcast(error)
        if error is not None:
            raise error

    def any(self, flag: bool) -> bool:
        """Whether any process says so; all hear the same."""
        if self._state is None:
            return flag
        import torch

        votes = torch.tensor([float(flag)], device=self._state.device)
        torch.distributed.all_reduce(votes)
        return bool(votes > 0)

    def close(self) -> None:
        """Part in order: a process that just ends may take the others' last words with it."""
        if self._state is not None:
            self._state.destroy_process_group()
            self._state = None

    def device(self, name: str) -> str:
        """The device of this process: with several GPUs each takes its own."""
        return str(self._state.device) if self._state is not None and name == "cuda" else name
