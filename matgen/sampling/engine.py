"""Independent draws from a checkpoint, in blocks.

A block's draws depend on the seed and the block's number alone; each sample turns its own uniform random numbers into
tokens by the inverse distribution function. So neither the memory allowed, nor what was drawn before, nor which
process draws which block changes a sample, and every part of a file is a fair sample.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError, unknown_name
from matgen.models.checkpoint import Checkpoint, load_checkpoint
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import FIRST_ELEMENT, decode, encode, sequence_lengths, to_text, vocabulary
from matgen.sampling.decoders import any_order
from matgen.sampling.decoders import canvas as canvas_draw
from matgen.sampling.decoders.decoding import Decoding
from matgen.sampling.decoders.prefixes import Drawn, PrefixDrawer, uniform_numbers
from matgen.sampling.likelihood import Likelihood

if TYPE_CHECKING:
    from matgen.models.registry import Architecture
    from matgen.sampling.constraints.constraints import Constraints
    from matgen.sampling.constraints.reachability import DecodingMask

BLOCK_SIZES = {"cpu": (16_384, 131_072), "cuda": (16_384, 131_072, 524_288)}
"""Samples of a block, by kind of device, the unit of reproducibility, of writing and of resuming: larger ones share
more prefixes, smaller ones lose less when a run is killed. The first holds runs of up to its size; see `block_size`."""

Accept = Callable[[CompositionBatch], np.ndarray]
"""A filter: from a batch of `b` compositions to bool `(b,)`."""

PRECISIONS = ("auto", "bf16", "fp32")

QUICK_TOKENS = 5
"""Longest draws of models that write in any order whose `log_prob` is summed over all orders: up to here that takes no
more canvases than `N_MC` random orders do."""


@dataclass(frozen=True)
class SampleBlock:
    """Samples drawn together.

    Attributes:
        number: of the block.
        drawn: samples drawn, before `accept`.
        unfinished: samples that the model's length cut off.
        formulas: object `(b,)`, reduced formulas; an unfinished sequence is its tokens and an ellipsis, unreadable on
            purpose.
        log_prob: float64 `(b,)`, ln probability of the canonical sequence of the composition under the model (at
            temperature 1, nothing cut off or masked); for models that write in any order summed over the orders,
            exactly up to `QUICK_TOKENS` tokens, else estimated (`Likelihood.summed`); NaN where unfinished.
        canonical: bool `(b,)`, True where the sequence drawn was the canonical one.
        keys: uint64 `(b, 2)`, keys of the compositions, zero where unfinished.
        trace: object `(b,)`, the canvases of each sample's steps as text, where they were asked for.
    """

    number: int
    drawn: int
    unfinished: int
    formulas: np.ndarray
    log_prob: np.ndarray
    canonical: np.ndarray
    keys: np.ndarray
    trace: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.formulas)

    def __getitem__(self, rows: slice | np.ndarray) -> SampleBlock:
        """The block with some of its rows left."""
        return SampleBlock(
            self.number,
            self.drawn,
            self.unfinished,
            self.formulas[rows],
            self.log_prob[rows],
            self.canonical[rows],
            self.keys[rows],
            None if self.trace is None else self.trace[rows],
        )


@dataclass(frozen=True)
class _DrawnBlock:
    """A block as it was drawn: token ids, and where there are any their ln probabilities, first tokens and steps."""

    number: int
    ids: np.ndarray
    log_prob: np.ndarray | None
    starts: np.ndarray | None
    steps: list[np.ndarray] | None


class Sampler:
    """Draws compositions from a checkpoint.

    Args:
        checkpoint: a loaded checkpoint, or its folder.
        device: where to compute.
        accept: a filter, from a `CompositionBatch` of `b` to bool `(b,)`; rows it refuses are left out of the blocks.
        precision: of matrix products while drawing: `fp32`, `bf16`, or `auto`: bf16 where the GPU or the CPU multiplies
            it, fp32 elsewhere and for models that write in any order. In bf16 the distribution drawn from, and
            `log_prob`, are those of rounded weights (a few hundredths of a nat off).
        width: distinct prefixes held open at once, by default as suits the device. It bounds memory and changes no
            sample; it is halved when memory runs out.

    Raises:
        CheckpointError: the folder is not a usable checkpoint.
        OptionError: a precision that is unknown or that the model is not drawn from in, or a width below 1.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | Path | str,
        *,
        device: str = "cpu",
        accept: Accept | None = None,
        precision: str = "auto",
        width: int | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise unknown_name("precision", precision, PRECISIONS)
        if width is not None and width < 1:
            raise OptionError(f"batch size is {width}, it must be at least 1")
        loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, device=device)
        self.checkpoint, self.accept = loaded, accept
        self.model, self.notation = loaded.model, loaded.notation
        self.device = next(self.model.parameters()).device
        self.objective = loaded.architecture.objective
        self.precision = _precision(precision, self.device, loaded.architecture)
        self.likelihood = Likelihood(loaded)
        self._drawing = threading.Lock()
        self._prefixes = None if loaded.architecture.any_order else self._drawer(width)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        decoding: Decoding | None = None,
        constraints: Constraints | None = None,
        rejection: bool = False,
        prompt: str = "",
        conditions: Sequence[str] = (),
        size: int | None = None,
        trace: bool = False,
    ) -> Iterator[SampleBlock]:
        """Draw `n` samples, block by block.

        Args:
            n: samples to draw, before `accept`.
            seed: of the draws; the same seed (and block size) gives the same samples.
            decoding: temperature and cuts, by default the model's own distribution.
            constraints: what every row must satisfy.
            rejection: draw freely and leave out what breaks a constraint, so that rows follow the model's distribution
                given the constraints and are fewer than `n`; otherwise tokens that lead there are masked.
            prompt: tokens that every sequence begins with, such as `Li Fe`.
            conditions: ranges of properties that a conditional model is told, such as `band_gap=2..3`; `log_prob` is
                then that given the bins drawn for a row.
            size: samples of a block, by default `block_size(n)`.
            trace: keep the steps of each sample, of a blank language model.

        Raises:
            OptionError: something is out of range, nothing satisfies the constraints, or the model cannot take a
                mask, a prompt or a trace.
        """
        if n < 1:
            raise OptionError(f"n is {n}, it must be at least 1")
        size = self.block_size(n) if size is None else size
        if size < 1:
            raise OptionError(f"block size is {size}, it must be at least 1")
        mask, accept = self.masking(constraints, rejection=rejection)
        told = self.told(conditions)
        drawn = (
            partial(
                self._draw,
                number,
                min(size, n - number * size),
                seed=seed,
                decoding=decoding,
                mask=mask,
                prompt=prompt,
                told=told,
                trace=trace,
            )
            for number in range(-(-n // size))
        )
        # A GPU draws the next block while this one is read on the CPU.
        ahead = self.device.type != "cpu" and self._prefixes is not None
        for block in _one_ahead(drawn) if ahead else (draw() for draw in drawn):
            yield self._read(block, accept)

    def block(
        self,
        number: int,
        rows: int,
        *,
        seed: int = 0,
        decoding: Decoding | None = None,
        mask: DecodingMask | None = None,
        accept: Accept | None = None,
        prompt: str = "",
        told: np.ndarray | None = None,
        trace: bool = False,
    ) -> SampleBlock:
        """The first `rows` samples of one block, as `sample` draws them with what `masking` and `told` give.

        Raises:
            OptionError: as `sample`.
        """
        drawn = self._draw(number, rows, seed=seed, decoding=decoding, mask=mask, prompt=prompt, told=told, trace=trace)
        return self._read(drawn, accept)

    def _draw(
        self,
        number: int,
        rows: int,
        *,
        seed: int,
        decoding: Decoding | None,
        mask: DecodingMask | None,
        prompt: str,
        told: np.ndarray | None,
        trace: bool,
    ) -> _DrawnBlock:
        if not 0 <= seed < 1 << 64:
            raise OptionError(f"seed is {seed}, it must be 0 or above, and below 2^64")
        steps: list[np.ndarray] | None = [] if trace else None
        starts = None if told is None else self._starts(told, uniform_numbers(rows, seed, number, 0))
        ids, log_prob = self.draw_ids(
            rows,
            seed=seed,
            block=number,
            decoding=decoding or Decoding(),
            mask=mask,
            prompt=prompt,
            starts=starts,
            trace=steps,
        )
        return _DrawnBlock(number, ids, log_prob, starts, steps)

    def told(self, conditions: Sequence[str]) -> np.ndarray | None:
        """How probable each combination of bins is under conditions, float64 `(combinations,)`; None without any.

        Raises:
            OptionError: the model takes no conditions, or these cannot be read or are outside of what it knows.
        """
        if not conditions:
            return None
        known = self.checkpoint.conditions
        if known is None:
            raise OptionError(
                f"{self.checkpoint.folder.name} takes no conditions: train a model with `matgen train --condition "
                "band_gap`, or screen by --screen"
            )
        return known.requested(conditions)

    def _starts(self, told: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """Tokens in place of `<bos>`, int64 `(n,)`, by numbers in [0, 1)."""
        possible = np.flatnonzero(told)
        place = np.searchsorted(np.cumsum(told[possible]), uniforms, side="right")
        return len(vocabulary(self.notation)) + possible[np.minimum(place, len(possible) - 1)]

    def block_size(self, n: int) -> int:
        """Samples of a block in a run of `n`."""
        if self._prefixes is None:
            return (canvas_draw if self.objective.decoder == "canvas" else any_order).BLOCK_SIZE
        sizes = BLOCK_SIZES.get(self.device.type, BLOCK_SIZES["cuda"])
        return next((size for size in sizes if n <= size), sizes[-1])

    def draw_ids(
        self,
        rows: int,
        *,
        seed: int,
        block: int,
        decoding: Decoding,
        mask: DecodingMask | None = None,
        prompt: str = "",
        starts: np.ndarray | None = None,
        trace: list[np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Token ids of the first samples of a block, integers `(rows, length)`; their ln probabilities if at hand."""
        tokens = self.check(mask, prompt, trace=trace is not None)
        if self.objective.decoder == "canvas":
            limits = None if mask is None else canvas_draw.Limits.of(mask)
            canvases = canvas_draw.CanvasDrawer(self.checkpoint)
            return canvases.draw(rows, seed, block, decoding, limits=limits, prompt=tokens, trace=trace), None
        if self._prefixes is None:
            return any_order.AnyOrderDrawer(self.checkpoint).draw(rows, seed, block, decoding), None
        drawn = self._with_less_memory(
            lambda drawer: drawer.draw(rows, seed, block, decoding, mask=mask, prompt=tokens, starts=starts)
        )
        return drawn.ids, drawn.log_prob

    def masking(self, constraints: Constraints | None, *, rejection: bool) -> tuple[DecodingMask | None, Accept | None]:
        """The mask for masked constraints, the filter for rejection, or both where a mask does not hold all of them.

        Raises:
            OptionError: nothing satisfies the constraints; the reason is told.
        """
        if constraints is None:
            return None, None
        from matgen.sampling.constraints.reachability import DecodingMask

        # Built for rejection too, since it refuses what cannot be before drawing goes on for ever.
        mask = DecodingMask(constraints, self.notation, known=self.checkpoint.known_elements())
        if rejection:
            return None, constraints.satisfied
        return mask, constraints.satisfied if self.objective.constraints == "some" else None

    def check(self, mask: DecodingMask | None, prompt: str, *, trace: bool = False) -> list[int]:
        """Token ids of a prompt, once it is known that the model can do what is asked.

        Raises:
            OptionError: it cannot, the prompt has an unknown word, or no sequence begins with it.
        """
        title = self.checkpoint.architecture.title
        if self.objective.constraints == "none" and (mask is not None or prompt.strip()):
            raise OptionError(
                f"{title} writes tokens in any order: it takes constraints with --rejection only, and no prompt"
            )
        if trace and self.objective.decoder != "canvas":
            raise OptionError(f"a trace is of a blank language model's steps: {title} has none")
        tokens = prompt_ids(prompt, self.notation)
        if self.objective.decoder == "canvas" and len(tokens) > MAX_POSITIONS - 3:
            raise OptionError(
                f"prompt: {len(tokens)} tokens, {title} holds {MAX_POSITIONS - 3} and the blank after them"
            )
        if mask is not None and tokens:
            if self.objective.decoder == "canvas":
                canvas_draw.Limits.of(mask).check_prompt(tokens, self.notation)
            else:
                mask.check_prompt(tokens)
        return tokens

    def log_prob(self, batch: CompositionBatch, *, batch_size: int = 64) -> np.ndarray:
        """See `Likelihood.of`."""
        return self.likelihood.of(batch, batch_size=batch_size)

    def _with_less_memory(self, draw: Callable[[PrefixDrawer], Drawn]) -> Drawn:
        """Draw, with half as many prefixes open as often as memory runs out; one thread at a time."""
        with self._drawing:
            return self._draw_with_less_memory(draw)

    def _draw_with_less_memory(self, draw: Callable[[PrefixDrawer], Drawn]) -> Drawn:
        while True:
            assert self._prefixes is not None
            try:
                return draw(self._prefixes)
            except (MemoryError, RuntimeError) as error:
                width = self._prefixes.width // 2
                if not _out_of_memory(error) or width < 1:
                    raise
            # Outside the handler, so that the failed attempt's tensors are no longer held by its traceback.
            self._prefixes = None  # nor what it stored
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self._prefixes = self._drawer(width)

    def _drawer(self, width: int | None) -> PrefixDrawer:
        return PrefixDrawer(self.checkpoint, width=width, precision=self.precision)

    def _read(self, drawn: _DrawnBlock, accept: Accept | None) -> SampleBlock:
        ids, sequence_log_prob, starts = drawn.ids, drawn.log_prob, drawn.starts
        filters = [one for one in (self.accept, accept) if one is not None]
        trace = None if drawn.steps is None else canvas_draw.trace_texts(drawn.steps, self.notation)
        read = decode(ids, self.notation)
        formulas = np.empty(len(ids), dtype=object)
        formulas[read.rows] = read.batch.formulas()
        readable = np.zeros(len(ids), dtype=bool)
        readable[read.rows] = True
        unfinished = np.flatnonzero(~readable)
        formulas[unfinished] = [to_text(ids[row], self.notation) + " …" for row in unfinished]
        canonical = np.zeros(len(ids), dtype=bool)
        canonical[read.rows] = read.canonical
        keys = np.zeros((len(ids), 2), dtype=np.uint64)
        keys[read.rows] = read.batch.keys()
        keep = np.ones(len(ids), dtype=bool)
        keep[unfinished] = not filters
        for one in filters:
            keep[read.rows] &= one(read.batch)
        log_prob = np.full(len(ids), np.nan)
        if sequence_log_prob is not None:
            log_prob[read.rows] = sequence_log_prob[read.rows]
        # What was drawn in another order, or unreduced, is looked up in the canonical one.
        again = np.flatnonzero(keep[read.rows] & (~read.canonical | (sequence_log_prob is None)))
        log_prob[read.rows[again]] = self._of_repeated(
            read.batch[again], None if starts is None else starts[read.rows[again]]
        )
        block = SampleBlock(drawn.number, len(ids), len(unfinished), formulas, log_prob, canonical, keys, trace)
        return block if keep.all() else block[keep]

    def _of_repeated(self, batch: CompositionBatch, starts: np.ndarray | None) -> np.ndarray:
        """Ln probabilities, those of equal compositions (with equal starts) computed once."""
        if not len(batch):
            return np.zeros(0)
        keys = batch.keys()
        if starts is not None:
            keys = np.column_stack([keys, starts.astype(np.uint64)])
        _, first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        distinct = batch[first]
        if self._prefixes is None:
            return self.likelihood.summed(distinct, exact_tokens=QUICK_TOKENS)[place.ravel()]
        value = np.full(len(distinct), -np.inf)
        fits = np.flatnonzero(sequence_lengths(distinct, self.notation) <= MAX_POSITIONS - 2)
        ids, _ = encode(distinct[fits], self.notation)
        # As the draws themselves: by the same steps in the same precision, sharing what they begin with.
        begin = None if starts is None else starts[first][fits]
        value[fits] = self._with_less_memory(lambda drawer: drawer.score(ids, begin)).log_prob
        return value[place.ravel()]


def _one_ahead(jobs: Iterable[Callable[[], _DrawnBlock]]) -> Iterator[_DrawnBlock]:
    """Results in order; while one is used, a thread works on the next."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[_DrawnBlock] | None = None
        for job in jobs:
            following = pool.submit(job)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def prompt_ids(prompt: str, notation: str) -> list[int]:
    """Token ids of a prompt, blanks between tokens.

    Raises:
        OptionError: a word that is not a token of the notation.
    """
    words = vocabulary(notation)
    known = {token: i for i, token in enumerate(words.tokens) if i >= FIRST_ELEMENT}
    for word in prompt.split():
        if word not in known:
            example = "Sr Ti O O" if notation == "expanded" else "Sr Ti O2"
            raise OptionError(f"prompt: {word!r} is not a token of the notation {notation} (write it as: {example})")
    return [known[word] for word in prompt.split()]


def _precision(name: str, device: torch.device, row: Architecture) -> str:
    if row.any_order:
        if name == "bf16":
            raise OptionError(f"{row.title} is drawn from in fp32 only: leave out --precision")
        return "fp32"
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "fp32"


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "not enough memory" in str(error)
