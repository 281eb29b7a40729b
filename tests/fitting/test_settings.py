from __future__ import annotations

import numpy as np
import pytest

from matgen.errors import OptionError
from matgen.fitting.settings import FitSettings, learning_rate_at


def test_learning_rate() -> None:
    settings = FitSettings(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate_at(step, 100, settings) for step in range(100)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert rates[10:] == pytest.approx(0.5 * (1 + np.cos(np.pi * np.arange(90) / 90)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": -1.0}, "epochs is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"max_minutes": 0.0}, "max_minutes is 0"),
        ({"precision": "fp8"}, "must be one of auto, bf16, fp32"),
    ],
)
def test_settings_out_of_range(change: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        FitSettings(**change)
