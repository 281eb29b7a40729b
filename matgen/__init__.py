"""matgen: from known inorganic compounds to new, valid, likely stable compositions.

The public names below are imported when first used, so that `import matgen` costs nothing. The stages are subpackages:
`matgen.train`, `matgen.sample`, `matgen.evaluate`, `matgen.discover`.
"""

from importlib import import_module
from typing import Any

from matgen.auto_classes import register

__version__ = "0.2.0"

_PUBLIC = {
    "CompositionBatch": "matgen.composition",
    "Constraints": "matgen.sample",
    "Dataset": "matgen.datasets",
    "load_dataset": "matgen.datasets",
    "Decoding": "matgen.sample",
    "MatgenError": "matgen.errors",
    "SampleRequest": "matgen.sample",
    "Sampler": "matgen.sample",
    "TrainingPlan": "matgen.train",
    "ValidityRules": "matgen.validity",
    "check": "matgen.validity",
    "explain": "matgen.validity",
    "load_checkpoint": "matgen.models",
    "parse_formulas": "matgen.composition",
    "sample_to_file": "matgen.sample",
    "tinker": "matgen.sample",
    "tinker_to_file": "matgen.sample",
    "train_model": "matgen.train",
}

__all__ = ["__version__", *_PUBLIC]

register()


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'matgen' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
