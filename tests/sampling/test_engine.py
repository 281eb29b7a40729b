from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.errors import CheckpointError, OptionError
from matgen.models import MODELS, load_checkpoint
from matgen.models.tokenizer import BOS, EOS, MASK, encode, suppressed_ids
from matgen.sampling import Constraints, Decoding, SampleBlock, Sampler, SampleRequest, engine
from matgen.sampling.decoders.prefixes import PrefixDrawer
from tests.sampling.conftest import FEW


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=pytest.mark.slow) if MODELS[key].any_order else key for key in MODELS]
)
def test_blocks(checkpoints, key: str) -> None:
    sampler = Sampler(checkpoints(key), precision="fp32")
    (block,) = sampler.sample(300, seed=3)
    (again,) = sampler.sample(300, seed=3)
    (other,) = sampler.sample(300, seed=4)
    assert (block.formulas == again.formulas).all()
    assert np.array_equal(block.log_prob, again.log_prob, equal_nan=True)
    assert (block.formulas != other.formulas).any()
    assert block.drawn == len(block) == 300
    finished = ~np.isnan(block.log_prob)
    assert finished.mean() > 0.9
    assert block.unfinished == (~finished).sum()
    assert (block.log_prob[finished] < 0).all()
    read = CompositionBatch.from_formulas(block.formulas[finished])
    assert (read.keys() == block.keys[finished]).all()
    # Equal formulas have equal probabilities.
    assert block.log_prob[finished] == pytest.approx(
        sampler.likelihood.summed(read, exact_tokens=engine.QUICK_TOKENS), abs=1e-3
    )


@pytest.mark.parametrize("key", ["gpt", "gpt2"])
def test_one_row(checkpoints, key: str) -> None:
    """Nothing of it may be left to look up afterwards, or all of it."""
    for seed in range(8):
        (block,) = Sampler(checkpoints(key), precision="fp32").sample(1, seed=seed)
        assert len(block) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("key", "size"), [("blmm", 8200), ("roberta", 2100)])
def test_blocks_larger_than_usual_are_filled(few, key: str, size: int) -> None:
    sampler = Sampler(few(key))
    (block,) = sampler.sample(size, block_size=size)
    assert len(block) == size


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
    drawn = np.concatenate([sampler.draw_ids(2048, seed=5, block=b, decoding=Decoding())[0] for b in range(4)])
    counts = dict.fromkeys(sequences, 0)
    for row in drawn.tolist():
        key = tuple(row[1 : row.index(EOS)])
        if key in counts:
            counts[key] += 1
    enough = probability * len(drawn) >= 8
    expected = np.append(probability[enough], 1 - probability[enough].sum()) * len(drawn)
    seen = np.array([counts[s] for s, e in zip(sequences, enough, strict=True) if e])
    assert chisquare(np.append(seen, len(drawn) - seen.sum()), expected).pvalue > 1e-4


def test_blocks_of_a_run(checkpoints) -> None:
    sampler = Sampler(checkpoints("gpt2"))
    assert [sampler.block_size(n) for n in (1, 16_384, 16_385, 10**7)] == [16_384, 16_384, 131_072, 131_072]
    blocks = list(sampler.sample(250, seed=0, block_size=100))
    assert [(block.number, len(block)) for block in blocks] == [(0, 100), (1, 100), (2, 50)]
    assert len(set(blocks[1].formulas) & set(blocks[0].formulas)) < 60  # blocks are not copies of one another


def assert_equal(one: SampleBlock, other: SampleBlock) -> None:
    assert (one.number, one.drawn, one.unfinished) == (other.number, other.drawn, other.unfinished)
    assert one.formulas.tolist() == other.formulas.tolist()
    assert np.array_equal(one.log_prob, other.log_prob, equal_nan=True)
    assert (one.canonical == other.canonical).all()
    assert (one.keys == other.keys).all()


@pytest.mark.parametrize("reads_ahead", [False, True])
def test_blocks_are_those_drawn_one_by_one(checkpoints, reads_ahead: bool) -> None:
    sampler = Sampler(checkpoints("gpt2"))
    assert not sampler.reads_ahead
    prepared = sampler.prepare(SampleRequest(250, seed=3, block_size=100, most_draws=250))
    assert (prepared.n_blocks, [prepared.rows_of(number) for number in range(3)]) == (3, [100, 100, 50])
    alone = [next(sampler.blocks(prepared, [number])) for number in range(3)]
    sampler.reads_ahead = reads_ahead
    for block, expected in zip(sampler.blocks(prepared), alone, strict=True):
        assert_equal(block, expected)
    for block, expected in zip(sampler.blocks(prepared, [2, 0]), [alone[2], alone[0]], strict=True):
        assert_equal(block, expected)
    for block, expected in zip(sampler.sample(250, seed=3, block_size=100), alone, strict=True):
        assert_equal(block, expected)


