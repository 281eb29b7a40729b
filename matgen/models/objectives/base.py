"""What an objective is: how models are trained and validated by it, and how they can be sampled afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from matgen.fitting.examples import Loss

FIGURES = {
    "exact": "exact, with `<eos>`",
    "bound": "an upper bound (order-agnostic)",
    "control": "an upper bound on a control objective that is not a likelihood",
}
"""Kinds of validation figures and their wording on model cards."""


@dataclass(frozen=True)
class WritingSteps:
    """The single steps of a model that writes tokens in any order.

    Attributes:
        canvas: from ids int64 `(b, length)` and hidden places bool `(b, length)` to what the model reads, int64
            `(b, shorter)`, and its actions, int64 `(m, 3 or more)`: row, place and token of each hidden token first.
        log_prob: from a model, canvases, actions and ids that are never written to the ln probability of each action,
            float32 `(m,)`.
        order_is_chosen: True where the model chooses the order, so that probabilities are summed over orders; False
            where the order is drawn uniformly beforehand, so that they are averaged.
    """

    canvas: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    log_prob: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    order_is_chosen: bool


@dataclass(frozen=True)
class Objective:
    """A row of `OBJECTIVES`.

    Attributes:
        key: its name.
        summary: what it trains, for help and documentation.
        completion: how the probabilities of completions of a template are computed, for reports.
        train: the training loss.
        validate: the loss whose mean over held-out formulas is reported, in nats per formula.
        figure: kind of that figure, a key of `FIGURES`: `exact`, `bound` (the likelihood is at least that good) or
            `control` (not a likelihood).
        decoder: how models are sampled: `prefixes` (left to right), `canvas` (words into blanks) or `places` (masked
            places in random order).
        constraints: how much of constraints the decoder satisfies while drawing: `all`, `some` (the rest is met by
            rejection) or `none`. A prompt is possible unless it is `none`.
        steps: single steps of models that write in any order; None for those that write from left to right.
        reads_source: whether a decoder rewrites a source that an encoder reads.
        draws_length: whether the length is drawn from the training histogram, outside of the model.
        replaces: the objective in whose place `--objective` may choose this one; None for an architecture's own.
        wrap: puts a model into the module that the losses call.
    """

    key: str
    summary: str
    completion: str
    train: Loss
    validate: Loss
    figure: str
    decoder: Literal["prefixes", "canvas", "places"]
    constraints: Literal["all", "some", "none"] = "all"
    steps: WritingSteps | None = None
    reads_source: bool = False
    draws_length: bool = False
    replaces: str | None = None
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model

    @property
    def any_order(self) -> bool:
        """True where tokens are written in any order, so that a likelihood is a sum over orders."""
        return self.steps is not None

    @property
    def left_to_right(self) -> bool:
        """True where the next token depends on the tokens before it alone."""
        return not self.any_order and not self.reads_source
