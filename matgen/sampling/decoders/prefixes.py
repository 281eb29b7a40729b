"""Drawing many sequences at once, every distinct prefix computed once.

All samples of a block begin with the same token, and most share their first few with others. So the block is drawn
breadth first as groups: a prefix, and the samples that have it. The model sees each prefix once; then each sample takes
its own next token by its own uniform random number, and the groups split. Samples stay independent: which others share
a prefix with one does not touch its random numbers.

When more distinct prefixes are open than `width`, they are split into parts that are finished one after another, so
that memory is bounded. The model is shown tiles of one of a few fixed numbers of prefixes (short ones are padded):
matrix products differ in the last bits with the number of rows, and the draws must not depend on `width`.

Shapes: `g` groups (distinct prefixes) of `t` tokens with `s` samples in all, `b` prefixes of a padded tile, `c` groups
that go on by one token, `v` words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import BOS, EOS, FIRST_ELEMENT, suppressed_ids
from matgen.sampling.decoders.decoding import Decoding, choose, cut, guided
from matgen.sampling.decoders.prefix_block import Drawn, Mask, PrefixBlock
from matgen.sampling.decoders.prefix_cache import NextToken
from matgen.sampling.decoders.prefix_groups import PrefixGroups, group_of_samples

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
        self.unconditional = self.next_token.with_own_rows()  # of the same prefixes, but after `<bos>`, under guidance
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
        # Ids of elements in either notation, (usual,); 97 of them, so that rows differ from their neighbors.
        tokens = FIRST_ELEMENT + torch.arange(usual, device=self.device) % 97
        # The prefix i keeps its keys and values in the rows i, usual + i and 2 usual + i: (usual, 3).
        rows = torch.arange(3 * usual, device=self.device).view(3, usual).t().contiguous()
        self.next_token.make_room(3 * usual)
        for place in range(3):  # attention over one, two and three tokens
            so_far = rows[:, : place + 1].contiguous()
            expected = self.next_token.logits(tokens, so_far, usual * place, usual)[:small]
            logits = self.next_token.logits(tokens[:small], so_far[:small].contiguous(), usual * place, small)
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
            drawn = PrefixBlock(n, seed, block, decoding, mask, self.device, pool)
            drawn.given = torch.tensor([BOS, *prompt], device=self.device).expand(n, -1)
            self._draw(drawn, starts)
        return drawn.result()

    @torch.inference_mode()
    def score(self, ids: np.ndarray, starts: np.ndarray | None = None) -> Drawn:
        """Ln probabilities of given sequences, as if they had been drawn.

        Args:
            ids: integers `(n, length)`, `<bos> tokens <eos> <pad> ...`, of at most 128 tokens.
            starts: int64 `(n,)`, token in place of `<bos>`, of a conditional model.
        """
        with self._threads() as pool:
            scored = PrefixBlock(len(ids), 0, 0, Decoding(), None, self.device, pool)
            scored.given = torch.from_numpy(ids.astype(np.int64)).to(self.device)
            self._draw(scored, starts)
        return scored.result()

    def _draw(self, block: PrefixBlock, starts: np.ndarray | None) -> None:
        begin = torch.from_numpy(np.full(block.n, BOS, dtype=np.int64) if starts is None else starts).to(self.device)
        tokens, sizes = begin.unique(return_counts=True)  # (g,) each; one group, unless the model is conditional
        root = PrefixGroups(
            tokens,
            torch.empty(len(tokens), 0, dtype=torch.long, device=self.device),
            torch.zeros(len(tokens), dtype=torch.float64, device=self.device),
            begin.argsort(stable=True),  # (n,): samples in order of their first token
            sizes,
            None if block.mask is None else block.mask.start()[np.zeros(len(tokens), dtype=np.int64)],
            0,
        )
        open_groups = [root]
        while open_groups:
            groups = open_groups.pop()
            children = self._extend(groups, block)
            if len(children):
                # Nearly equal parts of at most `width` groups, since a small last one would pay for its own padding.
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

    def _extend(self, groups: PrefixGroups, block: PrefixBlock) -> PrefixGroups:
        """Draw the next token of every sample of the groups; returns the groups that go on."""
        # Tokens of each prefix, and the column of `ids` that the next token goes to.
        place = groups.rows.shape[1] + 1
        block.longest = max(block.longest, place + 1)
        # One past the last sample of each group, (g,), copied once: every tile slices its samples by it.
        ends = groups.sizes.cumsum(0).cpu()
        # Before threads write to the rows: growing replaces the tensor that holds them.
        self.next_token.make_room(groups.base + len(groups))
        if block.decoding.guidance != 1:
            self.unconditional.make_room(groups.base + len(groups))

        def extend(tiles: list[tuple[int, int, int]]) -> tuple[Tensor, ...]:
            start, stop = tiles[0][0], tiles[-1][1]
            with torch.inference_mode():  # it holds for one thread only
                by_tile = [self._logits(groups, *tile, place, block) for tile in tiles]
                logits = _together([one for one, _ in by_tile])
                drawn_from = logits if block.decoding.guidance == 1 else _together([one for _, one in by_tile])
                samples = groups.samples[int(ends[start - 1]) if start else 0 : int(ends[stop - 1])]
                return self._split(groups, start, stop, logits, drawn_from, samples, place, block)

        tiles = list(self._tiles(len(groups)))
        block.prefixes += len(groups)
        block.computed += sum(tile for _, _, tile in tiles)
        together = [tiles[i : i + self.together] for i in range(0, len(tiles), self.together)]
        parts = [extend(together[0])] if len(together) == 1 else list(block.map(extend, together))
        children = _joined(parts)
        own = torch.arange(groups.base, groups.base + len(groups), device=self.device)  # (g,): rows just stored
        parents, tokens, log_prob, samples, sizes = children  # (c,) but for samples, (s still open,)
        states = None
        if block.mask is not None and len(parents):
            states = block.mask.advance(groups.states, parents.cpu().numpy(), tokens.cpu().numpy())
        rows = torch.cat([groups.rows[parents], own[parents, None]], dim=1)  # (c, place)
        if place + 1 >= MAX_POSITIONS:
            parents = parents[:0]  # the model's length is reached: what is open stays unfinished
        return PrefixGroups(tokens[: len(parents)], rows, log_prob, samples, sizes, states, groups.base + len(groups))

    def _tiles(self, n: int) -> Iterator[tuple[int, int, int]]:
        """Start, stop and padded size of the tiles of `n` prefixes."""
        start = 0
        while start < n:
            # The smallest size that holds all that is left, else the usual one.
            tile = next((tile for tile in reversed(self.tiles) if n - start <= tile), self.tiles[0])
            yield start, min(start + tile, n), tile
            start += tile

    def _logits(
        self, groups: PrefixGroups, start: int, stop: int, tile: int, place: int, block: PrefixBlock
    ) -> tuple[Tensor, Tensor]:
        """Logits after some of the prefixes, with what is never drawn at minus infinity, float32 `(b, vocabulary)`.

        Returns:
            Those of the model, and those that are drawn from, which guidance moves.
        """
        n = stop - start
        chosen = torch.arange(start, start + tile, device=self.device).clamp_(max=stop - 1)  # (b,), padded by repeating
        own = chosen + groups.base
        rows = torch.cat([groups.rows[chosen], own[:, None]], dim=1)  # (b, place), the last one is written now
        if self.next_token.stored:
            tokens = groups.tokens[chosen]  # (b,)
        else:
            # Without a cache the model reads prefixes whole, (b, place): as the first sample of each group has it.
            first = groups.sizes.cumsum(0)[chosen] - groups.sizes[chosen]
            tokens = block.ids[groups.samples[first], :place].long()
        drawn_from = logits = self.next_token.logits(tokens, rows, groups.base + start, n)[:n]
        if block.decoding.guidance != 1:
            begun = torch.full_like(tokens, BOS) if place == 1 else tokens
            without = self.unconditional.logits(begun, rows, groups.base + start, n)[:n]
            drawn_from = guided(logits, without, block.decoding.guidance)
        for one in (logits,) if drawn_from is logits else (logits, drawn_from):
            one[:, self.suppressed] = -torch.inf
            if place == 1:
                one[:, EOS] = -torch.inf  # an empty formula is no formula
        return logits, drawn_from

    def _split(
        self,
        groups: PrefixGroups,
        start: int,
        stop: int,
        logits: Tensor,
        drawn_from: Tensor,
        samples: Tensor,
        place: int,
        block: PrefixBlock,
    ) -> tuple[Tensor, ...]:
        """Give each sample its token; returns parents, tokens, log_prob, samples and sizes of the groups that go on."""
        n_tokens = logits.shape[1]
        # (stop - start, v), before guidance, constraints, temperature and cuts: what is reported is the model's own
        # probability.
        log_prob = logits.log_softmax(1)
        group = group_of_samples(groups.sizes[start:stop], len(samples))  # (s,), rows of `logits`
        if place < block.given.shape[1]:
            token = block.given[samples, place]  # (s,): of a prompt, or of sequences that are scored
        else:
            if block.mask is not None:
                allowed = block.mask.allowed(groups.states[np.arange(start, stop)])
                drawn_from = drawn_from.masked_fill(~torch.from_numpy(allowed).to(self.device), -torch.inf)
            token = choose(cut(drawn_from, block.decoding), group, block.uniforms(place)[samples])
        block.ids[samples, place] = token.to(block.ids.dtype)
        # Samples with the same prefix and the same token form the next groups. A stable sort keeps samples in one order
        # within a group, however the groups were cut into tiles and parts.
        label, order = (group * n_tokens + token).sort(stable=True)
        samples = samples[order]
        label, sizes = torch.unique_consecutive(label, return_counts=True)
        parents, tokens = label // n_tokens, label % n_tokens  # (new groups,) each
        # Added up in float64: 127 terms of some nats each would lose the last digits of float32.
        total = groups.log_prob[start:stop][parents] + log_prob[parents, tokens].double()
        ended = tokens == EOS
        of_sample = group_of_samples(sizes, len(samples))  # (s,), the new group of each sample
        over = ended[of_sample]
        # NaN for samples that go on, which stays where the model's length cuts them off.
        block.log_prob[samples] = total[of_sample].masked_fill(~over, torch.nan)
        # On a GPU every choice by truth values waits for it; so there are two, of places.
        on, going_on = (~over).nonzero().squeeze(1), (~ended).nonzero().squeeze(1)
        return parents[going_on] + start, tokens[going_on], total[going_on], samples[on], sizes[going_on]


def _together(by_tile: list[Tensor]) -> Tensor:
    return by_tile[0] if len(by_tile) == 1 else torch.cat(by_tile)


def _joined(parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return parts[0] if len(parts) == 1 else tuple(torch.cat(column) for column in zip(*parts, strict=True))
