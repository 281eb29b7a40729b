from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.models import load_checkpoint
from matgen.models.tokenizer import decode
from matgen.sampling import Constraints, Decoding, Sampler, SampleRequest, sample_to_file
from matgen.sampling.decoders.canvas import CanvasDrawer, Limits
from matgen.sampling.decoders.orders import EXACT_TOKENS


@pytest.fixture
def sampler(checkpoints) -> Sampler:
    return Sampler(checkpoints("blmm"))


@pytest.mark.slow
def test_draws_follow_the_exact_distribution(few) -> None:
    """Frequencies of the compositions of a small model against the sum over orders."""
    sampler = Sampler(few("blmm"))
    n = 20_000
    blocks = list(sampler.sample(n, seed=3))
    formulas, canonical = (np.concatenate([getattr(b, name) for b in blocks]) for name in ("formulas", "canonical"))
    drawn = pd.Series(formulas[canonical]).value_counts()
    common = CompositionBatch.from_formulas(drawn.index[:40])
    short = common.n_atoms <= EXACT_TOKENS
    expected = n * np.exp(sampler.likelihood.summed(common))[short]
    seen = drawn.to_numpy()[:40][short]
    enough = expected > 20
    assert enough.sum() >= 5
    chi_square = ((seen - expected)[enough] ** 2 / expected[enough]).sum()
    assert chi_square < enough.sum() + 5 * np.sqrt(2 * enough.sum())


def test_sharing_canvases_changes_no_distribution(few, monkeypatch) -> None:
    checkpoint = load_checkpoint(few("blmm"))

    def lengths(seed: int) -> np.ndarray:
        return (CanvasDrawer(checkpoint).draw(3000, seed, 0, Decoding()) >= 32).sum(axis=1)

    shared = lengths(0)
    monkeypatch.setattr("matgen.sampling.decoders.canvas._CANVASES", 7)
    assert (np.bincount(lengths(0), minlength=20)[:20] == np.bincount(shared, minlength=20)[:20]).mean() > 0.8
    other = lengths(1)
    table = np.stack([np.bincount(x.clip(max=9), minlength=10) for x in (shared, other)])
    assert chi2_contingency(table[:, table.sum(0) > 10]).pvalue > 1e-4


@pytest.mark.slow
def test_a_prompt_must_leave_room_and_elements(sampler) -> None:
    room = " ".join(["O"] * 125)
    (block,) = sampler.sample(2, prompt=room)
    assert len(block) == 2
    with pytest.raises(OptionError, match="prompt: 126 tokens, BLMM holds 125"):
        next(sampler.sample(2, prompt=room + " O"))
    with pytest.raises(OptionError, match="the prompt has 3 elements, the constraints allow 2"):
        next(sampler.sample(2, prompt="Sr Ti O", constraints=Constraints.from_options(num_elements="2")))


def test_a_trace_goes_from_one_blank_to_the_formula(sampler, tmp_path) -> None:
    (block,) = sampler.sample(50, trace=True)
    assert block.trace is not None
    for steps, formula in zip(block.trace, block.formulas, strict=True):
        canvases = steps.split(" | ")
        assert canvases[0] == "_"
        words = [sum(word != "_" for word in canvas.split()) for canvas in canvases]
        assert words == list(range(len(canvases)))
        assert CompositionBatch.from_formulas(["".join(canvases[-1].split())]).formulas()[0] == formula
    sample_to_file(sampler, SampleRequest(20, trace=True), tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv")["trace"].str.startswith("_ | ").all()
    sample_to_file(sampler, SampleRequest(20, trace=True), tmp_path / "t.parquet")
    assert (
        pd.read_parquet(tmp_path / "t.parquet")["trace"].tolist() == pd.read_csv(tmp_path / "t.csv")["trace"].tolist()
    )


def test_limits_are_kept_to_while_drawing(sampler) -> None:
    elements = np.zeros(119, dtype=bool)
    elements[[3, 8, 22]] = True
    ids = CanvasDrawer(sampler.checkpoint).draw(400, 0, 0, Decoding(), limits=Limits(elements, 4))
    read = decode(ids, "expanded")
    assert len(read.rows) == 400
    assert set(read.batch.elements.ravel()) <= {0, 3, 8, 22}
    assert (ids >= 32).sum(axis=1).max() <= 4


@pytest.mark.slow
@pytest.mark.parametrize("notation", ["expanded", "counted"])
def test_constraints_are_never_broken_and_rows_go_on_until_n(checkpoints, notation: str, tmp_path) -> None:
    sampler = Sampler(checkpoints("blmm", notation))
    constraints = Constraints.from_options(contains="O", exclude="toxic", num_elements="2..4", max_atoms=8, valid=True)
    metadata = sample_to_file(sampler, SampleRequest(60, constraints=constraints), tmp_path / "c.csv")
    formulas = pd.read_csv(tmp_path / "c.csv")["formula"]
    assert metadata["rows"] == len(formulas) == 60
    assert metadata["tally"]["drawn"] > 60
    assert constraints.satisfied(CompositionBatch.from_formulas(formulas)).all()


def test_prompts_stand_before_the_blank(sampler) -> None:
    (block,) = sampler.sample(30, prompt="Na Na")
    with_sodium = [formula for formula in block.formulas if "Na" in formula]
    assert len(with_sodium) == 30
    with pytest.raises(OptionError, match="excluded"):
        next(sampler.sample(5, prompt="Na", constraints=Constraints.from_options(exclude="Na")))
    with pytest.raises(OptionError, match="2 atoms and one more follows"):
        next(sampler.sample(5, prompt="Na Na", constraints=Constraints.from_options(max_atoms=2)))


def test_low_temperature_repeats_and_seeds_differ(sampler) -> None:
    (cold,) = sampler.sample(100, decoding=Decoding(temperature=0.05))
    (warm,) = sampler.sample(100)
    (again,) = sampler.sample(100)
    (other,) = sampler.sample(100, seed=1)
    assert len(set(cold.formulas)) < len(set(warm.formulas)) / 2
    assert (warm.formulas == again.formulas).all()
    assert (warm.formulas != other.formulas).any()


def test_other_models_have_no_trace(checkpoints) -> None:
    with pytest.raises(OptionError, match="has none"):
        next(Sampler(checkpoints("gptj")).sample(5, trace=True))


def test_models_that_write_in_any_order_are_drawn_from_in_fp32(checkpoints) -> None:
    assert Sampler(checkpoints("blmm")).precision == "fp32"
    with pytest.raises(OptionError, match="fp32 only"):
        Sampler(checkpoints("roberta"), precision="bf16")
