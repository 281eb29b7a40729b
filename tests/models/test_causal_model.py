"""Checkpoints read without transformers, against transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from matgen.errors import DataError
from matgen.models.causal_files import CausalConfig
from matgen.models.causal_model import read_causal_model
from matgen.models.decoder import Decoder
from matgen.models.registry import MODELS, build_model

CAUSAL = [key for key, row in MODELS.items() if row.layout is not None]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each architecture with weights that are not small, as transformers writes it."""
    made = {}
    for key in CAUSAL:
        made[key] = tmp_path_factory.mktemp("causal") / key
        model = build_model(key, "tiny", "expanded", seed=0)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.1 * torch.randn(weight.shape, generator=generator)
        model.save_pretrained(made[key])
    return made


def read(folder: Path, key: str):
    return read_causal_model(folder, MODELS[key].model_type)


@pytest.mark.parametrize("key", CAUSAL)
def test_logits_and_weights_are_those_of_transformers(folders: dict[str, Path], key: str) -> None:
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folders[key]).eval()
    ours = read(folders[key], key)
    assert ours is not None
    ids = torch.randint(0, theirs.config.vocab_size, (5, 12), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = theirs(input_ids=ids).logits
    assert float(expected.std()) > 0.1  # else the comparison would say little
    torch.testing.assert_close(ours(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)
    view, other = Decoder.of(ours), Decoder.of(theirs)
    assert view is not None and other is not None
    for name, value in vars(view).items():
        expected = getattr(other, name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, expected), name
        elif name != "layers" and name != "last_norm":
            assert value == expected, name
    for layer, their_layer in zip(view.layers, other.layers, strict=True):
        for name, value in vars(layer).items():
            if isinstance(value, torch.Tensor):  # to the bit: draws depend on it
                assert torch.equal(value, getattr(their_layer, name)), name


@pytest.mark.parametrize(
    "change",
    [
        {"activation_function": "relu"},
        {"rotary_dim": 4},
        {"n_head": 7},
        {"n_embd": "60"},
        {"n_layer": 1},
        {"model_type": "llama"},
        {"add_cross_attention": True},
        {"n_positions": None},
    ],
)
def test_what_is_not_as_expected_is_left_to_transformers(
    folders: dict[str, Path], tmp_path: Path, change: dict
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(folders["gptj"], folder)
    assert read(folder, "gptj") is not None
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | change))
    assert read(folder, "gptj") is None


def test_other_tensors_are_left_to_transformers(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(folders["gpt2"], folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"transformer.h.0.attn.masked_bias": torch.zeros(1)}, folder / "model.safetensors")
    assert read(folder, "gpt2") is None
    # A head that is not tied, though the configuration says so.
    save_file(tensors | {"lm_head.weight": tensors["transformer.wte.weight"] + 1}, folder / "model.safetensors")
    assert read(folder, "gpt2") is None
    (folder / "model.safetensors").write_bytes(b"short")
    assert read(folder, "gpt2") is None
    assert read(folders["gpt2"], "gptj") is None


@pytest.mark.parametrize("content", [{}, {"model_type": "gpt2"}, {"model_type": "bart", "vocab_size": 3}])
def test_a_configuration_without_a_shape_is_refused(content: dict) -> None:
    with pytest.raises(DataError):
        CausalConfig(content)
