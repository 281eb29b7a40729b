"""Architectures, objectives and checkpoints of the language models.

Importing this package registers the blank language model with transformers, so that `AutoModel.from_pretrained` opens
it.
"""

from matgen.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from matgen.models.objectives import OBJECTIVES, Objective
from matgen.models.registration import register
from matgen.models.registry import MODELS, Architecture, architecture, build_model

__all__ = [
    "MODELS",
    "OBJECTIVES",
    "Architecture",
    "Checkpoint",
    "Objective",
    "architecture",
    "build_model",
    "load_checkpoint",
    "save_checkpoint",
]

register()
