"""Repeats and crowded chemical systems earn less, so that a reward is not won by one family of compositions.

A reward is divided by `(1 + d r) * sqrt(1 + d s)`: `d` is the strength, `r` how many other draws of the window are the
same composition, `s` how many are other compositions of the same chemical system. The window is the batch and the
`WINDOW` batches before it. With that, a composition of probability p that is drawn n p times in a window earns
n p R / (1 + d n p) there, at most R / d however often it comes: the model wins by drawing others too.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.composition.batch import CompositionBatch

WINDOW = 15
"""Batches before the present one whose draws count."""


class Diversity:
    """How crowded the recent draws were.

    Args:
        strength: `d` above; 0 divides by 1.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength
        # Of each batch a lane of the keys of compositions and of chemical systems, uint64 (m, 2): 64 bits are enough,
        # two of a hundred thousand meet by chance once in four billion windows.
        self._recent: deque[np.ndarray] = deque(maxlen=WINDOW)

    def divisor(self, batch: CompositionBatch) -> np.ndarray:
        """What the rewards of a batch are divided by, float64 `(n,)`, at least 1; the batch is then remembered.

        Args:
            batch: the `n` compositions of a batch, repeats included.
        """
        keys = np.stack([batch.keys()[:, 0], batch.chemical_system_keys()[:, 0]], axis=1)
        window = np.concatenate([*self._recent, keys])
        same, system = (_counted(window[:, lane], keys[:, lane]) for lane in (0, 1))
        self._recent.append(keys)
        repeats, crowd = same - 1, system - same
        return np.asarray((1 + self.strength * repeats) * np.sqrt(1 + self.strength * crowd))

    def tensors(self) -> dict[str, Tensor]:
        """What is remembered, for `restore`."""
        lengths = torch.tensor([len(one) for one in self._recent], dtype=torch.int64)
        keys = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *self._recent])
        return {"lengths": lengths, "keys": torch.from_numpy(keys.view(np.int64).copy())}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Remember what `tensors` gave.

        Raises:
            KeyError: one of them is missing.
        """
        keys, lengths = tensors["keys"].numpy().view(np.uint64), tensors["lengths"].numpy()
        self._recent = deque(np.split(keys, np.cumsum(lengths)[:-1]) if len(lengths) else [], maxlen=WINDOW)


def _counted(window: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """How often each key is in the window, int64 `(n,)`."""
    distinct, counts = np.unique(window, return_counts=True)
    found: np.ndarray = counts[np.searchsorted(distinct, keys)]
    return found
