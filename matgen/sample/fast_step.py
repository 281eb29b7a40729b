"""One decoding step of GPT-2, GPT-Neo and GPT-J, written out for a tile of prefixes that each get one token.

transformers' own modules are general; a step of one token for 512 small rows spends most of its time in their many
small operations. Here a layer is a normalisation, one matrix product into queries, keys, values (and, where attention
and feed-forward run side by side, the latter), attention over stored rows, and one or two products back. `NextToken`
takes this way where it gives the logits of the model itself, which is tried when a checkpoint is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from matgen.compiled import load_kernel

if TYPE_CHECKING:
    from torch import Tensor

_FIRST_ROWS = 4096
_TURNED_KEPT = 24
"""Positions whose turned weights are kept: few formulas are longer (a paper-size layer takes 0.9 MB a position)."""
_GELU = {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"}
"""Names of the activation that torch calls GELU with the tanh approximation."""


@dataclass
class _Layer:
    """Weights of a layer, each `(in, out)`; with `norm_2` None, attention and feed-forward run side by side.

    Side by side, `into` holds queries, keys, values and the feed-forward's first product, and `back` attention's and
    the feed-forward's way back, one below the other.
    """

    norm: tuple[Tensor, Tensor]
    into: Tensor
    into_bias: Tensor
    back: Tensor
    back_bias: Tensor
    norm_2: tuple[Tensor, Tensor] | None = None
    up: Tensor | None = None
    up_bias: Tensor | None = None
    down: Tensor | None = None
    down_bias: Tensor | None = None

    def to(self, dtype: torch.dtype) -> _Layer:
        """The same with the products of a type; normalisations stay float32."""
        return _Layer(
            **{
                name: value if value is None or name.startswith("norm") else value.to(dtype).contiguous()
                for name, value in vars(self).items()
            }
        )


class FastStep:
    """Weights of a model, laid out for decoding, and the rows of keys and values of distinct prefixes.

    Everything but the matrix products is float32; these are of `product_dtype`.

    Args:
        model: a GPT-2, GPT-Neo or GPT-J language model.
        layers: its layers' weights.
        scale: of attention's scores.
        rotary: cosines and sines `(positions, columns of queries and keys / 2, 2)` of GPT-J's rotation, or None.
        product_dtype: float32 or bfloat16.
    """

    def __init__(
        self, model: Any, layers: list[_Layer], scale: float, rotary: Tensor | None, product_dtype: torch.dtype
    ) -> None:
        inner = model.transformer
        self.dtype = product_dtype
        self.layers = [layer.to(product_dtype) for layer in layers]
        self.scale, self.rotary = scale, rotary
        self.heads = model.config.num_attention_heads
        self.width = model.config.hidden_size
        self.embedding = inner.wte.weight.float()
        self.positions = inner.wpe.weight.float() if rotary is None else None
        self.last_norm = (inner.ln_f.weight.float(), inner.ln_f.bias.float())
        self.epsilon = model.config.layer_norm_epsilon
        self.head = model.lm_head.weight.t().to(product_dtype)
        self.head_bias = None if model.lm_head.bias is None else model.lm_head.bias.float()
        self.stored: list[Tensor] = [self.embedding.new_empty(0, 2 * self.width) for _ in layers]
        self.turned: dict[tuple[int, int], Tensor] = {}
        self.kernel = load_kernel("sample.step_kernel") if self.embedding.device.type == "cpu" else None
        self.gelu_table: np.ndarray | None = None
        if self.kernel is not None and product_dtype == torch.bfloat16:
            every = torch.arange(1 << 16).to(torch.int16).view(torch.bfloat16)
            self.gelu_table = _bits(functional.gelu(every, approximate="tanh"))

    @classmethod
    def of(cls, model: Any, product_dtype: torch.dtype = torch.float32) -> FastStep | None:
        """The step of a model, or None where it is of another kind."""
        config = model.config
        if getattr(config, "activation_function", None) not in _GELU:
            return None
        kind, layers, rotary = config.model_type, None, None
        scale = float((config.hidden_size // config.num_attention_heads) ** -0.5)
        if kind == "gpt2" and config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx:
            layers = [_gpt2(h) for h in model.transformer.h]
        elif kind == "gpt_neo" and config.window_size >= config.max_position_embeddings:
            layers, scale = [_gpt_neo(h) for h in model.transformer.h], 1.0
        elif kind == "gptj" and config.rotary_dim == config.hidden_size // config.num_attention_heads:
            layers, rotary = [_gptj(h) for h in model.transformer.h], _rotation(model)
        return None if layers is None else cls(model, layers, scale, rotary, product_dtype)

    def logits(self, tokens: Tensor, rows: Tensor, first_new: int, n_new: int) -> Tensor:
        """As `NextToken.logits`."""
        place = rows.shape[1] - 1
        x = self.embedding[tokens]
        if self.positions is not None:
            x = x + self.positions[place]
        for number, layer in enumerate(self.layers):
            normed = functional.layer_norm(x, (self.width,), *layer.norm, self.epsilon).to(self.dtype)
            mixed = torch.addmm(layer.into_bias, normed, self._turned(number, place))
            attended = self._attend(number, mixed[:, : 3 * self.width], rows, first_new, n_new)
            if layer.norm_2 is None:
                wide = self._gelu(mixed[:, 3 * self.width :])
                x = x + torch.addmm(layer.back_bias, torch.cat([attended, wide], dim=1), layer.back)
                continue
            assert layer.up is not None and layer.up_bias is not None
            assert layer.down is not None and layer.down_bias is not None
            x = x + torch.addmm(layer.back_bias, attended, layer.back)
            normed = functional.layer_norm(x, (self.width,), *layer.norm_2, self.epsilon).to(self.dtype)
            wide = self._gelu(torch.addmm(layer.up_bias, normed, layer.up))
            x = x + torch.addmm(layer.down_bias, wide, layer.down)
        x = functional.layer_norm(x, (self.width,), *self.last_norm, self.epsilon)
        out = (x.to(self.dtype) @ self.head).float()
        return out if self.head_bias is None else out + self.head_bias

    def _gelu(self, x: Tensor) -> Tensor:
        """The activation of `(b, width)` numbers."""
        if self.gelu_table is None:
            return functional.gelu(x, approximate="tanh")
        assert self.kernel is not None
        out = torch.empty(x.shape, dtype=x.dtype)
        self.kernel.look_up(_bits(x), self.gelu_table, _bits(out))
        return out

    def _attend(self, number: int, mixed: Tensor, rows: Tensor, first_new: int, n_new: int) -> Tensor:
        """Attention of each row over its prefix, `(b, width)`; keeps the new rows' keys and values."""
        b, n_tokens = rows.shape
        w, h = self.width, self.heads
        stored = self.stored[number]
        stored[first_new : first_new + n_new] = mixed[:n_new, w:]
        query = mixed[:, :w].float()
        if self.kernel is not None:
            out, by_head = torch.empty(b, w), (h, w // h)
            asked, kept = query.numpy().reshape(b, *by_head), stored.numpy().reshape(-1, 2, *by_head)
            self.kernel.attend(asked, kept, rows.numpy(), np.float32(self.scale), out.numpy().reshape(b, *by_head))
            return out.to(self.dtype)
        gathered = stored.index_select(0, rows.reshape(-1)).view(b, n_tokens, 2, h, w // h)
        keys, values = gathered[:, :, 0].transpose(1, 2), gathered[:, :, 1].transpose(1, 2)
        attended = functional.scaled_dot_product_attention(query.view(b, h, 1, -1), keys, values, scale=self.scale)
        return attended.reshape(b, w).to(self.dtype)

    def make_room(self, rows: int) -> None:
        """Make space for rows up to this many, what is stored kept."""
        for number, stored in enumerate(self.stored):
            if len(stored) < rows:
                self.stored[number] = grown(stored, rows)

    def _turned(self, number: int, place: int) -> Tensor:
        """The product into queries, keys and the rest with queries and keys turned by the angle of their position.

        The whole tile is at one position, so it is the weights that are turned, and for most tiles they were before.
        """
        into = self.layers[number].into
        if self.rotary is None:
            return into
        if (number, place) in self.turned:
            return self.turned[number, place]
        cosine, sine = self.rotary[place].unbind(-1)
        columns = into[:, : 2 * self.width].float()
        even, odd = columns[:, ::2], columns[:, 1::2]
        turned = into.clone()
        turned[:, : 2 * self.width : 2] = even * cosine - odd * sine
        turned[:, 1 : 2 * self.width : 2] = odd * cosine + even * sine
        if place < _TURNED_KEPT:
            self.turned[number, place] = turned
        return turned


def grown(stored: Tensor, rows: int) -> Tensor:
    """Space for at least `rows` rows, what is stored kept; it doubles, so that growing costs little in all."""
    fresh = stored.new_empty(max(_FIRST_ROWS, 2 * len(stored), rows), *stored.shape[1:])
    fresh[: len(stored)] = stored
    return fresh


def _norm(module: Any) -> tuple[Tensor, Tensor]:
    return module.weight, module.bias


def _bits(x: Tensor) -> np.ndarray:
    """The bits of bfloat16 numbers, uint16 of the same shape, in the same memory."""
    return x.view(torch.int16).numpy().view(np.uint16)


def _gpt2(layer: Any) -> _Layer:
    attention, feed = layer.attn, layer.mlp  # their weights are (in, out) already
    return _Layer(
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


def _gpt_neo(layer: Any) -> _Layer:
    attention, feed = layer.attn.attention, layer.mlp
    into = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).t().contiguous()
    return _Layer(
        _norm(layer.ln_1),
        into,
        into.new_zeros(into.shape[1]),
        attention.out_proj.weight.t(),
        attention.out_proj.bias,
        _norm(layer.ln_2),
        feed.c_fc.weight.t(),
        feed.c_fc.bias,
        feed.c_proj.weight.t(),
        feed.c_proj.bias,
    )


def _gptj(layer: Any) -> _Layer:
    attention, feed = layer.attn, layer.mlp
    parts = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight, feed.fc_in.weight]
    into = torch.cat(parts).t().contiguous()
    bias = torch.cat([into.new_zeros(into.shape[1] - len(feed.fc_in.bias)), feed.fc_in.bias])
    back = torch.cat([attention.out_proj.weight, feed.fc_out.weight], dim=1).t().contiguous()
    return _Layer(_norm(layer.ln_1), into, bias, back, feed.fc_out.bias)


def _rotation(model: Any) -> Tensor:
    """Cosine and sine of each position's angle for each pair of columns of queries and keys, `(positions, w, 2)`.

    Su et al., arXiv:2104.09864; the angles are those of transformers' GPT-J, the same for every head.
    """
    config = model.config
    pairs = config.rotary_dim // 2
    angles = model.transformer.h[0].attn.embed_positions  # sines, then cosines: (positions, 2 * pairs)
    turn = torch.stack([angles[:, pairs:], angles[:, :pairs]], dim=-1)
    weight = model.transformer.wte.weight
    return turn.repeat(1, 2 * config.num_attention_heads, 1).float().to(weight.device)
