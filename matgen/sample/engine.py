"""Independent draws from a checkpoint, in blocks.

A block of 2,048 rows is drawn from a table of uniform random numbers that depends on the seed and the block's number
alone; each row turns its own numbers into tokens by the inverse distribution function. So neither the batch size nor
what was drawn before changes a row (but for rounding: matrix products differ in the last bits with the number of rows).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.composition import CompositionBatch
from matgen.errors import CheckpointError, OptionError
from matgen.models.checkpoint import Checkpoint, load_checkpoint
from matgen.models.registry import MAX_POSITIONS
from matgen.tokenizer import BOS, EOS, MASK, PAD, decode, encode, sequence_lengths, suppressed_ids, to_text

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_SIZE = 2048
"""Rows of a block, the unit of reproducibility, of writing and of resuming."""
BOUND_ORDERS = 8
"""Random orders over which the likelihood bound of an order-agnostic model is averaged."""


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen from the model's distribution.

    Attributes:
        temperature: logits are divided by it; 1 draws from the model itself.
        top_k: keep the k most probable tokens; 0 keeps all.
        top_p: keep the smallest set of most probable tokens that holds this much probability (Holtzman et al. 2020);
            1 keeps all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise OptionError(f"temperature is {self.temperature}, it must be above 0")
        if self.top_k < 0:
            raise OptionError(f"top-k is {self.top_k}, it must be 0 (off) or above")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top-p is {self.top_p}, it must be above 0 and at most 1")


@dataclass(frozen=True)
class SampleBlock:
    """Rows drawn together.

    Attributes:
        formulas: object `(b,)`, reduced formulas; an unfinished sequence is its tokens and an ellipsis, unreadable on
            purpose.
        log_prob: float64 `(b,)`, ln probability of the canonical sequence of the composition under the model (at
            temperature 1, nothing cut off); for order-agnostic models a Monte Carlo estimate of its lower bound; NaN
            where unfinished.
        canonical: bool `(b,)`, True where the sequence drawn was the canonical one.
    """

    formulas: np.ndarray
    log_prob: np.ndarray
    canonical: np.ndarray

    def __len__(self) -> int:
        return len(self.formulas)


class Sampler:
    """Draws compositions from a checkpoint.

    Args:
        checkpoint: a loaded checkpoint, or its folder.
        device: where to compute.
        accept: a filter, from a `CompositionBatch` of `b` to bool `(b,)`; rows it refuses are left out of the blocks.

    Raises:
        CheckpointError: the folder is not a usable checkpoint.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | Path | str,
        *,
        device: str = "cpu",
        accept: Callable[[CompositionBatch], np.ndarray] | None = None,
    ) -> None:
        loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, device=device)
        self.checkpoint, self.accept = loaded, accept
        self.model, self.notation = loaded.model, loaded.notation
        self.device = next(self.model.parameters()).device
        self.objective = loaded.architecture.objective
        self._suppressed = torch.tensor(suppressed_ids(self.notation), device=self.device)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        decoding: Decoding | None = None,
        batch_size: int = BLOCK_SIZE,
        first_block: int = 0,
    ) -> Iterator[SampleBlock]:
        """Draw `n` rows, block by block.

        Args:
            n: rows to draw, before `accept`.
            seed: of the draws; the same seed gives the same rows, and a longer run begins with a shorter one.
            decoding: temperature and cuts, by default the model's own distribution.
            batch_size: rows computed at once.
            first_block: leave out the blocks before this one (to resume).

        Raises:
            OptionError: `n`, `seed` or `batch_size` is out of range.
        """
        if n < 1:
            raise OptionError(f"n is {n}, it must be at least 1")
        if batch_size < 1:
            raise OptionError(f"batch size is {batch_size}, it must be at least 1")
        if seed < 0:
            raise OptionError(f"seed is {seed}, it must be 0 or above")
        decoding = decoding or Decoding()
        for block in range(first_block, -(-n // BLOCK_SIZE)):
            rows = min(BLOCK_SIZE, n - block * BLOCK_SIZE)
            yield self._read(self.draw_ids(rows, seed=seed, block=block, decoding=decoding, batch_size=batch_size))

    @torch.inference_mode()
    def draw_ids(
        self, rows: int, *, seed: int, block: int, decoding: Decoding, batch_size: int = BLOCK_SIZE
    ) -> np.ndarray:
        """Token ids of the first `rows` rows of a block, int64 `(rows, 128)`, `<bos> tokens <eos> <pad> ...`."""
        rng = np.random.Generator(np.random.Philox(key=np.array([seed, block], dtype=np.uint64)))
        uniforms = torch.from_numpy(rng.random((BLOCK_SIZE, MAX_POSITIONS))).to(self.device)
        orders = torch.from_numpy(rng.random((BLOCK_SIZE, MAX_POSITIONS))).to(self.device)
        parts = []
        for start in range(0, rows, batch_size):
            chosen = slice(start, min(start + batch_size, rows))
            if self.objective == "masked":
                parts.append(self._draw_any_order(uniforms[chosen], orders[chosen], decoding))
            else:
                parts.append(self._draw_left_to_right(uniforms[chosen], decoding))
        return torch.cat(parts).cpu().numpy()

    def _draw_left_to_right(self, uniforms: Tensor, decoding: Decoding) -> Tensor:
        """One token at a time with a key-value cache; finished rows leave the batch. int64 `(b, 128)`."""
        n = len(uniforms)
        ids = torch.full((n, MAX_POSITIONS), PAD, device=self.device)
        ids[:, 0] = BOS
        alive = torch.arange(n, device=self.device)
        encoded = self._encoded_nothing() if self.objective == "denoising" else None
        cache = None
        for place in range(1, MAX_POSITIONS):
            new_only = self.checkpoint.architecture.has_cache and cache is not None
            context = ids[alive, place - 1 : place] if new_only else ids[alive, :place]
            logits, cache = self._next_logits(context, cache, encoded)
            logits[:, self._suppressed] = -torch.inf
            if place == 1:
                logits[:, EOS] = -torch.inf  # an empty formula is no formula
            tokens = choose(logits, uniforms[alive, place], decoding)
            ids[alive, place] = tokens
            going_on = torch.nonzero(tokens != EOS).squeeze(1)
            if not len(going_on):
                break
            if len(going_on) < len(alive):
                alive = alive[going_on]
                if cache is not None:
                    cache.batch_select_indices(going_on)
        return ids

    def _next_logits(self, context: Tensor, cache: Any, encoded: Tensor | None) -> tuple[Tensor, Any]:
        """Logits after the context, float32 `(b, vocabulary)`, and the cache with it (None where there is none)."""
        use_cache = self.checkpoint.architecture.has_cache
        if encoded is not None:
            source = encoded.expand(len(context), -1, -1)
            out = self.model(
                encoder_outputs=(source,), decoder_input_ids=context, past_key_values=cache, use_cache=True
            )
        elif use_cache:
            out = self.model(input_ids=context, past_key_values=cache, use_cache=True)
        else:
            return self.model(input_ids=context).logits[:, -1].float(), None
        return out.logits[:, -1].float(), out.past_key_values

    def _encoded_nothing(self) -> Tensor:
        """Encoder states of the source that says nothing (`<bos> <mask> <eos>`), `(1, 3, width)`."""
        source = torch.tensor([[BOS, MASK, EOS]], device=self.device)
        return self.model.get_encoder()(source).last_hidden_state

    def _draw_any_order(self, uniforms: Tensor, orders: Tensor, decoding: Decoding) -> Tensor:
        """Length from the training histogram, then one masked token at a time in random order. int64 `(b, 128)`."""
        n_tokens = self._draw_lengths(uniforms[:, 0])
        ids = torch.full((len(uniforms), MAX_POSITIONS), PAD, device=self.device)
        for length in n_tokens.unique().tolist():
            rows = torch.nonzero(n_tokens == length).squeeze(1)
            work = torch.full((len(rows), length + 2), MASK, device=self.device)
            work[:, 0], work[:, -1] = BOS, EOS
            order = orders[rows, :length].argsort(dim=1) + 1
            every = torch.arange(len(rows), device=self.device)
            for step in range(length):
                place = order[:, step]
                logits = self.model(input_ids=work).logits[every, place].float()
                logits[:, self._suppressed] = -torch.inf
                logits[:, EOS] = -torch.inf
                work[every, place] = choose(logits, uniforms[rows, step + 1], decoding)
            ids[rows, : length + 2] = work
        return ids

    def _draw_lengths(self, uniforms: Tensor) -> Tensor:
        histogram = self.checkpoint.metadata.get("length_histogram")
        if not histogram:
            raise CheckpointError(f"{self.checkpoint.folder} has no length_histogram: it was not written by matgen")
        cumulative = torch.tensor(histogram, dtype=torch.float64, device=self.device).cumsum(0)
        return torch.searchsorted(cumulative / cumulative[-1], uniforms.contiguous(), right=True).clamp(
            max=len(histogram) - 1
        )

    def _read(self, ids: np.ndarray) -> SampleBlock:
        read = decode(ids, self.notation)
        formulas = np.empty(len(ids), dtype=object)
        formulas[read.rows] = read.batch.formulas()
        unfinished = np.setdiff1d(np.arange(len(ids)), read.rows)
        formulas[unfinished] = [to_text(ids[row], self.notation) + " …" for row in unfinished]
        log_prob = np.full(len(ids), np.nan)
        log_prob[read.rows] = self.log_prob(read.batch)
        canonical = np.zeros(len(ids), dtype=bool)
        canonical[read.rows] = read.canonical
        keep = np.ones(len(ids), dtype=bool)
        if self.accept is not None:
            keep[unfinished] = False
            keep[read.rows] = self.accept(read.batch)
        return SampleBlock(formulas[keep], log_prob[keep], canonical[keep])

    @torch.inference_mode()
    def log_prob(self, batch: CompositionBatch, *, batch_size: int = 64) -> np.ndarray:
        """Ln probability of the canonical sequence of each composition, float64 `(n,)`, in nats.

        Exact for causal and denoising models (special tokens, which are never drawn, carry no probability); for
        order-agnostic ones a lower bound, estimated over `BOUND_ORDERS` random orders with fixed noise. Minus infinity
        where a composition is longer than the model.
        """
        result = np.full(len(batch), -np.inf)
        fits = np.flatnonzero(sequence_lengths(batch, self.notation) <= MAX_POSITIONS - 2)
        ids, lengths = encode(batch[fits], self.notation)
        by_length = np.argsort(lengths, kind="stable")
        for start in range(0, len(fits), batch_size):
            rows = by_length[start : start + batch_size]
            part = torch.from_numpy(ids[rows, : int(lengths[rows].max())]).long().to(self.device)
            if self.objective == "masked":
                values = self._bound(part, torch.from_numpy(lengths[rows]).to(self.device) - 2)
            else:
                values = self._exact(part)
            result[fits[rows]] = values.double().cpu().numpy()
        return result

    def _exact(self, ids: Tensor) -> Tensor:
        """Ln probability of whole sequences by one forward pass, float32 `(b,)`."""
        if self.objective == "denoising":
            encoded = self._encoded_nothing().expand(len(ids), -1, -1)
            logits = self.model(encoder_outputs=(encoded,), decoder_input_ids=ids[:, :-1]).logits.float()
        else:
            # What follows the end is not looked at; written as padding it would make transformers warn.
            logits = self.model(input_ids=ids[:, :-1].masked_fill(ids[:, :-1] == PAD, EOS)).logits.float()
        logits[:, :, self._suppressed] = -torch.inf
        logits[:, 0, EOS] = -torch.inf
        targets = ids[:, 1:]
        of_target = logits.log_softmax(-1).gather(2, targets[:, :, None]).squeeze(2)
        return of_target.masked_fill(targets == PAD, 0.0).sum(1)

    def _bound(self, ids: Tensor, n_tokens: Tensor) -> Tensor:
        """Lower bound on ln probability with the length's own, a mean over random orders, float32 `(b,)`."""
        histogram = torch.tensor(self.checkpoint.metadata["length_histogram"], dtype=torch.float64, device=self.device)
        length_log_prob = torch.full_like(n_tokens, -torch.inf, dtype=torch.float64)
        known = n_tokens < len(histogram)
        length_log_prob[known] = (histogram / histogram.sum()).log()[n_tokens[known]]
        generator = torch.Generator(device=self.device).manual_seed(0)
        place = torch.arange(ids.shape[1], device=self.device)[None, :]
        is_token = (place >= 1) & (place <= n_tokens[:, None])
        total = torch.zeros(len(ids), device=self.device)
        for _ in range(BOUND_ORDERS):
            count = 1 + (torch.rand(len(ids), generator=generator, device=self.device) * n_tokens).long()
            drawn = torch.rand(ids.shape, generator=generator, device=self.device).masked_fill(~is_token, torch.inf)
            masked = drawn.argsort(dim=1).argsort(dim=1) < count[:, None]
            logits = self.model(
                input_ids=torch.where(masked, MASK, ids), attention_mask=(ids != PAD).long()
            ).logits.float()
            logits[:, :, self._suppressed] = -torch.inf
            logits[:, :, EOS] = -torch.inf
            of_token = logits.log_softmax(-1).gather(2, ids[:, :, None]).squeeze(2).masked_fill(~masked, 0.0)
            total += of_token.sum(1) * n_tokens / count
        return total / BOUND_ORDERS + length_log_prob


def choose(logits: Tensor, uniforms: Tensor, decoding: Decoding) -> Tensor:
    """One token a row by the inverse distribution function.

    Args:
        logits: float `(b, vocabulary)`, minus infinity where forbidden.
        uniforms: float64 `(b,)` in [0, 1).
        decoding: temperature and cuts, applied in the order of transformers: temperature, top-k, top-p.

    Returns:
        int64 `(b,)`.
    """
    logits = logits / decoding.temperature
    if 0 < decoding.top_k < logits.shape[1]:
        smallest = logits.topk(decoding.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    if decoding.top_p < 1:
        ordered, places = logits.sort(dim=1, descending=True)
        probability = ordered.softmax(1)
        beyond = probability.cumsum(1) - probability >= decoding.top_p
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(1, places, beyond), -torch.inf)
    cumulative = logits.double().softmax(1).cumsum(1)
    threshold = uniforms[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp(max=logits.shape[1] - 1)
