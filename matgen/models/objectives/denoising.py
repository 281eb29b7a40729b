"""The decoder rewrites the whole sequence from a source in which runs of tokens are one `<mask>` each (BART).

The share masked is uniform on [0, 1], and in half of the examples the source is a single `<mask>`: on that source the
decoder is an exact generative model, which is what is validated and sampled; the other half teaches infilling. (BART as
published pre-trains on sources with 30 % masked only, from which nothing can be drawn without a formula to start from.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from matgen.models.canvas import collapse_runs, token_places
from matgen.models.objectives.base import Objective
from matgen.models.objectives.nats import next_token_nats
from matgen.models.tokenizer import BOS, EOS, MASK, PAD

if TYPE_CHECKING:
    from torch import Tensor, nn

    from matgen.fitting.examples import Batch

_ALL_MASKED = 0.5
"""Share of the training examples whose source is a single `<mask>`."""


def denoising_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p(token | tokens before, corrupted source)."""
    ids, lengths = batch
    return _rewriting_nats(model, ids, corrupt_spans(ids, lengths, generator))


def empty_source_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p(token | tokens before, source `<bos> <mask> <eos>`): the exact likelihood of what is sampled."""
    ids, _ = batch
    return _rewriting_nats(model, ids, empty_source(len(ids), ids.device))


def corrupt_spans(ids: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Sources: each run of dropped tokens is one `<mask>`; half of the rows are `<bos> <mask> <eos>`.

    Args:
        ids: int64 `(B, L)`, `<bos> tokens <eos> <pad> ...`.
        lengths: int64 `(B,)`.
        generator: of the random numbers.

    Returns:
        int64 `(B, L')`, `L' <= L`, right-padded.
    """
    n, width = ids.shape
    rate = torch.rand(n, 1, generator=generator, device=ids.device)
    all_dropped = torch.rand(n, 1, generator=generator, device=ids.device) < _ALL_MASKED
    drawn = torch.rand(n, width, generator=generator, device=ids.device)
    dropped = token_places(ids, lengths - 2) & ((drawn < rate) | all_dropped)
    return collapse_runs(ids, dropped, MASK)[0]


def empty_source(n: int, device: torch.device) -> Tensor:
    """The source that reveals no token: `<bos> <mask> <eos>`, int64 `(n, 3)`."""
    return torch.tensor([BOS, MASK, EOS], device=device).expand(n, 3)


def _rewriting_nats(model: nn.Module, ids: Tensor, source: Tensor) -> Tensor:
    logits = model(
        input_ids=source,
        attention_mask=(source != PAD).long(),
        decoder_input_ids=ids[:, :-1],
        decoder_attention_mask=(ids[:, :-1] != PAD).long(),
        use_cache=False,
    ).logits
    return next_token_nats(logits, ids[:, 1:])


DENOISING = Objective(
    key="denoising",
    summary="the whole sequence, from a source with spans masked, down to a source that is one mask",
    completion="exact: rewritten from the masked formula; places of the masks weighed by whole sequences",
    train=denoising_loss,
    validate=empty_source_loss,
    figure="exact",
    decoder="prefixes",
    reads_source=True,
)
