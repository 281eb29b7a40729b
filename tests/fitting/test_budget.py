from __future__ import annotations

import time

import numpy as np
import pytest

from matgen.fitting.budget import decide_budget
from matgen.fitting.settings import FitSettings
from matgen.fitting.state import FitState


class Timed:
    """A stepper whose steps take given seconds, by precision."""

    def __init__(self, n: int, **seconds: float) -> None:
        self.lengths, self.seconds, self.asked = np.full(n, 5), seconds, []

    def seconds_per_step(self, precision: str) -> float:
        self.asked.append(precision)
        return self.seconds[precision]


def decided(settings: FitSettings, stepper: Timed, validating: float = 0.0) -> FitState:
    state = FitState()
    decide_budget(state, stepper, lambda: time.sleep(validating) or 0.0, settings, steps_per_epoch=7)
    return state


def test_epochs_become_steps_in_the_faster_precision() -> None:
    stepper = Timed(5_000, fp32=2.0, bf16=1.0)
    state = decided(FitSettings(epochs=2.5, evaluations=9), stepper)
    assert (state.total_steps, state.evaluations, state.precision) == (18, 9, "bf16")
    assert decided(FitSettings(), Timed(5_000, fp32=1.0, bf16=2.0)).precision == "fp32"


@pytest.mark.parametrize(
    ("n", "precision", "expected"), [(100, "auto", "fp32"), (5_000, "bf16", "bf16"), (5_000, "fp32", "fp32")]
)
def test_nothing_is_timed_where_nothing_depends_on_it(n: int, precision: str, expected: str) -> None:
    stepper = Timed(n)
    assert decided(FitSettings(precision=precision), stepper).precision == expected
    assert stepper.asked == []


def test_minutes_become_steps_less_the_time_of_validation() -> None:
    settings = FitSettings(max_minutes=0.1, evaluations=50, precision="fp32")  # 6 seconds
    state = decided(settings, Timed(100, fp32=0.5), validating=0.3)
    assert 1 <= state.evaluations <= 4  # a fifth of 6 seconds
    assert 1 <= state.total_steps <= (6 - 0.3 * state.evaluations) / 0.5
