from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2, chisquare

from matgen.composition import CompositionBatch
from matgen.errors import CheckpointError, OptionError
from matgen.fitting import FitSettings, Fitter, TokenTable
from matgen.models import MODELS, build_model, load_checkpoint, save_checkpoint
from matgen.sample import Decoding, Sampler
from matgen.sample.engine import BLOCK_SIZE, choose
from matgen.tokenizer import BOS, EOS, MASK, encode, suppressed_ids
from matgen.train.objectives import OBJECTIVES, length_histogram

FEW = ["NaCl", "KCl", "NaBr", "KBr", "LiF", "NaF", "KF", "LiCl"]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory):
    """A function from an architecture to a model of eight binary formulas, whose distribution can be enumerated."""
    folder = tmp_path_factory.mktemp("few")

    def model(key: str) -> Path:
        out = folder / key
        if not out.exists():
            table = TokenTable.from_numpy(*encode(CompositionBatch.from_formulas(FEW * 8), "expanded"))
            objective = OBJECTIVES[MODELS[key].objective]
            settings = FitSettings(batch_size=32, epochs=60, precision="fp32", learning_rate=1e-3)
            network = build_model(key, "tiny", "expanded", seed=0)
            better = itertools.count(0, -1)  # ever better, so that the last weights are kept
            Fitter(network, table, objective.train, lambda model: float(next(better)), out, settings).run()
            histogram = length_histogram(table.lengths.numpy())
            save_checkpoint(out, network, {"architecture": key, "notation": "expanded", "length_histogram": histogram})
        return out

    return model


def expected_and_seen(sequences: list[tuple[int, ...]], probability: np.ndarray, drawn: np.ndarray):
    """Counts of the likely sequences and of all others together, expected and seen."""
    counts = dict.fromkeys(sequences, 0)
    for row in drawn.tolist():
        key = tuple(row[1 : row.index(EOS)])
        if key in counts:
            counts[key] += 1
    enough = probability * len(drawn) >= 8
    seen = np.array([counts[s] for s, e in zip(sequences, enough, strict=True) if e])
    expected = probability[enough] * len(drawn)
    return np.append(expected, len(drawn) - expected.sum()), np.append(seen, len(drawn) - seen.sum())


@pytest.mark.parametrize("key", ["gpt", "gpt2", "gptneo", "gptj", "bart"])
def test_samples_follow_the_exact_distribution(few, key: str) -> None:
    """Chi-square of 8,192 draws against the probability of every sequence of two tokens."""
    sampler = Sampler(few(key))
    tokens = sorted({int(t) for t in encode(CompositionBatch.from_formulas(FEW), "expanded")[0].ravel() if t > 31})
    sequences = list(itertools.product(tokens, repeat=2))
    ids = torch.tensor([[BOS, *s, EOS] for s in sequences])
    with torch.inference_mode():
        probability = sampler._exact(ids).double().exp().numpy()
    assert probability.sum() > 0.9
    drawn = np.concatenate([sampler.draw_ids(BLOCK_SIZE, seed=5, block=b, decoding=Decoding()) for b in range(4)])
    expected, seen = expected_and_seen(sequences, probability, drawn)
    assert len(seen) > 6
    assert chisquare(seen, expected).pvalue > 1e-4


def test_order_agnostic_samples_follow_the_exact_distribution(few) -> None:
    """For two tokens: the mean over both orders of p(first | nothing) p(second | first)."""
    sampler = Sampler(few("roberta"))
    tokens = sorted({int(t) for t in encode(CompositionBatch.from_formulas(FEW), "expanded")[0].ravel() if t > 31})
    forbidden = [*suppressed_ids("expanded"), EOS]

    def given(rows: list[list[int]], place: int) -> np.ndarray:
        with torch.inference_mode():
            logits = sampler.model(input_ids=torch.tensor(rows)).logits[:, place].double()
        logits = logits.clone()
        logits[:, forbidden] = -torch.inf
        return logits.softmax(-1).numpy()

    nothing = [[BOS, MASK, MASK, EOS]]
    first, second = given(nothing, 1)[0], given(nothing, 2)[0]
    after_first = given([[BOS, t, MASK, EOS] for t in tokens], 2)
    after_second = given([[BOS, MASK, t, EOS] for t in tokens], 1)
    sequences = list(itertools.product(tokens, repeat=2))
    place = {t: i for i, t in enumerate(tokens)}
    probability = np.array(
        [0.5 * (first[a] * after_first[place[a], b] + second[b] * after_second[place[b], a]) for a, b in sequences]
    )
    drawn = np.concatenate([sampler.draw_ids(BLOCK_SIZE, seed=5, block=b, decoding=Decoding()) for b in range(4)])
    expected, seen = expected_and_seen(sequences, probability, drawn)
    assert chisquare(seen, expected).pvalue > 1e-4


