"""Keys and values of distinct prefixes as a cache of transformers, for models that its own forward pass computes.

An attention layer's key and value of a token depend on the tokens before it alone, so sequences that begin alike share
them. A `Store` holds one row a distinct prefix; a longer prefix lists the rows of its own prefixes. To transformers
it is a `Cache` like another: every architecture that takes one works.

Shapes: `b` prefixes of a tile, `t` tokens of each with the new one, `h` heads of `d` numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache

from matgen.sampling.decoders.fast_step import grown

if TYPE_CHECKING:
    from torch import Tensor


class _StoreLayer(DynamicLayer):
    """Rows of one attention layer: keys and values `(capacity, heads, width of a head)`."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.is_initialized = True  # transformers has no tensors of its own to set up
        self.stored_keys: Tensor | None = None
        self.stored_values: Tensor | None = None

    def get_seq_length(self) -> int:
        """Tokens before the new one."""
        return self.store.rows.shape[1] - 1

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store the new tokens' rows and return all rows of each prefix, `(b, heads, tokens, width of a head)`."""
        store = self.store
        new = slice(store.first_new, store.first_new + store.n_new)
        if self.stored_keys is None or self.stored_values is None:
            # Made at the first use, which shows shape and type: of (b, h, 1, d) the axes 1 and 3.
            self.stored_keys, self.stored_values = (x.new_empty(0, *x.shape[1::2]) for x in (key_states, value_states))
        if len(self.stored_keys) < new.stop:
            self.stored_keys = grown(self.stored_keys, new.stop)
            self.stored_values = grown(self.stored_values, new.stop)
        # Padding, behind the first `n_new` of the tile, is computed but not stored.
        self.stored_keys[new] = key_states[: store.n_new, :, 0]
        self.stored_values[new] = value_states[: store.n_new, :, 0]
        # One gather over all (b t) rows, the new ones among them, then (b, t, h, d).
        b, tokens = store.rows.shape
        keys = self.stored_keys.index_select(0, store.flat_rows).view(b, tokens, *key_states.shape[1::2])
        values = self.stored_values.index_select(0, store.flat_rows).view(b, tokens, *value_states.shape[1::2])
        return keys.transpose(1, 2), values.transpose(1, 2)


class Store:
    """Rows of all attention layers of a model.

    Attributes:
        rows: int64 `(b, tokens)`, of each prefix in the tile the stored rows of its tokens, the new one last.
        first_new, n_new: where the tile's new rows go, and how many of its prefixes are real.
    """

    def __init__(self, n_layers: int) -> None:
        self.cache = Cache(layers=[_StoreLayer(self) for _ in range(n_layers)])
        # The layers share them, so that they are set once a pass; flat, (b t,), as each layer gathers by them.
        self.rows = self.flat_rows = torch.empty(0, 0, dtype=torch.long)
        self.first_new = self.n_new = 0

    def point(self, rows: Tensor, first_new: int, n_new: int) -> None:
        """Set the prefixes that the next forward pass extends."""
        self.rows, self.flat_rows = rows, rows.reshape(-1)
        self.first_new, self.n_new = first_new, n_new


def with_source(store: Store, cross: list[tuple[Tensor, Tensor]], b: int) -> EncoderDecoderCache:
    """The store as the cache of an encoder-decoder, with the keys and values of one source for all of `b` prefixes.

    Args:
        store: of the decoder's own attention.
        cross: keys and values `(1, h, length of the source, d)` of each layer.
        b: prefixes of the tile.
    """
    of_source = DynamicCache()
    for place, (keys, values) in enumerate(cross):
        of_source.update(keys.expand(b, -1, -1, -1), values.expand(b, -1, -1, -1), place)
    cache = EncoderDecoderCache(store.cache, of_source)
    # Marked as present, so that BART does not compute the encoder's keys and values anew.
    cache.is_updated = dict.fromkeys(range(len(cross)), True)
    return cache
