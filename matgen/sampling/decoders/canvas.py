"""Drawing from a blank language model: canvases that begin as one blank, one word a step, until no blank is left.

Canvases that look alike are computed once, however many samples they stand for; with the first steps of all samples
that is most of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from matgen.errors import OptionError
from matgen.models.canvas import LEFT, RIGHT
from matgen.models.registry import MAX_POSITIONS
from matgen.models.tokenizer import BLANK, BOS, EOS, FIRST_ELEMENT, PAD, vocabulary
from matgen.sampling.decoders.decoding import Decoding, choose, cut
from matgen.sampling.decoders.orders import distinct_rows

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint
    from matgen.sampling.constraints.reachability import DecodingMask

BLOCK_SIZE = 8192
"""Samples of a block."""

_CANVASES = 1024
"""Canvases computed at once."""


@dataclass(frozen=True)
class Limits:
    """What can be kept to while drawing; other constraints are met by rejection.

    Attributes:
        elements: bool `(119,)`, by atomic number, those that may be written.
        max_atoms: the most atoms of a sequence, None for as many as the model holds.
        max_elements: the most different elements; only a prompt is held to it.
    """

    elements: np.ndarray
    max_atoms: int | None = None
    max_elements: int | None = None

    @classmethod
    def of(cls, mask: DecodingMask) -> Limits:
        """What can be kept to of the constraints that a mask holds."""
        constraints = mask.constraints
        pattern = constraints.pattern
        return cls(
            constraints.allowed_elements() & mask.known,
            sum(pattern) if pattern else constraints.max_atoms,
            len(pattern) if pattern else (constraints.num_elements or (1, None))[1],
        )

    def check_prompt(self, tokens: Sequence[int], notation: str) -> None:
        """Refuse a prompt that breaks the limits, or leaves its blank no room.

        Raises:
            OptionError: it does.
        """
        words = vocabulary(notation)
        for token in tokens:
            if not self.elements[words.atomic_number[token]]:
                raise OptionError(f"prompt: {words.tokens[token]!r} is excluded by the constraints")
        different = len(np.unique(words.atomic_number[tokens]))
        if self.max_elements is not None and different > self.max_elements:
            raise OptionError(f"the prompt has {different} elements, the constraints allow {self.max_elements}")
        atoms = int(words.count[tokens].sum())
        if self.max_atoms is not None and atoms >= self.max_atoms:
            raise OptionError(f"the prompt has {atoms} atoms and one more follows, but max-atoms is {self.max_atoms}")


class CanvasDrawer:
    """Draws blocks of sequences from a blank language model.

    Args:
        checkpoint: the model.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model, self.notation = checkpoint.model, checkpoint.notation
        self.device = next(self.model.parameters()).device
        self._atoms = torch.from_numpy(vocabulary(self.notation).count).to(self.device)

    @torch.inference_mode()
    def draw(
        self,
        n: int,
        seed: int,
        block: int,
        decoding: Decoding,
        *,
        limits: Limits | None = None,
        prompt: Sequence[int] = (),
        trace: list[np.ndarray] | None = None,
    ) -> np.ndarray:
        """Token ids of the first `n` samples of a block, int64 `(n, 128)`, `<bos> tokens <eos> <pad> ...`.

        Args:
            n: how many.
            seed: of the draws.
            block: number of the block.
            decoding: temperature applies to blanks, words and flags, the cuts to words.
            limits: what is kept to.
            prompt: words that the first canvas holds before its blank.
            trace: a list that is given the canvases of every step, int64 `(n, 128)` each.
        """
        rng = np.random.Generator(np.random.Philox(key=np.array([seed, block], dtype=np.uint64)))
        uniforms = torch.from_numpy(rng.random((max(n, BLOCK_SIZE), MAX_POSITIONS, 3))[:n]).to(self.device)
        start = [BOS, *prompt, BLANK, EOS]
        ids = torch.full((n, MAX_POSITIONS), PAD, device=self.device)
        ids[:, : len(start)] = torch.tensor(start, device=self.device)
        for step in range(MAX_POSITIONS):
            if trace is not None:
                trace.append(ids.cpu().numpy().copy())
            rows = (ids == BLANK).any(1).nonzero().squeeze(1)
            if not len(rows):
                break
            width = min(MAX_POSITIONS, int((ids[rows] != PAD).sum(1).max()) + 2)
            ids[rows, :width] = self._step(ids[rows, :width], uniforms[rows, step], decoding, limits)
        return ids.cpu().numpy()

    def _step(self, canvas: Tensor, uniforms: Tensor, decoding: Decoding, limits: Limits | None) -> Tensor:
        """The canvases with one more word each; `(b, length)` has room for two more tokens or is full."""
        distinct, number = distinct_rows(canvas)
        by_canvas = number.argsort(stable=True)
        after = torch.empty_like(canvas)
        starts = list(range(0, len(distinct), _CANVASES))
        cuts = torch.searchsorted(
            number[by_canvas], torch.tensor([*starts, len(distinct)], device=self.device)
        ).tolist()
        for start, begin, end in zip(starts, cuts[:-1], cuts[1:], strict=True):
            rows = by_canvas[begin:end]
            part = distinct[start : start + _CANVASES]
            after[rows] = self._write(part, number[rows] - start, uniforms[rows], decoding, limits)
        return after

    def _write(
        self, canvas: Tensor, group: Tensor, uniforms: Tensor, decoding: Decoding, limits: Limits | None
    ) -> Tensor:
        """Draw a blank, a word and flags for each sample of different canvases, and write them."""
        shown = int((canvas != PAD).sum(1).max())
        out = self.model(input_ids=canvas[:, :shown])
        place = choose(out.blank_log_prob / decoding.temperature, group, uniforms[:, 0])
        # Samples that chose the same blank of the same canvas share its words.
        pair, of_pair = torch.unique(group * shown + place, return_inverse=True)
        at_blank = out.last_hidden_state.flatten(0, 1)[pair]
        room = self._room(canvas, limits)[pair // shown]
        words = self.model.word_logits(at_blank)
        if limits is not None:
            allowed = torch.from_numpy(limits.elements[vocabulary(self.notation).atomic_number]).to(self.device)
            words = words.masked_fill(~allowed[FIRST_ELEMENT:], -torch.inf)
            words = words.masked_fill(self._atoms[None, FIRST_ELEMENT:] > room[:, None], -torch.inf)
        word = FIRST_ELEMENT + choose(cut(words, decoding), of_pair, uniforms[:, 1])
        flags = self.model.flag_logits(at_blank[of_pair], word) / decoding.temperature
        left_over = room[of_pair] - self._atoms[word]
        tokens_left = MAX_POSITIONS - (canvas[group] != PAD).sum(1)
        new_blanks = torch.tensor([0, 1, 1, 2], device=self.device)
        flags = flags.masked_fill(new_blanks > torch.minimum(left_over, tokens_left)[:, None], -torch.inf)
        flag = choose(flags, torch.arange(len(flags), device=self.device), uniforms[:, 2])
        return _written(canvas[group], place, word, flag)

    def _room(self, canvas: Tensor, limits: Limits | None) -> Tensor:
        """Atoms that the next word may have, every other blank taking one at least, int64 `(b,)`."""
        if limits is None or limits.max_atoms is None:
            return torch.full((len(canvas),), MAX_POSITIONS * int(self._atoms.max()), device=self.device)
        return limits.max_atoms - self._atoms[canvas].sum(1) - (canvas == BLANK).sum(1) + 1


def _written(canvas: Tensor, place: Tensor, word: Tensor, flag: Tensor) -> Tensor:
    """Canvases with the blank at `place` replaced by a word and, as the flags say, blanks beside it."""
    left = (flag & LEFT > 0).long()
    right = (flag & RIGHT > 0).long()
    column = torch.arange(canvas.shape[1], device=canvas.device)[None, :]
    at = (place + left)[:, None]
    # What follows moves on by the number of new blanks.
    source = torch.where(column <= at, column, column - (left + right)[:, None]).clamp(min=0)
    moved = canvas.gather(1, source.expand(canvas.shape))
    blank = ((column == at - 1) & (left > 0)[:, None]) | ((column == at + 1) & (right > 0)[:, None])
    return torch.where(column == at, word[:, None], moved.masked_fill(blank, BLANK))


def trace_texts(trace: list[np.ndarray], notation: str) -> np.ndarray:
    """The steps of each sample as text, `_ | _ Ti _ | _ Ti O | Sr Ti O`, object `(n,)`."""
    tokens = vocabulary(notation).tokens
    texts: list[list[str]] = [[] for _ in range(len(trace[0]))] if trace else []
    for canvases in trace:
        for lines, canvas in zip(texts, canvases, strict=True):
            shown = " ".join("_" if i == BLANK else tokens[i] for i in canvas if i == BLANK or i >= FIRST_ELEMENT)
            if not lines or lines[-1] != shown:
                lines.append(shown)
    return np.array([" | ".join(lines) for lines in texts], dtype=object)
