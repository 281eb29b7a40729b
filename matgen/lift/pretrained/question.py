"""What a frozen language model makes of prompts up to their question, computed once and trained on many times.

Adapters act on the last tokens of a prompt alone, the question, which is the same in every row, and on the answer
(activated LoRA: Greenewald et al., arXiv:2504.12397). The keys and values of all that stands before the question are
then those of the model without adapters, and so are the states of the question after the lower layers, which have none.
An epoch costs no more than the upper layers on a dozen tokens a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import DynamicCache

from matgen.lift.key_value_cache import cache_argument
from matgen.lift.pretrained.decisions import NONE, Answer, logits_only_at
from matgen.lift.pretrained.examples import padded_left, positions_of
from matgen.lift.pretrained.language_model import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from matgen.lift.pretrained.language_model import LanguageModel

LONGEST_QUESTION = 32
"""Tokens that adapters act on at most, the answer aside."""
_ROWS_AT_ONCE = 16


def question_length(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens at the end of prompts that are the same in all of them, `LONGEST_QUESTION` at most and one at least."""
    shortest = min(map(len, prompts))
    most = max(1, min(LONGEST_QUESTION, shortest - 1))
    ends = np.array([list(prompt[len(prompt) - most :]) for prompt in prompts])[:, ::-1]
    same = (ends == ends[0]).all(axis=0)
    return max(1, int(most if same.all() else same.argmin()))


@dataclass(frozen=True)
class ReadPrompt:
    """A prompt with its answer, as far as the frozen model reads it.

    Attributes:
        ids: token ids of the question and of the answer's tokens.
        keys, values: float32 `(layers, heads, T, dim)`, of the upper layers, for the `T` tokens before the question.
        states: float32 `(len(ids), width)`, which leave the lower layers; None where all layers are upper ones.
        answer: what is decided.
    """

    ids: tuple[int, ...]
    keys: Tensor
    values: Tensor
    states: Tensor | None
    answer: Answer


@dataclass(frozen=True)
class QuestionBatch:
    """Rows as the upper layers read them.

    Attributes:
        ids: int64 `(B, Q)`, of questions with answers, padded on the right.
        mask: int64 `(B, T + Q)`, of what stands before the question, padded on the left, and of it.
        keys, values: float32 `(layers, B, heads, T, dim)`.
        states: float32 `(B, Q, width)` or None.
        places, sets, chosen: int64 `(B, J)`: of each decision where among the `Q` its logits are, and as in `Answer`.
    """

    ids: Tensor
    mask: Tensor
    keys: Tensor
    values: Tensor
    states: Tensor | None
    places: Tensor
    sets: Tensor
    chosen: Tensor