@pytest.mark.parametrize(("reads_ahead", "after_first"), [(False, "draw 0, read 0"), (True, "draw 0, draw 1, read 0")])
def test_the_next_block_is_launched_before_one_is_read(
    checkpoints, monkeypatch, reads_ahead: bool, after_first: str
) -> None:
    """And numbers are taken one at a time, none beyond the block that is launched."""
    sampler = Sampler(checkpoints("gpt2"))
    sampler.reads_ahead = reads_ahead
    prepared = sampler.prepare(SampleRequest(300, block_size=100))
    events: list[str] = []

    def numbers() -> Iterator[int]:
        for number in range(3):
            events.append(f"draw {number}")
            yield number

    read = sampler._read

    def reading(drawn: Any, accept: Any) -> SampleBlock:
        events.append(f"read {drawn.number}")
        return read(drawn, accept)

    monkeypatch.setattr(sampler, "_read", reading)
    with closing(sampler.blocks(prepared, numbers())) as blocks:
        assert next(blocks).number == 0
        assert ", ".join(events) == after_first
    assert ", ".join(events) == after_first  # closing draws no further block
    assert next(blocks, None) is None


def test_an_error_of_a_block_read_ahead_is_raised_in_its_place(checkpoints, monkeypatch) -> None:
    sampler = Sampler(checkpoints("gpt2"))
    sampler.reads_ahead = True
    draw_ids = sampler.draw_ids

    def failing(*arguments: Any, block: int, **options: Any):
        if block == 1:
            raise RuntimeError("no block 1")
        return draw_ids(*arguments, block=block, **options)

    monkeypatch.setattr(sampler, "draw_ids", failing)
    blocks = sampler.sample(300, block_size=100)
    assert next(blocks).number == 0
    with pytest.raises(RuntimeError, match="no block 1"):
        next(blocks)


def test_a_request_is_sampled_until_there_are_enough_rows(checkpoints) -> None:
    sampler = Sampler(checkpoints("gpt2"))
    request = SampleRequest(150, seed=2, block_size=100, unique=True)
    rows = [formula for block in sampler.sample(request) for formula in block.formulas]
    drawn = [f for block in sampler.sample(1000, seed=2, block_size=100) for f in block.formulas if "…" not in f]
    assert rows == list(dict.fromkeys(drawn))[:150]
    (first, *_) = sampler.sample(request, seed=3)
    assert first.formulas.tolist() != rows[: len(first)]
    timed = list(sampler.sample(SampleRequest(500, block_size=100, max_minutes=1e-9)))
    assert [block.number for block in timed] == [0]


def test_options_under_their_names_of_0_2(checkpoints) -> None:
    sampler = Sampler(checkpoints("gpt2"))
    constraints = Constraints.from_options(contains="O")
    former = sampler.sample(n=150, size=100, constraints=constraints, exact=True, decoding=None)
    present = sampler.sample(150, block_size=100, constraints=constraints, rejection=True)
    for one, other in zip(former, present, strict=True):
        assert_equal(one, other)


def test_log_prob_of_what_does_not_fit_is_minus_infinity(checkpoints) -> None:
    values = Sampler(checkpoints("gpt2")).log_prob(CompositionBatch.from_formulas(["NaCl", "KH400"]))
    assert np.isfinite(values[0])
    assert values[1] == -np.inf


def test_accept_keeps_what_it_likes(checkpoints) -> None:
    sampler = Sampler(checkpoints("gpt2"), accept=lambda batch: ~batch.all_metal)
    (block,) = sampler.sample(200)
    assert 0 < len(block) < 200 == block.drawn
    assert not CompositionBatch.from_formulas(block.formulas).all_metal.any()


@pytest.mark.parametrize("notation", ["expanded", "counted"])
def test_masked_constraints_hold_and_exact_ones_are_the_conditional_distribution(checkpoints, notation: str) -> None:
    sampler = Sampler(checkpoints("gpt2", notation))
    constraints = Constraints.from_options(contains="O", num_elements="2..3", valid=True)
    (masked,) = sampler.sample(400, constraints=constraints)
    assert len(masked) == 400
    assert constraints.satisfied(CompositionBatch.from_formulas(masked.formulas)).all()
    (free,) = sampler.sample(2000, seed=1)
    (exact,) = sampler.sample(2000, seed=1, constraints=constraints, rejection=True)
    good = constraints.satisfied(CompositionBatch.from_formulas(free.formulas))
    assert exact.formulas.tolist() == free.formulas[good].tolist()
    assert 0 < len(exact) < 2000


