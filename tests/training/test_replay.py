"""Which calls are recorded, and that what pads them changes nothing. CUDA itself is stood in for: CI has no GPU."""

from __future__ import annotations

import pytest
import torch

from matgen.models import build_model
from matgen.training.prefix_tree import PrefixTree, PrefixTreeLoss
from matgen.training.replay import Replay, rounded_up
from tests.training.test_prefix_tree import FORMULAS, ids_of


def test_sizes_are_few_and_at_most_an_eighth_too_large() -> None:
    sizes = [rounded_up(n) for n in range(1, 5000)]
    assert all(n <= size for n, size in enumerate(sizes, 1))
    assert all(size <= max(64, 1.125 * n) for n, size in enumerate(sizes, 1))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) <= 8 * 7 + 1


@pytest.fixture
def recordings(monkeypatch) -> list[torch.nn.Module]:
    made: list[torch.nn.Module] = []

    def record(module, arguments, *, allow_unused_input, pool):
        assert pool == "memory"
        assert all(isinstance(one, torch.Tensor) for one in arguments)
        made.append(module)
        return module

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "memory")
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    return made


@pytest.mark.slow
def test_a_shape_is_recorded_the_second_time(recordings) -> None:
    replay = Replay(torch.nn.Identity)
    one, other = (torch.zeros(2, 3),), (torch.zeros(2, 4),)
    assert replay.find(one) is None
    assert replay.find(other) is None
    assert replay.recorded == 0
    assert replay.find(one) is recordings[0]
    assert replay.find(one) is recordings[0]
    assert replay.find(other) is recordings[1]
    assert replay.recorded == len(recordings) == 2


def test_without_recordings_steps_are_as_usual(monkeypatch) -> None:
    def fail(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "memory")
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    replay = Replay(torch.nn.Identity)
    assert replay.find((torch.zeros(1),)) is None
    with pytest.warns(UserWarning, match="not recorded as CUDA graphs: operation not permitted"):
        assert replay.find((torch.zeros(1),)) is None
    assert replay.find((torch.zeros(1),)) is None
    assert replay.failure == "operation not permitted when stream is capturing"


@pytest.mark.parametrize("key", ["gptj", "gpt2"])
def test_padding_and_modules_of_tensors_change_nothing(recordings, key: str) -> None:
    model = build_model(key, "tiny", "expanded", seed=3).eval()
    learner, ids = PrefixTreeLoss(model).eval(), ids_of(FORMULAS)
    tree, targets = PrefixTree.of(ids[:, :-1]), ids[:, 1:]
    expected = learner(ids)
    expected.backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    padded = tree.padded(rounded_up(len(tree.token)))
    assert len(padded.token) > len(tree.token)
    arguments = (padded.node, padded.token, padded.place, padded.row, targets)
    assert learner.replay.find(arguments) is None
    recorded = learner.replay.find(arguments)
    assert recorded is not None
    assert {id(p) for p in recorded.parameters()} == {id(p) for p in model.parameters()}
    found = recorded(*arguments)
    found.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close([p.grad for p in model.parameters() if p.grad is not None], gradients)


def test_a_learner_has_the_parameters_of_its_model_once(recordings) -> None:
    learner = PrefixTreeLoss(build_model("gptj", "tiny", "expanded", seed=3))
    names = list(learner.state_dict())
    for _ in range(2):
        learner.replay.find((torch.zeros(1),))
    assert list(learner.state_dict()) == names


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("key", ["gpt", "gpt2", "gptneo", "gptj"])
def test_everything_is_on_the_device_of_the_model(key: str, precision: torch.dtype) -> None:
    """On the device `meta`, which has shapes alone, an operation with a tensor of the CPU fails as on a GPU."""
    from matgen.sampling.decoders.fast_step import FastStep

    model = build_model(key, "tiny", "counted", seed=3).to("meta")
    loss = PrefixTreeLoss(model)(ids_of(FORMULAS, "counted"))
    loss.backward()
    assert {p.grad.device.type for p in model.parameters()} == {"meta"}
    with torch.inference_mode():
        step = FastStep.of(model, precision)
        step.make_room(100)
        rows, tokens = (torch.zeros(shape, dtype=torch.long, device="meta") for shape in ((8, 3), (8,)))
        logits = step.logits(tokens, rows, 16, 8)
    assert (logits.device.type, logits.dtype) == ("meta", torch.float32)
    assert step.stored[0].dtype == precision
