"""GPT, GPT-2, GPT-Neo and GPT-J seen as one: the same layers, laid out alike.

transformers writes each of them in its own words. What matgen computes by itself (decoding steps, training over shared
prefixes) reads their weights through this view; nothing is copied that need not be, and gradients flow back through
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from matgen.models.conditions import start_embeddings
from matgen.models.tokenizer import BOS

if TYPE_CHECKING:
    from torch import Tensor

_GELU = {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"}
"""Names of the activation that torch calls GELU with the tanh approximation."""

Order = Literal["parallel", "before", "after"]
"""Where a layer normalises: `before` attention and before the feed-forward (GPT-2, GPT-Neo), once before both, which
then run side by side (`parallel`, GPT-J), or `after` each of them (GPT)."""

Norm = tuple["Tensor", "Tensor"]
"""Weight and bias of a layer normalisation."""


@dataclass(frozen=True)
class DecoderLayer:
    """Weights of one layer, products as `(in, out)`; a bias that a model lacks is None.

    Attributes:
        norm: the first normalisation.
        into, into_bias: to queries, keys and values.
        back, back_bias: from what was attended to.
        norm_2: the second normalisation, None where `parallel`.
        up, up_bias, down, down_bias: the feed-forward's products.
    """

    norm: Norm
    into: Tensor
    into_bias: Tensor | None
    back: Tensor
    back_bias: Tensor | None
    norm_2: Norm | None
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


@dataclass(frozen=True)
class Decoder:
    """Weights of a model that writes from left to right.

    Attributes:
        layers: from first to last.
        order: where its layers normalise.
        embedding: `(vocabulary, width)`; of a conditional model, embeddings that sequences may begin with follow.
        positions: `(positions, width)`, None where queries and keys are turned instead.
        rotary: cosines and sines `(positions, width, 2)` by which pairs of columns of queries (first half of the pairs)
            and keys are turned (Su et al., arXiv:2104.09864), None where positions are added.
        last_norm: after the last layer, None for `after`.
        head: `(width, vocabulary)`, and its bias.
        scale: of attention's scores.
        heads: of attention.
        epsilon: of the normalisations.
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
        """The view of a transformers model, or None where it is of another kind."""
        config = model.config
        if config.model_type not in _READERS or not _as_expected(config):
            return None
        inner, head = model.transformer, model.lm_head
        gpt, gptj = config.model_type == "openai-gpt", config.model_type == "gptj"
        names = ("embd_pdrop", "attn_pdrop", "resid_pdrop")
        if config.model_type == "gpt_neo":
            names = ("embed_dropout", "attention_dropout", "resid_dropout")
        dropout = [getattr(config, name) for name in names]
        embedding = (inner.tokens_embed if gpt else inner.wte).weight
        starts = start_embeddings(model, embedding, BOS)
        return cls(
            layers=[_READERS[config.model_type](layer) for layer in inner.h],
            order="after" if gpt else "parallel" if gptj else "before",
            embedding=embedding if starts is None else torch.cat([embedding, starts.to(embedding.dtype)]),
            positions=None if gptj else (inner.positions_embed if gpt else inner.wpe).weight,
            rotary=_rotation(model) if gptj else None,
            last_norm=None if gpt else _norm(inner.ln_f),
            head=head.weight.t(),
            head_bias=head.bias,
            scale=1.0 if config.model_type == "gpt_neo" else float(_head_width(config) ** -0.5),
            heads=config.num_attention_heads,
            epsilon=config.layer_norm_epsilon,
            dropout=(float(dropout[0]), float(dropout[1]), float(dropout[2])),
        )


def _head_width(config: Any) -> int:
    return config.hidden_size // config.num_attention_heads


def _as_expected(config: Any) -> bool:
    """Whether options that change what a layer computes are at what is built here."""
    if config.model_type == "openai-gpt":
        return config.afn == "gelu"  # transformers' name there for the tanh approximation
    if config.activation_function not in _GELU:
        return False
    if config.model_type == "gpt2":
        return bool(config.scale_attn_weights) and not config.scale_attn_by_inverse_layer_idx
    if config.model_type == "gpt_neo":  # local attention that reaches all positions is like any other
        return bool(config.window_size >= config.max_position_embeddings)
    return bool(config.rotary_dim == _head_width(config))


def _norm(module: Any) -> Norm:
    return module.weight, module.bias


def _gpt(layer: Any) -> DecoderLayer:
    """A layer of GPT or GPT-2, whose weights are `(in, out)` already."""
    attention, feed = layer.attn, layer.mlp
    return DecoderLayer(
        _norm(layer.ln_1),
        attention.c_attn.weight,
        attention.c_attn.bias,
        attention.c_proj.weight,
        attention.c_proj.bias,
        _norm(layer.ln_2),
        feed.c_fc.weight,
        feed.c_fc.bias,
        feed.c_proj.weight,
        feed.c_proj.bias,
    )


def _gpt_neo(layer: Any) -> DecoderLayer:
    attention, feed = layer.attn.attention, layer.mlp
    return DecoderLayer(
        _norm(layer.ln_1),
        torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).t(),
        None,
        attention.out_proj.weight.t(),
        attention.out_proj.bias,
        _norm(layer.ln_2),
        feed.c_fc.weight.t(),
        feed.c_fc.bias,
        feed.c_proj.weight.t(),
        feed.c_proj.bias,
    )


def _gptj(layer: Any) -> DecoderLayer:
    attention, feed = layer.attn, layer.mlp
    return DecoderLayer(
        _norm(layer.ln_1),
        torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).t(),
        None,
        attention.out_proj.weight.t(),
        None,
        None,
        feed.fc_in.weight.t(),
        feed.fc_in.bias,
        feed.fc_out.weight.t(),
        feed.fc_out.bias,
    )


_READERS = {"openai-gpt": _gpt, "gpt2": _gpt, "gpt_neo": _gpt_neo, "gptj": _gptj}


def _rotation(model: Any) -> Tensor:
    """Cosine and sine of each position's angle for each pair of columns of queries and keys, `(positions, w, 2)`."""
    config, inner = model.config, model.transformer
    # transformers keeps one table for all layers since 5.24, before that one in each layer.
    holder = inner.rotary_emb if hasattr(inner, "rotary_emb") else inner.h[0].attn
    device = inner.wte.weight.device
    if holder.embed_positions.device != device:  # kept there, as transformers does: a copy a step would cost time
        holder.embed_positions = holder.embed_positions.to(device)
    pairs = config.rotary_dim // 2
    angles = holder.embed_positions  # sines, then cosines: (positions, 2 * pairs)
    turn = torch.stack([angles[:, pairs:], angles[:, :pairs]], dim=-1)
    return turn.repeat(1, 2 * config.num_attention_heads, 1).float()
