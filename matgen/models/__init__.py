"""Architectures, objectives and checkpoints of the language models.

Importing this package registers the blank language model with transformers, so that `AutoModel.from_pretrained` opens
it; transformers itself is not imported for that. Public names are imported when they are first asked for.
"""

from typing import TYPE_CHECKING

from matgen.models.registration import register_with_transformers
from matgen.runtime.lazy import lazily

if TYPE_CHECKING:
    from matgen.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from matgen.models.objectives import OBJECTIVES, Objective
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

_HOMES = {
    **dict.fromkeys(("Checkpoint", "load_checkpoint", "save_checkpoint"), "checkpoint"),
    **dict.fromkeys(("OBJECTIVES", "Objective"), "objectives"),
    **dict.fromkeys(("MODELS", "Architecture", "architecture", "build_model"), "registry"),
}

__getattr__ = lazily(__name__, _HOMES)

register_with_transformers()
