"""One block of samples while it is drawn over shared prefixes: what was written so far, and its random numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import BOS, PAD

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.sampling.decoders.decoding import Decoding


class Mask(Protocol):
    """What the engine asks of constraints; see `reachability.DecodingMask`. States support indexing by rows."""

    def start(self) -> Any:
        """The state of the empty prefix."""

    def allowed(self, states: Any) -> np.ndarray:
        """Tokens that may follow, bool `(g, vocabulary)`."""

    def advance(self, states: Any, parents: np.ndarray, tokens: np.ndarray) -> Any:
        """States after one more token."""


@dataclass(frozen=True)
class Drawn:
    """Sequences as they were drawn.

    Attributes:
        ids: int16 `(n, longest)`, `<bos> tokens <eos> <pad> ...`; without `<eos>` where the model's length was reached.
        log_prob: float64 `(n,)`, ln probability of each sequence under the model at temperature 1, nothing cut off or
            masked, in nats.
        prefixes: distinct prefixes that the model computed.
        computed: the same with padding.
    """

    ids: np.ndarray
    log_prob: np.ndarray
    prefixes: int
    computed: int


class PrefixBlock:
    """The `n` samples of one block.

    Args:
        n: samples.
        seed: of all blocks.
        block: number of the block.
        decoding: temperature and cuts.
        mask: constraints, or None.
        device: of the model.
        pool: threads that compute tiles, or None.

    Attributes:
        given: int64 `(n, k)`, the first tokens of each sample, which are not drawn; `<bos>` at least.
        ids: int16 `(n, 128)`, `<pad>` where nothing was written.
        log_prob: float64 `(n,)`, NaN until a sample has its `<eos>`.
        longest: columns of `ids` that were written.
    """

    def __init__(
        self,
        n: int,
        seed: int,
        block: int,
        decoding: Decoding,
        mask: Mask | None,
        device: torch.device,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self.map = pool.map if pool is not None else map
        self.n, self.seed, self.block = n, seed, block
        self.decoding, self.mask, self.device = decoding, mask, device
        self.given = torch.full((n, 1), BOS, device=device)
        # int16 holds every token id, in a quarter of the bytes that are copied back from a GPU.
        self.ids = torch.full((n, MAX_POSITIONS), PAD, dtype=torch.int16, device=device)
        self.ids[:, 0] = BOS
        self.log_prob = torch.full((n,), torch.nan, dtype=torch.float64, device=device)
        self.prefixes, self.computed, self.longest = 0, 0, 1
        self._uniforms: dict[int, Tensor] = {}

    def result(self) -> Drawn:
        """What was drawn, without the columns that nothing was written to."""
        ids = self.ids[:, : self.longest].contiguous()
        return Drawn(ids.cpu().numpy(), self.log_prob.cpu().numpy(), self.prefixes, self.computed)

    def uniforms(self, place: int) -> Tensor:
        """A number in [0, 1) for each sample, float64 `(n,)`, by seed, block and place in the sequence."""
        # Parts of the block reach a place one after another and share its numbers.
        if place not in self._uniforms:
            drawn = uniform_numbers(self.n, self.seed, self.block, place)
            self._uniforms[place] = torch.from_numpy(drawn).to(self.device)
        return self._uniforms[place]


def uniform_numbers(n: int, seed: int, block: int, place: int) -> np.ndarray:
    """The first `n` uniform numbers of a block at one place, float64 `(n,)`: Philox (Salmon et al., SC 2011).

    The key is seed and block and the counter begins at the place, so no two streams meet.
    """
    # The place is the third of four 64-bit words: 2^128 counter steps, of 4 numbers each, lie between two places.
    generator = np.random.Philox(key=np.array([seed, block], dtype=np.uint64), counter=[0, 0, place, 0])
    return np.random.Generator(generator).random(n)
