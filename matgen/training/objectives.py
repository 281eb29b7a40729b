"""What each architecture is trained to do, as a loss over batches of token ids.

* causal: the next token, every distinct prefix of a batch computed once. Exact likelihood.
* denoising (BART): the decoder rewrites the whole sequence from a source in which spans are one `<mask>` each. The
  share masked is uniform on [0, 1], and in half of the examples the source is a single `<mask>`: on that source the
  decoder is an exact generative model, which is what is validated and sampled; the other half teaches infilling. (BART
  as published pre-trains on sources with 30 % masked only, from which nothing can be drawn without a formula to start
  from.)
* masked (RoBERTa): order-agnostic. A uniformly chosen number m of the L tokens is masked, at random places, and the
  loss over them is weighed L / m: the bound of Uria, Murray and Larochelle (ICML 2014) and Hoogeboom et al. (ICLR 2022)
  on the likelihood given the length, whose own distribution is the training histogram.
* blank (BLMM): a uniformly chosen number m of the L tokens is hidden, at random places, and every step that could write
  one of them next is scored, their sum weighed by L / m, less ln L!: the bound of Shen et al. (EMNLP 2020) on the sum
  over insertion orders, with one pass of the network a formula.
* masked-fixed: the published control, a fixed tenth of the tokens masked and unweighted. Not a likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from matgen.errors import OptionError
from matgen.fitting.examples import Batch, TokenTable
from matgen.fitting.loop import Loss, batch_device
from matgen.models.blank import steps_from
from matgen.models.canvas import choose_hidden, choose_places, collapse_runs, token_places
from matgen.models.tokenizer import BLANK, BOS, EOS, MASK, PAD
from matgen.training.prefix_tree import PrefixTreeLoss

if TYPE_CHECKING:
    from torch import Tensor, nn

_IGNORED = -100
_FIXED_MASK_RATE = 0.1
_VALIDATION_BATCH = 1024
_VALIDATION_SEED = 20_230_115


@dataclass(frozen=True)
class Objective:
    """An objective: its training loss, the loss it is validated by, and what that validation figure is.

    Attributes:
        train: the training loss.
        validate: the loss whose mean over held-out formulas is reported, in nats a formula.
        figure: `exact`, `bound` (the likelihood is at least that good) or `control` (not a likelihood).
        wrap: puts a model into the module that the losses call.
    """

    train: Loss
    validate: Loss
    figure: str
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model


def causal_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p(token | tokens before) over the batch, of a model in `PrefixTreeLoss`."""
    return model(batch[0])


def denoising_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p(token | tokens before, corrupted source)."""
    ids, lengths = batch
    return _rewrite_loss(model, ids, corrupt_spans(ids, lengths, generator))


def from_nothing_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p(token | tokens before, source `<bos> <mask> <eos>`): the exact likelihood of what is sampled."""
    ids, _ = batch
    return _rewrite_loss(model, ids, empty_source(len(ids), ids.device))


def order_agnostic_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum over formulas of L / m times the -ln p of the m masked tokens: a bound, given the lengths."""
    ids, lengths = batch
    masked, weight = choose_hidden(ids, lengths, generator)
    return (_masked_nats(model, ids, masked) * weight).sum()


def insertion_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum over formulas of L / m times the nats of the steps to m hidden tokens, less ln L!: a bound."""
    ids, lengths = batch
    hidden, weight = choose_hidden(ids, lengths, generator)
    canvas, steps = steps_from(ids, hidden, BLANK)
    nats = -model(input_ids=canvas, actions=steps).action_log_prob
    return (nats * weight[steps[:, 0]]).sum() - torch.lgamma(lengths - 1.0).sum()


def fixed_rate_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Sum of -ln p over a tenth of the tokens (at least one): the published objective, kept as a control."""
    ids, lengths = batch
    n_tokens = lengths - 2
    masked_count = (n_tokens * _FIXED_MASK_RATE).round().long().clamp(min=1)
    return _masked_nats(model, ids, choose_places(ids, n_tokens, masked_count, generator)).sum()


OBJECTIVES: dict[str, Objective] = {
    "causal": Objective(causal_loss, causal_loss, "exact", PrefixTreeLoss),
    "denoising": Objective(denoising_loss, from_nothing_loss, "exact"),
    "blank": Objective(insertion_loss, insertion_loss, "bound"),
    "masked": Objective(order_agnostic_loss, order_agnostic_loss, "bound"),
    "masked-fixed": Objective(fixed_rate_loss, order_agnostic_loss, "control"),
}
"""Name to objective. The first four are the registry's; `masked-fixed` is chosen by `--objective`."""


