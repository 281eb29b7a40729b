"""Guidance against transformers' model read twice, with and without its condition, one sample at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from matgen.cli import main
from matgen.io.files import read_json
from matgen.models import build_model, load_checkpoint, save_checkpoint
from matgen.models.conditions import Conditions, attach_conditions
from matgen.models.tokenizer import BOS, EOS, FIRST_CONDITION, N_CONDITIONS, suppressed_ids, vocabulary
from matgen.sampling import Decoding, Sampler, SampleRequest
from matgen.sampling.decoders.decoding import choose
from matgen.sampling.decoders.prefix_block import uniform_numbers

N, SEED = 30, 3
LOOKED_AT = 8
"""Tokens of each sample that are compared."""


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, whose conditions tell and whose sequences end soon."""
    gaps = np.concatenate([np.zeros(50), np.linspace(0.1, 6, 50)])
    conditions, _ = Conditions.of({"band_gap": gaps})
    model = build_model("gptj", "tiny", "counted", seed=0)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        weight = model.get_input_embeddings().weight
        own = slice(FIRST_CONDITION, FIRST_CONDITION + N_CONDITIONS)
        weight[own] = torch.randn(weight[own].shape, generator=generator) * 0.1
        model.lm_head.weight.mul_(10)
        model.lm_head.bias[EOS] += 10
    attach_conditions(model, conditions)
    folder = tmp_path_factory.mktemp("guidance") / "conditional"
    save_checkpoint(folder, model, {"architecture": "gptj", "notation": "counted", "conditions": conditions.describe()})
    return folder


def requested(guidance: float, condition: str = "band_gap=1..4", **more) -> SampleRequest:
    return SampleRequest(N, seed=SEED, conditions=(condition,), decoding=Decoding(guidance=guidance), **more)


@torch.inference_mode()
def alone(model: torch.nn.Module, start: torch.Tensor, ids: list[int], notation: str) -> torch.Tensor:
    """Logits after a sequence that begins with an embedding, float64 `(1, vocabulary)`, forbidden ones at -inf."""
    embedded = torch.cat([start[None], model.get_input_embeddings().weight[ids[1:]]])
    logits = model(inputs_embeds=embedded[None]).logits[:, -1].double().clone()
    logits[:, suppressed_ids(notation)] = -torch.inf
    if len(ids) == 1:
        logits[:, EOS] = -torch.inf
    return logits


@pytest.mark.parametrize("guidance", [0.5, 1.0, 3.0])
def test_each_sample_is_what_it_would_be_alone(conditional: Path, guidance: float) -> None:
    """By the same random numbers; what is reported is its probability given the condition, without guidance."""
    sampler = Sampler(conditional, precision="fp32")
    prepared = sampler.prepare(requested(guidance))
    starts = sampler.starts(prepared, 0)
    assert starts is not None and len(np.unique(starts)) > 3
    ids, log_prob = sampler.draw_ids(N, seed=SEED, block=0, decoding=prepared.request.decoding, starts=starts)
    assert log_prob is not None
    checkpoint = load_checkpoint(conditional)
    assert checkpoint.conditions is not None
    weight = checkpoint.model.get_input_embeddings().weight
    tokens = checkpoint.conditions.tokens()[starts - len(vocabulary("counted"))]
    numbers = np.stack([uniform_numbers(N, SEED, 0, place) for place in range(LOOKED_AT)])
    same = []
    for i in range(N):
        start = weight[BOS] + weight[FIRST_CONDITION + np.flatnonzero(tokens[i])].sum(0)
        sequence, nats = [BOS], 0.0
        while sequence[-1] != EOS and len(sequence) < LOOKED_AT:
            given = alone(checkpoint.model, start, sequence, "counted")
            free = alone(checkpoint.model, weight[BOS], sequence, "counted")
            mixed = torch.where(torch.isfinite(free), free + guidance * (given - free), -torch.inf)
            number = torch.from_numpy(numbers[len(sequence), i : i + 1])
            sequence.append(int(choose(mixed, torch.zeros(1, dtype=torch.long), number)))
            nats += float(given.log_softmax(1)[0, sequence[-1]])
        drawn = ids[i].tolist()
        same.append(drawn[: len(sequence)] == sequence)
        if same[-1] and sequence[-1] == EOS:  # else it goes on
            assert log_prob[i] == pytest.approx(nats, abs=1e-3)
    assert np.mean(same) > 0.95  # rounding may tip a sample


def test_guidance_moves_draws_and_neither_width_nor_number_does(conditional: Path) -> None:
    narrow, wide = Sampler(conditional, width=10, precision="fp32"), Sampler(conditional, precision="fp32")
    (one,) = narrow.sample(requested(2.5, block_size=400))
    (other,) = wide.sample(
        SampleRequest(2 * N, SEED, Decoding(guidance=2.5), conditions=("band_gap=1..4",), block_size=400)
    )
    assert (one.formulas == other.formulas[:N]).all()
    (plain,) = wide.sample(requested(1.0, block_size=400))
    assert (plain.formulas != one.formulas).mean() > 0.2


def test_guidance_needs_a_condition(conditional: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sample", "-n", "5", "--model", str(conditional), "--precision", "fp32"]
    for value, message in (("2", "guidance is how closely samples follow conditions"), ("0", "--guidance is 0, it")):
        assert main([*command, "--guidance", value, "--out", str(tmp_path / "a.csv")]) == 2
        assert message in capsys.readouterr().err
    given = [*command, "--condition", "band_gap=3", "--quiet", "--guidance"]
    assert main([*given, "2", "--out", str(tmp_path / "a.csv")]) == 0
    assert read_json(tmp_path / "a.csv.json")["guidance"] == 2
    assert main([*given, "1", "--out", str(tmp_path / "b.csv")]) == 0
    assert "guidance" not in read_json(tmp_path / "b.csv.json")  # so that files begun by 0.2 can be resumed
