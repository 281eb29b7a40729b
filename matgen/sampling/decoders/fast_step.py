"""One decoding step of GPT, GPT-2, GPT-Neo and GPT-J, written out for a tile of prefixes that each get one token.

transformers' own modules are general; a step of one token for 512 small rows spends most of its time in their many
small operations. Here a layer is a normalization, one matrix product into queries, keys, values (and, where attention
and feed-forward run side by side, the latter), attention over stored rows, and one or two products back. `NextToken`
takes this way where it gives the logits of the model itself, which is tried when a checkpoint is opened.

Shapes: `b` prefixes of a tile, `t` tokens of each with the new one, `h` heads of `d` numbers, `w` = `h d` the model's
width, `f` the width of the feed-forward (usually `4 w`), `v` words of the vocabulary.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from matgen.models.decoder import Decoder
from matgen.models.gelu import gelu_tables
from matgen.runtime.machine_code import Kernel

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.layouts import DecoderLayer, Norm

_STORED = ("float32*", "int64", "int64*", *["int64"] * 4, "float32", "float32*", "float32*")
_ATTENTION = {"nogil": True, "fastmath": True, "boundscheck": False, "error_model": "numpy"}
ATTEND = Kernel("sampling.decoders.step_kernel", "attend", ("float32*", "int64", "int64", *_STORED), _ATTENTION)
ATTEND_WHOLE = Kernel("sampling.decoders.step_kernel", "attend_whole", ("float32*", *_STORED), _ATTENTION)
LOOK_UP = Kernel(
    "models.gelu_kernel",
    "look_up_at",
    ("uint16*", "int64", "uint16*", "int64", "int64", "uint16*"),
    {"nogil": True, "boundscheck": False},
)

_FIRST_ROWS = 4096
"""Rows that are made room for at first."""
_ROTATED_KEPT = 24
"""Positions whose rotated weights are kept: few formulas are longer (a paper-size layer takes 0.9 MB a position)."""


@dataclass
class _Layer:
    """Weights of a layer, each `(in, out)`; with `norm_2` None, attention and feed-forward run side by side.

    Side by side, `into` holds queries, keys, values and the feed-forward's first product, and `back` attention's and
    the feed-forward's way back, one below the other.
    """

    norm: Norm
    into: Tensor
    into_bias: Tensor
    back: Tensor
    back_bias: Tensor
    norm_2: Norm | None = None
    up: Tensor | None = None
    up_bias: Tensor | None = None
    down: Tensor | None = None
    down_bias: Tensor | None = None

    @classmethod
    def of(cls, layer: DecoderLayer) -> _Layer:
        """A model's layer; what runs side by side is put side by side."""

        def bias(given: Tensor | None, product: Tensor) -> Tensor:
            return product.new_zeros(product.shape[1]) if given is None else given

        into_bias, back_bias = bias(layer.into_bias, layer.into), bias(layer.back_bias, layer.back)
        if layer.norm_2 is None:
            # Both read the same normed input and both add to the same residual: (w, 3 w + f) in, (w + f, w) back.
            into, back = torch.cat([layer.into, layer.up], dim=1), torch.cat([layer.back, layer.down])
            return cls(layer.norm, into, torch.cat([into_bias, layer.up_bias]), back, back_bias + layer.down_bias)
        return cls(
            layer.norm,
            layer.into,
            into_bias,
            layer.back,
            back_bias,
            layer.norm_2,
            layer.up,
            layer.up_bias,
            layer.down,
            layer.down_bias,
        )

    def to(self, dtype: torch.dtype) -> _Layer:
        """The same with the products of a type; normalizations stay float32."""
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
        decoder: the model's weights.
        product_dtype: float32 or bfloat16.
    """

    def __init__(self, decoder: Decoder, product_dtype: torch.dtype) -> None:
        self.dtype = product_dtype
        # Contiguous and in the type of the products, so that no step converts them.
        self.layers = [_Layer.of(layer).to(product_dtype) for layer in decoder.layers]
        self.after, self.scale, self.rotary = decoder.order == "after", decoder.scale, decoder.rotary
        self.heads, self.width, self.epsilon = decoder.heads, decoder.embedding.shape[1], decoder.epsilon
        self.embedding = decoder.embedding.float()
        self.positions = None if decoder.positions is None else decoder.positions.float()
        self.last_norm = decoder.last_norm
        self.head = decoder.head.to(product_dtype)
        self.head_bias = None if decoder.head_bias is None else decoder.head_bias.float()
        # Keys and values come out of products, so that a GPU, which has no compiled loops, loses nothing by their type.
        kept = torch.float32 if self.embedding.device.type == "cpu" else product_dtype
        # Rows of each layer, (capacity, 2 w): the key of a prefix's last token, then its value.
        self.stored = [self.embedding.new_empty(0, 2 * self.width, dtype=kept) for _ in self.layers]
        self.rotated: dict[tuple[int, int], Tensor] = {}
        self.kernel = None
        if self.embedding.device.type == "cpu":
            # Queries are part of the rows of a product, unless they were converted from another type.
            self.kernel = (ATTEND if product_dtype == torch.float32 else ATTEND_WHOLE).load()
        # On a CPU, an activation of bfloat16 numbers is looked up.
        looks_up = self.kernel is not None and product_dtype == torch.bfloat16
        self.gelu_kernel = LOOK_UP.load() if looks_up else None

    @classmethod
    def of(cls, model: Any, product_dtype: torch.dtype = torch.float32) -> FastStep | None:
        """The step of a model, or None where it is of another kind."""
        decoder = Decoder.of(model)
        return None if decoder is None else cls(decoder, product_dtype)

    def with_own_rows(self) -> FastStep:
        """The same weights, with rows of its own."""
        other = copy.copy(self)
        other.stored = [stored.new_empty(0, 2 * self.width) for stored in self.stored]
        return other

    def logits(self, tokens: Tensor, rows: Tensor, first_new: int, n_new: int) -> Tensor:
        """As `NextToken.logits`."""
        place = rows.shape[1] - 1
        x = self.embedding[tokens]  # (b, w), the residual stream: always float32
        if self.positions is not None:
            x = x + self.positions[place]  # one position for the tile, since all its prefixes are equally long
        for number, layer in enumerate(self.layers):
            read = x.to(self.dtype) if self.after else self._normed(x, layer.norm)
            # Queries, keys, values and, side by side with them, the feed-forward: (b, 3 w) or (b, 3 w + f).
            mixed = torch.addmm(layer.into_bias, read, self._rotated(number, place))
            attended = self._attend(number, mixed[:, : 3 * self.width], rows, first_new, n_new)
            if layer.norm_2 is None:
                wide = self._gelu(mixed[:, 3 * self.width :])  # (b, f)
                # GPT-J: one product takes both ways back and adds them.
                x = x + torch.addmm(layer.back_bias, torch.cat([attended, wide], dim=1), layer.back)
                continue
            assert layer.up is not None and layer.up_bias is not None
            assert layer.down is not None and layer.down_bias is not None
            x = x + torch.addmm(layer.back_bias, attended, layer.back)
            if self.after:  # GPT normalizes the sum; GPT-2 and GPT-Neo what is read from it
                x = functional.layer_norm(x, (self.width,), *layer.norm, self.epsilon)
            read = x.to(self.dtype) if self.after else self._normed(x, layer.norm_2)
            x = x + torch.addmm(layer.down_bias, self._gelu(torch.addmm(layer.up_bias, read, layer.up)), layer.down)
            if self.after:
                x = functional.layer_norm(x, (self.width,), *layer.norm_2, self.epsilon)
        if self.last_norm is not None:
            x = functional.layer_norm(x, (self.width,), *self.last_norm, self.epsilon)
        out = (x.to(self.dtype) @ self.head).float()  # (b, v)
        return out if self.head_bias is None else out + self.head_bias

    def _normed(self, x: Tensor, norm: Norm) -> Tensor:
        return functional.layer_norm(x, (self.width,), *norm, self.epsilon).to(self.dtype)

    def _gelu(self, x: Tensor) -> Tensor:
        """The activation of `(b, width)` numbers."""
        if self.gelu_kernel is None:
            return functional.gelu(x, approximate="tanh")
        out, table = torch.empty(x.shape, dtype=x.dtype), gelu_tables()[0]
        self.gelu_kernel(x.data_ptr(), x.stride(0), table.ctypes.data, *x.shape, out.data_ptr())
        return out

    def _attend(self, number: int, mixed: Tensor, rows: Tensor, first_new: int, n_new: int) -> Tensor:
        """Attention of each row over its prefix, `(b, width)`; keeps the new rows' keys and values."""
        b, n_tokens = rows.shape
        w, h = self.width, self.heads
        stored = self.stored[number]
        # Before attending: a token attends to itself too. The padding repeats the last real prefix, whose row it reads.
        stored[first_new : first_new + n_new] = mixed[:n_new, w:]
        query = mixed[:, :w].float()  # a view of float32, else a copy whose rows follow one another
        if self.kernel is not None:
            out, score, rows = torch.empty(b, w), torch.empty(n_tokens), rows.contiguous()
            # Read where they lie, by their addresses: nothing is gathered or copied.
            steps = (4 * query.stride(0), 4) if self.dtype == torch.float32 else ()
            shape = (b, n_tokens, h, w // h)
            given = (stored.data_ptr(), len(stored), rows.data_ptr(), *shape, self.scale, score.data_ptr())
            self.kernel(query.data_ptr(), *steps, *given, out.data_ptr())
            return out.to(self.dtype)
        # Without the kernel every prefix gets a copy of the rows of its tokens, (b, t, 2, h, d).
        gathered = stored.index_select(0, rows.reshape(-1)).view(b, n_tokens, 2, h, w // h)
        if gathered.device.type != "cpu":
            return attend_few(query.view(b, h, -1), gathered, self.scale).reshape(b, w).to(self.dtype)
        keys, values = gathered[:, :, 0].transpose(1, 2), gathered[:, :, 1].transpose(1, 2)  # (b, h, t, d) each
        attended = functional.scaled_dot_product_attention(query.view(b, h, 1, -1), keys, values, scale=self.scale)
        return attended.reshape(b, w).to(self.dtype)

    def make_room(self, rows: int) -> None:
        """Make space for rows up to this many, what is stored kept."""
        for number, stored in enumerate(self.stored):
            if len(stored) < rows:
                self.stored[number] = grown(stored, rows)

    def _rotated(self, number: int, place: int) -> Tensor:
        """The product into queries, keys and the rest with queries and keys rotated by the angle of their position.

        The whole tile is at one position, so it is the weights that are rotated, and for most tiles they were before.
        That is enough, as queries and keys of GPT-J have no bias.
        """
        into = self.layers[number].into
        if self.rotary is None:
            return into
        if (number, place) in self.rotated:
            return self.rotated[number, place]
        cosine, sine = self.rotary[place].unbind(-1)  # (w,) each: w/2 pairs of columns of queries, then w/2 of keys
        columns = into[:, : 2 * self.width].float()
        even, odd = columns[:, ::2], columns[:, 1::2]  # (w, w) each: GPT-J rotates columns 2i and 2i + 1 as a pair
        rotated = into.clone()
        rotated[:, : 2 * self.width : 2] = even * cosine - odd * sine
        rotated[:, 1 : 2 * self.width : 2] = odd * cosine + even * sine
        if place < _ROTATED_KEPT:
            self.rotated[number, place] = rotated
        return rotated


def attend_few(query: Tensor, rows: Tensor, scale: float) -> Tensor:
    """Attention of one query over few tokens, float32 `(b, heads, d)`: on a GPU, sums of products over its whole width.

    torch's own is made for many queries: for one it would start a small matrix product for every prefix and head.

    Args:
        query: float32 `(b, heads, d)`.
        rows: `(b, tokens, 2, heads, d)`, keys and values.
        scale: of the scores.
    """
    score = ((query * scale)[:, None] * rows[:, :, 0]).sum(-1)  # (b, tokens, heads)
    return (score.softmax(1)[..., None] * rows[:, :, 1]).sum(1)


def grown(stored: Tensor, rows: int) -> Tensor:
    """Space for at least `rows` rows, what is stored kept; it doubles, so that growing costs little in all."""
    fresh = stored.new_empty(max(_FIRST_ROWS, 2 * len(stored), rows), *stored.shape[1:])
    fresh[: len(stored)] = stored
    return fresh
