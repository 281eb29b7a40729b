"""Rows as token ids of prompts and completions, no longer than the model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matgen.errors import OptionError
from matgen.lift.pretrained.decisions import Answer, Decisions, label_decisions, number_answer, number_decisions
from matgen.lift.pretrained.examples import PromptTable
from matgen.lift.pretrained.top_layers import Rows
from matgen.lift.pretrained.writing import LONGEST_COMPLETION
from matgen.lift.sentences import END_OF_COMPLETION

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from matgen.lift.columns import Column
    from matgen.lift.interface import Queries
    from matgen.lift.pretrained.language_model import LanguageModel
    from matgen.lift.sentences import Sentences


class Prompts:
    """How the rows of a table are given to a model.

    Args:
        language: the model.
        sentences: how rows are written.
    """

    def __init__(self, language: LanguageModel, sentences: Sentences) -> None:
        self.language, self.sentences = language, sentences

    def of_queries(self, queries: Queries) -> list[list[int]]:
        """Token ids of each row's prompt."""
        return self.of_rows(queries.frame, queries.store, queries.examples)

    def of_rows(self, frame: pd.DataFrame, store: pd.DataFrame | None, examples: np.ndarray | None) -> list[list[int]]:
        """Token ids of each row's prompt, after the sentences of its examples, rows of `store`.

        Raises:
            OptionError: one is longer than what the model reads.
        """
        own = [self.language.encode(text) for text in self.sentences.prompts(frame)]
        if examples is None:
            return own
        assert store is not None
        known = [self.language.encode(text + "\n") for text in self.sentences.sentences(store)]
        made = [[i for row in rows for i in known[row]] + ids for rows, ids in zip(examples.tolist(), own, strict=True)]
        self.require_room(max(map(len, made)), LONGEST_COMPLETION)
        return made

    def with_completions(self, frame: pd.DataFrame, store: pd.DataFrame, examples: np.ndarray | None) -> PromptTable:
        """Prompts with the completions of rows that have a target; raises as `of_rows`."""
        completions = [self.language.encode(self.sentences.completion(value)) for value in frame[self.target.name]]
        prompts = self.of_rows(frame, store, examples)
        self.require_room(max(len(p) + len(c) for p, c in zip(prompts, completions, strict=True)))
        return PromptTable(prompts, completions)

    @property
    def target(self) -> Column:
        """The column that is predicted."""
        assert self.sentences.target is not None
        return self.sentences.target

    @property
    def labels(self) -> list[list[int]]:
        """Token ids of each label's completion."""
        return [self.language.encode(self.sentences.completion(value)) for value in self.target.values]

    @property
    def decisions(self) -> tuple[Decisions, list[Answer]]:
        """What there is to decide of the target, and of labels each as an answer."""
        if self.target.type == "number":
            return number_decisions(self.language.number_tokens, self.language.encode(END_OF_COMPLETION)[0]), []
        return label_decisions(self.labels)

    def answered(self, frame: pd.DataFrame, store: pd.DataFrame, examples: np.ndarray | None) -> Rows:
        """Prompts with the answers of rows that have a target; raises as `of_rows`."""
        prompts = self.of_rows(frame, store, examples)
        decisions, labels = self.decisions
        target, values = self.target, frame[self.target.name]
        if target.type == "number":
            assert target.format is not None
            texts = (target.format.text(value) for value in values)
            answers = [number_answer(text, self.language.number_tokens, decisions) for text in texts]
        else:
            answers = [labels[target.values.index(value)] for value in values]
        self.require_room(max(len(p) + len(a.tokens) for p, a in zip(prompts, answers, strict=True)))
        return Rows(prompts, answers)

    def require_room(self, tokens: int, more: int = 0) -> None:
        """Raise an `OptionError` where so many tokens, and so many more, are longer than what the model reads."""
        longest = self.language.max_length
        if tokens + more > longest:
            raise OptionError(
                f"a sentence takes {tokens:,} tokens, the model reads {longest:,}: choose columns, or fewer examples"
            )