def test_memory_that_runs_out_halves_the_width_and_changes_nothing(checkpoints, monkeypatch) -> None:
    sampler = Sampler(checkpoints("gpt2"), width=4096)
    (expected,) = sampler.sample(300)
    original = PrefixDrawer.draw

    def short_of_memory(self: PrefixDrawer, *arguments: object, **options: object):
        if self.width > 600:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] not enough memory: you tried to allocate 1 TB")
        return original(self, *arguments, **options)

    monkeypatch.setattr(PrefixDrawer, "draw", short_of_memory)
    (narrower,) = sampler.sample(300)
    assert (narrower.formulas == expected.formulas).all()
    monkeypatch.setattr(PrefixDrawer, "draw", lambda *a, **o: (_ for _ in ()).throw(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        next(sampler.sample(300))


def test_bf16_draws_from_nearly_the_same_distribution(checkpoints) -> None:
    exact, rounded = (Sampler(checkpoints("gpt2"), precision=name) for name in ("fp32", "bf16"))
    assert (exact.precision, rounded.precision) == ("fp32", "bf16")
    (block,) = rounded.sample(400)
    batch = CompositionBatch.from_formulas(block.formulas)
    difference = exact.log_prob(batch)[block.canonical] - block.log_prob[block.canonical]
    assert 0 < np.abs(difference).mean() < 0.1
    assert abs(difference.mean()) < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": -5}, "n is -5"),
        ({"n": 1, "block_size": 0}, "block size is 0"),
        ({"n": 1, "seed": -1}, "seed is -1"),
        ({"n": 1, "prompt": "Li Xx"}, "'Xx' is not a token of the notation expanded"),
        ({"n": 1, "prompt": "Li O3"}, "'O3' is not a token of the notation expanded"),
    ],
)
def test_bad_requests(checkpoints, options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        next(Sampler(checkpoints("gpt2")).sample(**options))


def test_bad_samplers(checkpoints) -> None:
    with pytest.raises(OptionError, match="batch size is 0"):
        Sampler(checkpoints("gpt2"), width=0)
    with pytest.raises(OptionError, match="unknown precision 'fp8'; known: auto, bf16, fp32"):
        Sampler(checkpoints("gpt2"), precision="fp8")
    masked = Sampler(checkpoints("roberta"))
    with pytest.raises(OptionError, match="RoBERTa writes tokens in any order"):
        next(masked.sample(5, prompt="Li"))
    with pytest.raises(OptionError, match="--rejection only"):
        next(masked.sample(5, constraints=Constraints.from_options(contains="O")))


def test_a_masked_model_without_lengths_is_refused(few) -> None:
    checkpoint = load_checkpoint(few("roberta"))
    del checkpoint.metadata["length_histogram"]
    with pytest.raises(CheckpointError, match="no length_histogram"):
        next(Sampler(checkpoint).sample(10))


@pytest.mark.parametrize("key", ["gptj", "gpt", "bart"])
def test_scores_that_share_beginnings_equal_those_that_do_not(checkpoints, key: str, monkeypatch) -> None:
    sampler = Sampler(checkpoints(key), precision="fp32")
    batch = CompositionBatch.from_formulas([*(f"Na{i}Cl{j}" for i, j in ((1, 1), (2, 3), (3, 2))), "Fe2O3", "C30H101"])
    plain = sampler.likelihood.of(batch)
    monkeypatch.setattr("matgen.sampling.likelihood._FEWEST_SHARING", 1)
    monkeypatch.setattr("matgen.sampling.likelihood._SHARING", 3)
    assert sampler.likelihood.summed(batch) == pytest.approx(plain, abs=1e-3)


def test_elements_that_training_never_showed_are_refused_and_never_drawn_under_a_mask(checkpoints) -> None:
    sampler = Sampler(checkpoints("gptj"))
    with pytest.raises(OptionError, match="does not know Og"):
        next(sampler.sample(5, constraints=Constraints.from_options(contains="Og-O")))
    (block,) = sampler.sample(
        200, constraints=Constraints.from_options(num_elements="2..3"), decoding=Decoding(temperature=9)
    )
    drawn = CompositionBatch.from_formulas(block.formulas).elements
    seen = {ATOMIC_NUMBER[symbol] for symbol in sampler.checkpoint.metadata["elements"]}
    assert set(drawn[drawn > 0].tolist()) <= seen
    assert len(seen) < 118
