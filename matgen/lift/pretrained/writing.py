"""What a language model writes: numbers under their grammar, text up to a mark, answers to instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matgen.lift.number_grammar import END, NumberGrammar
from matgen.lift.pretrained.generation import MarkCriterion, NumberProcessor, SamplingProcessor, continuations
from matgen.lift.sentences import END_OF_COMPLETION

if TYPE_CHECKING:
    from matgen.lift.columns import Column
    from matgen.lift.pretrained.language_model import LanguageModel

SAMPLES = 32
"""Numbers sampled for the quantiles of a row where no other number is given."""
LONGEST_COMPLETION = 40
"""Tokens that an unconstrained completion may take."""
_ROWS_AT_ONCE = 64


def number_quantiles(
    language: LanguageModel,
    prompts: list[list[int]],
    target: Column,
    quantiles: np.ndarray,
    *,
    samples: int,
    seed: int,
    question: int | None = None,
) -> np.ndarray:
    """Quantiles of numbers sampled under the grammar of a column, within its padded range, float64 `(n, q)`.

    Args:
        language: the model.
        prompts: token ids of each of `n`.
        target: the column.
        quantiles: `q` fractions from 0 to 1.
        samples: numbers of each prompt; `SAMPLES` where 0.
        seed: of the draws.
        question: tokens at the end of each prompt that adapters act on; None for all.
    """
    assert target.format is not None
    low, high = target.padded_range()
    grammar = NumberGrammar(target.format, low, high)
    copies = samples or SAMPLES
    generator, at_once = torch.Generator().manual_seed(seed), max(1, _ROWS_AT_ONCE // copies)
    written: list[str] = []
    for start in range(0, len(prompts), at_once):
        written += numbers(language, prompts[start : start + at_once], copies, grammar, generator, question)
    found = np.clip(np.array(written, dtype=np.float64), low, high).reshape(len(prompts), copies)
    return np.quantile(found, np.asarray(quantiles), axis=1).T


def numbers(
    language: LanguageModel,
    prompts: list[list[int]],
    copies: int,
    grammar: NumberGrammar,
    generator: torch.Generator | None,
    question: int | None = None,
) -> list[str]:
    """So many numbers of each prompt as text; without a generator the greedy one."""
    end = language.encode(END_OF_COMPLETION)[0]
    tokens = language.number_tokens | {END: end}

    def processors(prompt_length: int) -> list[Any]:
        grammatical = NumberProcessor(grammar, tokens, prompt_length)
        if generator is None:
            return [grammatical]
        return [grammatical, SamplingProcessor(generator, torch.tensor(list(tokens.values())))]

    with torch.inference_mode(), language.autocast():
        made = continuations(
            language.model, prompts, processors, longest=grammar.longest + 1, end=end, copies=copies, question=question
        )
    text = NumberProcessor(grammar, tokens, 0).text
    return [text(row) for row in made.tolist()]


def texts(language: LanguageModel, prompts: list[list[int]], generator: torch.Generator) -> list[str]:
    """What is written after each prompt, one sample each, up to the end of a completion and with it."""
    decode = language.tokenizer.decode
    out: list[str] = []
    for start in range(0, len(prompts), _ROWS_AT_ONCE):
        with torch.inference_mode(), language.autocast():
            made = continuations(
                language.model,
                prompts[start : start + _ROWS_AT_ONCE],
                lambda prompt_length: [SamplingProcessor(generator)],
                lambda prompt_length: [MarkCriterion(decode, END_OF_COMPLETION, prompt_length)],
                longest=LONGEST_COMPLETION,
            )
        parts = (decode(row).partition(END_OF_COMPLETION) for row in made.tolist())
        out += [text + mark for text, mark, _ in parts]
    return out


def answer(language: LanguageModel, instruction: str, most: int) -> str:
    """What the model, adapters aside, writes in answer to an instruction, greedily (its chat template, if any)."""
    model, tokenizer = language.model, language.tokenizer
    if getattr(tokenizer, "chat_template", None):
        messages = [{"role": "user", "content": instruction}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    else:
        text = instruction + "\n"
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)], device=language.device)
    with torch.inference_mode(), language.without_adapters():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False)
    return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
