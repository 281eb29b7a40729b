"""From compositions to properties, with spreads that are calibrated, and to the distance from the hull.

Names are imported when they are asked for: tables, uncertainties and predictors of boosted trees need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matgen.runtime.lazy import lazily

if TYPE_CHECKING:
    from matgen.prediction.estimators import PropertyClassifier, PropertyRegressor
    from matgen.prediction.fit import fit_predictor
    from matgen.prediction.measure import measured
    from matgen.prediction.network import NetworkSize
    from matgen.prediction.plan import FitPlan
    from matgen.prediction.predictor import Predictor
    from matgen.prediction.training_tables import PropertyData, bundled_property, table_property

__all__ = [
    "FitPlan",
    "NetworkSize",
    "Predictor",
    "PropertyClassifier",
    "PropertyData",
    "PropertyRegressor",
    "bundled_property",
    "fit_predictor",
    "measured",
    "table_property",
]

_HOMES = {
    "FitPlan": "plan",
    "NetworkSize": "network",
    "Predictor": "predictor",
    "PropertyClassifier": "estimators",
    "PropertyData": "training_tables",
    "PropertyRegressor": "estimators",
    "bundled_property": "training_tables",
    "fit_predictor": "fit",
    "measured": "measure",
    "table_property": "training_tables",
}

__getattr__ = lazily(__name__, _HOMES)