def objective_for(architecture_objective: str, chosen: str | None) -> str:
    """The objective a run uses: the architecture's, or another one that fits it.

    Raises:
        OptionError: the chosen objective does not fit the architecture.
    """
    if chosen is None or chosen == architecture_objective:
        return architecture_objective
    if chosen == "masked-fixed" and architecture_objective == "masked":
        return chosen
    allowed = ["masked", "masked-fixed"] if architecture_objective == "masked" else [architecture_objective]
    raise OptionError(f"objective {chosen!r} does not fit this model; it takes {' or '.join(allowed)}")


def validation_figure(table: TokenTable, objective: Objective, length_nats: float) -> Callable[[nn.Module], float]:
    """A function that gives a model's mean nats a held-out formula, with fixed noise, in batches of like length.

    Args:
        table: held-out formulas.
        objective: its `validate` loss is used.
        length_nats: nats a formula to add for the length, where the objective is given lengths; else 0.
    """
    rows = np.argsort(table.lengths.cpu().numpy(), kind="stable")

    def figure(model: nn.Module) -> float:
        device = batch_device(model, next(model.parameters()).device)
        generator = torch.Generator(device=device).manual_seed(_VALIDATION_SEED)
        on_device = table.to(device)
        total = 0.0
        for start in range(0, len(rows), _VALIDATION_BATCH):
            batch = on_device.batch(rows[start : start + _VALIDATION_BATCH])
            total += float(objective.validate(model, batch, generator))
        return total / len(rows) + length_nats

    return figure


def length_histogram(lengths: np.ndarray) -> list[int]:
    """How many training sequences have 0, 1, 2 ... tokens, without `<bos>` and `<eos>`."""
    return np.bincount(lengths - 2).tolist()


def mean_length_nats(histogram: list[int], lengths: np.ndarray) -> float:
    """Mean -ln p(length) of sequences under a histogram with one pseudo-count a length (so unseen ones are finite)."""
    counts = np.array(histogram, dtype=np.float64) + 1
    n_tokens = lengths - 2
    known = n_tokens < len(counts)
    probability = np.where(known, counts[np.where(known, n_tokens, 0)], 1) / (counts.sum() + 1)
    return float(-np.log(probability).mean())


def corrupt_spans(ids: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Sources for denoising: each run of dropped tokens is one `<mask>`; half of the rows are `<bos> <mask> <eos>`.

    Args:
        ids: int64 `(B, L)`, `<bos> tokens <eos> <pad> ...`.
        lengths: int64 `(B,)`.

    Returns:
        int64 `(B, L')`, `L' <= L`, right-padded.
    """
    n, width = ids.shape
    rate = torch.rand(n, 1, generator=generator, device=ids.device)
    all_dropped = torch.rand(n, 1, generator=generator, device=ids.device) < 0.5
    drawn = torch.rand(n, width, generator=generator, device=ids.device)
    dropped = token_places(ids, lengths - 2) & ((drawn < rate) | all_dropped)
    return collapse_runs(ids, dropped, MASK)[0]


def empty_source(n: int, device: torch.device) -> Tensor:
    """The source that says nothing: `<bos> <mask> <eos>`, int64 `(n, 3)`."""
    return torch.tensor([BOS, MASK, EOS], device=device).expand(n, 3)


def _rewrite_loss(model: nn.Module, ids: Tensor, source: Tensor) -> Tensor:
    logits = model(
        input_ids=source,
        attention_mask=(source != PAD).long(),
        decoder_input_ids=ids[:, :-1],
        decoder_attention_mask=(ids[:, :-1] != PAD).long(),
        use_cache=False,
    ).logits
    return _cross_entropy(logits, _targets(ids[:, 1:]))


def _masked_nats(model: nn.Module, ids: Tensor, masked: Tensor) -> Tensor:
    """Sum of -ln p over the masked places of each row, float32 `(B,)`."""
    corrupted = torch.where(masked, MASK, ids)
    logits = model(input_ids=corrupted, attention_mask=(ids != PAD).long()).logits
    nats = functional.cross_entropy(logits.float().transpose(1, 2), ids, reduction="none")
    return (nats * masked).sum(dim=1)


def _targets(ids: Tensor) -> Tensor:
    return ids.masked_fill(ids == PAD, _IGNORED)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="sum"
    )
