"""Which way of fine-tuning is meant, and what its options are where they are not given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matgen.errors import OptionError, unknown_name
from matgen.fitting.settings import FitSettings

FINE_TUNINGS = ("head", "top-layers", "ensemble", "adapters")
_OF_ALL_LAYERS: dict[str, Any] = {
    "rank": 16, "alpha": 32, "dropout": 0.0, "learning_rate": 2e-3, "epochs": 20.0, "batch_size": 8,
}  # fmt: skip
_OF_TOP_LAYERS: dict[str, Any] = _OF_ALL_LAYERS | {"layers": 8, "learning_rate": 1e-3, "epochs": 30.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "head": {}, "top-layers": _OF_TOP_LAYERS, "ensemble": _OF_TOP_LAYERS, "adapters": _OF_ALL_LAYERS,
}  # fmt: skip
"""Options of each way with their defaults."""


def fine_tuning_of(kind: str, given: str | None, in_context: bool, options: Sequence[str]) -> str | None:
    """One of `FINE_TUNINGS`, or None where nothing is trained.

    Args:
        kind: of the backend.
        given: by the user, or None.
        in_context: predict from examples.
        options: of `OPTIONS` that the user gave.

    Raises:
        OptionError: an unknown way, or options that exclude each other.
    """
    if given is not None and given not in FINE_TUNINGS:
        raise unknown_name("fine_tuning", given, FINE_TUNINGS)
    if in_context and given is not None:
        raise OptionError(f"in_context trains nothing: leave out fine_tuning={given}")
    if in_context:
        return None
    if given is None:
        by_option = "top-layers" if "layers" in options else "adapters"
        given = "head" if kind == "smollm2" and not options else by_option
    for option in options:
        if option not in OPTIONS[given]:
            takers = ", ".join(way for way in FINE_TUNINGS if option in OPTIONS[way])
            raise OptionError(f"{option} is an option of fine_tuning={takers.split(', ')[-1]}, not of {given}")
    return given


def fit_settings(
    options: dict[str, Any], n: int, seed: int, *, validates: bool, patience: int, bf16: bool
) -> FitSettings:
    """How low-rank adapters are trained, with a validation after each epoch.

    Args:
        options: `learning_rate`, `epochs`, `batch_size`.
        n: rows to learn from.
        seed: of the order of rows.
        validates: whether there are rows to validate on.
        patience: validations without improvement after which training stops.
        bf16: whether products are of bfloat16 numbers.
    """
    return FitSettings(
        batch_size=min(options["batch_size"], n),
        learning_rate=options["learning_rate"],
        weight_decay=0.0,
        warmup=0.1,
        epochs=options["epochs"],
        evaluations=max(1, math.ceil(options["epochs"])) if validates else 1,
        patience=patience,
        precision="bf16" if bf16 else "fp32",
        seed=seed,
    )
