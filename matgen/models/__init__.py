"""Architectures, objectives and checkpoints of the language models."""

from matgen.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from matgen.models.registry import MODELS, Architecture, architecture, build_model

__all__ = [
    "MODELS",
    "Architecture",
    "Checkpoint",
    "architecture",
    "build_model",
    "load_checkpoint",
    "save_checkpoint",
]
