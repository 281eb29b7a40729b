"""Shared prefixes change nothing but the time: against exact probabilities, `generate`, and one sequence at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2, chisquare

from matgen.composition.batch import CompositionBatch
from matgen.models import load_checkpoint
from matgen.models.tokenizer import BOS, EOS, decode, encode, suppressed_ids
from matgen.sampling import Decoding
from matgen.sampling.decoders import fast_step
from matgen.sampling.decoders.decoding import choose, cut
from matgen.sampling.decoders.prefix_block import uniform_numbers
from matgen.sampling.decoders.prefixes import PrefixDrawer
from matgen.sampling.likelihood import Likelihood
from tests.sampling.conftest import FEW

CACHED = ["gpt2", "gptneo", "gptj", "bart"]


def sequences(ids: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(row[1 : row.index(EOS)]) if EOS in row else tuple(row) for row in ids.tolist()]


@torch.inference_mode()
def one_by_one(checkpoint, n: int, seed: int, block: int, decoding: Decoding) -> list[tuple[int, ...]]:
    """What each sample draws alone, without a cache, by the same random numbers."""
    numbers = np.stack([uniform_numbers(n, seed, block, place) for place in range(128)])
    forbidden = torch.tensor(suppressed_ids(checkpoint.notation))
    source = torch.tensor([[BOS, 4, EOS]])
    rows = []
    for i in range(n):
        ids = [BOS]
        while ids[-1] != EOS and len(ids) < 128:
            inputs = {"input_ids": torch.tensor([ids])}
            if checkpoint.architecture.objective.reads_source:
                inputs = {"input_ids": source, "decoder_input_ids": torch.tensor([ids])}
            logits = checkpoint.model(**inputs).logits[:, -1].float().clone()
            logits[:, forbidden] = -torch.inf
            if len(ids) == 1:
                logits[:, EOS] = -torch.inf
            number = torch.from_numpy(numbers[len(ids), i : i + 1])
            ids.append(int(choose(cut(logits, decoding), torch.zeros(1, dtype=torch.long), number)))
        rows.append(tuple(ids[1 : ids.index(EOS)]) if EOS in ids else tuple(ids))
    return rows


@pytest.mark.parametrize("key", ["gpt", *CACHED])
def test_each_sample_is_what_it_would_be_alone(checkpoints, key: str) -> None:
    checkpoint = load_checkpoint(checkpoints(key))
    decoding = Decoding(0.9, top_p=0.98)
    drawn = PrefixDrawer(checkpoint).draw(120, 3, 1, decoding)
    alone = one_by_one(checkpoint, 120, 3, 1, decoding)
    same = np.mean([a == b for a, b in zip(sequences(drawn.ids), alone, strict=True)])
    assert same > 0.97  # rounding may tip a sample: another number of rows, another order of sums


@pytest.mark.parametrize(
    "key", ["gpt", *(pytest.param(key, marks=pytest.mark.slow) if key == "bart" else key for key in CACHED)]
)
def test_samples_follow_the_exact_distribution(few, key: str) -> None:
    """Chi-square of 8,192 draws against the probability of every sequence of two tokens."""
    checkpoint = load_checkpoint(few(key))
    tokens = sorted({int(t) for t in encode(CompositionBatch.from_formulas(FEW), "expanded")[0].ravel() if t > 31})
    every = list(itertools.product(tokens, repeat=2))
    with torch.inference_mode():
        ids = torch.tensor([[BOS, *s, EOS] for s in every])
        probability = Likelihood(checkpoint).exact(ids).double().exp().numpy()
    assert probability.sum() > 0.9
    drawn = pd.Series(sequences(PrefixDrawer(checkpoint).draw(8192, 5, 0, Decoding()).ids)).value_counts()
    seen = np.array([drawn.get(s, 0) for s in every])
    enough = probability * 8192 >= 8
    expected = np.append(probability[enough] * 8192, 8192 - probability[enough].sum() * 8192)
    observed = np.append(seen[enough], 8192 - seen[enough].sum())
    assert len(observed) > 6
    assert chisquare(observed, expected).pvalue > 1e-4


def test_same_distribution_as_transformers_generate(few) -> None:
    """Two-sample chi-square against `generate` with the checkpoint's own generation settings."""
    checkpoint = load_checkpoint(few("gptj"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = torch.full((3000, 1), BOS)
        theirs = checkpoint.model.generate(
            start, attention_mask=torch.ones_like(start), max_new_tokens=12, do_sample=True
        )
    ours = PrefixDrawer(checkpoint).draw(4000, 1, 0, Decoding()).ids
    counts = [pd.Series(sequences(ids)).value_counts() for ids in (theirs.numpy(), ours)]
    both = pd.concat(counts, axis=1).fillna(0)
    common = both[both.sum(axis=1) >= 20]
    table = np.vstack([common.to_numpy(), both.drop(common.index).sum().to_numpy()])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = ((table - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
    assert chi2.sf(statistic, len(table) - 1) > 1e-4


@pytest.mark.parametrize("key", ["gpt2", "gptj", "gpt"])
def test_width_and_what_was_drawn_before_change_no_bit(checkpoints, key: str) -> None:
    checkpoint = load_checkpoint(checkpoints(key))
    whole = PrefixDrawer(checkpoint).draw(900, 0, 4, Decoding())
    narrow = PrefixDrawer(checkpoint, width=100)
    narrow.draw(50, 7, 0, Decoding())
    parts = narrow.draw(900, 0, 4, Decoding())
    assert (whole.ids == parts.ids).all()
    assert (whole.log_prob == parts.log_prob).all()


@pytest.mark.parametrize("key", ["gpt2", "bart"])
def test_tiles_taken_together_change_no_bit(checkpoints, key: str) -> None:
    """As on a GPU, where samples of several tiles are given their tokens at once."""
    checkpoint = load_checkpoint(checkpoints(key))
    expected = PrefixDrawer(checkpoint).draw(900, 0, 4, Decoding())
    drawer = PrefixDrawer(checkpoint)
    drawer.tiles, drawer.together = (drawer.tiles[-1],), 3
    drawn = drawer.draw(900, 0, 4, Decoding())
    assert (drawn.ids == expected.ids).all()
    assert (drawn.log_prob == expected.log_prob).all()


def test_attention_over_few_tokens_is_torch_s_own() -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(7, 3, 5, generator=generator)
    rows = torch.randn(7, 4, 2, 3, 5, generator=generator)
    keys, values = rows.permute(2, 0, 3, 1, 4)
    expected = torch.nn.functional.scaled_dot_product_attention(query[:, :, None], keys, values, scale=0.7)[:, :, 0]
    torch.testing.assert_close(fast_step.attend_few(query, rows, 0.7), expected)


def test_every_distinct_prefix_is_computed_once(checkpoints) -> None:
    checkpoint = load_checkpoint(checkpoints("gpt2"))
    drawn = PrefixDrawer(checkpoint).draw(500, 2, 0, Decoding())
    prefixes = {
        tuple(row[: i + 1]) for row in drawn.ids.tolist() for i, token in enumerate(row[:127]) if token not in (EOS, 0)
    }
    assert drawn.prefixes == len(prefixes)
    assert drawn.prefixes < sum(len(s) + 1 for s in sequences(drawn.ids))
    assert drawn.computed >= drawn.prefixes


@pytest.mark.parametrize("key", ["gpt2", "bart"])
def test_log_prob_is_that_of_the_sequence(checkpoints, key: str) -> None:
    checkpoint = load_checkpoint(checkpoints(key))
    drawn = PrefixDrawer(checkpoint).draw(400, 2, 0, Decoding(1.3))  # at temperature 1 whatever was drawn with
    read = decode(drawn.ids, "expanded")
    canonical = np.flatnonzero(read.canonical)
    expected = Likelihood(checkpoint).of(read.batch[canonical])
    assert drawn.log_prob[read.rows[canonical]] == pytest.approx(expected, abs=1e-4)


def test_a_prompt_begins_every_sequence(checkpoints) -> None:
    checkpoint = load_checkpoint(checkpoints("gpt2"))
    token = {"Li": 32 + 3 - 1, "O": 32 + 8 - 1}
    drawn = PrefixDrawer(checkpoint).draw(200, 0, 0, Decoding(), prompt=[token["Li"], token["O"]])
    assert (drawn.ids[:, 1] == token["Li"]).all()
    assert (drawn.ids[:, 2] == token["O"]).all()
    assert len(set(sequences(drawn.ids))) > 5
    read = decode(drawn.ids, "expanded")
    canonical = np.flatnonzero(read.canonical)[:20]
    expected = Likelihood(checkpoint).of(read.batch[canonical])
    assert drawn.log_prob[read.rows[canonical]] == pytest.approx(expected, abs=1e-4)


def test_a_sequence_that_never_ends_is_left_open(few) -> None:
    checkpoint = load_checkpoint(few("gpt2"))
    bias = torch.zeros(checkpoint.model.config.vocab_size)
    bias[EOS] = -1e9
    head = checkpoint.model.lm_head
    checkpoint.model.lm_head = torch.nn.Linear(head.in_features, head.out_features)
    checkpoint.model.lm_head.weight.data, checkpoint.model.lm_head.bias.data = head.weight.data, bias
    drawn = PrefixDrawer(checkpoint).draw(30, 0, 0, Decoding())
    assert (drawn.ids[:, 1:] > 31).all()
    assert np.isnan(drawn.log_prob).all()


def test_random_numbers_are_streams_of_their_own() -> None:
    streams = [uniform_numbers(1000, *key) for key in [(0, 0, 1), (0, 0, 2), (0, 1, 1), (1, 0, 1)]]
    assert len({tuple(stream[:5]) for stream in streams}) == 4
    assert (uniform_numbers(10, 0, 0, 1) == streams[0][:10]).all()
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.15 for a, b in itertools.combinations(streams, 2))


@pytest.mark.parametrize("key", ["gpt", "gpt2", "gptneo", "gptj"])
@pytest.mark.parametrize("with_numba", [True, False])
def test_the_step_written_out_gives_the_models_logits(checkpoints, key: str, with_numba: bool, monkeypatch) -> None:
    if not with_numba:
        monkeypatch.setattr(fast_step.Kernel, "load", lambda kernel: None)
    checkpoint = load_checkpoint(checkpoints(key))
    step = fast_step.FastStep.of(checkpoint.model)
    assert step is not None
    assert (step.kernel is not None) == with_numba
    ids = torch.randint(32, 150, (40, 30), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = checkpoint.model(input_ids=ids).logits
        rows = torch.arange(30 * 40).view(30, 40).t().contiguous()
        step.make_room(30 * 40)
        for place in range(30):
            logits = step.logits(ids[:, place], rows[:, : place + 1].contiguous(), 40 * place, 40)
            torch.testing.assert_close(logits, expected[:, place], atol=1e-4, rtol=1e-4)


def test_a_step_that_disagrees_is_not_taken(checkpoints, monkeypatch) -> None:
    checkpoint = load_checkpoint(checkpoints("gptj"))
    assert PrefixDrawer(checkpoint).next_token.fast is not None
    expected = PrefixDrawer(checkpoint).draw(200, 0, 0, Decoding())
    monkeypatch.setattr(fast_step.FastStep, "logits", lambda self, tokens, *rest: torch.zeros(len(tokens), 150))
    general = PrefixDrawer(checkpoint)
    assert general.next_token.fast is None
    drawn = general.draw(200, 0, 0, Decoding())
    assert (drawn.ids == expected.ids).all(axis=1).mean() > 0.98


def test_threads_change_no_bit(checkpoints) -> None:
    checkpoint = load_checkpoint(checkpoints("gptj"))
    before = torch.get_num_threads()
    try:
        drawn = []
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            drawn.append(PrefixDrawer(checkpoint).draw(2000, 0, 0, Decoding()))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    assert (drawn[0].ids == drawn[1].ids).all()
    assert (drawn[0].log_prob == drawn[1].log_prob).all()
