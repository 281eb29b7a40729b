"""What models are trained to do: one file for each family of objectives, one row for each objective."""

from __future__ import annotations

from matgen.errors import OptionError
from matgen.models.objectives.base import FIGURES, Objective, WritingSteps
from matgen.models.objectives.blank import BLANKS
from matgen.models.objectives.causal import CAUSAL
from matgen.models.objectives.denoising import DENOISING
from matgen.models.objectives.masked import MASKED, MASKED_FIXED

__all__ = [
    "BLANKS",
    "CAUSAL",
    "DENOISING",
    "FIGURES",
    "MASKED",
    "OBJECTIVES",
    "Objective",
    "WritingSteps",
    "objective_for",
]

OBJECTIVES: dict[str, Objective] = {row.key: row for row in (CAUSAL, DENOISING, BLANKS, MASKED, MASKED_FIXED)}
"""Name to objective."""


def objective_for(own: Objective, chosen: str | None) -> Objective:
    """The objective of a run: the architecture's own, or another one that may replace it.

    Args:
        own: of the architecture.
        chosen: name of an objective; None for the architecture's own.

    Raises:
        OptionError: the chosen objective does not fit the architecture; those that do are listed.
    """
    allowed = {own.key: own} | {row.key: row for row in OBJECTIVES.values() if row.replaces == own.key}
    if chosen is None:
        return own
    if chosen not in allowed:
        raise OptionError(f"objective {chosen!r} does not fit this model; it takes {' or '.join(allowed)}")
    return allowed[chosen]
