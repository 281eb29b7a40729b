"""How to fit a predictor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matgen.errors import OptionError, require_above_zero, unknown_name
from matgen.fitting.optimizers import BEST_OPTIMIZER
from matgen.fitting.settings import FitSettings
from matgen.prediction.network import NetworkSize
from matgen.prediction.predictor import MEMBERS

_SETTINGS = {
    "network": FitSettings(learning_rate=2e-3, weight_decay=0.01, epochs=100.0, patience=8, optimizer=BEST_OPTIMIZER),
    "language_model": FitSettings(learning_rate=5e-4, weight_decay=0.05, epochs=20.0, patience=5),
    "trees": FitSettings(),
}
_BATCHES_AN_EPOCH = 64
"""Of a small table: a batch of 256 would leave too few steps."""


@dataclass(frozen=True)
class FitPlan:
    """How to fit.

    Attributes:
        kind: of the members: `network` (attention among the elements), `trees` (boosted, on Magpie features) or
            `language_model` (a checkpoint with a head).
        size: of each network.
        members: how many; they differ in their first weights and in the order of examples. Where rows calibrate in
            folds there is one member for each fold instead.
        init: what to go on from: for networks a predictor (folder or bundled name), for language models a checkpoint
            (by default the bundled one).
        settings: of the training of each; their `max_minutes` is that of one member.
        trees: LightGBM's parameters in place of the usual ones.
        stability: whether trees learn what predicted distances to the hull are worth (`stability_fit`; some minutes),
            of formation energies of a bundled source and with LightGBM.
    """

    kind: str = "network"
    size: NetworkSize = field(default_factory=NetworkSize)
    members: int = 3
    init: str | None = None
    settings: FitSettings = _SETTINGS["network"]
    trees: Mapping[str, Any] = field(default_factory=dict)
    stability: bool = True

    def __post_init__(self) -> None:
        if self.kind not in MEMBERS:
            raise unknown_name("kind of predictor", self.kind, MEMBERS)
        if self.kind == "trees" and self.init is not None:
            raise OptionError("trees begin anew: leave out --init")
        require_above_zero(self, "members")


def default_fit_settings(kind: str, compositions: int, **changes: Any) -> FitSettings:
    """`FitSettings` for a kind of predictor and so many compositions to learn from; None changes nothing.

    Raises:
        OptionError: an unknown kind.
    """
    if kind not in _SETTINGS:
        raise unknown_name("kind of predictor", kind, _SETTINGS)
    batch_size = int(np.clip(compositions // _BATCHES_AN_EPOCH, 16, 256))
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(_SETTINGS[kind], **{"batch_size": batch_size} | given)
