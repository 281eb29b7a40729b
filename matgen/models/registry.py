"""One row per architecture: its transformers model type, how it is trained and sampled, and its shapes.

The preset `paper` holds the released shapes of Materials Transformers (Fu et al. 2023, Mach. Learn.: Sci. Technol. 4
015001); `tiny` and `small` train on a laptop, `large` on GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matgen.errors import OptionError, require_above_zero, unknown_name
from matgen.models.tokenizer import BOS, EOS, PAD, vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAX_POSITIONS = 128
"""Longest sequence of any model, with `<bos>` and `<eos>` (the published blocks are 128 tokens)."""

PRESETS = ("tiny", "small", "paper", "large")


@dataclass(frozen=True)
class Shape:
    """Size of a model: `layers` of `width` with `heads` attention heads and a feed-forward width of `feed_forward`.

    For an encoder-decoder, `layers` counts each side. `dropout` is a probability. `initializer` is the standard
    deviation of the first weights.
    """

    layers: int
    heads: int
    width: int
    feed_forward: int
    dropout: float = 0.0
    initializer: float = 0.02

    def __post_init__(self) -> None:
        require_above_zero(self, "layers", "heads", "width", "feed_forward", "initializer")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout is {self.dropout}, it must be from 0 to below 1")
        if self.width % self.heads:
            raise OptionError(f"width {self.width} is not a multiple of {self.heads} heads")


@dataclass(frozen=True)
class Range:
    """Numbers that a search may try: from `low` to `high`, evenly or (`log`) evenly in their logarithm."""

    low: float
    high: float
    log: bool = False


Choices = Range | tuple[int, ...]
"""What a search may try for one quantity."""


@dataclass(frozen=True)
class Architecture:
    """A row of the registry.

    Attributes:
        key: matgen's name of the architecture.
        title: its usual name.
        model_type: `model_type` of the transformers configuration.
        auto_class: the transformers `Auto...` class that opens its checkpoints.
        objective: `causal` (next token), `denoising` (encoder-decoder: the decoder rewrites the sequence from a source
            with spans masked, down to a source that is one mask) `masked` (order-agnostic: any subset masked) or
            `blank` (words written into blanks, in any order).
        has_cache: whether its key-value cache works, so that sampling need not recompute prefixes.
        shapes: preset to `Shape`.
        search: what a search may try: `width`, `head_width` and `layers` of the shape (the feed-forward is four times
            the width), its `dropout` and `initializer`, and settings of the training.
        learning_rate: its best peak over that of the causal models.
    """

    key: str
    title: str
    model_type: str
    auto_class: str
    objective: str
    has_cache: bool
    shapes: dict[str, Shape]
    search: dict[str, Choices]
    learning_rate: float = 1.0

    @property
    def any_order(self) -> bool:
        """True where the model writes tokens in any order, so that a likelihood is a sum over orders."""
        return self.objective in ("masked", "blank")


# Narrow layers learn much faster from wider first weights, near 1 / sqrt(width): after 224 steps of 256 formulas a tiny
# GPT-J stood at 14.7 nats a formula instead of 16.3.
_TINY = Shape(4, 4, 128, 512, initializer=0.08)
_SMALL = Shape(6, 6, 192, 768, dropout=0.1, initializer=0.07)
_LARGE = Shape(12, 12, 768, 3072, dropout=0.1)  # GPT-2's smallest size, some 85 million parameters: for GPUs
_TWELVE = {"tiny": _TINY, "small": _SMALL, "paper": Shape(12, 6, 180, 720, dropout=0.1), "large": _LARGE}
_EIGHT = {"tiny": _TINY, "small": _SMALL, "paper": Shape(8, 4, 180, 720, dropout=0.1), "large": _LARGE}
_ENCODER_DECODER = {
    "tiny": Shape(2, 4, 128, 512, initializer=0.08),
    "small": Shape(3, 6, 192, 768, dropout=0.1, initializer=0.07),
    "paper": Shape(10, 4, 128, 256, dropout=0.1),
    "large": Shape(6, 12, 768, 3072, dropout=0.1),
}

_SEARCH: dict[str, Choices] = {
    "learning_rate": Range(5e-4, 1e-2, log=True),
    "weight_decay": Range(1e-3, 0.3, log=True),
    "batch_size": (128, 256, 512),
    "dropout": Range(0.0, 0.3),
    "initializer": Range(0.02, 0.12, log=True),
    "layers": (2, 4, 6, 8),  # even: GPT-Neo's attention is global and local in turn
    "width": (64, 128, 192, 256),
    "head_width": (16, 32, 64),
}
_SEARCH_BART = _SEARCH | {"layers": (1, 2, 3, 4)}
_SEARCH_SLOW = _SEARCH | {"learning_rate": Range(2e-4, 5e-3, log=True)}

_BLANK = {"tiny": _TINY, "small": _SMALL, "paper": Shape(6, 8, 512, 2048, dropout=0.3), "large": _LARGE}

MODELS: dict[str, Architecture] = {
    row.key: row
    for row in (
        Architecture("gpt", "GPT", "openai-gpt", "AutoModelForCausalLM", "causal", False, _TWELVE, _SEARCH),
        Architecture("gpt2", "GPT-2", "gpt2", "AutoModelForCausalLM", "causal", True, _EIGHT, _SEARCH),
        Architecture("gptneo", "GPT-Neo", "gpt_neo", "AutoModelForCausalLM", "causal", True, _TWELVE, _SEARCH),
        Architecture("gptj", "GPT-J", "gptj", "AutoModelForCausalLM", "causal", True, _TWELVE, _SEARCH),
        Architecture(
            "bart",
            "BART",
            "bart",
            "AutoModelForSeq2SeqLM",
            "denoising",
            True,
            _ENCODER_DECODER,
            _SEARCH_BART,
        ),
        Architecture("blmm", "BLMM", "blank_language_model", "AutoModel", "blank", False, _BLANK, _SEARCH_SLOW, 2 / 3),
        # At the others' rate RoBERTa hardly learns: 23.8 nats a formula after 438 steps instead of 18.3 after 367.
        Architecture(
            "roberta", "RoBERTa", "roberta", "AutoModelForMaskedLM", "masked", False, _EIGHT, _SEARCH_SLOW, 1 / 3
        ),
    )
}


def architecture(key: str) -> Architecture:
    """The row of a name.

    Raises:
        OptionError: unknown name; the known ones are listed.
    """
    if key not in MODELS:
        raise unknown_name("model", key, MODELS)
    return MODELS[key]


def shape(key: str, preset: str) -> Shape:
    """The shape of an architecture at a preset.

    Raises:
        OptionError: unknown architecture or preset.
    """
    shapes = architecture(key).shapes
    if preset not in shapes:
        raise unknown_name("preset", preset, shapes)
    return shapes[preset]


def config_arguments(key: str, size: Shape) -> dict[str, Any]:
    """Arguments of the transformers configuration for a shape, in the words of each model type."""
    drop = size.dropout
    gpt_style = {
        "n_embd": size.width,
        "n_layer": size.layers,
        "n_head": size.heads,
        "n_positions": MAX_POSITIONS,
        "embd_pdrop": drop,
        "resid_pdrop": drop,
        "attn_pdrop": drop,
        "initializer_range": size.initializer,
    }
    by_type: dict[str, dict[str, Any]] = {
        # OpenAI GPT has no feed-forward option: it is four times the width.
        "openai-gpt": gpt_style,
        "gpt2": gpt_style | {"n_inner": size.feed_forward},
        # The released rotary_dim of 64 exceeds the width of a head (30): rotate all of it.
        "gptj": gpt_style | {"n_inner": size.feed_forward, "rotary_dim": size.width // size.heads},
        "gpt_neo": {
            "hidden_size": size.width,
            "num_layers": size.layers,
            "num_heads": size.heads,
            "intermediate_size": size.feed_forward,
            "attention_types": [[["global", "local"], size.layers // 2]],
            "max_position_embeddings": MAX_POSITIONS,
            "embed_dropout": drop,
            "resid_dropout": drop,
            "attention_dropout": drop,
            "initializer_range": size.initializer,
        },
        "bart": {
            "d_model": size.width,
            "encoder_layers": size.layers,
            "decoder_layers": size.layers,
            "encoder_attention_heads": size.heads,
            "decoder_attention_heads": size.heads,
            "encoder_ffn_dim": size.feed_forward,
            "decoder_ffn_dim": size.feed_forward,
            "max_position_embeddings": MAX_POSITIONS,
            "dropout": drop,
            "init_std": size.initializer,
            "decoder_start_token_id": BOS,
            "forced_eos_token_id": None,
        },
        "blank_language_model": {
            "hidden_size": size.width,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "intermediate_size": size.feed_forward,
            "max_position_embeddings": MAX_POSITIONS,
            "dropout": drop,
            "initializer_range": size.initializer,
        },
        "roberta": {
            "hidden_size": size.width,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "intermediate_size": size.feed_forward,
            # RoBERTa numbers positions from pad_token_id + 1.
            "max_position_embeddings": MAX_POSITIONS + 1 + PAD,
            "hidden_dropout_prob": drop,
            "attention_probs_dropout_prob": drop,
            "initializer_range": size.initializer,
            "type_vocab_size": 1,
        },
    }
    return by_type[architecture(key).model_type]


def build_model(key: str, size: str | Shape, notation: str, *, seed: int) -> PreTrainedModel:
    """A freshly initialised model.

    Args:
        key: name in `MODELS`.
        size: its shape, or the preset that names it: `tiny`, `small`, `paper` or `large`.
        notation: notation of its vocabulary.
        seed: of the initial weights; torch's global generator is left as it was.
    """
    import torch
    import transformers

    row = architecture(key)
    config = transformers.AutoConfig.for_model(
        row.model_type,
        vocab_size=len(vocabulary(notation)),
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        **config_arguments(key, shape(key, size) if isinstance(size, str) else size),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(transformers, row.auto_class).from_config(config)
