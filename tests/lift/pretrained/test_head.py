"""The linear head: states against plain passes, the choice against scikit-learn, and what is kept."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from matgen.errors import CheckpointError, OptionError
from matgen.lift import LiftClassifier, LiftRegressor, load, save
from matgen.lift.pretrained.backend import PretrainedBackend
from matgen.lift.pretrained.features import POOLINGS, lower_layers, sentence_features
from matgen.lift.pretrained.head import fit_label_head, fit_number_head
from matgen.lift.pretrained.language_model import LanguageModel, layers_of
from tests.lift.pretrained.tiny import save_tiny_model

TABLE = pd.DataFrame({"x": np.tile([0.5, 9.5], 20), "kind": ["a", "b", "c", None] * 10})
LABELS = pd.Series(["no", "yes"] * 20, name="label")
HEAD = {"fine_tuning": "head"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def fitted(tiny):
    return LiftClassifier("path", model=tiny, backend_options=HEAD).fit(TABLE, LABELS)


def test_states_are_those_of_plain_passes_whatever_the_batch(tiny):
    language = LanguageModel(tiny)
    rows = [language.encode(text) for text in ("a=1 b=22 what?###", "a?", "When we have a=123.5, b=no###")]
    found = sentence_features(language, rows, [1, 2])
    block = layers_of(language.model)[-1]
    states = {}
    block.register_forward_hook(lambda module, inputs, output: states.update(top=output))
    for row, ids in enumerate(rows):
        with torch.inference_mode(), language.autocast():
            low = language.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[1]
        top = states["top"][0] if isinstance(states["top"], tuple) else states["top"]
        expected = torch.stack([low[0], top.reshape(low[0].shape)]).float()
        pooled = {"tail": expected[:, -8:].mean(dim=1), "mean": expected.mean(dim=1)}
        for place, pooling in enumerate(POOLINGS):
            assert found[:, place, row] == pytest.approx(pooled[pooling].numpy(), abs=0.03)


def test_layers_above_the_highest_are_not_computed(tiny):
    language = LanguageModel(tiny)
    seen = []
    for layer, block in enumerate(layers_of(language.model)):
        block.register_forward_hook(lambda *_, layer=layer: seen.append(layer))
    sentence_features(language, [[1, 2, 3]], [1])
    assert seen == [0]
    assert lower_layers(30, 8) == [3, 6, 8, 11, 14, 16, 19, 22]
    assert lower_layers(2, 8) == [1, 2] and lower_layers(1, 8) == [1]


@pytest.mark.parametrize("n_labels", [2, 3])
@pytest.mark.parametrize("width", [4, 60])
def test_a_label_head_is_logistic_regression_of_the_candidate_that_predicts(width, n_labels):
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(n_labels), 20)
    noise, telling = rng.normal(size=(2, len(labels), width))
    telling[:, :n_labels] += 4 * np.eye(n_labels)[labels]
    features = np.stack([noise, telling, 0.01 * noise]).astype(np.float32)
    head = fit_label_head(features, [(1, "tail"), (5, "mean"), (9, "mean")], labels, n_labels, len(labels) - 12, 0)
    assert head.places[0] == (5, "mean")
    head = fit_label_head(features[1:2], [(5, "mean")], labels, n_labels, len(labels) - 12, 0)
    states = StandardScaler().fit(telling[:-12])
    found = head.scores(telling[None].astype(np.float32))
    agreement = []
    for penalty in (1.0, 0.1, 0.01, 0.001):
        rows = states.transform(telling) / np.sqrt(width)
        plain = LogisticRegression(C=1 / penalty, max_iter=1000).fit(rows[:-12], labels[:-12])
        expected = plain.predict_log_proba(rows)
        # Up to a temperature and a constant of each row they are the same scores.
        a, b = (s - s.mean(axis=1, keepdims=True) for s in (found, expected))
        agreement.append(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert max(agreement) > 0.9999
    assert (found.argmax(axis=1) == labels).mean() > 0.9


def test_probabilities_are_calibrated_by_rows_that_were_not_learned_from():
    """Labels that say nothing about the rows get probabilities near their shares, however sharp the fit."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 100)
    features = rng.normal(size=(1, 100, 300)).astype(np.float32)
    head = fit_label_head(features, [(1, "mean")], labels, 2, 80, 0)
    chances = softmax(head.scores(rng.normal(size=(1, 500, 300))), axis=1)
    assert np.abs(chances - 0.5).mean() < 0.2


