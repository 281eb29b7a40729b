from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.prediction import Predictor, ensemble
from matgen.prediction.ensemble import StackedNetworks, outputs_together, stackable
from matgen.prediction.learned import TorchMember, network_outputs
from matgen.prediction.locate import bundled_predictors
from matgen.prediction.network import CompositionNetwork, NetworkSize

SIZE = NetworkSize(2, 2, 32, 64)
FORMULAS = ["NaCl", "SrTiO3", "Fe", "LiFePO4", "Li7La3Zr2O12", "KBr", "NaCl", "Al2O3", "CaTiO3"]


@pytest.fixture(scope="module")
def networks() -> list[CompositionNetwork]:
    """Two networks, no parameter of which is what it is made as."""
    torch.manual_seed(0)
    made = [CompositionNetwork(SIZE).eval() for _ in range(2)]
    for network in made:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, mean=float(parameter.mean().detach()), std=0.1)
    return made


@pytest.fixture(scope="module")
def batch() -> CompositionBatch:
    rng = np.random.default_rng(0)
    symbols = np.array(["Li", "Na", "K", "Mg", "Ca", "Al", "Ti", "Fe", "O", "F", "S", "Cl"])
    texts = FORMULAS + [
        "".join(f"{s}{rng.integers(1, 9)}" for s in rng.choice(symbols, rng.integers(1, 7), replace=False))
        for _ in range(300)
    ]
    return CompositionBatch.from_formulas(texts)


def member_by_member(networks: list[CompositionNetwork], batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
    means, log_scales = zip(*(network_outputs(network, batch) for network in networks), strict=True)
    return np.stack(means), np.stack(log_scales)


def require_equal(networks: list[CompositionNetwork], batch: CompositionBatch) -> None:
    """Means and scales agree to 1e-5 in standardized units."""
    mean, log_scale = outputs_together(networks, batch)
    expected_mean, expected_log_scale = member_by_member(networks, batch)
    assert mean.shape == log_scale.shape == (len(networks), len(batch))
    assert np.abs(mean - expected_mean).max() < 1e-5
    assert np.abs(np.exp(log_scale) - np.exp(expected_log_scale)).max() < 1e-5
    assert np.ptp(expected_mean) > 0.1  # else anything would agree


def test_together_as_one_by_one(networks, batch: CompositionBatch) -> None:
    require_equal(networks, batch)
    require_equal(networks[:1], batch[:20])


@pytest.mark.parametrize("name", sorted(name for name in bundled_predictors() if "formation_energy" in name))
def test_bundled_predictors_together_as_one_by_one(name: str, batch: CompositionBatch) -> None:
    predictor = Predictor.load(bundled_predictors()[name])
    require_equal([member.network for member in predictor.members], batch)  # type: ignore[attr-defined]


def test_without_compiled_attention(networks, batch: CompositionBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "load_kernel", lambda name: None)
    require_equal(networks, batch)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 308), min_size=1, max_size=40))
def test_a_row_depends_on_itself_alone(networks, batch: CompositionBatch, rows: list[int]) -> None:
    whole = outputs_together(networks, batch)
    some = outputs_together(networks, batch[np.array(rows)])
    for of_whole, of_some in zip(whole, some, strict=True):
        assert (of_whole[:, rows] == of_some).all()


def test_as_many_threads_as_torch_has(networks, batch: CompositionBatch) -> None:
    before, alone = torch.get_num_threads(), outputs_together(networks, batch)
    torch.set_num_threads(3)
    try:
        together = outputs_together(networks, batch)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert (together[0] == alone[0]).all() and (together[1] == alone[1]).all()


def test_the_same_composition_is_evaluated_once(networks, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    evaluate = StackedNetworks.outputs
    monkeypatch.setattr(StackedNetworks, "outputs", lambda self, some: seen.append(len(some)) or evaluate(self, some))
    mean, _ = outputs_together(networks, CompositionBatch.from_formulas(["NaCl", "KBr", "Na2Cl2", "NaCl"]))
    assert seen == [2]
    assert (mean[:, [0, 0]] == mean[:, 2:]).all() and (mean[:, 0] != mean[:, 1]).all()


def test_what_cannot_be_stacked(networks) -> None:
    class Other(CompositionNetwork):
        pass

    plain, smaller = networks[0], CompositionNetwork(NetworkSize(1, 2, 32, 64))
    assert stackable([TorchMember(one) for one in networks]) == networks
    assert stackable([TorchMember(plain), TorchMember(smaller)]) is None
    assert stackable([TorchMember(Other(SIZE))]) is None
    assert stackable([object()]) is None


def test_no_composition(networks) -> None:
    mean, log_scale = outputs_together(networks, CompositionBatch.from_formulas(["NaCl"])[:0])
    assert mean.shape == log_scale.shape == (2, 0)
