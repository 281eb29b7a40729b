"""matgen: from known inorganic compounds to new, valid, likely stable compositions.

Verbs of the command line are functions here (`matgen.sample`, `matgen.evaluate`, `matgen.discover` ...), and all
public names are imported when first used, so that `import matgen` costs nothing. The stages are subpackages:
`matgen.training`, `matgen.sampling`, `matgen.evaluation`, `matgen.discovery`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {
    "Candidates": "matgen.api.candidates",
    "CompositionBatch": "matgen.composition.batch",
    "Constraints": "matgen.sampling",
    "Dataset": "matgen.datasets",
    "Decoding": "matgen.sampling",
    "MatgenError": "matgen.errors",
    "Predictor": "matgen.prediction",
    "PropertyClassifier": "matgen.prediction",
    "PropertyRegressor": "matgen.prediction",
    "Report": "matgen.evaluation",
    "SampleRequest": "matgen.sampling",
    "Sampler": "matgen.sampling",
    "TrainingPlan": "matgen.training",
    "ValidityRules": "matgen.validity",
    "check": "matgen.api.judgment",
    "discover": "matgen.api.pipeline",
    "evaluate": "matgen.api.judgment",
    "explain": "matgen.validity",
    "from_weight_percent": "matgen.composition.alloys",
    "load_checkpoint": "matgen.models",
    "load_dataset": "matgen.datasets",
    "make_structures": "matgen.api.pipeline",
    "parse_formulas": "matgen.composition.batch",
    "predict": "matgen.api.judgment",
    "rank": "matgen.api.judgment",
    "sample": "matgen.api.generation",
    "sample_to_file": "matgen.sampling",
    "score": "matgen.api.generation",
    "screen": "matgen.api.judgment",
    "tinker": "matgen.api.generation",
    "tinker_to_file": "matgen.sampling",
    "train_model": "matgen.training",
}
"""Public name to its module; `__init__.pyi` says the same to type checkers."""

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        from matgen.errors import did_you_mean

        raise AttributeError(f"module 'matgen' has no attribute {name!r}{did_you_mean(name, __all__)}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
