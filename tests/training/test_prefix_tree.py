"""Losses and gradients of the prefix tree against transformers' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.models import build_model
from matgen.models.tokenizer import PAD, encode
from matgen.training import prefix_tree_operations as shared_operations
from matgen.training.prefix_tree import PrefixTree, PrefixTreeLoss

FORMULAS = ["SrTiO3", "SrTiO2", "BaTiO3", "NaCl", "Y3Al5O12", "SrTiO3", "KCl", "KBr", "LiFePO4"]
CAUSAL = ["gpt", "gpt2", "gptneo", "gptj"]


@pytest.fixture(params=[True, False], ids=["numba", "torch"])
def with_numba(request, monkeypatch) -> bool:
    if not request.param:
        monkeypatch.setattr(shared_operations, "load_kernel", lambda name: None)
    return request.param


def ids_of(formulas: list[str], notation: str = "expanded") -> torch.Tensor:
    return torch.from_numpy(encode(CompositionBatch.from_formulas(formulas), notation)[0]).long()


def theirs(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """transformers' mean loss over the predicted tokens, as a sum."""
    labels = ids.masked_fill(ids == PAD, -100)
    # Every token but <bos> is predicted: the released scripts trained on a random tenth of the places instead.
    return model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=labels).loss * (labels[:, 1:] >= 0).sum()


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("key", CAUSAL)
def test_loss_and_gradient_are_transformers_own(with_numba: bool, key: str) -> None:
    model = build_model(key, "tiny", "expanded", seed=3).eval()
    ids = ids_of(FORMULAS)
    expected = theirs(model, ids)
    of_expected = gradients(model, expected)
    found = PrefixTreeLoss(model).eval()(ids)
    of_found = gradients(model, found)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert set(of_found) == set(of_expected)
    for name, value in of_expected.items():
        torch.testing.assert_close(of_found[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()) + 1e-6)


@pytest.mark.parametrize("key", CAUSAL)
def test_bf16_differs_by_rounding_only(with_numba: bool, key: str) -> None:
    model = build_model(key, "tiny", "counted", seed=3).eval()
    learner, ids = PrefixTreeLoss(model).eval(), ids_of(FORMULAS, "counted")
    exact = gradients(model, learner(ids))
    with torch.autocast("cpu", torch.bfloat16):
        loss = learner(ids)
    rounded = gradients(model, loss)
    total = sum(float((rounded[name] - value).square().sum()) for name, value in exact.items())
    assert total < 0.03**2 * sum(float(value.square().sum()) for value in exact.values())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads: int) -> None:
    """Every head and every element is one thread's, so sums have one order."""
    before = torch.get_num_threads()
    tree = PrefixTree.of(ids_of(FORMULAS)[:, :-1])
    mixed = torch.randn(len(tree.token), 3 * 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
    results = []
    try:
        for used in (1, threads):
            torch.set_num_threads(used)
            torch.manual_seed(0)
            mixed.grad = None
            out = shared_operations.attention(mixed, tree, 4, 0.2, None, 0.1)
            out = shared_operations.add_dropped(mixed[:, :128], out, 0.1)
            out.square().sum().backward()
            results.append((out.detach().clone(), mixed.grad.clone()))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@given(st.lists(st.lists(st.integers(32, 35), min_size=1, max_size=5), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_node_is_a_distinct_beginning(rows: list[list[int]]) -> None:
    length = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (length - len(row)) for row in rows])
    tree = PrefixTree.of(ids)
    prefixes = {}
    for i, row in enumerate(ids.tolist()):
        for place in range(length):
            node = int(tree.node[i, place])
            assert prefixes.setdefault(node, tuple(row[: place + 1])) == tuple(row[: place + 1])
            assert int(tree.token[node]) == row[place]
            assert int(tree.place[node]) == place
            assert tree.above[node, : place + 1].tolist() == tree.node[i, : place + 1].tolist()
    assert len(set(prefixes.values())) == len(prefixes) == len(tree.token)


def test_dropout_leaves_out_its_share_and_keeps_the_mean(with_numba: bool) -> None:
    x, y = torch.zeros(500, 40), torch.ones(500, 40, requires_grad=True)
    torch.manual_seed(0)
    out = shared_operations.add_dropped(x, y, 0.25)
    out.sum().backward()
    left_out = (out == 0).float().mean()
    assert float(left_out) == pytest.approx(0.25, abs=0.01)
    assert float(out.detach().mean()) == pytest.approx(1, abs=0.02)
    assert torch.equal(y.grad, out.detach())
    torch.manual_seed(0)
    assert torch.equal(shared_operations.add_dropped(x, y, 0.25), out)
    assert not torch.equal(shared_operations.add_dropped(x, y, 0.25), out)
    # Rows and columns are left out alike, and neighbors independently.
    gone = (out.detach() == 0).float() - left_out
    assert float(gone.mean(0).abs().max()) < 0.1
    assert abs(float((gone[:, 1:] * gone[:, :-1]).mean())) < 0.01


def test_dropout_of_attention_has_the_gradient_of_what_it_wrote() -> None:
    """Finite differences with the noise held fixed."""
    tree = PrefixTree.of(ids_of(FORMULAS)[:, :-1])
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(len(tree.token), 3 * 16, generator=generator).requires_grad_()
    weight, step = torch.randn(len(tree.token), 16, generator=generator), torch.randn(mixed.shape, generator=generator)
    rotary = torch.randn(40, 16, 2, generator=generator)

    def value(at: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return (shared_operations.attention(at, tree, 2, 0.3, rotary, 0.3) * weight).double().sum()

    (slope,) = torch.autograd.grad(value(mixed), mixed)
    with torch.no_grad():
        difference = (value(mixed + 1e-2 * step) - value(mixed - 1e-2 * step)) / 2e-2
    assert float((slope * step).sum()) == pytest.approx(float(difference), rel=2e-3)
    with torch.no_grad():
        several = [shared_operations.attention(mixed, tree, 2, 0.3, rotary, 0.3) for _ in range(400)]
        plain = shared_operations.attention(mixed, tree, 2, 0.3, rotary, 0.0)
    np.testing.assert_allclose(torch.stack(several).mean(0), plain, atol=0.35)
    assert torch.stack(several).std(0).max() > 0.1


def test_other_models_are_refused() -> None:
    with pytest.raises(ValueError, match="does not write from left to right"):
        PrefixTreeLoss(build_model("roberta", "tiny", "expanded", seed=0))
