"""From compositions to properties, with spreads that are calibrated, and to the distance from the hull."""

from matgen.predict.fit import FitPlan, fit_predictor, measured
from matgen.predict.network import NetworkSize
from matgen.predict.predictor import Predictor
from matgen.predict.tables import PropertyData, bundled_property, table_property

__all__ = [
    "FitPlan",
    "NetworkSize",
    "Predictor",
    "PropertyData",
    "bundled_property",
    "fit_predictor",
    "measured",
    "table_property",
]