def test_the_mean_of_candidates_is_that_of_their_heads_and_predicts_better_than_one():
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    signal = labels[:, None] * np.ones(8)
    features = (signal + 3 * rng.normal(size=(5, 120, 8))).astype(np.float32)  # five views with noise of their own
    places = [(layer, "tail") for layer in range(1, 6)]
    head = fit_label_head(features[:, :100], places, labels[:100], 2, 80, 0)
    assert len(head.places) > 1
    rows = [places.index(place) for place in head.places]
    found = head.scores(features[rows])
    one_by_one = sum(
        dataclasses.replace(head, places=(place,), weights=head.weights[:, [i]]).scores(features[[row]]) - head.bias
        for i, (place, row) in enumerate(zip(head.places, rows, strict=True))
    )
    assert found == pytest.approx(one_by_one + head.bias)
    alone = [fit_label_head(features[[row], :100], [places[row]], labels[:100], 2, 80, 0) for row in rows]

    def nats(scores):
        return -log_softmax(scores[100:], axis=1)[np.arange(20), labels[100:]].mean()

    assert nats(found) < min(nats(one.scores(features[[row]])) for one, row in zip(alone, rows, strict=True))


def test_labels_of_validation_rows_alone_and_lone_labels_are_possible():
    labels = np.array([0, 1, 1, 0, 1, 0, 2, 2])
    features = np.random.default_rng(0).normal(size=(2, 8, 5)).astype(np.float32)
    head = fit_label_head(features, [(1, "tail"), (1, "mean")], labels, 4, 6, 0)
    n = len(head.places)
    assert np.isfinite(head.scores(features[:n])).all() and head.weights.shape == (4, n, 5)
    alone = fit_label_head(features[:, :1], [(1, "tail"), (1, "mean")], labels[:1], 2, 1, 0)
    assert alone.scores(features[: len(alone.places), :1]).argmax() == 0


def test_a_number_head_is_ridge_with_residuals_of_rows_not_learned_from():
    rng = np.random.default_rng(0)
    telling = rng.normal(size=(60, 5)).astype(np.float32)
    numbers = telling @ np.array([3.0, -2, 0, 0, 1]) + 50 + rng.normal(0, 0.1, 60)
    features = np.stack([rng.normal(size=(60, 5)).astype(np.float32), telling])
    head = fit_number_head(features, [(1, "tail"), (2, "mean")], numbers, 45, 0)
    assert head.places == ((2, "mean"),)  # a mean with noise is worse
    assert len(head.residuals) == 60  # fifteen validation rows, and the training rows in turn
    assert np.abs(head.residuals).mean() == pytest.approx(0.1, abs=0.05)
    rows = StandardScaler().fit(telling[:45]).transform(telling) / np.sqrt(5)
    ways = [Ridge(alpha=alpha).fit(rows[:45], numbers[:45]).predict(rows) for alpha in (1.0, 0.1, 0.01, 0.001)]
    assert min(np.abs(head.scores(telling[None])[:, 0] - way).max() for way in ways) < 1e-3


