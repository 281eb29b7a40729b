"""Completions by transformers' `generate`: the grammar of a number, and how a token is sampled, as its processors.

Labels are scored, not generated: see `matgen.lift.pretrained.scoring`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from matgen.lift.key_value_cache import cache_argument
from matgen.lift.number_grammar import END
from matgen.lift.pretrained.examples import padded_left, positions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from matgen.lift.number_grammar import NumberGrammar


class NumberProcessor(LogitsProcessor):
    """Allows the characters that may follow in a number, and its end.

    Args:
        grammar: of the numbers.
        tokens: the token of each character, and that of the end under the key `END`.
        prompt_length: tokens before the number, padding included.
    """

    def __init__(self, grammar: NumberGrammar, tokens: Mapping[str, int], prompt_length: int) -> None:
        self.grammar, self.tokens, self.prompt_length = grammar, tokens, prompt_length
        self._characters = {token: character for character, token in tokens.items()}

    def text(self, row: Sequence[int]) -> str:
        """The number that the token ids of a row hold after the prompt, as far as it is written."""
        written = [self._characters[token] for token in row[self.prompt_length :]]
        return "".join(written[: written.index(END)] if END in written else written)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores float32 `(n, vocabulary)` after ids int64 `(n, length)`, minus infinity where no token may follow."""
        allowed = torch.zeros_like(scores, dtype=torch.bool)
        for row, ids in enumerate(input_ids.tolist()):
            # A row that has ended waits for the others: its end is all that may follow.
            ended = self.tokens[END] in ids[self.prompt_length :]
            following = {END} if ended else self.grammar.allowed(self.text(ids))
            allowed[row, [self.tokens[character] for character in following]] = True
        return scores.masked_fill(~allowed, -torch.inf)


class SamplingProcessor(LogitsProcessor):
    """Samples a token from the scores and leaves it alone finite, so that a greedy `generate` takes it.

    `generate` itself samples by torch's global generator. With a generator of its own, a seed gives the same numbers
    whatever was drawn elsewhere, and other draws stay as they are.

    Args:
        generator: on the CPU.
        candidates: tokens to sample from, int64 `(c,)`; None for the whole vocabulary. The others have no probability,
            and leaving them out makes draws independent of the size of the vocabulary.
    """

    def __init__(self, generator: torch.Generator, candidates: Tensor | None = None) -> None:
        self.generator, self.candidates = generator, candidates

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """0 at the sampled token of each row, minus infinity elsewhere, float32 `(n, vocabulary)`."""
        considered = scores if self.candidates is None else scores[:, self.candidates.to(scores.device)]
        chosen = torch.multinomial(considered.softmax(dim=1).cpu(), 1, generator=self.generator)
        if self.candidates is not None:
            chosen = self.candidates[chosen]
        return torch.full_like(scores, -torch.inf).scatter(1, chosen.to(scores.device), 0.0)


class MarkCriterion(StoppingCriteria):
    """Ends a row whose continuation contains a mark.

    Args:
        decode: token ids as text.
        mark: text at which a row ends.
        prompt_length: tokens before the continuation, padding included.
    """

    def __init__(self, decode: Callable[[list[int]], str], mark: str, prompt_length: int) -> None:
        self.decode, self.mark, self.prompt_length = decode, mark, prompt_length

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Which rows have ended, bool `(n,)`."""
        ended = [self.mark in self.decode(row) for row in input_ids[:, self.prompt_length :].tolist()]
        return torch.tensor(ended, device=input_ids.device)


def prefilled(model: Any, ids: Tensor, mask: Tensor, copies: int = 1, plain: int = 0) -> Any:
    """Keys and values of prompts, computed once and then repeated for so many continuations of each.

    Args:
        model: a causal language model.
        ids, mask: int64 `(n, length)`, padded on the left.
        copies: of each prompt, one after the other.
        plain: tokens from the start, padding included, that are read without the adapters of the model.
    """
    cache, positions = DynamicCache(config=model.config), positions_of(mask)
    for start, stop in ((0, plain), (plain, ids.shape[1])):
        if start == stop:
            continue
        with model.disable_adapter() if stop == plain else contextlib.nullcontext():
            model(
                input_ids=ids[:, start:stop], attention_mask=mask[:, :stop], position_ids=positions[:, start:stop],
                use_cache=True, logits_to_keep=1, **cache_argument(cache),
            )  # fmt: skip
    cache.batch_repeat_interleave(copies)
    return cache


def continuations(
    model: Any,
    prompts: list[list[int]],
    processors: Callable[[int], list[LogitsProcessor]],
    criteria: Callable[[int], list[StoppingCriteria]] = lambda prompt_length: [],
    *,
    longest: int,
    end: int | None = None,
    copies: int = 1,
    question: int | None = None,
) -> Tensor:
    """Continue prompts until every row has ended.

    Args:
        model: a causal language model.
        prompts: token ids of each, two or more.
        processors: of the scores of the next token, in order, from the tokens of the padded prompts.
        criteria: by which rows end, likewise.
        longest: tokens of a continuation at most.
        end: token that ends a row; None for none but the criteria. Rows that have ended are filled up with it.
        copies: continuations of each prompt; those of one prompt stand together.
        question: tokens at the end of each prompt that the adapters of the model act on; None for all.

    Returns:
        New tokens, int64 `(n * copies, t)`, on the CPU.
    """
    ids, mask = (tensor.to(model.device) for tensor in padded_left(prompts))
    # The last token is left to `generate`, which needs the scores after it.
    length = ids.shape[1]
    cache = prefilled(model, ids[:, :-1], mask[:, :-1], copies, 0 if question is None else length - question)
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=longest,
        # The model's own end of text ends nothing here, and its own settings of generation count for nothing.
        eos_token_id=model.config.vocab_size if end is None else end,
        pad_token_id=end or 0,
        repetition_penalty=1.0,
        temperature=1.0,
        top_p=1.0,
    )
    out = model.generate(
        input_ids=ids.repeat_interleave(copies, dim=0),
        attention_mask=mask.repeat_interleave(copies, dim=0),
        generation_config=settings,
        logits_processor=LogitsProcessorList(processors(length)),
        stopping_criteria=StoppingCriteriaList(criteria(length)),
        **cache_argument(cache),
    )
    return out[:, length:].cpu()
