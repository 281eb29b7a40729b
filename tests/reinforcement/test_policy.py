from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matgen.models.checkpoint import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.registry import build_model
from matgen.models.shapes import Shape
from matgen.models.tokenizer import BOS, EOS, FIRST_ELEMENT, PAD, suppressed_ids, vocabulary
from matgen.reinforcement.policy import Policy, advantages, leave_one_out
from matgen.sampling import SampleRequest
from matgen.sampling.preparing import prepare
from matgen.training.prefix_tree import PrefixTreeLoss

REWARDS = st.lists(st.floats(0, 10), min_size=2, max_size=12).map(np.array)


@given(REWARDS)
def test_the_baseline_is_the_mean_of_the_others(values: np.ndarray) -> None:
    expected = []
    for i, value in enumerate(values):
        others = [other for j, other in enumerate(values) if j != i]
        expected.append(value - sum(others) / len(others))
    np.testing.assert_allclose(leave_one_out(values), expected, atol=1e-9)


@given(REWARDS)
def test_the_unit_of_a_reward_does_not_matter_and_equal_ones_teach_nothing(values: np.ndarray) -> None:
    far = np.linspace(-1, 1, len(values))
    if values.std() > 1e-3:
        np.testing.assert_allclose(
            advantages(values, far, 0.1), advantages(values * 50, far, 0.1), rtol=1e-6, atol=1e-9
        )
    np.testing.assert_allclose(advantages(np.full(len(values), 0.3), far, 0.1), -0.1 * leave_one_out(far), atol=1e-9)


def slow_log_prob(model, sequence: list[int], notation: str) -> torch.Tensor:
    """Token by token, by transformers' own forward pass, special tokens and an early end left out."""
    total = torch.zeros(())
    for place in range(1, len(sequence)):
        logits = model(input_ids=torch.tensor([sequence[:place]])).logits[0, -1].float()
        forbidden = [*suppressed_ids(notation), *([EOS] if place == 1 else [])]
        kept = torch.tensor([i for i in range(len(logits)) if i not in forbidden])
        total = total + logits[sequence[place]] - torch.logsumexp(logits[kept], 0)
    return total


@pytest.mark.parametrize("key", ["gptj", "gpt", "gpt2", "gptneo"])
def test_the_gradient_is_that_of_a_loop_over_sequences(key: str) -> None:
    model = build_model(key, Shape(2, 2, 16, 32, dropout=0.3), "expanded", seed=1).eval()
    forbidden = torch.zeros(model.config.vocab_size, dtype=torch.bool)
    forbidden[suppressed_ids("expanded")] = True
    o, na, cl = FIRST_ELEMENT + 7, FIRST_ELEMENT + 10, FIRST_ELEMENT + 16
    # Sequences that share beginnings, one in another order than the canonical one, one repeated, one cut off.
    sequences = [[BOS, na, cl, EOS], [BOS, na, o, EOS], [BOS, cl, na, EOS], [BOS, na, cl, EOS], [BOS, na, o, o, cl]]
    weights = torch.tensor([0.7, -1.2, 0.3, 0.4, 2.0])
    loss = -(weights * torch.stack([slow_log_prob(model, one, "expanded") for one in sequences])).mean()
    loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    longest = max(map(len, sequences))
    ids = torch.tensor([one + [PAD] * (longest - len(one)) for one in sequences])
    of_tree = -(weights * PrefixTreeLoss(model).eval().log_prob(ids, forbidden)).mean()
    of_tree.backward()
    assert math.isclose(of_tree.item(), loss.item(), rel_tol=1e-5)
    for name, parameter in model.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5, msg=name)


def test_draws_are_scored_as_they_were_drawn_and_steps_move_towards_what_is_earned() -> None:
    folder = find_checkpoint("hybrid-mix-gptj-tiny")
    policy = Policy(load_checkpoint(folder), load_checkpoint(folder), 3e-3, 0.0)
    prepared = prepare(SampleRequest(3000, block_size=300), policy.checkpoint, 300)
    ids = policy.draw(prepared, 0)
    assert (ids == policy.draw(prepared, 0)).all()
    assert ids.tolist() != policy.draw(prepared, 1).tolist()
    of_draws = policy.learner.log_prob(torch.from_numpy(ids), policy.forbidden).detach()
    notation = policy.checkpoint.notation
    slow = [slow_log_prob(policy.model, [t for t in row.tolist() if t != PAD], notation).item() for row in ids[:5]]
    np.testing.assert_allclose(of_draws[:5].numpy(), slow, rtol=1e-3, atol=1e-3)

    def has_oxygen(ids: np.ndarray) -> np.ndarray:
        return (vocabulary(notation).atomic_number[ids] == 8).any(axis=1).astype(float)

    first = has_oxygen(ids).mean()
    assert policy.learn(ids, has_oxygen(ids), 0)["kl"] == pytest.approx(0, abs=1e-6)
    for step in range(1, 8):
        ids = policy.draw(prepared, step)
        figures = policy.learn(ids, has_oxygen(ids), step)
    assert figures["kl"] > 0
    assert has_oxygen(policy.draw(prepared, 8)).mean() > first + 0.1