def test_a_fitted_head_predicts_writes_and_is_kept_without_pickle(fitted, tmp_path):
    assert fitted.score(TABLE, LABELS) == 1.0
    assert fitted.raw_parse_rate(TABLE) == 1.0
    assert fitted.n_parameters_ == 2 * 32 * len(fitted.backend_.head.places) + 2
    assert not any(
        weight.requires_grad and weight.grad is not None for weight in fitted.backend_.language.model.parameters()
    )
    save(fitted, tmp_path / "m")
    assert {path.name for path in (tmp_path / "m" / "model").iterdir()} == {"head.safetensors", "pretrained.json"}
    again = load(tmp_path / "m")
    assert again.predict_proba(TABLE) == pytest.approx(fitted.predict_proba(TABLE), abs=1e-6)
    (tmp_path / "m" / "model" / "head.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="head.safetensors is damaged"):
        load(tmp_path / "m")


def test_numbers_of_a_head_are_in_range_rounded_and_ordered(tiny, tmp_path):
    y = pd.Series(np.tile([1.25, 7.5], 20), name="y")
    model = LiftRegressor("path", model=tiny, backend_options=HEAD).fit(TABLE, y)
    found = model.predict_quantiles(TABLE, (0.0, 0.1, 0.5, 0.9, 1.0))
    low, high = model.sentences_.target.padded_range()
    assert found.min() >= low and found.max() <= high and (np.diff(found, axis=1) >= 0).all()
    assert found[:, 2] == pytest.approx(y.to_numpy(), abs=1.0)
    written = model.sentences_.target.format
    assert model.predict(TABLE).tolist() == [written.rounded(number) for number in model.predict(TABLE)]
    save(model, tmp_path / "m")
    assert load(tmp_path / "m").predict(TABLE) == pytest.approx(model.predict(TABLE), abs=0.02)


def test_examples_stand_in_prompts_of_a_head_too(tiny):
    model = LiftClassifier("path", model=tiny, retrieval=2, backend_options=HEAD | {"max_length": 256})
    model.fit(TABLE, LABELS)
    assert (
        model.backend_.language.tokenizer.decode(model.backend_.prompts.of_queries(model._queries(TABLE))[0]).count("#")
        == 9
    )
    assert model.score(TABLE, LABELS) > 0.9


def test_sentences_longer_than_the_model_reads_are_refused(tiny):
    with pytest.raises(OptionError, match="choose columns"):
        LiftClassifier("path", model=tiny, backend_options=HEAD | {"max_length": 20}).fit(TABLE, LABELS)


def test_which_way_is_meant():
    ways = {
        "head": [{}, {"fine_tuning": "head"}, {"max_length": 500}],
        "adapters": [{"epochs": 5}, {"rank": 8}, {"fine_tuning": "adapters"}],
        "top-layers": [{"layers": 2}, {"fine_tuning": "top-layers", "epochs": 3}],
        "ensemble": [{"fine_tuning": "ensemble"}],
        None: [{"in_context": True}],
    }
    for way, options in ways.items():
        for given in options:
            assert PretrainedBackend("smollm2", **given).fine_tuning == way
    assert PretrainedBackend("path", model="m").fine_tuning == "adapters"
    with pytest.raises(OptionError, match="epochs is an option of fine_tuning=adapters, not of head"):
        PretrainedBackend("smollm2", fine_tuning="head", epochs=3)
    with pytest.raises(OptionError, match="layers is an option of fine_tuning=ensemble, not of adapters"):
        PretrainedBackend("smollm2", fine_tuning="adapters", layers=3)
    with pytest.raises(OptionError, match="in_context trains nothing"):
        PretrainedBackend("smollm2", fine_tuning="head", in_context=True)
    with pytest.raises(OptionError, match="unknown fine_tuning 'heads', did you mean head"):
        PretrainedBackend("smollm2", fine_tuning="heads")


def test_pretext_tasks_are_not_for_a_head(tiny):
    with pytest.raises(OptionError, match="head has no use for them"):
        LiftClassifier("path", model=tiny, pretext=1, backend_options=HEAD).fit(TABLE, LABELS)


def test_models_of_0_2_are_read_as_adapters(tiny, tmp_path):
    from matgen.io.files import read_checksummed, write_checksummed

    options = {"epochs": 1, "rank": 4}
    model = LiftClassifier("path", model=tiny, backend_options=options).fit(TABLE, LABELS)
    model.backend_.save(tmp_path)
    content = read_checksummed(tmp_path / "pretrained.json")
    del content["fine_tuning"]
    write_checksummed(tmp_path / "pretrained.json", {k: v for k, v in content.items() if k != "sha256"})
    again = PretrainedBackend("path", model=tiny, rank=4)
    again.load(tmp_path, model.sentences_)
    queries = model._queries(TABLE)
    expected = model.backend_.label_log_probabilities(queries)
    assert again.label_log_probabilities(queries) == pytest.approx(expected, abs=1e-5)


def test_a_killed_reading_goes_on_and_sentences_alike_are_read_once(tiny, tmp_path, monkeypatch):
    from matgen.lift.pretrained import features

    language = LanguageModel(tiny)
    rows = [language.encode(f"a={i % 30}, b=no###") for i in range(40)]
    whole = sentence_features(language, rows, [1, 2])
    read = []
    plain = features._pooled_states
    monkeypatch.setattr(features, "_ROWS_PER_FILE", 16)
    monkeypatch.setattr(features, "_pooled_states", lambda *a: (read.extend(a[1]), plain(*a))[1])

    class Killed(Exception):
        pass

    counted = []

    def count(n):
        counted.append(n)
        if sum(counted) > 20:
            raise Killed

    with pytest.raises(Killed):
        sentence_features(language, rows, [1, 2], count=count, folder=tmp_path)
    before, counted = len(read), []
    again = sentence_features(language, rows, [1, 2], count=counted.append, folder=tmp_path)
    assert len(read) == 30 and 16 <= before < 30  # each of the 30 that differ once, in both runs together
    assert sum(counted) == 40 and again == pytest.approx(whole, abs=0.03)
    read.clear()
    assert np.array_equal(sentence_features(language, rows, [1, 2], folder=tmp_path), again) and not read
    sentence_features(language, rows[:1], [2], folder=tmp_path)  # other layers are other states
    next(iter(tmp_path.glob("states-000000*"))).write_bytes(b"no")
    with torch.no_grad():
        language.model.get_input_embeddings().weight.mul_(1.5)
    sentence_features(language, rows[:2], [1, 2], folder=tmp_path)  # another model, and a damaged file
    assert len(read) == 3
