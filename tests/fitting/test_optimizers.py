from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from matgen.composition.batch import CompositionBatch
from matgen.errors import MissingDependencyError, OptionError
from matgen.fitting.examples import TokenTable
from matgen.fitting.loop import Fitter
from matgen.fitting.optimizers import layer_matrices, make_optimizers
from matgen.fitting.settings import FitSettings
from matgen.models import MODELS, build_model
from matgen.models.objectives.causal import causal_loss
from matgen.models.tokenizer import encode
from matgen.runtime.progress import silent
from matgen.training.prefix_tree import PrefixTreeLoss
from tests.progress import StopAfter

SETTINGS = FitSettings(batch_size=4, epochs=6, evaluations=3, precision="fp32", optimizer="muon")
RATES = {"learning_rate": 1e-3, "weight_decay": 0.0}


@pytest.mark.parametrize("key", MODELS)
def test_every_parameter_has_one_optimizer(key: str) -> None:
    model = build_model(key, "tiny", "counted", seed=0)
    shared_out = [
        id(p) for one in make_optimizers(model, "muon", **RATES) for group in one.param_groups for p in group["params"]
    ]
    assert sorted(shared_out) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    matrices = layer_matrices(model)
    assert all(p.dim() == 2 for p in matrices)
    sides = {side for p in matrices for side in p.shape}
    assert model.config.vocab_size not in sides  # neither embeddings nor the output
    assert sum(p.numel() for p in matrices) > 0.3 * sum(p.numel() for p in model.parameters())
    assert len(make_optimizers(model, "adamw", **RATES)) == 1


def test_an_update_of_a_matrix_has_about_equal_singular_values() -> None:
    """Muon's defining property: the update is near the orthogonal factor of the gradient, at AdamW's size."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 48, bias=False)
    before = layer.weight.detach().clone()
    _, muon = make_optimizers(layer, "muon", learning_rate=1e-2, weight_decay=0.0)
    layer(torch.randn(256, 32)).pow(2).sum().backward()
    muon.step()
    update = (layer.weight.detach() - before) / 1e-2
    values = torch.linalg.svdvals(update)
    assert values.max() / values.min() < 2.0
    assert update.pow(2).mean().sqrt() == pytest.approx(0.2, rel=0.2)  # as Liu et al. 2025 match it


def test_interrupted_and_resumed_is_as_uninterrupted(tmp_path: Path) -> None:
    batch = CompositionBatch.from_formulas(["SrTiO3", "NaCl", "LiFePO4", "Fe2O3", "MgO", "KBr", "CaF2", "Al2O3"])
    table = TokenTable.from_numpy(*encode(batch, "counted"))

    def fitter(folder: str, progress=silent) -> Fitter:
        model = build_model("gpt2", "tiny", "counted", seed=0)
        values = iter(np.linspace(5, 4, 10))
        learner = PrefixTreeLoss(model)
        return Fitter(learner, table, causal_loss, lambda _: float(next(values)), tmp_path / folder, SETTINGS, progress)

    whole = fitter("whole")
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        fitter("cut", StopAfter(notes=1)).run()
    again = fitter("cut")
    again.run(resume=True)
    assert again.state.step == whole.state.step == 12
    for ours, theirs in zip(again.raw_model.parameters(), whole.raw_model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="unknown optimizer 'sgd'; known: adamw, muon"):
        FitSettings(optimizer="sgd")
    with pytest.raises(OptionError, match="muon needs whole matrices"):
        FitSettings(optimizer="muon", shard=True)
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(MissingDependencyError, match="has no Muon"):
        make_optimizers(torch.nn.Linear(32, 32), "muon", **RATES)
