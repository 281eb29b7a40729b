"""Presets: the size of a model and how to train it, by name or from a file that `matgen tune` wrote."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matgen.errors import DataError, OptionError
from matgen.io.files import read_json, write_json
from matgen.models.registry import architecture, shape
from matgen.models.shapes import Shape

_PEAK_LEARNING_RATE = {"tiny": 3e-3, "small": 2e-3, "paper": 1e-3, "large": 3e-4}
_EPOCHS = {"tiny": 30.0, "small": 40.0, "paper": 100.0, "large": 20.0}
SETTINGS = ("learning_rate", "epochs", "batch_size", "weight_decay")
"""What a preset may say about training; the rest is the same for all."""


@dataclass(frozen=True)
class Preset:
    """A model's size and the settings of its training.

    Attributes:
        name: `tiny`, `small`, `paper`, `large`, or the file it was read from.
        model: key of the architecture.
        shape: size of the model.
        settings: values of `SETTINGS`, of which only those are there that the preset sets.
        notation: that it was searched for; None where it suits both.
    """

    name: str
    model: str
    shape: Shape
    settings: dict[str, Any]
    notation: str | None = None


def find_preset(name: str, model: str | None = None) -> Preset:
    """The preset of a name, or in a file (a name that ends in `.json`).

    Args:
        name: `tiny`, `small`, `paper`, `large` or a file.
        model: key of the architecture; None for that of the file, without one GPT-J.

    Raises:
        OptionError: unknown architecture or preset, or a file for another architecture.
        DataError: the file is missing or is no preset.
    """
    if Path(name).suffix == ".json":
        preset = _read(Path(name))
        if model not in (None, preset.model):
            raise OptionError(f"{name} is a preset of {preset.model}, not of {model}")
        return preset
    model = model or "gptj"
    size = shape(model, name)
    rate = _PEAK_LEARNING_RATE[name] * architecture(model).learning_rate
    return Preset(name, model, size, {"learning_rate": rate, "epochs": _EPOCHS[name]})


def write_preset(path: Path | str, preset: Preset, **more: Any) -> None:
    """Write a preset to a file, with more keys that describe where it is from."""
    content = {"model": preset.model, "notation": preset.notation, "shape": dataclasses.asdict(preset.shape)}
    write_json(path, content | {"settings": preset.settings} | more)


def _read(path: Path) -> Preset:
    content = read_json(path)
    try:
        architecture(content["model"])
        settings = content["settings"]
        strange = sorted(set(settings) - set(SETTINGS))
        if strange:
            raise ValueError(f"unknown setting {', '.join(strange)}")
        return Preset(str(path), content["model"], Shape(**content["shape"]), dict(settings), content.get("notation"))
    except (TypeError, KeyError, ValueError, AttributeError, OptionError) as error:
        raise DataError(f"{path} is not a preset, as `matgen tune` writes them: {error}") from error
