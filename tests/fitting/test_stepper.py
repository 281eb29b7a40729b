from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from matgen.fitting.examples import TokenTable
from matgen.fitting.settings import FitSettings
from matgen.fitting.stepper import Stepper
from matgen.models import build_model
from matgen.models.objectives.causal import causal_loss
from matgen.training.prefix_tree import PrefixTreeLoss


def stepper(folder: Path, **changes: object) -> Stepper:
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 9, 64)
    ids = np.zeros((64, 8), dtype=np.int16)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = [1, *rng.integers(32, 60, length - 2), 2]
    model = PrefixTreeLoss(build_model("gpt2", "tiny", "expanded", seed=0))
    settings = FitSettings(batch_size=8, precision="fp32", **changes)
    return Stepper(model, TokenTable.from_numpy(ids, lengths), causal_loss, folder, settings)


def weights(of: Stepper) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in of.raw_model.named_parameters()}


def test_accumulated_batches_give_the_same_loss_and_update(tmp_path: Path) -> None:
    results = []
    for accumulate in (1, 4):
        one = stepper(tmp_path, accumulate=accumulate)
        losses = [float(one.step(np.arange(8) + 8 * i, i, 8, "fp32")) for i in range(8)]
        results.append((losses, weights(one)))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-3)
    for name, value in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], value, rtol=1e-3, atol=2e-4)


def test_a_step_depends_on_its_number_alone(tmp_path: Path) -> None:
    first, second = stepper(tmp_path), stepper(tmp_path)
    torch.rand(5)
    losses = [float(one.step(np.arange(8), 3, 8, "fp32")) for one in (first, second)]
    assert losses[0] == losses[1]
    assert all(torch.equal(a, b) for a, b in zip(weights(first).values(), weights(second).values(), strict=True))


def test_timing_leaves_weights_and_optimizers_as_they_were(tmp_path: Path) -> None:
    one = stepper(tmp_path)
    before = weights(one)
    assert one.seconds_per_step("fp32") > 0
    assert all(torch.equal(value, before[name]) for name, value in weights(one).items())
    assert not any(optimizer.state for optimizer in one.optimizers)
