"""Completions by `generate`, against a plain loop that reads every sequence as a whole, alone and without padding."""

import contextlib

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from matgen.lift.number_format import NumberFormat
from matgen.lift.number_grammar import END, NumberGrammar
from matgen.lift.pretrained.backend import PretrainedBackend
from matgen.lift.pretrained.generation import MarkCriterion, NumberProcessor, SamplingProcessor, continuations
from matgen.lift.pretrained.language_model import LanguageModel
from matgen.lift.pretrained.writing import numbers, texts
from tests.lift.pretrained.tiny import save_tiny_model

PROMPTS = ["x=1 y=22 what?###", "a?###", "When we have a=123.5, b=no, c=12###"]
GRAMMARS = {
    "fixed": NumberGrammar(NumberFormat(2), -3.5, 12.25),
    "exponent": NumberGrammar(NumberFormat(1, -9), 1e-9, 25e-9),
    "scientific": NumberGrammar(NumberFormat(1, scientific=True), -5e3, 2e3),
}


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """A backend with a model that nothing was trained on, in fp32 whatever the machine."""
    made = PretrainedBackend("path", model=save_tiny_model(tmp_path_factory.mktemp("tiny")), in_context=True)
    made.language = LanguageModel(made.source)
    made.language.autocast = contextlib.nullcontext
    return made


@pytest.fixture(params=["gpt2", "llama"])
def either(request, backend, monkeypatch):
    """The same with absolute positions, or with rotary ones, which padding would shift."""
    if request.param == "llama":
        torch.manual_seed(1)
        config = LlamaConfig(
            vocab_size=len(backend.language.tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3, eos_token_id=5, bos_token_id=4,
        )  # fmt: skip
        monkeypatch.setattr(backend.language, "model", LlamaForCausalLM(config).eval())
    return backend


def whole_pass(model, ids):
    """Logits of the next token after one sequence, float32 `(vocabulary,)`, without a cache."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()


def by_plain_loop(backend, grammar, copies, generator):
    """Numbers of each prompt: the most probable allowed character (no generator), or one that is drawn."""
    characters = dict.fromkeys([*backend.language.number_tokens, END])
    tokens = [*backend.language.number_tokens.values(), backend.language.encode("@@@")[0]]
    prompts = [backend.language.encode(text) for text in PROMPTS for _ in range(copies)]
    texts, ended = [""] * len(prompts), [False] * len(prompts)
    while not all(ended):
        logits = torch.stack([whole_pass(backend.language.model, ids)[tokens] for ids in prompts])
        for row, text in enumerate(texts):
            following = {END} if ended[row] else grammar.allowed(text)
            logits[row, [character not in following for character in characters]] = -torch.inf
        chosen = logits.argmax(dim=1)
        if generator is not None:
            chosen = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
        for row, at in enumerate(chosen.tolist()):
            texts[row] += list(characters)[at]
            ended[row] = ended[row] or list(characters)[at] == END
            prompts[row] = prompts[row] + [tokens[at]]
    return texts


@pytest.mark.parametrize("name", GRAMMARS)
def test_greedy_numbers_are_those_of_a_plain_loop(either, name):
    prompts = [either.language.encode(text) for text in PROMPTS]
    expected = by_plain_loop(either, GRAMMARS[name], 1, None)
    assert numbers(either.language, prompts, 1, GRAMMARS[name], None) == expected
    assert [numbers(either.language, [prompt], 1, GRAMMARS[name], None)[0] for prompt in prompts] == expected


@pytest.mark.parametrize("name", GRAMMARS)
def test_sampled_numbers_are_those_of_a_plain_loop_with_the_same_generator(either, name):
    prompts = [either.language.encode(text) for text in PROMPTS]
    made = numbers(either.language, prompts, 4, GRAMMARS[name], torch.Generator().manual_seed(3))
    assert made == by_plain_loop(either, GRAMMARS[name], 4, torch.Generator().manual_seed(3))
    assert len(set(made)) > 3


def test_unconstrained_text_is_that_of_a_plain_loop_with_the_same_generator(either, monkeypatch):
    """The mark is a letter that the model writes; the model's own settings of generation count for nothing."""
    model, tokenizer = either.language.model, either.language.tokenizer
    prompts = [either.language.encode(text) for text in PROMPTS]
    ids, generator = prompts, torch.Generator().manual_seed(1)
    for _ in range(40):
        logits = torch.stack([whole_pass(model, row) for row in ids])
        chosen = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0].tolist()
        ids = [[*row, token] for row, token in zip(ids, chosen, strict=True)]
    written = [tokenizer.decode(row[len(prompt) :]) for row, prompt in zip(ids, prompts, strict=True)]
    mark = written[0].split()[10]
    monkeypatch.setattr("matgen.lift.pretrained.writing.END_OF_COMPLETION", mark)
    monkeypatch.setattr(model.generation_config, "eos_token_id", ids[0][len(prompts[0])])  # the first that is sampled
    monkeypatch.setattr(model.generation_config, "repetition_penalty", 9.0)
    expected = ["".join(text.partition(mark)[:2]) for text in written]
    assert texts(either.language, prompts, torch.Generator().manual_seed(1)) == expected
    assert 3 < len(expected[0]) < len(written[0])


def test_processors_leave_what_the_grammar_allows():
    grammar, tokens = GRAMMARS["fixed"], {**{character: i for i, character in enumerate("0123456789-.e")}, END: 13}
    processor = NumberProcessor(grammar, tokens, prompt_length=2)
    rows = torch.tensor([[5, 5, 1, 2], [5, 5, 11, 13], [0, 0, 10, 3]])  # prompts of 5s; `12`, an ended row, `-3`
    rows[1, 2:] = torch.tensor([3, 13])
    scores = processor(rows, torch.zeros((3, 20)))
    finite = [set(torch.isfinite(row).nonzero()[:, 0].tolist()) for row in scores]
    assert finite[0] == {tokens[character] for character in grammar.allowed("12")} == {11}
    assert finite[1] == {13}
    assert finite[2] == {tokens[character] for character in grammar.allowed("-3")}


def test_draws_have_the_probabilities_of_the_scores():
    scores = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).repeat(20_000, 1)
    for candidates in (None, torch.tensor([3, 1, 2, 0])):
        drawn = SamplingProcessor(torch.Generator().manual_seed(0), candidates)(
            torch.zeros((20_000, 1)), scores.clone()
        )
        assert (torch.isfinite(drawn).sum(dim=1) == 1).all()
        shares = torch.bincount(drawn.argmax(dim=1), minlength=4) / len(drawn)
        assert shares.numpy() == pytest.approx(np.array([0.1, 0.2, 0.3, 0.4]), abs=0.02)


def test_sampling_leaves_the_global_generator_alone(backend):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    prompts = [backend.language.encode(text) for text in PROMPTS]
    numbers(backend.language, prompts, 2, GRAMMARS["fixed"], torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())


def test_continuations_end_at_the_longest(backend):
    prompts = [backend.language.encode(text) for text in PROMPTS]
    made = continuations(backend.language.model, prompts, lambda length: [], longest=5, copies=2)
    assert made.shape == (6, 5) and torch.equal(made[0], made[1])
    letters = {i: letter for letter, i in backend.language.tokenizer.get_vocab().items()}
    mark = MarkCriterion(lambda row: "".join(letters[i] for i in row), "###", 1)
    rows = torch.tensor([backend.language.encode(text) for text in ("a###", "###a")])
    assert mark(rows, None).tolist() == [True, False]  # a mark that begins in the prompt ends nothing
