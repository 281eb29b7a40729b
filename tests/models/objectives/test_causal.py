from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from matgen.models import build_model
from matgen.models.objectives import CAUSAL, DENOISING
from matgen.models.tokenizer import PAD
from matgen.training.learner import learner_for
from matgen.training.prefix_tree import PrefixTreeLoss
from tests.models.objectives.batches import batch_of


@pytest.mark.parametrize("key", ["gpt", "gpt2", "gptneo", "gptj"])
def test_the_plain_loss_is_that_over_shared_prefixes(key: str) -> None:
    model = build_model(key, "tiny", "expanded", seed=3).eval()
    batch = batch_of("SrTiO3", "NaCl", "SrTiO3", "Y3Al5O12")
    plain, shared = CAUSAL.wrap(model), learner_for(CAUSAL, model)
    assert isinstance(shared, PrefixTreeLoss)
    assert not isinstance(plain, PrefixTreeLoss)
    with torch.no_grad():
        expected = float(CAUSAL.train(shared, batch, torch.Generator()))
        assert float(CAUSAL.train(plain, batch, torch.Generator())) == pytest.approx(expected, rel=1e-4)
    # A run can be resumed by either of them.
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in shared.named_parameters()]


@pytest.mark.parametrize(("key", "objective"), [("gpt2", CAUSAL), ("bart", DENOISING)])
def test_logits_of_padding_never_count(key: str, objective) -> None:
    ids, lengths = batch_of("NaCl")
    padded = functional.pad(ids, (0, 9), value=PAD)
    model = build_model(key, "tiny", "expanded", seed=3).eval()
    for learner in (objective.wrap(model), learner_for(objective, model)):
        alone = float(objective.validate(learner, (ids, lengths), torch.Generator()))
        assert float(objective.validate(learner, (padded, lengths), torch.Generator())) == pytest.approx(
            alone, rel=1e-4
        )
