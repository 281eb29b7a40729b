from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.blank_likelihood import by_enumeration
from matgen.composition.batch import CompositionBatch
from matgen.models import MODELS
from matgen.models.tokenizer import BOS, EOS, MASK, encode, vocabulary
from matgen.sampling import Constraints, Sampler
from matgen.sampling.constraints.template import completions, mask, read_template, with_insertion
from matgen.sampling.tinkering.infilling import completion_log_prob, filled_places

ALL_ELEMENTS = Constraints().allowed_elements()


@pytest.fixture
def sampler_of(checkpoints):
    return lambda key, notation="expanded": Sampler(checkpoints(key, notation), precision="fp32")


def test_the_tokens_that_fill_a_blank() -> None:
    def shown(formula: str, fill: list[int], blanks: tuple[int, ...], notation: str) -> str:
        ids, _ = encode(CompositionBatch.from_formulas([formula]), notation)
        places = filled_places(ids, np.array([fill], dtype=np.uint8), blanks, notation)[0]
        return " ".join(vocabulary(notation).tokens[i] for i in ids[0, places])

    assert shown("SrTiO3", [38], (1,), "expanded") == "Sr"
    assert shown("SrTiO3", [8], (2,), "expanded") == "O O"
    assert shown("SrTiO3", [22, 8], (1, 3), "expanded") == "Ti O O O"
    assert shown("Ti2O3", [22], (1,), "expanded") == "Ti"  # one of two came in
    assert shown("Ti2O3", [22], (1,), "counted") == "Ti2"
    assert shown("SrTiO3", [8], (3,), "counted") == "O3"


@pytest.mark.parametrize("key", MODELS)
@pytest.mark.parametrize("notation", ["expanded", "counted"])
def test_every_model_weighs_every_completion(sampler_of, key: str, notation: str) -> None:
    if notation == "counted" and key not in ("gptj", "blmm"):
        pytest.skip("one causal and one other model say enough")
    sampler = sampler_of(key, notation)
    template = mask("SrTiO3", "Sr")
    filled = completions(template, ALL_ELEMENTS)
    weights = completion_log_prob(sampler, template, filled)
    assert np.isfinite(weights).all()
    again = completion_log_prob(sampler, template, filled[::-1])[::-1]
    assert again == pytest.approx(weights, abs=1e-3)
    probability = np.exp(weights - np.logaddexp.reduce(weights))
    known = [str(f) for f in filled.batch.formulas()[np.argsort(-probability)[:30]]]
    # Trained on 600 compounds for three epochs, each finds metals likelier than noble gases.
    assert not {"HeTiO3", "TiHeO3", "TiXeO3", "RnTiO3"} & set(known[:5])
    assert sampler.checkpoint.architecture.objective.completion


def test_causal_weights_are_the_probabilities_of_whole_sequences(sampler_of) -> None:
    sampler = sampler_of("gptj")
    template = read_template("_ _ O3")
    filled = completions(template, ALL_ELEMENTS)[::50]
    assert completion_log_prob(sampler, template, filled) == pytest.approx(sampler.log_prob(filled.batch), abs=1e-3)


@pytest.mark.parametrize("key", ["blmm", "roberta"])
def test_any_order_weights_sum_the_orders_that_fill_the_blanks_last(sampler_of, key: str) -> None:
    sampler = sampler_of(key)
    template = read_template("_ Ti O O")
    filled = completions(template, ALL_ELEMENTS)[:100:9]
    weights = completion_log_prob(sampler, template, filled)
    ids, _ = encode(filled.batch, "expanded")
    last = filled_places(ids, filled.fills, template.blanks, "expanded")
    expected = [
        by_enumeration(sampler.model, row, "expanded", last=tuple(np.flatnonzero(places).tolist()))[0]
        for row, places in zip(ids.tolist(), last, strict=True)
    ]
    assert weights - weights[0] == pytest.approx(np.array(expected) - expected[0], abs=1e-3)


def test_bart_rewrites_the_masked_formula(sampler_of) -> None:
    """Within completions whose blank is at the same place, weights go as transformers' own decoder says."""
    sampler = sampler_of("bart")
    template = mask("SrTiO3", "Sr")
    filled = completions(template, ALL_ELEMENTS)
    weights = completion_log_prob(sampler, template, filled)
    rows = [i for i, fill in enumerate(filled.fills[:, 0]) if fill in (38, 56, 20)]  # Sr, Ba, Ca before Ti
    ids, _ = encode(filled.batch[np.array(rows)], "expanded")
    target = torch.from_numpy(ids).long()
    source = torch.tensor([[BOS, MASK, *target[0, 2:-1].tolist(), EOS]]).expand(len(rows), -1)
    with torch.no_grad():
        logits = sampler.model(input_ids=source, decoder_input_ids=target[:, :-1]).logits.double()
    logits[..., :2] = logits[..., 3:32] = -torch.inf  # special tokens but the end
    logits[:, 0, EOS] = -torch.inf
    expected = logits.log_softmax(-1).gather(2, target[:, 1:, None]).sum(dim=(1, 2)).numpy()
    assert weights[rows] - weights[rows[0]] == pytest.approx(expected - expected[0], abs=1e-3)


def test_what_is_longer_than_the_model_is_impossible(sampler_of) -> None:
    template = with_insertion("C30H95", 1)
    filled = completions(template, ALL_ELEMENTS)[:3]
    assert np.isfinite(completion_log_prob(sampler_of("blmm"), template, filled, n_mc=1)).all()
    template = with_insertion("C30H97", 1)
    filled = completions(template, ALL_ELEMENTS)[:3]
    for key in ("gptj", "blmm", "bart"):
        assert np.isneginf(completion_log_prob(sampler_of(key), template, filled)).all()
