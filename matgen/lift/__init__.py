"""LIFT: language models that learn from tables as sentences.

`LiftClassifier`, `LiftRegressor`, `LiftMultiTarget` and `LiftGenerator` are estimators as scikit-learn has them; `save`
and `load` keep them in folders.
After Dinh et al., "LIFT: Language-Interfaced Fine-Tuning for Non-Language Machine Learning Tasks", NeurIPS 2022.
"""

from matgen.runtime.lazy import lazily

_PUBLIC = {
    "LiftClassifier": "estimators.classifier",
    "LiftGenerator": "generator",
    "LiftMultiTarget": "estimators.multi_target",
    "LiftRegressor": "estimators.regressor",
    "load": "store",
    "save": "store",
}

__all__ = ["LiftClassifier", "LiftGenerator", "LiftMultiTarget", "LiftRegressor", "load", "save"]

__getattr__ = lazily(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return sorted(__all__)
