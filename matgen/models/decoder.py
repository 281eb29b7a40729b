"""GPT, GPT-2, GPT-Neo and GPT-J seen as one: the same layers, laid out alike.

transformers writes each of them in its own words. What matgen computes by itself (decoding steps, training over shared
prefixes) reads their weights through this view; nothing is copied that need not be, and gradients flow back through
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from matgen.models.conditions import start_embeddings
from matgen.models.layouts import DecoderLayer, Norm, Order, head_width, norm_weights
from matgen.models.registry import layout_of
from matgen.models.tokenizer import BOS

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Decoder:
    """Weights of a model that writes from left to right.

    Attributes:
        layers: from first to last.
        order: where its layers normalize.
        embedding: `(vocabulary, width)`; of a conditional model, embeddings that sequences may begin with follow.
        positions: `(positions, width)`, None where queries and keys are turned instead.
        rotary: cosines and sines `(positions, width, 2)` by which pairs of columns of queries (first half of the pairs)
            and keys are turned (Su et al., arXiv:2104.09864), None where positions are added.
        last_norm: after the last layer, None for `after`.
        head: `(width, vocabulary)`, and its bias.
        scale: of attention's scores.
        heads: of attention.
        epsilon: of the normalizations.
        dropout: probabilities after the embedding, of attention's weights, and before each residual sum.
    """

    layers: list[DecoderLayer]
    order: Order
    embedding: Tensor
    positions: Tensor | None
    rotary: Tensor | None
    last_norm: Norm | None
    head: Tensor
    head_bias: Tensor | None
    scale: float
    heads: int
    epsilon: float
    dropout: tuple[float, float, float]

    @classmethod
    def of(cls, model: Any) -> Decoder | None:
        """The view of a transformers model, or None where its architecture has no layout, or options that change it."""
        config = model.config
        layout = layout_of(config.model_type)
        if layout is None or not layout.is_plain(config):
            return None
        # Nothing is detached: gradients of what is computed from this view reach the model's own parameters.
        inner, head = model.transformer, model.lm_head
        embedding = getattr(inner, layout.embedding).weight
        starts = start_embeddings(model, embedding, BOS)  # (combinations, width) of a conditional model
        after_embedding, attention, residual = (float(getattr(config, name)) for name in layout.dropout)
        return cls(
            layers=[layout.layer(layer) for layer in inner.h],
            order=layout.order,
            embedding=embedding if starts is None else torch.cat([embedding, starts.to(embedding.dtype)]),
            positions=None if layout.positions is None else getattr(inner, layout.positions).weight,
            rotary=None if layout.rotary is None else layout.rotary(model),
            last_norm=None if layout.last_norm is None else norm_weights(getattr(inner, layout.last_norm)),
            head=head.weight.t(),  # torch keeps (vocabulary, width)
            head_bias=head.bias,
            # Scores are divided by the root of a head's width, but for GPT-Neo, which was trained without.
            scale=head_width(config) ** -0.5 if layout.scaled else 1.0,
            heads=config.num_attention_heads,
            epsilon=config.layer_norm_epsilon,
            dropout=(after_embedding, attention, residual),
        )
