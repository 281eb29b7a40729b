from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from matgen.models import build_model, load_checkpoint
from matgen.models.blank import BlankLanguageModel
from matgen.models.canvas import LEFT, RIGHT, steps_from
from matgen.models.tokenizer import BLANK, BOS, EOS, PAD

A, B, C = 40, 41, 42


def test_steps_of_a_sequence_with_hidden_words() -> None:
    ids = torch.tensor([[BOS, A, B, C, EOS], [BOS, A, EOS, PAD, PAD]])
    hidden = torch.tensor([[False, True, True, False, False], [False, True, False, False, False]])
    canvas, actions = steps_from(ids, hidden, BLANK)
    assert canvas.tolist() == [[BOS, BLANK, C, EOS], [BOS, BLANK, EOS, PAD]]
    assert actions.tolist() == [[0, 1, A, RIGHT], [0, 1, B, LEFT], [1, 1, A, 0]]


def test_probabilities_of_all_next_steps_sum_to_one() -> None:
    model = build_model("blmm", "tiny", "expanded", seed=1).eval()
    canvas = torch.tensor([[BOS, BLANK, A, BLANK, EOS]])
    words = range(model.config.first_word, model.config.vocab_size)
    every = [[0, place, word, flags] for place in (1, 3) for word in words for flags in range(4)]
    with torch.inference_mode():
        log_prob = model(canvas, actions=torch.tensor(every)).action_log_prob
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-5)


def test_padding_changes_nothing_and_a_finished_canvas_has_no_blank() -> None:
    model = build_model("blmm", "tiny", "expanded", seed=1).eval()
    short, longer = [BOS, BLANK, EOS], [BOS, A, BLANK, B, EOS]
    with torch.inference_mode():
        alone = model(torch.tensor([short]))
        beside = model(torch.tensor([[*short, PAD, PAD], longer]))
        finished = model(torch.tensor([[BOS, A, EOS]])).blank_log_prob
    assert torch.allclose(alone.last_hidden_state[0], beside.last_hidden_state[0, :3], atol=1e-5)
    assert torch.isneginf(finished).all()


def test_the_same_seed_gives_the_same_first_weights() -> None:
    one, same, other = (build_model("blmm", "tiny", "counted", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["word_head.weight"], other["word_head.weight"])


def test_paper_shape_is_the_published_one() -> None:
    config = build_model("blmm", "paper", "expanded", seed=0).config
    shape = (config.num_hidden_layers, config.num_attention_heads, config.hidden_size, config.intermediate_size)
    assert (*shape, config.dropout) == (6, 8, 512, 2048, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", ["import matgen.models", "import transformers.models.auto.modeling_auto; import matgen.models"]
)
def test_auto_model_opens_a_checkpoint_after_importing_the_models(checkpoints, first: str) -> None:
    folder: Path = checkpoints("blmm")
    code = f"""{first}
import matgen.models
from transformers import AutoConfig, AutoModel
config = AutoConfig.from_pretrained({str(folder)!r})
model = AutoModel.from_pretrained({str(folder)!r})
print(type(config).__name__, type(model).__name__, sum(p.numel() for p in model.parameters()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    model = load_checkpoint(folder).model
    assert isinstance(model, BlankLanguageModel)
    expected = sum(p.numel() for p in model.parameters())
    assert done.stdout.split() == ["BlankConfig", "BlankLanguageModel", str(expected)]
