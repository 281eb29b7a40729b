"""LIFT: language models that learn from tables as sentences.

`LiftClassifier`, `LiftRegressor` and `LiftGenerator` are estimators as scikit-learn has them; `save` and `load` keep
them in folders.
After Dinh et al., "LIFT: Language-Interfaced Fine-Tuning for Non-Language Machine Learning Tasks", NeurIPS 2022.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "LiftClassifier": "matgen.lift.estimators.classifier",
    "LiftGenerator": "matgen.lift.generator",
    "LiftRegressor": "matgen.lift.estimators.regressor",
    "load": "matgen.lift.store",
    "save": "matgen.lift.store",
}

__all__ = ["LiftClassifier", "LiftGenerator", "LiftRegressor", "load", "save"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
