"""One row per architecture: what transformers calls it, how it is trained and sampled, its shapes and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matgen.errors import unknown_name
from matgen.models import configurations, layouts, shapes
from matgen.models.objectives import BLANKS, CAUSAL, DENOISING, MASKED
from matgen.models.registration import register
from matgen.models.shapes import Shape
from matgen.models.tokenizer import BOS, EOS, PAD, vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from matgen.models.layouts import DecoderLayout
    from matgen.models.objectives import Objective
    from matgen.models.shapes import Choices

MAX_POSITIONS = 128
"""Longest sequence of any model, with `<bos>` and `<eos>` (the published blocks are 128 tokens)."""


@dataclass(frozen=True)
class Architecture:
    """A row of the registry.

    Attributes:
        key: matgen's name of the architecture.
        title: its usual name.
        model_type: `model_type` of the transformers configuration.
        auto_class: the transformers `Auto...` class that opens its checkpoints.
        objective: what it is trained to do, and with that how it is sampled.
        config: from a shape and the longest sequence to arguments of the transformers configuration.
        shapes: preset to `Shape`.
        search: what a search may try: `width`, `head_width` and `layers` of the shape (the feed-forward is four times
            the width), its `dropout` and `initializer`, and settings of the training.
        layout: where it keeps the weights of its layers, for matgen's own training and decoding steps; None where these
            are left to its forward pass.
        has_cache: whether its key-value cache works, so that sampling need not recompute prefixes.
        learning_rate: its best peak over that of the causal models.
        stock: whether transformers alone opens its checkpoints, without matgen.
    """

    key: str
    title: str
    model_type: str
    auto_class: str
    objective: Objective
    config: Callable[[Shape, int], dict[str, Any]]
    shapes: dict[str, Shape]
    search: dict[str, Choices]
    layout: DecoderLayout | None = None
    has_cache: bool = True
    learning_rate: float = 1.0
    stock: bool = True

    @property
    def any_order(self) -> bool:
        """True where the model writes tokens in any order, so that a likelihood is a sum over orders."""
        return self.objective.any_order

    @property
    def takes_conditions(self) -> bool:
        """True where models can be conditioned on properties: sequences then begin with other embeddings."""
        return self.layout is not None


_CAUSAL_CLASS = "AutoModelForCausalLM"

MODELS: dict[str, Architecture] = {
    row.key: row
    for row in (
        Architecture(
            "gpt",
            "GPT",
            "openai-gpt",
            _CAUSAL_CLASS,
            CAUSAL,
            configurations.gpt,
            shapes.TWELVE_LAYERS,
            shapes.SEARCH,
            layouts.GPT,
            has_cache=False,
        ),
        Architecture(
            "gpt2",
            "GPT-2",
            "gpt2",
            _CAUSAL_CLASS,
            CAUSAL,
            configurations.gpt2,
            shapes.EIGHT_LAYERS,
            shapes.SEARCH,
            layouts.GPT_2,
        ),
        Architecture(
            "gptneo",
            "GPT-Neo",
            "gpt_neo",
            _CAUSAL_CLASS,
            CAUSAL,
            configurations.gpt_neo,
            shapes.TWELVE_LAYERS,
            shapes.SEARCH,
            layouts.GPT_NEO,
        ),
        Architecture(
            "gptj",
            "GPT-J",
            "gptj",
            _CAUSAL_CLASS,
            CAUSAL,
            configurations.gptj,
            shapes.TWELVE_LAYERS,
            shapes.SEARCH,
            layouts.GPT_J,
        ),
        Architecture(
            "bart",
            "BART",
            "bart",
            "AutoModelForSeq2SeqLM",
            DENOISING,
            configurations.bart,
            shapes.ENCODER_DECODER,
            shapes.SEARCH_ENCODER_DECODER,
        ),
        Architecture(
            "blmm",
            "BLMM",
            "blank_language_model",
            "AutoModel",
            BLANKS,
            configurations.blank,
            shapes.BLANK_SHAPES,
            shapes.SEARCH_SLOW,
            has_cache=False,
            learning_rate=2 / 3,
            stock=False,
        ),
        Architecture(
            "roberta",
            "RoBERTa",
            "roberta",
            "AutoModelForMaskedLM",
            MASKED,
            configurations.roberta,
            shapes.EIGHT_LAYERS,
            shapes.SEARCH_SLOW,
            has_cache=False,
            # At the others' rate it hardly learns: 23.8 nats per formula after 438 steps instead of 18.3 after 367.
            learning_rate=1 / 3,
        ),
    )
}
"""Key to row, in the order in which help and tables list them."""


def architecture(key: str) -> Architecture:
    """The row of a name.

    Raises:
        OptionError: unknown name; the known ones are listed.
    """
    if key not in MODELS:
        raise unknown_name("model", key, MODELS)
    return MODELS[key]


def layout_of(model_type: str) -> DecoderLayout | None:
    """The layout of a `model_type` of transformers, None where no row has one for it."""
    return next((row.layout for row in MODELS.values() if row.model_type == model_type), None)


def shape(key: str, preset: str) -> Shape:
    """The shape of an architecture at a preset.

    Raises:
        OptionError: unknown architecture or preset.
    """
    known = architecture(key).shapes
    if preset not in known:
        raise unknown_name("preset", preset, known)
    return known[preset]


def build_model(key: str, size: str | Shape, notation: str, *, seed: int) -> PreTrainedModel:
    """A freshly initialized model.

    Args:
        key: name in `MODELS`.
        size: its shape, or the preset that names it: `tiny`, `small`, `paper` or `large`.
        notation: notation of its vocabulary.
        seed: of the initial weights; torch's global generator is left as it was.
    """
    import torch
    import transformers

    row = architecture(key)
    if not row.stock:
        register()
    config = transformers.AutoConfig.for_model(
        row.model_type,
        vocab_size=len(vocabulary(notation)),
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        **row.config(shape(key, size) if isinstance(size, str) else size, MAX_POSITIONS),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(transformers, row.auto_class).from_config(config)
