from __future__ import annotations

import json
from pathlib import Path

import pytest

from matgen.cli import main
from matgen.errors import DataError, OptionError
from matgen.models.checkpoint import load_checkpoint, read_metadata
from matgen.models.presets import Preset, find_preset, write_preset
from matgen.models.registry import MODELS
from matgen.models.shapes import PRESETS, Shape
from matgen.training import default_settings

SHAPE = Shape(2, 2, 32, 128, dropout=0.1, initializer=0.05)


@pytest.mark.parametrize("key", MODELS)
@pytest.mark.parametrize("name", PRESETS)
def test_named_presets_say_shape_rate_and_epochs(key: str, name: str) -> None:
    preset = find_preset(name, key)
    assert (preset.name, preset.model, preset.shape) == (name, key, MODELS[key].shapes[name])
    assert default_settings(name, key).learning_rate == preset.settings["learning_rate"] > 0


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    settings = {"learning_rate": 1e-3, "epochs": 3.0, "batch_size": 32, "weight_decay": 0.2}
    write_preset(path, Preset("p", "gpt2", SHAPE, settings, "counted"), valid_nats=13.2, found_at={})  # a key of 0.2
    assert find_preset(str(path)) == Preset(str(path), "gpt2", SHAPE, settings, "counted")
    assert json.loads(path.read_text())["valid_nats"] == 13.2
    with pytest.raises(OptionError, match="is a preset of gpt2, not of gptj"):
        find_preset(str(path), "gptj")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "gpt9"}, "unknown model 'gpt9'"),
        ({"settings": {"rate": 1}}, "unknown setting rate"),
        ({"shape": {"layers": 2}}, "missing"),
        ({"shape": {"layers": 2, "heads": 3, "width": 32, "feed_forward": 64}}, "not a multiple of 3 heads"),
        ({"shape": {"layers": 0, "heads": 2, "width": 32, "feed_forward": 64}}, "layers is 0"),
        ({"shape": {"layers": 2, "heads": 2, "width": 32, "feed_forward": 64, "dropout": 1}}, "dropout is 1"),
    ],
)
def test_files_that_are_no_presets_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "p.json"
    write_preset(path, Preset("p", "gpt2", SHAPE, {}, None))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=f"p.json is not a preset.*{message}"):
        find_preset(str(path))
    with pytest.raises(DataError, match="cannot read"):
        find_preset("no-such-file.json")


def test_training_follows_the_file_and_then_needs_it_no_more(small_table: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "p.json", tmp_path / "out"
    write_preset(path, Preset("p", "gpt2", SHAPE, {"epochs": 1, "batch_size": 64}, "counted"))
    argv = ["train", "--dataset", str(small_table), "--preset", str(path), "--precision", "fp32", "--quiet"]
    assert main([*argv, "--out", str(out)]) == 0
    metadata, checkpoint = read_metadata(out), load_checkpoint(out)
    assert (metadata["architecture"], metadata["notation"], metadata["settings"]["batch_size"]) == (
        "gpt2",
        "counted",
        64,
    )
    assert metadata["shape"] == {"layers": 2, "heads": 2, "width": 32, "feed_forward": 128, "dropout": 0.1} | {
        "initializer": 0.05
    }
    assert (checkpoint.model.config.n_layer, checkpoint.model.config.n_embd) == (2, 32)
    path.unlink()
    more = ["train", "--dataset", str(small_table), "--init", str(out), "--epochs", "1", "--quiet"]
    assert main([*more, "--out", str(tmp_path / "more")]) == 0


def test_dropout_of_a_preset_can_be_set(small_table: Path, tmp_path: Path, capsys) -> None:
    argv = ["train", "--dataset", str(small_table), "--model", "gpt2", "--epochs", "1", "--quiet"]
    assert main([*argv, "--dropout", "0.25", "--weight-decay", "0.01", "--out", str(tmp_path / "a")]) == 0
    metadata = read_metadata(tmp_path / "a")
    assert (metadata["shape"]["dropout"], metadata["settings"]["weight_decay"]) == (0.25, 0.01)
    assert main([*argv, "--dropout", "1.5", "--out", str(tmp_path / "b")]) == 2
    assert "--dropout is 1.5, it must be 0 (none) or above, and below 1" in capsys.readouterr().err
    assert main([*argv, "--dropout", "0.1", "--init", str(tmp_path / "a"), "--out", str(tmp_path / "b")]) == 2
    assert "leave out --preset and --dropout" in capsys.readouterr().err
