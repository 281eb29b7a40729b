from __future__ import annotations

import pytest

from matgen.errors import OptionError
from matgen.models import MODELS
from matgen.models.objectives import CAUSAL, FIGURES, MASKED, OBJECTIVES, objective_for


def test_rows_are_consistent() -> None:
    for key, row in OBJECTIVES.items():
        assert row.key == key
        assert row.summary
        assert row.completion
        assert row.figure in FIGURES
        assert row.any_order == (row.decoder != "prefixes")
        assert row.replaces is None or row.replaces in OBJECTIVES
    # Every objective is an architecture's own, or stands in for one that is.
    own = {row.objective.key for row in MODELS.values()}
    assert {row.replaces or key for key, row in OBJECTIVES.items()} == own
    assert OBJECTIVES["masked-fixed"].figure == "control"


def test_objectives_must_fit() -> None:
    assert objective_for(CAUSAL, None) is CAUSAL
    assert objective_for(CAUSAL, "causal") is CAUSAL
    assert objective_for(MASKED, "masked-fixed") is OBJECTIVES["masked-fixed"]
    with pytest.raises(OptionError, match="does not fit this model; it takes causal$"):
        objective_for(CAUSAL, "masked")
    with pytest.raises(OptionError, match="it takes masked or masked-fixed"):
        objective_for(MASKED, "causal")
