from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from matgen.errors import CheckpointError
from matgen.io.files import read_checksummed
from matgen.models.checkpoint import load_checkpoint, read_metadata
from matgen.models.locate import bundled_checkpoints, find_checkpoint
from matgen.models.registry import MODELS
from matgen.models.tokenizer import EOS, suppressed_ids


@pytest.fixture
def copy(checkpoints, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(checkpoints("gpt2"), folder)
    return folder


@pytest.mark.parametrize("key", MODELS)
def test_transformers_opens_it(checkpoints, key: str) -> None:
    folder = checkpoints(key)
    model = getattr(transformers, MODELS[key].auto_class).from_pretrained(folder).eval()
    ours = load_checkpoint(folder).model
    ids = transformers.AutoTokenizer.from_pretrained(folder)("Sr Ti O O O", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids)[0], ours(input_ids=ids)[0])


def test_contents(checkpoints) -> None:
    folder = checkpoints("gptj")
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "matgen.json", "README.md"} <= names
    assert not any(path.suffix in {".bin", ".pt", ".pkl", ".pth"} for path in folder.rglob("*"))
    metadata = read_metadata(folder)
    assert {"architecture", "notation", "dataset", "dataset_sha256", "seed", "versions", "metrics"} <= set(metadata)
    assert metadata["formulas"]["train"] > 500
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["suppress_tokens"] == suppressed_ids("expanded")
    assert generation["begin_suppress_tokens"] == [EOS]
    card = (folder / "README.md").read_text()
    assert f"{metadata['metrics']['valid_nats']:.3f}" in card
    assert str(folder.parent) not in card


def test_truncated_weights(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"copy/model.safetensors is damaged or was changed") as error:
        load_checkpoint(copy)
    assert "\n" not in str(error.value)


def test_a_weight_that_is_not_the_one_written_is_found(copy: Path) -> None:
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="its SHA-256 is not the one in matgen.json"):
        load_checkpoint(copy)
    metadata = json.loads((copy / "matgen.json").read_text())
    del metadata["files"]["model.safetensors"], metadata["content_sha256"]
    (copy / "matgen.json").write_text(json.dumps(metadata))
    assert load_checkpoint(copy).notation == metadata["notation"]


def test_missing_weights_and_pickles_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing, though matgen\.json lists it"):
        load_checkpoint(copy)
    metadata = json.loads((copy / "matgen.json").read_text())
    del metadata["files"], metadata["content_sha256"]
    (copy / "matgen.json").write_text(json.dumps(metadata))
    with pytest.raises(CheckpointError, match="cannot open"):
        load_checkpoint(copy)


def test_every_file_but_the_card_is_checked(copy: Path) -> None:
    listed = set(read_metadata(copy)["files"])
    assert listed == {path.name for path in copy.iterdir() if path.is_file()} - {
        "matgen.json",
        "README.md",
        "metrics.jsonl",
    }
    (copy / "README.md").write_text("edited")
    load_checkpoint(copy)
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is damaged or was changed"):
        load_checkpoint(copy)


def test_checkpoints_of_the_last_release_are_checked_by_their_own_keys(copy: Path) -> None:
    metadata = json.loads((copy / "matgen.json").read_text())
    sums = metadata.pop("files")
    del metadata["content_sha256"]
    former = {"model_sha256": sums["model.safetensors"], "config_sha256": sums["config.json"]}
    (copy / "matgen.json").write_text(json.dumps(metadata | former))
    load_checkpoint(copy)
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    with pytest.raises(CheckpointError, match=r"config\.json is damaged or was changed"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: "{", "not valid JSON"),
        (lambda m: json.dumps(m | {"architecture": "llama"}), "names no architecture of gpt, gpt2"),
        (lambda m: json.dumps(m | {"notation": "letters"}), "names no notation of expanded, counted"),
        (lambda m: json.dumps(m | {"notation": "counted"}), "has 150 tokens, the notation counted has 1920"),
        (lambda m: "[]", "it holds no JSON object"),
    ],
)
def test_foreign_metadata(copy: Path, change, message: str) -> None:
    metadata = read_checksummed(copy / "matgen.json")
    (copy / "matgen.json").write_text(change(metadata))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copy)


def test_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="not made by matgen"):
        load_checkpoint(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(CheckpointError, match="--resume"):
        load_checkpoint(tmp_path)


def test_bundled_checkpoint_is_small_and_good() -> None:
    name, folder = next(iter(bundled_checkpoints().items()))
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
    assert find_checkpoint(None) == find_checkpoint(name) == folder
    assert load_checkpoint(folder).metadata["metrics"]["test_nats"] < 13.6


def test_find_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_checkpoint(str(tmp_path)) == tmp_path
    with pytest.raises(CheckpointError, match="no checkpoint folder nothing; bundled: "):
        find_checkpoint("nothing")
    with pytest.raises(CheckpointError, match="no checkpoint folder runs/mistyped"):
        find_checkpoint("runs/mistyped")
    monkeypatch.setattr("matgen.io.places.bundled_checkpoints", dict)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint yet: train one"):
        find_checkpoint(None)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "matgen.json").write_text("{}")
    assert find_checkpoint(None) == Path("runs") / "mine"
