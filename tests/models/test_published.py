from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from benchmarks.as_released import LATER, WORDS
from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.errors import CheckpointError
from matgen.models.checkpoint import load_checkpoint
from matgen.models.locate import find_checkpoint
from matgen.models.published import convert, is_published
from matgen.models.tokenizer import BOS, EOS, FIRST_ELEMENT, vocabulary
from matgen.sampling import Sampler

KINDS = {
    "gptj": {"n_embd": 60, "n_layer": 2, "n_head": 6, "n_positions": 256, "rotary_dim": 10},
    "gpt2": {"n_embd": 60, "n_layer": 2, "n_head": 6, "n_positions": 256},
    "openai-gpt": {"n_embd": 60, "n_layer": 2, "n_head": 6, "n_positions": 256},
    "gpt_neo": {
        "hidden_size": 60,
        "num_layers": 2,
        "num_heads": 6,
        "max_position_embeddings": 256,
        "attention_types": [[["global", "local"], 1]],
    },
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))


def release(folder: Path, kind: str, **config_changes) -> torch.nn.Module:
    """A folder as the published ones, made by transformers alone; its model."""
    folder.mkdir()
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=120, bos_token_id=None, eos_token_id=None, initializer_range=0.3, **KINDS[kind]
    )
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    content = config.to_dict() | {"bos_token_id": 120, "eos_token_id": 120, "torch_dtype": "float32"}
    if kind == "gptj":
        content["rotary_dim"] = 64  # as released, where a head is 10 wide
    (folder / "config.json").write_text(json.dumps(content | config_changes))
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tensors = dict(model.state_dict()) | {"transformer.h.0.attn.masked_bias": torch.tensor(-1e9)}
    torch.save(tensors, folder / "pytorch_model.bin")
    return model


def test_the_vocabulary_has_118_tokens() -> None:
    assert len(WORDS) == len(set(WORDS)) == 118


@pytest.mark.parametrize("kind", KINDS)
def test_next_tokens_are_those_of_the_released_model(kind: str, tmp_path: Path) -> None:
    old = release(tmp_path / "released", kind)
    assert is_published(tmp_path / "released")
    folder = find_checkpoint(str(tmp_path / "released"))
    new = load_checkpoint(folder).model
    ours = ["<bos>", "Sr", "Ti", "O", "O", "O", "Og"]
    theirs = ["[CLS]", "Sr", "Ti", "O", "O", "O", "Uuo"]
    with torch.no_grad():
        got = new(input_ids=torch.tensor([[vocabulary("expanded").tokens.index(t) for t in ours]])).logits[0]
        expected = old(input_ids=torch.tensor([[WORDS.index(t) for t in theirs]])).logits[0]
    for z, symbol in enumerate(SYMBOLS[1:]):
        if symbol not in LATER:
            torch.testing.assert_close(got[:, FIRST_ELEMENT + z], expected[:, WORDS.index(symbol)])
    torch.testing.assert_close(got[:, FIRST_ELEMENT + 117], expected[:, WORDS.index("Uuo")])
    torch.testing.assert_close(got[:, EOS], expected[:, WORDS.index(".")])


def test_it_is_drawn_from_and_scored_like_any_other(tmp_path: Path) -> None:
    old = release(tmp_path / "released", "gpt2")
    sampler = Sampler(find_checkpoint(str(tmp_path / "released")))
    batch = CompositionBatch.from_formulas(["SrTiO3", "NaCl"])
    got = sampler.log_prob(batch)
    allowed = np.array([WORDS.index(w) for w in WORDS if w not in WORDS[:5]])
    for formula, value in zip([["Sr", "Ti", "O", "O", "O"], ["Na", "Cl"]], got, strict=True):
        ids = [WORDS.index(w) for w in ["[CLS]", *formula, "."]]
        with torch.no_grad():
            logits = old(input_ids=torch.tensor([ids])).logits[0].double().numpy()
        later = logits.mean(axis=1, keepdims=True).repeat(6, axis=1)  # tied weights: the logit of a mean is the mean
        total = 0.0
        for place, token in enumerate(ids[1:]):
            stop = [] if place == 0 else [WORDS.index(".")]
            may = [i for i in allowed if WORDS[i] != "."] + stop
            total += logits[place, token] - np.log(np.exp(logits[place, may]).sum() + np.exp(later[place]).sum())
        assert value == pytest.approx(total, abs=2e-3)
    (block,) = sampler.sample(50, seed=0)
    assert len(block.formulas) == 50


def test_it_is_converted_once_and_the_command_line_takes_it(tmp_path: Path) -> None:
    release(tmp_path / "released", "gptj")
    first = find_checkpoint(str(tmp_path / "released"))
    stamp = (first / "model.safetensors").stat().st_mtime_ns
    assert find_checkpoint(str(tmp_path / "released")) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == stamp
    out = tmp_path / "draws.csv"
    assert main(["sample", "-n", "20", "--model", str(tmp_path / "released"), "--out", str(out), "--quiet"]) == 0
    assert len(out.read_text().splitlines()) == 21
    assert not (tmp_path / "released" / "matgen.json").exists()  # the release is left as it was
    assert load_file(first / "model.safetensors")["transformer.wte.weight"].shape[0] == len(vocabulary("expanded"))
    assert load_checkpoint(first).model.config.bos_token_id == BOS


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_what_is_not_such_a_model_is_refused(tmp_path: Path, capsys) -> None:
    release(tmp_path / "a", "gpt2", model_type="roberta")
    with pytest.raises(CheckpointError, match="model type 'roberta'; published layouts are read of openai-gpt, gpt2"):
        convert(tmp_path / "a", tmp_path / "out")
    release(tmp_path / "b", "gpt2")
    torch.save({"x": Harmful()}, tmp_path / "b" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot open"):
        convert(tmp_path / "b", tmp_path / "out")
    assert "executed" not in capsys.readouterr().out
    release(tmp_path / "c", "gpt2")
    torch.save({"strange": torch.zeros(1)}, tmp_path / "c" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="lacks transformer"):
        convert(tmp_path / "c", tmp_path / "out")
    (tmp_path / "c" / "pytorch_model.bin").write_bytes(b"PK\x03\x04 cut short")
    assert main(["sample", "-n", "5", "--model", str(tmp_path / "c"), "--out", str(tmp_path / "x.csv")]) == 2
    assert "cannot open" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