class QuestionTable:
    """What the training loop draws batches from.

    Args:
        rows: prompts with answers, as `LowerLayers.read` returns them.
        question: tokens of the question.
        device: of the batches.
    """

    def __init__(self, rows: list[ReadPrompt], question: int, device: Any = "cpu") -> None:
        self.rows, self.question, self.device = rows, question, device

    @property
    def lengths(self) -> Tensor:
        """Tokens before the question of each row, int64 `(n,)`."""
        return torch.tensor([row.keys.shape[2] for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def share(self, rank: int, count: int) -> QuestionTable:
        """The rows of one of `count` processes."""
        return QuestionTable(self.rows[rank::count], self.question, self.device)

    def to(self, device: torch.device) -> QuestionTable:
        """The same rows with batches on another device."""
        return QuestionTable(self.rows, self.question, device)

    def batch(self, rows: np.ndarray) -> QuestionBatch:
        """The rows named."""
        chosen = [self.rows[row] for row in rows.tolist()]
        before = max(row.keys.shape[2] for row in chosen)
        after = max(len(row.ids) for row in chosen)
        mask = torch.ones((len(chosen), before + after), dtype=torch.long)
        for line, row in zip(mask, chosen, strict=True):
            line[: before - row.keys.shape[2]] = 0
        below = [_longer(row.states, after, -2, right=True) for row in chosen if row.states is not None]
        states = torch.stack(below).to(self.device) if below else None
        decisions = max(len(row.answer.places) for row in chosen)

        def padded(numbers: list[Sequence[int]], length: int, filling: int) -> Tensor:
            lines = [list(line) + [filling] * (length - len(line)) for line in numbers]
            return torch.tensor(lines, dtype=torch.long, device=self.device)

        return QuestionBatch(
            padded([row.ids for row in chosen], after, 0),
            mask.to(self.device),
            torch.stack([_longer(row.keys, before, 2) for row in chosen], dim=1).to(self.device),
            torch.stack([_longer(row.values, before, 2) for row in chosen], dim=1).to(self.device),
            states,
            # The logits before the first token of an answer are those of the question's last one.
            padded([[self.question - 1 + place for place in row.answer.places] for row in chosen], decisions, 0),
            padded([row.answer.sets for row in chosen], decisions, NONE),
            padded([row.answer.chosen for row in chosen], decisions, NONE),
        )


class LowerLayers:
    """The layers of a model below those with adapters.

    Args:
        language: the model.
        count: of lower layers, 0 for none.
    """

    def __init__(self, language: LanguageModel, count: int) -> None:
        self.language, self.count, self._as_tuple = language, count, False

    def read(
        self,
        prompts: list[list[int]],
        answers: list[Answer],
        question: int,
        count: Callable[[int], None] = lambda rows: None,
    ) -> list[ReadPrompt]:
        """Prompts with answers, read by the model without its adapters.

        Args:
            prompts: token ids of each of `n`.
            answers: of each.
            question: tokens at the end of each prompt that adapters act on.
            count: is told of every batch how many prompts it had.
        """
        sequences = [prompt + list(answer.tokens) for prompt, answer in zip(prompts, answers, strict=True)]
        out: dict[int, ReadPrompt] = {}
        order = np.argsort([len(ids) for ids in sequences], kind="stable")
        for start in range(0, len(order), _ROWS_AT_ONCE):
            rows = order[start : start + _ROWS_AT_ONCE].tolist()
            cache, states = self._pass([sequences[row] for row in rows])
            for place, row in enumerate(rows):
                ids, after = sequences[row], question + len(answers[row].tokens)
                cut = slice(-len(ids), -after)
                keys, values = (torch.stack([part[place, :, cut] for part in parts]).cpu() for parts in cache)
                own = None if states is None else states[place, -after:].clone().cpu()
                out[row] = ReadPrompt(tuple(ids[-after:]), keys, values, own, answers[row])
            count(len(rows))
        return [out[row] for row in range(len(prompts))]

    def _pass(self, sequences: list[list[int]]) -> tuple[tuple[list[Tensor], list[Tensor]], Tensor | None]:
        """Keys and values of each upper layer `(B, heads, L, dim)`, padded on the left, and the states below them."""
        model, kept = self.language.model, {}

        def keep(module: Any, inputs: Any, output: Any) -> None:
            self._as_tuple = isinstance(output, tuple)
            kept["states"] = output[0] if self._as_tuple else output

        ids, mask = (tensor.to(self.language.device) for tensor in padded_left(sequences))
        cache = DynamicCache()
        handle = layers_of(model)[self.count - 1].register_forward_hook(keep) if self.count else None
        with torch.no_grad(), self.language.autocast(), self.language.without_adapters():
            model(
                input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=True, logits_to_keep=1,
                **cache_argument(cache),
            )  # fmt: skip
        if handle is not None:
            handle.remove()
        upper = cache.layers[self.count :]
        states = kept.get("states")
        return ([layer.keys for layer in upper], [layer.values for layer in upper]), (
            None if states is None else states.float()
        )

    @contextmanager
    def replaced(self, states: Tensor | None) -> Iterator[None]:
        """Have the lower layers pass on states that they made before, `(B, Q, width)`, instead of computing them."""
        blocks = [] if states is None else list(layers_of(self.language.model)[: self.count])

        def passing(last: bool) -> Any:
            def forward(hidden: Tensor, *arguments: Any, **named: Any) -> Any:
                passed = states if last else hidden
                return (passed,) if self._as_tuple else passed

            return forward

        for place, block in enumerate(blocks):
            block.forward = passing(place == len(blocks) - 1)
        try:
            yield
        finally:
            for block in blocks:
                del block.forward

    def logits(self, model: Any, batch: QuestionBatch) -> tuple[Tensor, Tensor]:
        """Logits before each decision, float32 `(B, J, vocabulary)`, and the states that they are made of.

        Only the upper layers are computed.
        """
        cache = DynamicCache()
        if self.count:  # of the lowest layer is asked how much was read before
            cache.update(batch.keys[0], batch.values[0], 0)
        for place, (keys, values) in enumerate(zip(batch.keys, batch.values, strict=True)):
            cache.update(keys, values, self.count + place)
        positions = positions_of(batch.mask)[:, -batch.ids.shape[1] :]
        with self.replaced(batch.states), logits_only_at(model, batch.places) as found:
            out = model(
                input_ids=batch.ids, attention_mask=batch.mask, position_ids=positions, use_cache=True,
                **cache_argument(cache),
            )  # fmt: skip
        return out.logits.float(), found[0]


def _longer(tensor: Tensor, length: int, dim: int, *, right: bool = False) -> Tensor:
    """A tensor padded with zeros to a length along a dimension, on the left or on the right."""
    missing = length - tensor.shape[dim]
    if not missing:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    parts = [tensor.new_zeros(shape), tensor]
    return torch.cat(parts[::-1] if right else parts, dim=dim)
