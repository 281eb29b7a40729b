from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.prediction.learned import PropertyExamples, classification_loss, regression_loss
from matgen.prediction.network import CompositionNetwork, NetworkSize

SIZE = NetworkSize(2, 2, 32, 64)


@pytest.fixture(scope="module")
def network() -> CompositionNetwork:
    torch.manual_seed(0)
    network = CompositionNetwork(SIZE)
    torch.nn.init.normal_(network.out[2].weight, std=0.1)
    return network.eval()


def said(network: CompositionNetwork, elements: list[int], fractions: list[float]) -> torch.Tensor:
    with torch.no_grad():
        mean, log_scale = network(torch.tensor([elements]), torch.tensor([fractions]))
    return torch.cat([mean, log_scale])


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.integers(1, 118), st.integers(1, 12), min_size=1, max_size=8), st.randoms(), st.integers(0, 3)
)
def test_neither_order_nor_padding_matters(network, counts: dict[int, int], random, padding: int) -> None:
    total = sum(counts.values())
    pairs = [(z, n / total) for z, n in counts.items()]
    first = said(network, *map(list, zip(*pairs, strict=True)))
    random.shuffle(pairs)
    pairs += [(0, 0.0)] * padding
    assert torch.allclose(said(network, *map(list, zip(*pairs, strict=True))), first, atol=1e-4)


def test_amounts_and_elements_matter(network: CompositionNetwork) -> None:
    base = said(network, [11, 17], [0.5, 0.5])
    assert (said(network, [11, 17], [0.4, 0.6]) - base).abs().max() > 1e-4
    assert (said(network, [19, 17], [0.5, 0.5]) - base).abs().max() > 1e-4


def test_inputs_are_fractions(network: CompositionNetwork) -> None:
    batch = CompositionBatch.from_formulas(["SrTiO3", "NaCl", "Fe"])
    (elements, fractions), needed = network.inputs(batch)
    assert needed.tolist() == [3, 2, 1]
    assert fractions.sum(axis=1) == pytest.approx([1, 1, 1])
    found = dict(zip(elements[0].tolist(), fractions[0].tolist(), strict=True))
    assert found == pytest.approx({38: 0.2, 22: 0.2, 8: 0.6})


def test_the_loss_is_the_absolute_error_and_the_spread_does_not_touch_the_mean(network: CompositionNetwork) -> None:
    elements, fractions = torch.tensor([[11, 17], [38, 8]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    target = torch.tensor([2.0, -1.0])
    mean, log_scale = (part.detach().double().numpy() for part in network(elements, fractions))
    error = np.abs(mean - [2, -1])
    expected = error + 0.1 * (error / np.exp(log_scale) + log_scale)
    loss = regression_loss(network, (elements, fractions, target))
    assert loss.item() == pytest.approx(expected.sum(), rel=1e-4)
    network.zero_grad()
    loss.backward()
    mean_row, scale_row = network.out[2].bias.grad.tolist()
    assert mean_row == pytest.approx(np.sign(mean - [2, -1]).sum())
    assert scale_row == pytest.approx(0.1 * (1 - error / np.exp(log_scale)).sum(), rel=1e-3)
    network.zero_grad()


def test_classes_learn_by_the_nats_of_what_is_true(network: CompositionNetwork) -> None:
    elements, fractions = torch.tensor([[11, 17], [38, 8]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    odds = network(elements, fractions)[0].detach().double().numpy()
    probability = 1 / (1 + np.exp(-odds))
    loss = classification_loss(network, (elements, fractions, torch.tensor([1.0, 0.0])))
    assert loss.item() == pytest.approx(-np.log(probability[0]) - np.log(1 - probability[1]), rel=1e-4)


def test_examples_of_the_training_loop(network: CompositionNetwork) -> None:
    batch = CompositionBatch.from_formulas(["SrTiO3", "NaCl", "LiFePO4"])
    examples = PropertyExamples.of(network, batch, np.array([1.0, 2.0, 3.0]))
    elements, fractions, targets = examples.batch(np.array([1, 0]))
    assert elements.shape == fractions.shape == (2, 3)  # as many as the longest has
    assert elements.dtype == torch.int64
    assert targets.tolist() == [2.0, 1.0]
    assert len(examples.share(0, 2)) == 2
    assert len(examples.share(1, 2)) == 1


def test_sizes_out_of_range() -> None:
    with pytest.raises(OptionError, match="layers is 0"):
        NetworkSize(layers=0)
    with pytest.raises(OptionError, match="not a multiple of 3 heads"):
        NetworkSize(heads=3, width=32)
