"""What a server answered: texts, log-probabilities of tokens, and what these say of given labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from matgen.errors import DataError

_LEAST = 1e-6
"""Share of a label that is among no token that the server listed, before normalization."""


@dataclass(frozen=True)
class Position:
    """One token of an answer.

    Attributes:
        token: its text.
        log_probability: of it.
        others: the most probable tokens there with their log-probabilities, itself perhaps among them.
    """

    token: str
    log_probability: float
    others: dict[str, float]


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes:
        text: as written, up to where it was stopped.
        ended: it ended by itself or at a mark, and was not cut off.
        positions: its tokens with log-probabilities; empty where the server gives none.
    """

    text: str
    ended: bool
    positions: tuple[Position, ...] = ()


def choices_of(answer: Any) -> list[Choice]:
    """The choices of an answer, of completions or of chat.

    Raises:
        DataError: it has none, or is of another form.
    """
    try:
        choices = [_choice(content) for content in answer["choices"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the server's answer is of another form than OpenAI's: {str(answer)[:120]}") from error
    if not choices:
        raise DataError("the server's answer holds no choice")
    return choices


def _choice(content: dict[str, Any]) -> Choice:
    text = content["message"].get("content") if "message" in content else content["text"]
    return Choice(text or "", content.get("finish_reason") != "length", tuple(_positions(content.get("logprobs"))))


def _positions(written: Any) -> list[Position]:
    if not written:
        return []
    if written.get("content"):  # as chat has them, and llama.cpp everywhere
        return [
            Position(
                str(entry["token"]),
                float(entry["logprob"]),
                {str(other["token"]): float(other["logprob"]) for other in entry.get("top_logprobs") or ()},
            )
            for entry in written["content"]
        ]
    tokens, own = written.get("tokens") or [], written.get("token_logprobs") or []
    others = written.get("top_logprobs") or []
    if not others or len(own) != len(tokens) or len(others) != len(tokens) or None in own:
        return []
    return [
        Position(str(token), float(value), {str(k): float(v) for k, v in (top or {}).items()})
        for token, value, top in zip(tokens, own, others, strict=True)
    ]


def label_probabilities(choice: Choice, labels: list[str]) -> np.ndarray | None:
    """Probabilities of labels by one answer's tokens and those listed beside them, float64 `(labels,)`.

    Each listed token gives its probability to the label that begins as the answer up to it does. Where several labels
    do, the answer's own tokens are followed until one is left; beside them such labels share equally.

    Args:
        choice: with positions.
        labels: as the model is to write them.

    Returns:
        None where no listed token begins any label.
    """
    shares = np.zeros(len(labels))
    before, left = "", 1.0
    for position in choice.positions:
        for token, value in position.others.items():
            if token != position.token:
                _give(shares, labels, before + token, left * math.exp(min(0.0, value)))
        before, left = before + position.token, left * math.exp(min(0.0, position.log_probability))
        if len(_fitting(before, labels)) <= 1 and before.strip():
            break
    _give(shares, labels, before, left)
    if not shares.sum():
        return None
    shares += _LEAST
    return shares / shares.sum()


def _give(shares: np.ndarray, labels: list[str], text: str, share: float) -> None:
    fitting = _fitting(text, labels)
    if text.strip() in labels and len(fitting) > 1:  # the answer ended here, or goes on as no other label
        exact = labels.index(text.strip())
        fitting = [exact] if exact in fitting else fitting
    if fitting and text.strip():
        shares[fitting] += share / len(fitting)


def _fitting(text: str, labels: list[str]) -> list[int]:
    """Labels that a beginning may become, or that it begins with."""
    text = text.lstrip()
    return [
        i
        for i, label in enumerate(labels)
        if label.startswith(text) or (text.startswith(label) and not text[len(label)].isalnum())
    ]


def label_frequencies(labels: list[str | None], known: tuple[str, ...]) -> np.ndarray | None:
    """Probabilities of labels by how often they were drawn, with half a draw more of each, float64 `(labels,)`.

    Args:
        labels: that were drawn; None where an answer could not be read.
        known: all labels.

    Returns:
        None where no answer could be read.
    """
    counts = np.array([labels.count(label) for label in known], dtype=np.float64)
    if not counts.sum():
        return None
    return (counts + 0.5) / (counts.sum() + 0.5 * len(known))
