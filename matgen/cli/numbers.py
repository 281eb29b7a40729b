"""Numbers out of range, found before anything is loaded. The stages check them too, since Python calls them as well."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from matgen.errors import OptionError

Check = Callable[[float], bool]

_AT_LEAST_1: tuple[Check, str] = (lambda value: value >= 1, "at least 1")
_ABOVE_0: tuple[Check, str] = (lambda value: 0 < value < math.inf, "above 0 and finite")
_SHARE: tuple[Check, str] = (lambda value: 0 < value <= 1, "above 0 and at most 1")


def _or_none(of_zero: str) -> tuple[Check, str]:
    return lambda value: 0 <= value < math.inf, f"0 ({of_zero}) or more"


RANGES: dict[str, tuple[Check, str]] = {
    **dict.fromkeys(
        ("n", "block_size", "max_draws", "max_steps", "per_formula", "trials", "steps", "batch_size", "layers", "width",
         "ensemble_size", "draws", "n_mc", "insert", "max_per_system", "magnetic_orders", "evaluations", "patience",
         "accumulate", "rows", "workers", "finish_lowest", "top"),
        _AT_LEAST_1,
    ),
    **dict.fromkeys(
        ("temperature", "max_minutes", "epochs", "learning_rate", "trial_minutes", "tune_minutes", "reward_minutes",
         "guidance", "hours", "hours_each", "max_force", "kpoint_density", "cutoff"),
        _ABOVE_0,
    ),
    **dict.fromkeys(("top_p", "average", "balance_exponent"), _SHARE),
    "confidence": (lambda value: 0 < value < 1, "above 0 and below 1"),
    "min_p": (lambda value: 0 <= value < 1, "0 (off) or above, and below 1"),
    "dropout": (lambda value: 0 <= value < 1, "0 (none) or above, and below 1"),
    "seed": (lambda value: 0 <= value < 1 << 64, "0 or above, and below 2^64"),
    "port": (lambda value: 0 <= value < 1 << 16, "0 or above, and below 2^16"),
    "top_k": _or_none("off"),
    "kl": _or_none("off"),
    "diversity": _or_none("off"),
    "weight_decay": _or_none("none"),
    "finish_top": _or_none("none"),
    "symmetric": _or_none("none"),
    "phonons": _or_none("none"),
    "structures": _or_none("none"),
    "retrieval": _or_none("none"),
    "pretext": _or_none("none"),
    "folds": (lambda value: value >= 2, "at least 2"),
}  # fmt: skip
"""Destination of an option of any verb to what its number must be, and how that is said."""

_OF_VERB: dict[tuple[str, str], tuple[Check, str]] = {
    ("structure", "top"): _or_none("all rows"),
    ("fit", "folds"): (lambda value: value == 0 or value >= 3, "0 (a part is set apart) or at least 3"),
}
"""Those that mean something else in one verb."""


def require_ranges(arguments: argparse.Namespace) -> None:
    """Refuse numbers that no stage can take.

    Raises:
        OptionError: a number out of range, named as its option is.
    """
    for name, value in vars(arguments).items():
        rule = _OF_VERB.get((arguments.verb, name)) or RANGES.get(name)
        if rule is None or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        holds, words = rule
        if not holds(value):
            option = "-n" if name == "n" else f"--{name.replace('_', '-')}"
            written = f"{value:g}" if isinstance(value, float) else value
            raise OptionError(f"{option} is {written}, it must be {words}")