def test_same_distribution_as_transformers_generate(few) -> None:
    """Two-sample chi-square against `generate` with the checkpoint's own generation settings."""
    folder = few("gptj")
    checkpoint = load_checkpoint(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = torch.full((3000, 1), BOS)
        theirs = checkpoint.model.generate(
            start, attention_mask=torch.ones_like(start), max_new_tokens=12, do_sample=True
        ).tolist()
    ours = np.concatenate([Sampler(folder).draw_ids(BLOCK_SIZE, seed=1, block=b, decoding=Decoding()) for b in (0, 1)])

    def counts(rows: list[list[int]]) -> pd.Series:
        return pd.Series([tuple(row[1 : row.index(EOS)]) if EOS in row else () for row in rows]).value_counts()

    both = pd.concat([counts(theirs), counts(ours.tolist())], axis=1).fillna(0)
    common = both[both.sum(axis=1) >= 20]
    table = np.vstack([common.to_numpy(), both.drop(common.index).sum().to_numpy()])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = ((table - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
    assert chi2.sf(statistic, len(table) - 1) > 1e-4


@pytest.mark.parametrize(
    "decoding", [Decoding(), Decoding(0.7), Decoding(top_k=5), Decoding(top_p=0.8), Decoding(1.3, 20, 0.9)]
)
def test_choice_of_a_token_is_transformers_own(decoding: Decoding) -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(0)) * 2
    warped = TemperatureLogitsWarper(decoding.temperature)(None, logits)
    if decoding.top_k:
        warped = TopKLogitsWarper(decoding.top_k)(None, warped)
    if decoding.top_p < 1:
        warped = TopPLogitsWarper(decoding.top_p)(None, warped)
    grid = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    share = torch.bincount(choose(logits.expand(len(grid), -1), grid, decoding), minlength=40) / len(grid)
    torch.testing.assert_close(share, warped.softmax(-1)[0], atol=1e-5, rtol=0)


def test_extreme_uniforms_choose_possible_tokens() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf]]).expand(2, -1)
    uniforms = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    assert choose(logits, uniforms, Decoding()).tolist() == [1, 2]


@pytest.mark.parametrize("key", MODELS)
def test_blocks(checkpoints, key: str) -> None:
    sampler = Sampler(checkpoints(key))
    (block,) = sampler.sample(300, seed=3)
    (again,) = sampler.sample(300, seed=3)
    (other,) = sampler.sample(300, seed=4)
    assert (block.formulas == again.formulas).all()
    assert (block.formulas != other.formulas).any()
    (halves,) = sampler.sample(300, seed=3, batch_size=70)
    assert (halves.formulas == block.formulas).mean() > 0.98  # rounding may tip a row
    finished = ~np.isnan(block.log_prob)
    assert finished.mean() > 0.9
    assert (block.log_prob[finished] < 0).all()
    CompositionBatch.from_formulas(block.formulas[finished])


def test_a_longer_run_begins_with_the_shorter_one(checkpoints) -> None:
    sampler = Sampler(checkpoints("gpt2"))
    long = list(sampler.sample(BLOCK_SIZE + 100, seed=0))
    (tail,) = sampler.sample(BLOCK_SIZE + 100, seed=0, first_block=1)
    assert [len(block) for block in long] == [BLOCK_SIZE, 100]
    assert (tail.formulas == long[1].formulas).all()
    assert len(set(long[1].formulas) & set(long[0].formulas[:100])) < 90  # blocks are not copies of one another


@pytest.mark.parametrize("key", ["gpt2", "bart"])
def test_log_prob_is_that_of_the_forward_pass(checkpoints, key: str) -> None:
    sampler = Sampler(checkpoints(key))
    batch = CompositionBatch.from_formulas(["SrTiO3", "NaCl", "Y3Al5O12", "LiFePO4"])
    together = sampler.log_prob(batch)
    for i in range(len(batch)):
        ids, _ = encode(batch[i : i + 1], "expanded")
        total, row = 0.0, torch.from_numpy(ids).long()
        for place in range(1, row.shape[1]):
            with torch.inference_mode():
                if key == "bart":
                    source = torch.tensor([[BOS, MASK, EOS]])
                    logits = sampler.model(input_ids=source, decoder_input_ids=row[:, :place]).logits[0, -1]
                else:
                    logits = sampler.model(input_ids=row[:, :place]).logits[0, -1]
            logits = logits.clone()
            logits[suppressed_ids("expanded")] = -torch.inf
            if place == 1:
                logits[EOS] = -torch.inf
            total += float(logits.log_softmax(-1)[row[0, place]])
        assert together[i] == pytest.approx(total, abs=1e-3)


def test_log_prob_of_what_does_not_fit_is_minus_infinity(checkpoints) -> None:
    values = Sampler(checkpoints("gpt2")).log_prob(CompositionBatch.from_formulas(["NaCl", "KH400"]))
    assert np.isfinite(values[0])
    assert values[1] == -np.inf


def test_accept_keeps_what_it_likes(checkpoints) -> None:
    sampler = Sampler(checkpoints("gpt2"), accept=lambda batch: ~batch.all_metal)
    (block,) = sampler.sample(200)
    assert 0 < len(block) < 200
    assert not CompositionBatch.from_formulas(block.formulas).all_metal.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": -5}, "n is -5"),
        ({"n": 1, "batch_size": 0}, "batch size is 0"),
        ({"n": 1, "seed": -1}, "seed is -1"),
    ],
)
def test_bad_requests(checkpoints, options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        next(Sampler(checkpoints("gpt2")).sample(**options))


@pytest.mark.parametrize("change", [{"temperature": 0.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_bad_decoding(change: dict) -> None:
    with pytest.raises(OptionError, match="must be"):
        Decoding(**change)


def test_a_masked_model_without_lengths_is_refused(few) -> None:
    checkpoint = load_checkpoint(few("roberta"))
    del checkpoint.metadata["length_histogram"]
    with pytest.raises(CheckpointError, match="no length_histogram"):
        next(Sampler(checkpoint).sample(10))
