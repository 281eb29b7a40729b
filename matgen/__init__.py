"""matgen: from known inorganic compounds to new, valid, likely stable compositions.

The public names below are imported when first used, so that `import matgen` costs nothing. The stages are subpackages:
`matgen.training`, `matgen.sampling`, `matgen.evaluation`, `matgen.discovery`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {
    "CompositionBatch": "matgen.composition.batch",
    "Constraints": "matgen.sampling",
    "Dataset": "matgen.datasets",
    "load_dataset": "matgen.datasets",
    "Decoding": "matgen.sampling",
    "MatgenError": "matgen.errors",
    "PropertyClassifier": "matgen.prediction",
    "PropertyRegressor": "matgen.prediction",
    "SampleRequest": "matgen.sampling",
    "Sampler": "matgen.sampling",
    "TrainingPlan": "matgen.training",
    "ValidityRules": "matgen.validity",
    "check": "matgen.validity",
    "explain": "matgen.validity",
    "from_weight_percent": "matgen.composition.alloys",
    "load_checkpoint": "matgen.models",
    "parse_formulas": "matgen.composition.batch",
    "sample_to_file": "matgen.sampling",
    "tinker": "matgen.sampling",
    "tinker_to_file": "matgen.sampling",
    "train_model": "matgen.training",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'matgen' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
