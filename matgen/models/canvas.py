"""Sequences of which some tokens are hidden: which ones, and what is seen in their place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from matgen.models.tokenizer import PAD

if TYPE_CHECKING:
    from torch import Tensor

LEFT, RIGHT = 1, 2
"""Flags of a step of the blank language model, which add up: a new blank to the left of the word, one to its right."""


def token_places(ids: Tensor, n_tokens: Tensor) -> Tensor:
    """True at the tokens between `<bos>` and `<eos>`, bool `(b, length)`."""
    place = torch.arange(ids.shape[1], device=ids.device)[None, :]
    return (place >= 1) & (place <= n_tokens[:, None])


def choose_places(ids: Tensor, n_tokens: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    """A uniformly random subset of `count` tokens in each row, bool `(b, length)`.

    Args:
        ids: int64 `(b, length)`, `<bos> tokens <eos> <pad> ...`.
        n_tokens: int64 `(b,)`, tokens of each row without `<bos>` and `<eos>`.
        count: int64 `(b,)`, at most `n_tokens`.
        generator: of the random numbers.
    """
    drawn = torch.rand(ids.shape, generator=generator, device=ids.device)
    drawn = drawn.masked_fill(~token_places(ids, n_tokens), math.inf)
    rank = drawn.argsort(dim=1).argsort(dim=1)  # infinity ranks last, so only tokens are chosen
    return rank < count[:, None]


def choose_hidden(ids: Tensor, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """As many random tokens as a uniform draw from 1 to all of them says.

    The draws of a batch are spread evenly (one random shift of equal steps, as in Kingma et al., NeurIPS 2021,
    arXiv:2107.00630), which leaves each of them uniform and the mean over the batch less noisy.

    Args:
        ids: int64 `(b, length)`, `<bos> tokens <eos> <pad> ...`.
        lengths: int64 `(b,)`, with `<bos>` and `<eos>`.
        generator: of the random numbers.

    Returns:
        `(hidden, weight)`: bool `(b, length)`; float32 `(b,)`, tokens over hidden tokens, with which a sum over the
        hidden ones is an unbiased estimate of the sum over all steps of a random order.
    """
    n_tokens = lengths - 2
    # Shuffled, since the rows of a batch may stand in order of length.
    steps = torch.rand(len(ids), generator=generator, device=ids.device).argsort() / max(len(ids), 1)
    share = (steps + torch.rand(1, generator=generator, device=ids.device)) % 1
    count = 1 + (share * n_tokens).long().clamp(max=n_tokens - 1)  # a share may round up to 1
    return choose_places(ids, n_tokens, count, generator), (n_tokens / count).float()


def collapse_runs(ids: Tensor, hidden: Tensor, mark: int) -> tuple[Tensor, Tensor]:
    """Sequences with every run of hidden tokens written as one `mark`.

    Args:
        ids: int64 `(b, length)`, right-padded.
        hidden: bool `(b, length)`.
        mark: id of the token that stands for a run.

    Returns:
        `(canvas, place)`: int64 `(b, shorter)`, right-padded; int64 `(b, length)`, where in the canvas each token is,
        or the mark of its run.
    """
    begins = hidden.clone()
    begins[:, 1:] &= ~hidden[:, :-1]  # hidden tokens after one that is not
    kept = (ids != PAD) & (begins | ~hidden)
    place = kept.long().cumsum(1) - 1  # the later tokens of a run get the place of its first
    width = int(place[:, -1].max()) + 1 if len(ids) else 0
    # What is not kept goes to a column of its own, which is then cut off.
    target = torch.where(kept, place, width)
    canvas = torch.full((len(ids), width + 1), PAD, dtype=ids.dtype, device=ids.device)
    canvas.scatter_(1, target, torch.where(hidden, mark, ids))
    return canvas[:, :width], place


def steps_from(ids: Tensor, hidden: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """The canvas of sequences with hidden words, and the step that would write each hidden word next.

    Args:
        ids: int64 `(b, length)`, `<bos> words <eos> <pad> ...`.
        hidden: bool `(b, length)`, words not yet written.
        blank: id of a blank.

    Returns:
        `(canvas, actions)`: int64 `(b, shorter)`; int64 `(m, 4)`, as `BlankLanguageModel.forward` takes them, one for
        each True in `hidden`, in the order of `hidden.nonzero()`.
    """
    canvas, place = collapse_runs(ids, hidden, blank)
    row, column = hidden.nonzero(as_tuple=True)
    # `<bos>` and `<eos>` are never hidden, so the neighbors of a hidden word exist.
    flags = LEFT * hidden[row, column - 1].long() + RIGHT * hidden[row, column + 1].long()
    return canvas, torch.stack([row, place[row, column], ids[row, column], flags], dim=1)
