"""Independent draws from a checkpoint, in blocks.

A block's draws depend on the seed and the block's number alone; each sample turns its own uniform random numbers into
tokens by the inverse distribution function. So neither the memory allowed, nor what was drawn before, nor which
process draws which block changes a sample, and every part of a file is a fair sample.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError, unknown_name
from matgen.models.checkpoint import Checkpoint, load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import encode, sequence_lengths, vocabulary
from matgen.runtime.notebook import facts_html
from matgen.sampling.block import SampleBlock
from matgen.sampling.decoders import any_order
from matgen.sampling.decoders import canvas as canvas_draw
from matgen.sampling.decoders.decoding import Decoding
from matgen.sampling.decoders.prefix_block import Drawn, uniform_numbers
from matgen.sampling.decoders.prefixes import PrefixDrawer
from matgen.sampling.likelihood import Likelihood
from matgen.sampling.preparing import prepare
from matgen.sampling.reading import DrawnBlock, read_block
from matgen.sampling.request import Accept, PreparedRequest, SampleRequest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from matgen.models.registry import Architecture
    from matgen.sampling.constraints.reachability import DecodingMask

BLOCK_SIZES = {"cpu": (16_384, 131_072), "cuda": (16_384, 131_072, 524_288)}
"""Samples of a block, by kind of device, the unit of reproducibility, of writing and of resuming: larger ones share
more prefixes, smaller ones lose less when a run is killed. The first holds runs of up to its size; see `block_size`."""

PRECISIONS = ("auto", "bf16", "fp32")

QUICK_TOKENS = 5
"""Longest draws of models that write in any order whose `log_prob` is summed over all orders: up to here that takes no
more canvases than `N_MC` random orders do."""


class Sampler:
    """Draws compositions from a checkpoint.

    Args:
        checkpoint: a loaded checkpoint, its folder, or its name as `find_checkpoint` reads it; by default the bundled
            one.
        device: where to compute.
        accept: a filter, from a `CompositionBatch` of `b` to bool `(b,)`; rows it refuses are left out of the blocks.
        precision: of matrix products while drawing: `fp32`, `bf16`, or `auto`: bf16 where the GPU or the CPU multiplies
            it, fp32 elsewhere and for models that write in any order. In bf16 the distribution drawn from, and
            `log_prob`, are those of rounded weights (a few hundredths of a nat off).
        width: distinct prefixes held open at once, by default as suits the device. It bounds memory and changes no
            sample; it is halved when memory runs out.

    Attributes:
        reads_ahead: draw the next block while one is read, by default on GPUs for models that write from left to right.
            It changes no sample.

    Raises:
        CheckpointError: the folder is not a usable checkpoint.
        OptionError: a precision that is unknown or that the model is not drawn from in, or a width below 1.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | Path | str | None = None,
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
        if checkpoint is None or isinstance(checkpoint, str):
            checkpoint = find_checkpoint(checkpoint)
        loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, device=device)
        self.checkpoint, self.accept = loaded, accept
        self.notation = loaded.notation
        self.device = next(loaded.network.parameters()).device
        self.objective = loaded.architecture.objective
        self.precision = _precision(precision, self.device, loaded.architecture)
        self.likelihood = Likelihood(loaded)
        self._drawing = threading.Lock()
        self._prefixes = None if loaded.architecture.any_order else self._drawer(width)
        # A GPU draws the next block while this one is read on the CPU.
        self.reads_ahead = self.device.type != "cpu" and self._prefixes is not None

    @property
    def model(self) -> PreTrainedModel:
        """The checkpoint's model as transformers has it; sampling and scoring do without it where they can."""
        return self.checkpoint.model

    def __repr__(self) -> str:
        return f"Sampler({', '.join(f'{name} {value}' for name, value in self._facts())})"

    def _repr_html_(self) -> str:
        return facts_html("Sampler", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """What it draws from, and where."""
        checkpoint = self.checkpoint
        return [
            ("checkpoint", checkpoint.folder.name),
            ("architecture", checkpoint.architecture.key),
            ("notation", self.notation),
            ("dataset", str(checkpoint.metadata.get("dataset", "unknown"))),
            ("device", str(self.device)),
            ("precision", self.precision),
        ]

    def sample(self, n: int | SampleRequest, **options: Any) -> Iterator[SampleBlock]:
        """Draw, block by block; each block has the rows that are kept.

        Args:
            n: samples to draw, of which those that nothing refuses are kept; or a request, by which drawing goes on
                until there are enough rows.
            options: of `SampleRequest`, such as `seed` or `constraints`.

        Raises:
            OptionError: something is out of range, nothing satisfies the constraints, or the model cannot take a
                mask, a prompt, conditions or a trace.
        """
        prepared = self.prepare(_requested(n, options))
        collector, began = prepared.collector(), time.monotonic()
        with closing(self.blocks(prepared)) as blocks:
            for block in blocks:
                yield collector.take(block)
                if collector.stopped is not None or prepared.request.out_of_time(began):
                    return

    def prepare(self, request: SampleRequest) -> PreparedRequest:
        """Check a request and compute what all of its blocks share.

        Raises:
            OptionError: as `sample`.
            DataError: a table of `novel_to` cannot be read.
        """
        return prepare(request, self.checkpoint, request.block_size or self.block_size(request.n))

    def blocks(
        self, prepared: PreparedRequest, numbers: Iterable[int] | None = None
    ) -> Generator[SampleBlock, None, None]:
        """Draw blocks in turn, before any row is left out as known or repeated.

        Where the sampler `reads_ahead`, the next number is taken and its block launched before a block is given.

        Args:
            prepared: what to draw.
            numbers: of the blocks, taken one at a time, by default all of the request.
        """
        numbers = range(prepared.n_blocks) if numbers is None else numbers
        draws = (partial(self._draw, prepared, number) for number in numbers)
        with closing(_one_ahead(draws) if self.reads_ahead else (draw() for draw in draws)) as blocks:
            for drawn in blocks:
                yield self._read(drawn, prepared.accept)

    def _draw(self, prepared: PreparedRequest, number: int) -> DrawnBlock:
        steps: list[np.ndarray] | None = [] if prepared.request.trace else None
        starts = self.starts(prepared, number)
        ids, log_prob = self.draw_ids(
            prepared.rows_of(number),
            seed=prepared.request.seed,
            block=number,
            decoding=prepared.request.decoding,
            mask=prepared.mask,
            prompt=prepared.prompt,
            starts=starts,
            trace=steps,
        )
        return DrawnBlock(number, ids, log_prob, starts, steps)

    def starts(self, prepared: PreparedRequest, number: int) -> np.ndarray | None:
        """Tokens that a block's sequences have in place of `<bos>`, int64 `(rows,)`; None without conditions."""
        if prepared.condition_weights is None:
            return None
        uniforms = uniform_numbers(prepared.rows_of(number), prepared.request.seed, number, 0)
        return self._starts(prepared.condition_weights, uniforms)

    def _starts(self, weights: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """Tokens in place of `<bos>`, int64 `(n,)`, by numbers in [0, 1)."""
        possible = np.flatnonzero(weights)
        place = np.searchsorted(np.cumsum(weights[possible]), uniforms, side="right")
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
        prompt: Sequence[int] = (),
        starts: np.ndarray | None = None,
        trace: list[np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Token ids of the first samples of a block, integers `(rows, length)`; their ln probabilities if at hand.

        Args:
            rows: samples.
            seed: of all blocks.
            block: number of the block.
            decoding: temperature and cuts.
            mask: tokens that may follow a prefix, of a model that takes one.
            prompt: token ids that every sequence begins with, of a model that takes one.
            starts: int64 `(rows,)`, tokens in place of `<bos>`, of a conditional model.
            trace: takes the canvases after each step, of a blank language model.
        """
        if self.objective.decoder == "canvas":
            limits = None if mask is None else canvas_draw.Limits.of(mask)
            canvases = canvas_draw.CanvasDrawer(self.checkpoint)
            return canvases.draw(rows, seed, block, decoding, limits=limits, prompt=prompt, trace=trace), None
        if self._prefixes is None:
            return any_order.AnyOrderDrawer(self.checkpoint).draw(rows, seed, block, decoding), None
        drawn = self._with_less_memory(
            lambda drawer: drawer.draw(rows, seed, block, decoding, mask=mask, prompt=prompt, starts=starts)
        )
        return drawn.ids, drawn.log_prob

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

    def _read(self, drawn: DrawnBlock, accept: Accept | None) -> SampleBlock:
        filters = [one for one in (self.accept, accept) if one is not None]
        return read_block(drawn, self.notation, filters, self._canonical_log_prob)

    def _canonical_log_prob(self, batch: CompositionBatch, starts: np.ndarray | None) -> np.ndarray:
        """Ln probabilities, those of equal compositions (with equal starts) computed once, float64 `(m,)`."""
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


def _one_ahead(jobs: Iterable[Callable[[], DrawnBlock]]) -> Generator[DrawnBlock, None, None]:
    """Results in order; while one is used, a thread works on the next."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[DrawnBlock] | None = None
        for job in jobs:
            following = pool.submit(job)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


_FORMER_OPTIONS = {"size": "block_size", "exact": "rejection"}
"""Options of `Sampler.sample` up to 0.2, to those of today."""


def _requested(n: int | SampleRequest, options: dict[str, Any]) -> SampleRequest:
    given = {_FORMER_OPTIONS.get(name, name): value for name, value in options.items() if value is not None}
    if isinstance(n, SampleRequest):
        return replace(n, **given)
    return SampleRequest(n, **({"most_draws": n} | given))


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
