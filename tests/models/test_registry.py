from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.errors import OptionError
from matgen.models import configurations, registry
from matgen.models.decoder import Decoder
from matgen.models.objectives import OBJECTIVES
from matgen.models.registry import MAX_POSITIONS, MODELS, architecture, build_model
from matgen.models.shapes import PRESETS, Shape
from matgen.models.tokenizer import BOS, EOS, PAD, vocabulary
from matgen.sampling import Sampler
from matgen.training import TrainingPlan, default_settings, train_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("key", MODELS)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_row_builds_and_takes_its_longest_sequence(key: str, preset: str) -> None:
    model = build_model(key, preset, "expanded", seed=0).eval()
    config = model.config
    assert config.vocab_size == len(vocabulary("expanded"))
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (BOS, EOS, PAD)
    ids = torch.full((1, MAX_POSITIONS), 40)
    ids[0, 0] = BOS
    with torch.no_grad():
        out = model(input_ids=ids)[0]  # logits, or the hidden states of the blank language model
    assert out.shape == (1, MAX_POSITIONS, config.hidden_size if key == "blmm" else config.vocab_size)


@pytest.mark.parametrize(
    ("key", "names", "expected"),
    [  # the released shapes (Fu et al. 2023)
        ("gpt", ("n_layer", "n_head", "n_embd"), (12, 6, 180)),
        ("gpt2", ("n_layer", "n_head", "n_embd"), (8, 4, 180)),
        ("gptneo", ("num_layers", "num_heads", "hidden_size"), (12, 6, 180)),
        ("gptj", ("n_layer", "n_head", "n_embd"), (12, 6, 180)),
        ("bart", ("encoder_layers", "decoder_layers", "d_model", "encoder_ffn_dim"), (10, 10, 128, 256)),
        ("roberta", ("num_hidden_layers", "num_attention_heads", "hidden_size"), (8, 4, 180)),
    ],
)
def test_published_shapes(key: str, names: tuple[str, ...], expected: tuple[int, ...]) -> None:
    config = build_model(key, "paper", "expanded", seed=0).config
    assert tuple(getattr(config, name) for name in names) == expected


def test_published_gptj_has_its_published_size() -> None:
    model = build_model("gptj", "paper", "expanded", seed=0)
    assert 4.6e6 < sum(p.numel() for p in model.parameters()) < 4.8e6


def test_gptneo_attends_globally_and_locally_in_turn() -> None:
    assert build_model("gptneo", "paper", "expanded", seed=0).config.attention_layers == ["global", "local"] * 6


def test_seed_decides_the_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, same, other = (build_model("gpt2", "tiny", "expanded", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    weights = [next(model.parameters()) for model in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(
        OptionError, match="unknown model 'gpt5', did you mean gpt\\? known: gpt, gpt2, gptneo, gptj, bart, blmm"
    ):
        architecture("gpt5")
    with pytest.raises(OptionError, match="unknown preset 'huge'; known: tiny, small, paper, large"):
        build_model("gpt2", "huge", "expanded", seed=0)
    with pytest.raises(OptionError, match="not a multiple of 5 heads"):
        Shape(2, 5, 128, 512)


def test_the_documentation_and_the_help_list_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "howto" / "train.md").read_text(encoding="utf-8")
    constraints = {"all": "all", "some": "some, the rest by rejection", "none": "by rejection only (`--rejection`)"}
    for key, row in MODELS.items():
        possible = "yes" if row.takes_conditions else "no"
        cells = [f"`{key}`", row.title, row.objective.summary, constraints[row.objective.constraints], possible]
        assert f"| {' | '.join(cells)} |" in page
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    assert all(re.search(rf"\b{key}\b", text) for key in MODELS)
    for key in (key for key, row in OBJECTIVES.items() if row.replaces):
        assert key in text
        assert f"--objective {key}" in page


def test_layouts_are_those_of_models_that_write_from_left_to_right() -> None:
    for key, row in MODELS.items():
        assert (Decoder.of(build_model(key, "tiny", "expanded", seed=0)) is not None) == (row.layout is not None)
        assert row.layout is None or row.objective.left_to_right


def test_the_architecture_of_the_contributing_guide_trains_samples_and_scores(
    small_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code blocks are what is run; it has no layout, so all is done by the forward pass of transformers."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = guide.split("## An architecture\n")[1].split("\n## ")[0]
    function, row = (textwrap.dedent(block) for block in re.findall(r"```text\n(.*?) *```", section, re.DOTALL))
    names: dict[str, Any] = {"Shape": Shape, "Any": Any}
    exec(function, names)
    monkeypatch.setattr(configurations, "llama", names["llama"], raising=False)
    (llama,) = eval(f"({row.strip()})", vars(registry))
    monkeypatch.setitem(MODELS, llama.key, llama)

    few = tmp_path / "few.csv"
    few.write_text("\n".join(small_table.read_text().splitlines()[:120]) + "\n")
    settings = default_settings("tiny", "llama", epochs=1, batch_size=64, precision="fp32")
    result = train_model(TrainingPlan("llama", str(few), settings=settings), tmp_path / "run")
    assert result.state.step == 2
    sampler = Sampler(tmp_path / "run", precision="fp32")
    (block,) = sampler.sample(20, seed=0)
    finished = np.isfinite(block.log_prob)
    assert finished.any()
    batch = CompositionBatch.from_formulas(block.formulas[finished])
    assert block.log_prob[finished] == pytest.approx(sampler.log_prob(batch), abs=1e-3)
    with pytest.raises(OptionError, match="Llama cannot be conditioned on properties"):
        train_model(TrainingPlan("llama", str(few), condition=("x",), settings=settings), tmp_path / "other")
