"""Drawing many sequences at once, every distinct prefix computed once.

All samples of a block begin with the same token, and most share their first few with others. So the block is drawn
breadth first as groups: a prefix, and the samples that have it. The model sees each prefix once; then each sample takes
its own next token by its own uniform random number, and the groups split. Samples stay independent: which others share
a prefix with one does not touch its random numbers.

When more distinct prefixes are open than `width`, they are split into parts that are finished one after another, so
that memory is bounded. The model is shown tiles of one of a few fixed numbers of prefixes (short ones are padded):
matrix products differ in the last bits with the number of rows, and the draws must not depend on `width`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import BOS, EOS, FIRST_ELEMENT, PAD, suppressed_ids
from matgen.sampling.decoders.decoding import Decoding, choose, cut
from matgen.sampling.decoders.prefix_cache import NextToken

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint

WIDTHS = {"cpu": 8192, "cuda": 262_144}
"""Distinct prefixes held open at once, by kind of device: few parts keep a GPU busy."""
TILES = {"cpu": (256, 64), "cuda": (16384, 2048)}
"""Prefixes that the model is shown at once, by kind of device: the usual number, and one for what is left over. Where
the two do not give equal bits (tried when a model is taken up), all tiles are of `ONE_TILE`."""
ONE_TILE = {"cpu": 128, "cuda": 16384}
TOGETHER = {"cpu": 1, "cuda": 4}
"""Tiles whose samples are given their tokens at once."""


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


@dataclass
class _Groups:
    """Distinct prefixes of equal length and the samples that have them.

    Attributes:
        tokens: int64 `(g,)`, last token of each prefix.
        rows: int64 `(g, tokens - 1)`, stored rows of the tokens before it.
        log_prob: float64 `(g,)`.
        samples: int64 `(s,)`, samples in order of their groups.
        sizes: int64 `(g,)`, samples of each group.
        states: of the mask, or None.
        base: stored rows from here on are free once these groups are taken up.
    """

    tokens: Tensor
    rows: Tensor
    log_prob: Tensor
    samples: Tensor
    sizes: Tensor
    states: Any
    base: int

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, start: int, stop: int) -> _Groups:
        ends = self.sizes.cumsum(0)
        first = int(ends[start - 1]) if start else 0
        return _Groups(
            self.tokens[start:stop],
            self.rows[start:stop],
            self.log_prob[start:stop],
            self.samples[first : int(ends[stop - 1])],
            self.sizes[start:stop],
            None if self.states is None else self.states[np.arange(start, stop)],
            self.base,
        )


class PrefixDrawer:
    """Draws blocks of sequences from a causal or denoising model.

    Args:
        checkpoint: the model.
        width: distinct prefixes held open at once, by default as suits the device; it bounds memory and does not change
            what is drawn.
        precision: `fp32`, or `bf16` for matrix products in bfloat16.
    """

    def __init__(self, checkpoint: Checkpoint, *, width: int | None = None, precision: str = "fp32") -> None:
        self.checkpoint = checkpoint
        self.next_token = NextToken(checkpoint, precision)
        self.device = self.next_token.device
        kind = self.device.type if self.device.type in TILES else "cuda"
        self.width = WIDTHS[kind] if width is None else width
        self.together = TOGETHER[kind]
        self.tiles: tuple[int, ...] = TILES[kind] if self._tiles_agree(*TILES[kind]) else (ONE_TILE[kind],)
        self.suppressed = torch.tensor(suppressed_ids(checkpoint.notation), device=self.device)

    @torch.inference_mode()
    def _tiles_agree(self, usual: int, small: int) -> bool:
        """True where a prefix's logits are the same to the bit in tiles of either size."""
        if not self.next_token.stored:
            return False
        tokens = FIRST_ELEMENT + torch.arange(usual, device=self.device) % 97
        rows = torch.arange(3 * usual, device=self.device).view(3, usual).t().contiguous()
        self.next_token.make_room(3 * usual)
        for place in range(3):
            whole = rows[:, : place + 1].contiguous()
            expected = self.next_token.logits(tokens, whole, usual * place, usual)[:small]
            logits = self.next_token.logits(tokens[:small], whole[:small].contiguous(), usual * place, small)
            if not torch.equal(expected, logits):
                return False
        return True

    @torch.inference_mode()
    def draw(
        self,
        n: int,
        seed: int,
        block: int,
        decoding: Decoding,
        *,
        mask: Mask | None = None,
        prompt: Sequence[int] = (),
        starts: np.ndarray | None = None,
    ) -> Drawn:
        """Draw the first `n` samples of a block.

        Args:
            n: samples.
            seed: of all blocks.
            block: number of the block; each has its own random numbers.
            decoding: temperature and cuts.
            mask: constraints, or None.
            prompt: tokens that every sequence begins with.
            starts: int64 `(n,)`, token in place of `<bos>`, of a conditional model.
        """
        with self._threads() as pool:
            run = _Run(n, seed, block, decoding, mask, self.device, pool)
            run.given = torch.tensor([BOS, *prompt], device=self.device).expand(n, -1)
            self._draw(run, starts)
        return run.drawn()

    @torch.inference_mode()
    def score(self, ids: np.ndarray, starts: np.ndarray | None = None) -> Drawn:
        """Ln probabilities of given sequences, as if they had been drawn.

        Args:
            ids: integers `(n, length)`, `<bos> tokens <eos> <pad> ...`, of at most 128 tokens.
            starts: int64 `(n,)`, token in place of `<bos>`, of a conditional model.
        """
        with self._threads() as pool:
            run = _Run(len(ids), 0, 0, Decoding(), None, self.device, pool)
            run.given = torch.from_numpy(ids.astype(np.int64)).to(self.device)
            self._draw(run, starts)
        return run.drawn()

    def _draw(self, run: _Run, starts: np.ndarray | None) -> None:
        begin = torch.from_numpy(np.full(run.n, BOS, dtype=np.int64) if starts is None else starts).to(self.device)
        tokens, sizes = begin.unique(return_counts=True)
        root = _Groups(
            tokens,
            torch.empty(len(tokens), 0, dtype=torch.long, device=self.device),
            torch.zeros(len(tokens), dtype=torch.float64, device=self.device),
            begin.argsort(stable=True),
            sizes,
            None if run.mask is None else run.mask.start()[np.zeros(len(tokens), dtype=np.int64)],
            0,
        )
        open_groups = [root]
        while open_groups:
            groups = open_groups.pop()
            children = self._extend(groups, run)
            if len(children):
                parts = -(-len(children) // self.width)
                bounds = [len(children) * i // parts for i in range(parts + 1)]
                # The last in is the first out: parts are finished in order, each with all that follows from it.
                open_groups += [children.part(bounds[i], bounds[i + 1]) for i in range(parts - 1, -1, -1)]

    @contextmanager
    def _threads(self) -> Iterator[ThreadPoolExecutor | None]:
        """Threads that each compute tiles of their own, where a tile is too small to share well; else None."""
        n_threads = torch.get_num_threads()
        if not self.next_token.parallel or n_threads == 1:
            yield None
            return
        try:
            torch.set_num_threads(1)
            with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield pool
        finally:
            torch.set_num_threads(n_threads)

    def _extend(self, groups: _Groups, run: _Run) -> _Groups:
        """Draw the next token of every sample of the groups; returns the groups that go on."""
        place = groups.rows.shape[1] + 1
        run.longest = max(run.longest, place + 1)
        ends = groups.sizes.cumsum(0).cpu()
        self.next_token.make_room(groups.base + len(groups))

        def extend(tiles: list[tuple[int, int, int]]) -> tuple[Tensor, ...]:
            start, stop = tiles[0][0], tiles[-1][1]
            with torch.inference_mode():  # it holds for one thread only
                by_tile = [self._logits(groups, *tile, place, run) for tile in tiles]
                logits = by_tile[0] if len(by_tile) == 1 else torch.cat(by_tile)
                samples = groups.samples[int(ends[start - 1]) if start else 0 : int(ends[stop - 1])]
                return self._split(groups, start, stop, logits, samples, place, run)

        tiles = list(self._tiles(len(groups)))
        run.prefixes += len(groups)
        run.computed += sum(tile for _, _, tile in tiles)
        together = [tiles[i : i + self.together] for i in range(0, len(tiles), self.together)]
        parts = [extend(together[0])] if len(together) == 1 else list(run.map(extend, together))
        children = _joined(parts)
        own = torch.arange(groups.base, groups.base + len(groups), device=self.device)
        parents, tokens, log_prob, samples, sizes = children
        states = None
        if run.mask is not None and len(parents):
            states = run.mask.advance(groups.states, parents.cpu().numpy(), tokens.cpu().numpy())
        rows = torch.cat([groups.rows[parents], own[parents, None]], dim=1)
        if place + 1 >= MAX_POSITIONS:
            parents = parents[:0]  # the model's length is reached: what is open stays unfinished
        return _Groups(tokens[: len(parents)], rows, log_prob, samples, sizes, states, groups.base + len(groups))

    def _tiles(self, n: int) -> Iterator[tuple[int, int, int]]:
        """Start, stop and padded size of the tiles of `n` prefixes."""
        start = 0
        while start < n:
            tile = next((tile for tile in reversed(self.tiles) if n - start <= tile), self.tiles[0])
            yield start, min(start + tile, n), tile
            start += tile

    def _logits(self, groups: _Groups, start: int, stop: int, tile: int, place: int, run: _Run) -> Tensor:
        """Logits after some of the prefixes, with what is never drawn at minus infinity, float32 `(b, vocabulary)`."""
        n = stop - start
        chosen = torch.arange(start, start + tile, device=self.device).clamp_(max=stop - 1)  # padded by repeating
        own = chosen + groups.base
        rows = torch.cat([groups.rows[chosen], own[:, None]], dim=1)
        if self.next_token.stored:
            tokens = groups.tokens[chosen]
        else:
            first = groups.sizes.cumsum(0)[chosen] - groups.sizes[chosen]
            tokens = run.ids[groups.samples[first], :place].long()
        logits = self.next_token.logits(tokens, rows, groups.base + start, n)[:n]
        logits[:, self.suppressed] = -torch.inf
        if place == 1:
            logits[:, EOS] = -torch.inf  # an empty formula is no formula
        return logits

    def _split(
        self, groups: _Groups, start: int, stop: int, logits: Tensor, samples: Tensor, place: int, run: _Run
    ) -> tuple[Tensor, ...]:
        """Give each sample its token; returns parents, tokens, log_prob, samples and sizes of the groups that go on."""
        n_tokens = logits.shape[1]
        log_prob = logits.log_softmax(1)
        group = _repeated(groups.sizes[start:stop], len(samples))
        if place < run.given.shape[1]:
            token = run.given[samples, place]
        else:
            if run.mask is not None:
                allowed = run.mask.allowed(groups.states[np.arange(start, stop)])
                logits = logits.masked_fill(~torch.from_numpy(allowed).to(self.device), -torch.inf)
            token = choose(cut(logits, run.decoding), group, run.uniforms(place)[samples])
        run.ids[samples, place] = token.to(run.ids.dtype)
        label, order = (group * n_tokens + token).sort(stable=True)
        samples = samples[order]
        label, sizes = torch.unique_consecutive(label, return_counts=True)
        parents, tokens = label // n_tokens, label % n_tokens
        total = groups.log_prob[start:stop][parents] + log_prob[parents, tokens].double()
        ended = tokens == EOS
        of_sample = _repeated(sizes, len(samples))
        over = ended[of_sample]
        run.log_prob[samples] = total[of_sample].masked_fill(~over, torch.nan)
        # On a GPU every choice by truth values waits for it; so there are two, of places.
        on, going_on = (~over).nonzero().squeeze(1), (~ended).nonzero().squeeze(1)
        return parents[going_on] + start, tokens[going_on], total[going_on], samples[on], sizes[going_on]


class _Run:
    """One block while it is drawn."""

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
        self.given = torch.full((n, 1), BOS, device=device)  # tokens that are not drawn
        self.ids = torch.full((n, MAX_POSITIONS), PAD, dtype=torch.int16, device=device)
        self.ids[:, 0] = BOS
        self.log_prob = torch.full((n,), torch.nan, dtype=torch.float64, device=device)
        self.prefixes, self.computed, self.longest = 0, 0, 1
        self._uniforms: dict[int, Tensor] = {}

    def drawn(self) -> Drawn:
        """What was drawn, without the columns that nothing was written to."""
        ids = self.ids[:, : self.longest].contiguous()
        return Drawn(ids.cpu().numpy(), self.log_prob.cpu().numpy(), self.prefixes, self.computed)

    def uniforms(self, place: int) -> Tensor:
        """A number in [0, 1) for each sample, float64 `(n,)`, by seed, block and place in the sequence."""
        if place not in self._uniforms:
            drawn = uniform_numbers(self.n, self.seed, self.block, place)
            self._uniforms[place] = torch.from_numpy(drawn).to(self.device)
        return self._uniforms[place]


def uniform_numbers(n: int, seed: int, block: int, place: int) -> np.ndarray:
    """The first `n` uniform numbers of a block at one place, float64 `(n,)`: Philox (Salmon et al., SC 2011).

    The key is seed and block and the counter begins at the place, so no two streams meet.
    """
    generator = np.random.Philox(key=np.array([seed, block], dtype=np.uint64), counter=[0, 0, place, 0])
    return np.random.Generator(generator).random(n)


def _joined(parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return parts[0] if len(parts) == 1 else tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _repeated(sizes: Tensor, total: int) -> Tensor:
    """Each place as often as its size says, int64 `(total,)`, `total` the sum of the sizes."""
    return torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes, output_size=total)
