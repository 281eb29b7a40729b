"""Where each kind of causal model of transformers keeps the weights of its layers.

A layout is a row of plain facts. An architecture whose layers are of another kind (RMSNorm, gated feed-forward, grouped
queries ...) has none, and trains and samples by its own forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

_TANH_GELU = {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"}
"""Names of the activation that torch calls GELU with the tanh approximation."""

Order = Literal["parallel", "before", "after"]
"""Where a layer normalizes: `before` attention and before the feed-forward (GPT-2, GPT-Neo), once before both, which
then run side by side (`parallel`, GPT-J), or `after` each of them (GPT)."""

Norm = tuple["Tensor", "Tensor"]
"""Weight and bias of a layer normalization."""


@dataclass(frozen=True)
class DecoderLayer:
    """Weights of one layer, products as `(in, out)`; a bias that a model lacks is None.

    Attributes:
        norm: the first normalization.
        into, into_bias: to queries, keys and values.
        back, back_bias: from what was attended to.
        norm_2: the second normalization, None where `parallel`.
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
class DecoderLayout:
    """Where a `model_type` keeps its decoder, and how its layers compute.

    Attributes:
        order: where its layers normalize.
        layer: from one of its layers to the weights.
        is_plain: from a configuration to whether options that change what a layer computes have the usual values.
        embedding, positions, last_norm: names of these modules in `model.transformer`; None where there is none.
        dropout: names in the configuration of the probabilities after the embedding, of attention's weights, and before
            each residual sum.
        scaled: whether scores of attention are divided by the square root of a head's width.
        rotary: from a model to the angles by which queries and keys are rotated; None where positions are added.
    """

    order: Order
    layer: Callable[[Any], DecoderLayer]
    is_plain: Callable[[Any], bool]
    embedding: str = "wte"
    positions: str | None = "wpe"
    last_norm: str | None = "ln_f"
    dropout: tuple[str, str, str] = ("embd_pdrop", "attn_pdrop", "resid_pdrop")
    scaled: bool = True
    rotary: Callable[[Any], Tensor] | None = None


def head_width(config: Any) -> int:
    """Columns of one attention head."""
    return config.hidden_size // config.num_attention_heads


def norm_weights(module: Any) -> Norm:
    """Weight and bias of a layer normalization."""
    return module.weight, module.bias


def _gpt(layer: Any) -> DecoderLayer:
    """A layer of GPT or GPT-2, whose weights are `(in, out)` already."""
    attention, feed = layer.attn, layer.mlp
    return DecoderLayer(
        norm_weights(layer.ln_1),
        attention.c_attn.weight,
        attention.c_attn.bias,
        attention.c_proj.weight,
        attention.c_proj.bias,
        norm_weights(layer.ln_2),
        feed.c_fc.weight,
        feed.c_fc.bias,
        feed.c_proj.weight,
        feed.c_proj.bias,
    )


def _gpt_neo(layer: Any) -> DecoderLayer:
    # torch keeps products as (out, in): .t() is a view. Queries, keys and values become one product.
    attention, feed = layer.attn.attention, layer.mlp
    return DecoderLayer(
        norm_weights(layer.ln_1),
        torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).t(),
        None,
        attention.out_proj.weight.t(),
        attention.out_proj.bias,
        norm_weights(layer.ln_2),
        feed.c_fc.weight.t(),
        feed.c_fc.bias,
        feed.c_proj.weight.t(),
        feed.c_proj.bias,
    )


def _gptj(layer: Any) -> DecoderLayer:
    attention, feed = layer.attn, layer.mlp
    return DecoderLayer(
        norm_weights(layer.ln_1),
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


def _rotation(model: Any) -> Tensor:
    """Cosine and sine of each position's angle for each pair of columns of queries and keys, `(positions, w, 2)`."""
    config, inner = model.config, model.transformer
    # transformers keeps one table for all layers since 5.24, before that one in each layer.
    holder = inner.rotary_emb if hasattr(inner, "rotary_emb") else inner.h[0].attn
    device = inner.wte.weight.device
    if holder.embed_positions.device != device:  # kept there, as transformers does: a copy per step would cost time
        holder.embed_positions = holder.embed_positions.to(device)
    pairs = config.rotary_dim // 2
    angles = holder.embed_positions  # sines, then cosines: (positions, 2 * pairs)
    turn = torch.stack([angles[:, pairs:], angles[:, :pairs]], dim=-1)  # of one head, (positions, pairs, 2)
    # The same for every head, first of the queries, then of the keys: 2 * heads * pairs = width.
    return turn.repeat(1, 2 * config.num_attention_heads, 1).float()


GPT = DecoderLayout(
    "after",
    _gpt,
    lambda config: config.afn == "gelu",  # transformers' name there for the tanh approximation
    embedding="tokens_embed",
    positions="positions_embed",
    last_norm=None,
)
GPT_2 = DecoderLayout(
    "before",
    _gpt,
    lambda config: (
        config.activation_function in _TANH_GELU
        and config.scale_attn_weights
        and not config.scale_attn_by_inverse_layer_idx
    ),
)
GPT_NEO = DecoderLayout(
    "before",
    _gpt_neo,
    # Local attention that reaches all positions is like any other.
    lambda config: config.activation_function in _TANH_GELU and config.window_size >= config.max_position_embeddings,
    dropout=("embed_dropout", "attention_dropout", "resid_dropout"),
    scaled=False,
)
GPT_J = DecoderLayout(
    "parallel",
    _gptj,
    lambda config: config.activation_function in _TANH_GELU and config.rotary_dim == head_width(config),
    positions=None,
    rotary=_rotation,
)
