"""Completions as decisions: which of the few tokens that may follow does follow, and nothing about any other token.

A language model that is trained on the whole vocabulary first learns the format of answers. Here the format is given:
labels are paths through a tree of tokens, and only where they part is there anything to learn or to score; each token
of a number is one of those that numbers are written with, or their end. Probabilities of labels sum to one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

NONE = -1
"""What stands for no token, and for no decision, in padded rows."""


@dataclass(frozen=True)
class Answer:
    """What a completion takes to be read and judged.

    Attributes:
        tokens: of the completion that are read after the prompt: those before its last decision.
        places: of each decision, how many tokens of the completion stand before it.
        sets: of each decision, the row of `Decisions.allowed`.
        chosen: of each decision, which of that row's tokens follows.
    """

    tokens: tuple[int, ...]
    places: tuple[int, ...]
    sets: tuple[int, ...]
    chosen: tuple[int, ...]


@dataclass(frozen=True)
class Decisions:
    """Sets of tokens to choose from.

    Attributes:
        allowed: int64 `(sets, most)`, tokens of each set, padded with `NONE`.
        paths: of the decisions on labels, the tokens of the completion before each; empty for numbers.
    """

    allowed: Tensor
    paths: tuple[tuple[int, ...], ...] = ()

    def log_probabilities(self, logits: Tensor, sets: Tensor, more: Tensor | None = None) -> Tensor:
        """Of the tokens of a set among themselves.

        Args:
            logits: float32 `(..., vocabulary)`.
            sets: int64 `(...)`, rows of `allowed`.
            more: float32 `(..., most)`, added to the logits of the set's tokens.

        Returns:
            float32 `(..., most)`, minus infinity where a set has no more tokens.
        """
        tokens = self.allowed.to(logits.device)[sets]
        scores = logits.gather(-1, tokens.clamp_min(0))
        scores = scores if more is None else scores + more
        return scores.masked_fill(tokens == NONE, -torch.inf).log_softmax(dim=-1)

    def nats(self, logits: Tensor, sets: Tensor, chosen: Tensor, more: Tensor | None = None) -> Tensor:
        """Negative log-probability of answers, float32 `(B,)`, in nats.

        Args:
            logits: float32 `(B, J, vocabulary)`, before each decision.
            sets, chosen: int64 `(B, J)`, `NONE` where an answer has no more decisions.
            more: as of `log_probabilities`.
        """
        scores = self.log_probabilities(logits, sets.clamp_min(0), more)
        return cross_entropy(scores.transpose(1, 2), chosen, ignore_index=NONE, reduction="none").sum(dim=1)


def label_decisions(labels: Sequence[Sequence[int]]) -> tuple[Decisions, list[Answer]]:
    """The decisions between labels, and each label as an answer.

    Args:
        labels: token ids of each completion, none of which begins with another.
    """
    following: dict[tuple[int, ...], dict[int, None]] = {}
    for label in labels:
        for place, token in enumerate(label):
            following.setdefault(tuple(label[:place]), {})[token] = None
    paths = sorted((path for path, tokens in following.items() if len(tokens) > 1), key=lambda path: (len(path), path))
    sets = {path: row for row, path in enumerate(paths)}
    tokens = [list(following[path]) for path in paths]
    answers = []
    for label in labels:
        places = [place for place in range(len(label)) if tuple(label[:place]) in sets]
        rows = [sets[tuple(label[:place])] for place in places]
        chosen = [tokens[row].index(label[place]) for row, place in zip(rows, places, strict=True)]
        read = tuple(label[: places[-1]]) if places else ()
        answers.append(Answer(read, tuple(places), tuple(rows), tuple(chosen)))
    return Decisions(_padded(tokens), tuple(paths)), answers


def number_decisions(characters: dict[str, int], end: int) -> Decisions:
    """The decision that each character of a number is, from the token of each character and that of the end."""
    return Decisions(_padded([[*characters.values(), end]]))


def number_answer(text: str, characters: dict[str, int], decisions: Decisions) -> Answer:
    """A number as an answer: each of its characters and its end is a decision."""
    tokens = [characters[character] for character in text]
    allowed = decisions.allowed[0].tolist()
    chosen = (*(allowed.index(token) for token in tokens), len(allowed) - 1)
    places = tuple(range(len(chosen)))
    return Answer(tuple(tokens), places, (0,) * len(chosen), chosen)


@contextmanager
def logits_only_at(model: Any, places: Tensor) -> Iterator[list[Tensor]]:
    """Have a forward pass compute logits at few tokens of each row: int64 `(B, J)`, places among those that it reads.

    The model's own code makes logits of the states, so whatever it does to them is done.

    Yields:
        A list, to which a pass adds the states `(B, J, width)` that its logits are made of.
    """
    found: list[Tensor] = []

    def chosen(module: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
        states = inputs[0]
        found.append(states.gather(1, places[..., None].expand(-1, -1, states.shape[-1])))
        return (found[-1],)

    handle = model.get_output_embeddings().register_forward_pre_hook(chosen)
    try:
        yield found
    finally:
        handle.remove()


def _padded(rows: list[list[int]]) -> Tensor:
    most = max(map(len, rows), default=0)
    return torch.tensor([row + [NONE] * (most - len(row)) for row in rows], dtype=torch.long)
