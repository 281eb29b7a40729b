"""Precision and number of steps of a run, decided once when it starts; a resumed run keeps them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from matgen.fitting.settings import FitSettings
    from matgen.fitting.state import FitState
    from matgen.fitting.stepper import Stepper

_FEW_EXAMPLES = 2_000
"""Examples below which a run without a time limit is too short for the precision to matter."""
_VALIDATING = 0.2
"""Largest share of `max_minutes` spent on validation."""


def decide_budget(
    state: FitState, stepper: Stepper, validate: Callable[[], float], settings: FitSettings, steps_per_epoch: int
) -> None:
    """Set precision, evaluations and total steps of a new run's state; all processes then agree.

    Args:
        state: changed in place.
        stepper: timed, without a change to its weights.
        validate: a validation under the state's precision.
        settings: how to train.
        steps_per_epoch: updates per pass over the training set.
    """
    seconds = _seconds_per_step(stepper, settings)
    state.precision = min(seconds, key=lambda name: seconds[name])
    state.evaluations = settings.evaluations
    if settings.max_minutes is None:
        state.total_steps = math.ceil(settings.epochs * steps_per_epoch)
    else:
        began = time.monotonic()
        validate()
        cost, budget = time.monotonic() - began, settings.max_minutes * 60
        state.evaluations = int(min(settings.evaluations, max(1, _VALIDATING * budget / cost)))
        budget -= state.evaluations * cost
        state.total_steps = max(1, int(budget / seconds[state.precision]))
    _agree(state)


def _seconds_per_step(stepper: Stepper, settings: FitSettings) -> dict[str, float]:
    """Seconds per step in each precision that comes into question; 0 where nothing depends on it."""
    candidates = ("fp32", "bf16") if settings.precision == "auto" else (settings.precision,)
    if settings.precision == "auto" and settings.max_minutes is None and len(stepper.lengths) < _FEW_EXAMPLES:
        candidates = ("fp32",)
    if len(candidates) == 1 and settings.max_minutes is None:
        return {candidates[0]: 0.0}
    return {name: stepper.seconds_per_step(name) for name in candidates}


def _agree(state: FitState) -> None:
    """Processes that timed differently all follow the first."""
    from accelerate.utils import broadcast_object_list

    decided = broadcast_object_list([state.precision, state.evaluations, state.total_steps])
    state.precision, state.evaluations, state.total_steps = decided
