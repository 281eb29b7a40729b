import numpy as np
import pandas as pd
import pytest
import torch

from matgen.errors import CheckpointError, OptionError
from matgen.lift.columns import describe, typed
from matgen.lift.interface import Queries, TrainingSet
from matgen.lift.scratch.backend import ScratchBackend
from matgen.lift.scratch.model import ScratchOptions, next_logits
from matgen.lift.sentences import Sentences
from matgen.runtime.progress import silent
from tests.progress import Recorder

QUICK = {"steps": 60, "width": 32, "layers": 1, "views": 1, "batch_size": 32}


def training_set_of(frame, target, **options):
    columns = describe(frame)
    rows = typed(frame, columns)
    asked = next(column for column in columns if column.name == target)
    rest = tuple(column for column in columns if column.name != target)
    return TrainingSet(Sentences(rest, asked), rows, **options)


@pytest.fixture(scope="module")
def numbers():
    """A backend that has learned y = x roughly, and its training_set."""
    x = np.random.default_rng(0).uniform(-5, 5, 200)
    training_set = training_set_of(pd.DataFrame({"x": x, "y": x + 3}), "y")
    backend = ScratchBackend(**QUICK | {"views": 2, "steps": 200})
    backend.fit(training_set, seed=0, folder=None, resume=False, progress=silent)
    return backend, training_set


def probability_of_each(backend, frame):
    """P(answer) of every number the grammar allows, by brute force: one pass for each, float64 (n, levels)."""
    places = backend.codec.places[-1]
    out = np.zeros((len(frame), places.levels))
    prompts = backend._prompts(Queries(frame), backend._views, seed=0)
    for level in range(places.levels):
        digits = level // places.divisors % (10 if places.width > 1 else places.levels)
        for prompt in prompts:
            chance, tokens = np.ones(len(frame)), prompt
            for place, digit in enumerate(digits):
                so_far = int((digits[:place] * places.divisors[:place]).sum())
                choices = np.arange(10 if places.width > 1 else places.levels)
                fits = so_far + choices * places.divisors[place] < places.levels
                base = int(places.base[place])
                logits = next_logits(backend.models[0], tokens)[:, base : base + len(choices)].double().numpy()
                logits[:, ~fits] = -np.inf
                chances = np.exp(logits - logits.max(axis=1, keepdims=True))
                chance *= (chances / chances.sum(axis=1, keepdims=True))[:, digit]
                tokens = torch.cat([tokens, torch.full((len(frame), 1), base + int(digit))], dim=1)
            out[:, level] += chance / len(prompts)
    return out


@pytest.mark.slow
def test_quantiles_are_those_of_every_number_weighed(numbers):
    backend, training_set = numbers
    frame = training_set.train.head(3)
    chance = probability_of_each(backend, frame)
    assert chance.sum(axis=1) == pytest.approx(1, abs=1e-6)
    places = backend.codec.places[-1]
    values = places.unscaled(places.low + np.arange(places.levels) * places.step)
    shares = np.array([0.1, 0.5, 0.9])
    found = backend.number_quantiles(Queries(frame), shares, samples=0, seed=0)
    expected = [[values[np.searchsorted(np.cumsum(row), share)] for share in shares] for row in chance]
    assert found == pytest.approx(np.array(expected), abs=1e-9)


def test_sampled_quantiles_come_near_exact_ones(numbers):
    backend, training_set = numbers
    queries, shares = Queries(training_set.train.head(5)), np.array([0.1, 0.5, 0.9])
    exact = backend.number_quantiles(queries, shares, samples=0, seed=0)
    drawn = backend.number_quantiles(queries, shares, samples=800, seed=0)
    assert np.abs(exact - drawn).max() < 0.2 * np.ptp(training_set.train["y"])
    assert np.array_equal(drawn, backend.number_quantiles(queries, shares, samples=800, seed=0))


def test_answers_stay_in_the_padded_range(numbers):
    backend, training_set = numbers
    low, high = training_set.sentences.target.padded_range()
    far = Queries(pd.DataFrame({"x": [-1e9, 1e9, np.nan]}))
    found = backend.number_quantiles(far, np.array([0.0001, 0.9999]), samples=0, seed=0)
    assert found.min() >= low - 0.05 and found.max() <= high + 0.05
    assert (np.diff(found, axis=1) >= 0).all()


