"""Conditional models, trained and drawn from, against transformers' own model with the first embedding replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.io.files import read_json
from matgen.models.checkpoint import load_checkpoint
from matgen.models.tokenizer import BOS, FIRST_CONDITION, FIRST_ELEMENT, encode, vocabulary
from matgen.sampling import Constraints, Decoding, Sampler, SampleRequest

pytestmark = pytest.mark.slow  # the model of all of them is trained


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Oxides with a low `size` and chlorides with a high one, some with none."""
    frame = load_dataset("hybrid-pure").frame
    names = frame["formula"].astype(str)
    oxides = names[names.str.fullmatch(r"(?:(?:Li|Na|K|Mg|Ca|Sr|Ti|Fe|Al)\d*)+O\d*")].iloc[:700]
    chlorides = names[names.str.fullmatch(r"(?:(?:Li|Na|K|Mg|Ca|Sr|Ti|Fe|Al|Cs|Rb)\d*)+Cl\d*")].iloc[:300]
    rng = np.random.default_rng(0)
    sizes = np.concatenate([rng.uniform(0, 1, len(oxides)), rng.uniform(5, 6, len(chlorides))])
    sizes[::17] = np.nan
    path = tmp_path_factory.mktemp("conditional") / "sizes.csv"
    pd.DataFrame({"formula": [*oxides, *chlorides], "size": sizes}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("conditional") / "run"
    command = [
        "train",
        "--model",
        "gpt2",
        "--dataset",
        str(table),
        "--condition",
        "size",
        "--epochs",
        "30",
        "--optimizer",
        "muon",
        "--preset",
        "tiny",
    ]
    assert main([*command, "--batch-size", "32", "--quiet", "--out", str(out)]) == 0
    return out


def test_samples_follow_their_condition(run: Path, tmp_path: Path) -> None:
    shares = {}
    for name, condition in {"low": ["size=0..1"], "high": ["size=5.."], "free": []}.items():
        out = tmp_path / f"{name}.csv"
        more = ["--condition", *condition] if condition else []
        assert main(["sample", "-n", "500", "--model", str(run), *more, "--quiet", "--out", str(out)]) == 0
        batch = CompositionBatch.from_formulas(pd.read_csv(out)["formula"])
        shares[name] = float((batch.elements == 17).any(axis=1).mean())
        assert read_json(f"{out}.json")["conditions"] == condition
    assert shares["low"] < 0.5 * shares["free"], shares
    assert shares["high"] > 2 * shares["free"], shares


def conditioned_by_hand(run: Path, combination: int) -> torch.nn.Module:
    """transformers' model, its `<bos>` embedding replaced by that of a combination."""
    checkpoint = load_checkpoint(run)
    tokens = checkpoint.conditions.tokens()[combination]
    weight = checkpoint.model.get_input_embeddings().weight
    with torch.no_grad():
        weight[BOS] += weight[FIRST_CONDITION + np.flatnonzero(tokens)].sum(0)
    return checkpoint.model


def test_probabilities_are_those_of_transformers(run: Path) -> None:
    sampler = Sampler(run, precision="fp32")
    (block,) = sampler.sample(60, seed=3, conditions=["size=5.5"])
    weights = sampler.prepare(SampleRequest(60, conditions=("size=5.5",))).condition_weights
    (combination,) = np.flatnonzero(weights)
    model = conditioned_by_hand(run, combination)
    ids, lengths = encode(CompositionBatch.from_formulas(block.formulas), sampler.notation)
    ids = torch.from_numpy(ids.astype(np.int64))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    logits[:, :, [i for i in range(FIRST_ELEMENT) if i != 2]] = -torch.inf
    logits[:, 0, 2] = -torch.inf  # an empty formula is no formula
    log_prob = logits.double().log_softmax(-1)[:, :-1].gather(2, ids[:, 1:, None]).squeeze(2)
    for i, length in enumerate(lengths):
        assert block.log_prob[i] == pytest.approx(float(log_prob[i, : length - 1].sum()), abs=1e-3)


def test_without_conditions_it_is_an_unconditional_model(run: Path) -> None:
    checkpoint = load_checkpoint(run)
    assert checkpoint.conditions is not None
    (conditional,) = Sampler(checkpoint).sample(200, seed=1)
    del checkpoint.model.start_tokens
    (unconditional,) = Sampler(checkpoint).sample(200, seed=1)
    assert (conditional.formulas == unconditional.formulas).all()
    assert conditional.log_prob == pytest.approx(unconditional.log_prob)


def test_draws_depend_on_neither_width_nor_how_many_are_asked_for(run: Path) -> None:
    narrow, wide = Sampler(run, width=3), Sampler(run)
    (few,) = narrow.sample(100, seed=5, conditions=["size=.."], block_size=400)
    (many,) = wide.sample(300, seed=5, conditions=["size=.."], block_size=400)
    assert (few.formulas == many.formulas[:100]).all()
    assert few.log_prob == pytest.approx(many.log_prob[:100], abs=1e-6)


def test_guidance_strengthens_conditions(run: Path) -> None:
    def chlorides(guidance: float, condition: str) -> float:
        request = SampleRequest(1_000, seed=2, conditions=(condition,), decoding=Decoding(guidance=guidance))
        (block,) = Sampler(run).sample(request)
        return float((CompositionBatch.from_formulas(block.formulas).elements == 17).any(axis=1).mean())

    assert chlorides(4, "size=..1") < chlorides(1, "size=..1") < chlorides(1, "size=5..") < chlorides(4, "size=5..")


def test_conditions_and_constraints_together(run: Path) -> None:
    constraints = Constraints.from_options(contains="Na", num_elements="3")
    chlorides = []
    for condition in ("size=..1", "size=5..6"):
        (block,) = Sampler(run).sample(300, seed=2, conditions=[condition], constraints=constraints)
        batch = CompositionBatch.from_formulas(block.formulas)
        assert constraints.satisfied(batch).all()
        chlorides.append((batch.elements == 17).any(axis=1).mean())
    assert chlorides[1] > 2 * chlorides[0]


def test_sequences_begin_with_their_own_combination(run: Path) -> None:
    metadata = read_json(run / "matgen.json")
    assert metadata["condition"] == ["size"]
    counts = np.array(metadata["conditions"]["counts"])
    assert counts.sum() == metadata["formulas"]["train"]
    assert 0.03 < counts[0] / counts.sum() < 0.1  # those with no size
    assert len(vocabulary("counted")) + len(counts) < 2**15


def test_refusals(run: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--quiet", "--out", str(tmp_path / "x.csv")]
    for command, message in [
        (["sample", "--model", str(run), "--condition", "size=7..8", *out], "it was trained on"),
        (["sample", "--condition", "size=1..2", *out], "takes no conditions: train a model"),
        (["sample", "--model", str(run), "--top", "5", "--condition", "size=1", *out], "takes constraints and nothing"),
        (["train", "--dataset", str(table), "--condition", "weight", *out], "no column 'weight'"),
        (["train", "--dataset", str(table), "--condition", "formula", *out], "holds text"),
        (
            ["train", "--model", "roberta", "--dataset", str(table), "--condition", "size", *out],
            "cannot be conditioned on properties: take one of gpt, gpt2, gptneo, gptj",
        ),
    ]:
        assert main(command) == 2, command
        message_shown = capsys.readouterr().err
        assert message in message_shown
        assert message_shown.count("\n") == 1
