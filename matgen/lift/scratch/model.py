"""The small causal language model that is trained from scratch: its size, its initial weights, how it is trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from matgen.errors import OptionError, require_above_zero, unknown_name
from matgen.fitting.optimizers import BEST_OPTIMIZER
from matgen.fitting.settings import FitSettings
from matgen.lift.codec import END, Codec, Places
from matgen.lift.spelling import spell

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from matgen.lift.columns import Column

LONGEST = 4_096
"""Tokens that a model reads at most."""
_MOST_STEPS, _FEWEST_STEPS = 1_500, 300
_TOKENS = 4_300_000
"""That are read in a training: one core reads some 40,000 a second."""
_MANY_COLUMNS = 32
_AT_ONCE = 1 << 18
"""Tokens of one pass without gradients."""


@dataclass(frozen=True)
class ScratchOptions:
    """Size and training of a model from scratch.

    Attributes:
        width, layers, heads: of the transformer (GPT-2's architecture, Radford et al. 2019).
        steps: updates of the weights; None as many as take a minute or two of one core, 1,500 at most.
        batch_size: rows a step.
        learning_rate, weight_decay, dropout, optimizer: of the training (see `FitSettings`).
        noise: on numbers, in standard deviations of their columns, drawn anew at every step; None for 0.05, and 0.2
            from 32 columns.
        answer_noise: on numeric targets likewise, which makes neighbouring numbers alike.
        mixup: share of a row's numbers (and of a numeric target) taken from another row of the batch, at most.
        shift: of prompts with examples, by how much all their numeric targets move together at every step, in
            standard deviations: what the examples say then counts more than what the weights remember.
        missing: share of values left out at random, which teaches what a missing one means; None for 0.02, and 0.15
            from 32 columns.
        smoothing: of labels (Szegedy et al., CVPR 2016).
        views: noisy writings of each row that a prediction is averaged over; 1 takes the row as it is.
        members: models, trained one after another, whose predictions are averaged.
        evaluations: validations during the training; the best weights count, where there are rows to validate on.
    """

    width: int = 64
    layers: int = 3
    heads: int = 4
    steps: int | None = None
    batch_size: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    dropout: float = 0.0
    optimizer: str = BEST_OPTIMIZER
    noise: float | None = None
    answer_noise: float = 0.05
    mixup: float = 0.0
    shift: float = 0.5
    missing: float | None = None
    smoothing: float = 0.0
    views: int = 8
    members: int = 1
    evaluations: int = 10

    @classmethod
    def named(cls, options: Mapping[str, Any]) -> ScratchOptions:
        """The options by their names.

        Raises:
            OptionError: there is none of a name.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                raise unknown_name("option of the backend scratch", name, known)
        return cls(**options)

    def __post_init__(self) -> None:
        positive = ("width", "layers", "heads", "batch_size", "learning_rate", "views", "members")
        require_above_zero(self, *positive, "evaluations", *(["steps"] if self.steps is not None else []))
        if self.width % self.heads:
            raise OptionError(f"width is {self.width}, it must be a multiple of heads, {self.heads}")
        for name in ("dropout", "mixup", "missing", "smoothing"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}, it must be from 0 to below 1")
        for name in ("noise", "answer_noise", "shift"):
            if not (getattr(self, name) or 0) >= 0:
                raise OptionError(f"{name} is {getattr(self, name)}, it must be 0 or more")

    def resolved(self, columns: int, tokens: int) -> ScratchOptions:
        """The same with numbers for what was left to the table: so many columns, and so many tokens a sentence.

        The numbers were chosen by the validation rows of LIFT's tables.
        """
        many = columns >= _MANY_COLUMNS
        steps = min(_MOST_STEPS, max(_FEWEST_STEPS, _TOKENS // (self.batch_size * tokens)))
        return dataclasses.replace(
            self,
            steps=steps if self.steps is None else self.steps,
            noise=(0.2 if many else 0.05) if self.noise is None else self.noise,
            missing=(0.15 if many else 0.02) if self.missing is None else self.missing,
        )


def fit_settings(options: ScratchOptions, rows: int, seed: int, *, validates: bool) -> FitSettings:
    """`FitSettings` for so many rows; with nothing to validate on, the last weights are kept."""
    assert options.steps is not None
    batch_size = min(options.batch_size, rows)
    return FitSettings(
        batch_size=batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        epochs=options.steps / math.ceil(rows / batch_size),
        evaluations=options.evaluations if validates else 1,
        patience=options.evaluations + 1,
        precision="fp32",
        optimizer=options.optimizer,
        seed=seed,
    )


def build(options: ScratchOptions, codec: Codec, length: int, more_tokens: int = 0, *, seed: int) -> Any:
    """A new model.

    Args:
        options: its size.
        codec: its vocabulary.
        length: tokens that it reads.
        more_tokens: beyond those of the codec.
        seed: of the first weights.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=codec.vocabulary + more_tokens,
        n_positions=length,
        n_embd=options.width,
        n_layer=options.layers,
        n_head=options.heads,
        resid_pdrop=options.dropout,
        embd_pdrop=options.dropout,
        attn_pdrop=options.dropout,
        activation_function="gelu_pytorch_tanh",
        bos_token_id=None,
        eos_token_id=END,
        use_cache=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
        _order_digits(model.transformer.wte.weight, codec.places)
    return model


def _order_digits(weight: Tensor, places: list[Places]) -> None:
    """Begin with the digits of numbers in order: those of one place lie along a line, so that size is seen at once."""
    width = weight.shape[1]
    with torch.no_grad():
        for one in places:
            if one.column.type != "number":
                continue
            along = torch.randn(width) * 0.02
            for place, base in enumerate(one.base.tolist()):
                n = one.levels if one.width == 1 else 10
                own = torch.randn(width) * 0.02
                at = (torch.arange(n) - (n - 1) / 2) / max(1.0, n / 3.5)
                line = along * 10.0**-place + own * 0.5
                weight[base : base + n] = torch.randn(width) * 0.01 + at[:, None] * line + 0.3 * weight[base : base + n]


def next_logits(model: Any, tokens: Tensor) -> Tensor:
    """Logits of the token that follows, float32 `(n, vocabulary)`, of tokens int64 `(n, length)`."""
    at_once = max(1, _AT_ONCE // tokens.shape[1])
    with torch.inference_mode():
        return torch.cat(
            [model.lm_head(model.transformer(part).last_hidden_state[:, -1]) for part in tokens.split(at_once)]
        )


def longest_texts(columns: Iterable[Column], rows: pd.DataFrame, formulas_as: str = "text") -> dict[str, int]:
    """Of columns of texts, the longest in tokens, and a quarter more for what comes later."""
    longest = {}
    for column in columns:
        if column.type in ("text", "formula"):
            texts = [text for text in rows[column.name] if text is not None]
            most = max((len(spell(text, column.type, formulas_as)) for text in texts), default=1)
            longest[column.name] = most + most // 4 + 1
    return longest
