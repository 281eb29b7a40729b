"""Makes the blank language model known to transformers' `Auto...` classes; the other architectures are stock ones."""

from transformers import AutoConfig, AutoModel

from matgen.models.blank import BlankLanguageModel
from matgen.models.blank_config import BlankConfig


def register() -> None:
    """Let `AutoConfig` and `AutoModel` open checkpoints of the blank language model; twice is as good as once."""
    AutoConfig.register(BlankConfig.model_type, BlankConfig, exist_ok=True)
    AutoModel.register(BlankConfig, BlankLanguageModel, exist_ok=True)
