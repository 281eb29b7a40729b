"""Which way of fine-tuning is meant, and what its options are where they are not given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matgen.errors import OptionError, unknown_name

FINE_TUNINGS = ("head", "adapters")
ADAPTERS: dict[str, Any] = {
    "rank": 16, "alpha": 32, "dropout": 0.0, "learning_rate": 2e-3, "epochs": 20.0, "batch_size": 8,
}  # fmt: skip


def fine_tuning_of(kind: str, given: str | None, in_context: bool, of_adapters: Sequence[str]) -> str | None:
    """`head`, `adapters`, or None where nothing is trained.

    Raises:
        OptionError: an unknown way, or options that exclude each other.
    """
    if given is not None and given not in FINE_TUNINGS:
        raise unknown_name("fine_tuning", given, FINE_TUNINGS)
    if in_context and given is not None:
        raise OptionError(f"in_context trains nothing: leave out fine_tuning={given}")
    if given == "head" and of_adapters:
        raise OptionError(f"{of_adapters[0]} is an option of fine_tuning=adapters: a head has no use for it")
    if in_context:
        return None
    return given or ("head" if kind == "smollm2" and not of_adapters else "adapters")
