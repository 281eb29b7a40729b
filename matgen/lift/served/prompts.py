"""Prompts for servers: labeled rows, as many as the context holds, then the row that is asked for.

To completions a prompt is one text whose sentences end in marks, as those that a model is fine-tuned on; to a chat it
is messages, each labeled row a question with its answer.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import DataError, OptionError
from matgen.lift.sentences import END_OF_COMPLETION, END_OF_PROMPT, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from matgen.lift.sentences import Sentences

_WORD = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_|\n")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_MESSAGE = 5
"""Tokens about each message of a chat."""


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is, without the model's tokenizer: a digit or sign is one, as are four letters."""
    return sum(math.ceil(len(word) / 4) for word in _WORD.findall(text))


class Prompts:
    """Writes prompts of one table.

    Args:
        sentences: how rows are written.
        endpoint: `completions` or `chat`.
        context: tokens of a prompt with its answer.
    """

    def __init__(self, sentences: Sentences, endpoint: str, context: int) -> None:
        assert sentences.target is not None
        self.sentences, self.chat, self.context = sentences, endpoint == "chat", context
        self.target = sentences.target

    @property
    def labels(self) -> list[str]:
        """The labels as the model is to write them, in the order of the target's values."""
        return [self._answer(value) for value in self.target.values]

    @property
    def stop(self) -> list[str]:
        """Marks at which an answer to completions ends. A chat may begin with an empty line, so it gets none."""
        return [END_OF_COMPLETION, "\n"]

    @property
    def answer_tokens(self) -> int:
        """Tokens that an answer may take: twice the estimate of the longest, for tokenizers that cut finer."""
        if self.target.type == "category":
            return 8 + 2 * max(estimated_tokens(label) for label in self.labels)
        low, high = self.target.padded_range()
        assert self.target.format is not None
        return 8 + max(len(self.target.format.text(number)) for number in (low, high)) * 2

    @property
    def instruction(self) -> str:
        """What is asked for; labels always stand in the same order."""
        name = self.sentences.names[self.target.name]
        if self.target.type == "category":
            return f"Answer with the {name} alone, one of: {', '.join(self.labels)}."
        return f"Answer with the {name} alone, as a number{f' in {self.target.unit}' if self.target.unit else ''}."

    def _answer(self, value: Any) -> str:
        return self.sentences.completion(value).removesuffix(END_OF_COMPLETION)

    def pairs(self, frame: pd.DataFrame) -> list[tuple[str, str]]:
        """Question and answer of each row that has its target."""
        return [(self._question(row), self._answer(row[self.target.name])) for row in rows_of(frame)]

    def questions(self, frame: pd.DataFrame) -> list[str]:
        """The question of each row."""
        return [self._question(row) for row in rows_of(frame)]

    def _question(self, row: Any) -> str:
        text = self.sentences.prompt(row)
        return text.removesuffix(END_OF_PROMPT) if self.chat else text

    def written(self, question: str, examples: list[tuple[str, str]]) -> Any:
        """A prompt: text, or messages of a chat.

        Args:
            question: as `questions` gives it.
            examples: questions with answers, most distant first; those are left out that the context does not hold.

        Raises:
            OptionError: the question alone is longer than the context.
        """
        left = self.context - self.answer_tokens - estimated_tokens(self.instruction) - self._size(question, "")
        if left < 0:
            raise OptionError(
                f"a row takes about {self.context - left:,} tokens, the context is {self.context:,}: choose columns "
                "(--columns), or raise context"
            )
        kept: list[tuple[str, str]] = []
        for example in reversed(examples):
            left -= self._size(*example)
            if left < 0:
                break
            kept.insert(0, example)
        if not self.chat:
            return "".join([self.instruction + "\n", *(f"{q}{a}{END_OF_COMPLETION}\n" for q, a in kept), question])
        messages = [{"role": "system", "content": self.instruction}]
        for asked, answered in kept:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        return [*messages, {"role": "user", "content": question}]

    def _size(self, question: str, answer: str) -> int:
        return estimated_tokens(question) + estimated_tokens(answer) + 2 * (_MESSAGE if self.chat else 2)

    def read(self, text: str, *, ended: bool) -> Any:
        """The target that the first line of an answer stands for; None where it is no label or finite number alone.

        Spaces about it do not count.
        """
        completion = self.completion(text, ended=ended)
        if self.target.type == "number" and not _NUMBER.fullmatch(completion.removesuffix(END_OF_COMPLETION)):
            return None  # Python takes `1_000` and digits of other scripts for numbers, the sentences `missing`
        try:
            value = self.sentences.parse_completion(completion)
            return None if isinstance(value, float) and not math.isfinite(value) else value
        except DataError:
            return None

    def completion(self, text: str, *, ended: bool) -> str:
        """An answer as a completion of the sentence, with its mark where it has ended."""
        before, mark, _ = text.partition(END_OF_COMPLETION)
        first = before.strip().split("\n", 1)
        return first[0].strip() + (END_OF_COMPLETION if ended or mark or len(first) > 1 else "")

    def size(self, prompt: Any) -> int:
        """About how many tokens a prompt is."""
        if isinstance(prompt, str):
            return estimated_tokens(prompt)
        return sum(estimated_tokens(message["content"]) + _MESSAGE for message in prompt)


def balanced_rows(store: pd.DataFrame, sentences: Sentences, k: int, seed: int) -> np.ndarray:
    """Rows of which each label has as many as can be, in random order, int64 `(at most k,)`; of numbers any rows."""
    order = np.random.default_rng(seed).permutation(len(store))
    target = sentences.target
    if target is None or target.type != "category":
        return order[:k].astype(np.int64)
    cells = store[target.name].to_numpy()[order]
    rank = np.zeros(len(order), dtype=np.int64)
    for label in target.values:
        mine = cells == label
        rank[mine] = np.arange(mine.sum())
    chosen = order[np.argsort(rank, kind="stable")[:k]]
    return np.random.default_rng(seed).permutation(chosen).astype(np.int64)


def row_without_content(sentences: Sentences) -> dict[str, Any]:
    """A row of which every cell is missing, for contextual calibration (Zhao et al., ICML 2021)."""
    return {column.name: math.nan if column.type == "number" else None for column in sentences.columns}