def test_labels_are_scored_as_a_plain_softmax():
    frame = pd.DataFrame({"x": np.r_[np.zeros(40), np.ones(40)] + 0.1, "label": ["a"] * 40 + ["b"] * 40})
    training_set = training_set_of(frame, "label")
    backend = ScratchBackend(**QUICK | {"steps": 300})
    backend.fit(training_set, seed=0, folder=None, resume=False, progress=silent)
    log_probabilities = backend.label_log_probabilities(Queries(training_set.train))
    places = backend.codec.places[-1]
    (prompt,) = backend._prompts(Queries(training_set.train), 1, 0)
    logits = next_logits(backend.models[0], prompt)[:, int(places.base[0]) :][:, :2].double()
    assert log_probabilities == pytest.approx(torch.log_softmax(logits, dim=1).numpy(), abs=1e-6)
    assert (log_probabilities.argmax(axis=1) == np.r_[np.zeros(40), np.ones(40)]).all()
    free = backend.complete(Queries(training_set.train), seed=1)
    assert sum(text in ("a@@@", "b@@@") for text in free) > 70


def test_the_loss_is_that_of_the_completion_alone(numbers):
    backend, training_set = numbers
    rows = backend.codec.encoded(training_set.train.head(4))
    nats = backend._nats(backend.models[0], rows, None, 0.0)
    sentences = backend._sentences(rows, None)
    asked = backend.codec.places[-1].width + 1
    logits = backend.models[0](sentences).logits
    chances = torch.log_softmax(logits, dim=2)
    by_hand = -sum(
        chances[torch.arange(4), at - 1, sentences[:, at]]
        for at in range(sentences.shape[1] - asked, sentences.shape[1])
    )
    assert torch.allclose(nats, by_hand, atol=1e-4)


def test_a_killed_fit_goes_on_to_the_same_weights(tmp_path):
    frame = pd.DataFrame({"x": np.arange(60.0) + 0.5, "label": ["a", "b"] * 30})
    training_set = training_set_of(frame, "label")
    training_set = TrainingSet(training_set.sentences, training_set.train, training_set.train.head(10))
    whole = ScratchBackend(**QUICK, evaluations=3)
    whole.fit(training_set, seed=0, folder=tmp_path / "whole", resume=False, progress=silent)

    class Killed(Exception):
        pass

    class Bomb(Recorder):
        def note(self, figures):
            if figures["step"] >= 40:
                raise Killed

    broken = ScratchBackend(**QUICK, evaluations=3)
    with pytest.raises(Killed):
        broken.fit(training_set, seed=0, folder=tmp_path / "broken", resume=False, progress=Bomb())
    again = ScratchBackend(**QUICK, evaluations=3)
    again.fit(training_set, seed=0, folder=tmp_path / "broken", resume=True, progress=silent)
    for one, other in zip(whole.models[0].parameters(), again.models[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_is_saved_answers_alike(numbers, tmp_path):
    backend, training_set = numbers
    backend.save(tmp_path)
    again = ScratchBackend()
    again.load(tmp_path, training_set.sentences)
    queries = Queries(training_set.train.head(5))
    shares = np.array([0.5])
    assert np.array_equal(
        backend.number_quantiles(queries, shares, samples=0, seed=0),
        again.number_quantiles(queries, shares, samples=0, seed=0),
    )
    (tmp_path / "member-0.safetensors").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="missing or damaged"):
        ScratchBackend().load(tmp_path, training_set.sentences)


def test_too_many_columns_are_refused_in_one_line():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 3_000)))
    frame["y"] = ["a", "b"] * 2
    with pytest.raises(OptionError, match=r"3,000 columns takes .* tokens, the model reads 4,096: choose columns"):
        ScratchBackend(**QUICK).fit(training_set_of(frame, "y"), seed=0, folder=None, resume=False, progress=silent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 30, "heads": 4}, "multiple of heads"),
        ({"steps": 0}, "steps"),
        ({"missing": 1.0}, "missing is 1.0"),
        ({"noise": -1}, "noise is -1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=message):
        ScratchOptions(**options)
