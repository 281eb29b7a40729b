"""Keys and values of distinct prefixes, kept once each and gathered for whichever prefixes extend them.

An attention layer's key and value of a token depend on the tokens before it alone, so sequences that begin alike share
them. A `Store` holds one row a distinct prefix; a longer prefix lists the rows of its own prefixes. To transformers
it is a `Cache` like another: every architecture that takes one works.

Shapes: `b` prefixes of a tile, `t` tokens of each with the new one, `h` heads of `d` numbers.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache

from matgen.models.tokenizer import BOS, EOS, MASK
from matgen.sampling.decoders.fast_step import FastStep, grown

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint

_TRIED = 32
"""First of the token ids that a faster way is tried with."""


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


class NextToken:
    """The model's logits after prefixes, one new token at a time.

    Args:
        checkpoint: of a causal or a denoising model.
        precision: `fp32`, or `bf16` for matrix products in bfloat16.
    """

    def __init__(self, checkpoint: Checkpoint, precision: str = "fp32") -> None:
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.model = checkpoint.model
        self.device = next(self.model.parameters()).device
        self.reads_source = checkpoint.architecture.objective.reads_source
        config = self.model.config
        self.n_layers = config.decoder_layers if self.reads_source else config.num_hidden_layers
        self.store = Store(self.n_layers)
        # BART's decoder attends to an encoder too, which the step does not have.
        self.fast = None if self.reads_source else self._faster_way()
        # Whether a prefix is given by stored rows and its last token, rather than by all of its tokens.
        self.stored = checkpoint.architecture.has_cache or self.fast is not None
        self._encoded: tuple[Tensor, list[tuple[Tensor, Tensor]]] | None = None

    @property
    def parallel(self) -> bool:
        """True where several threads may ask for logits at once."""
        return self.fast is not None and self.device.type == "cpu"

    def with_own_rows(self) -> NextToken:
        """The same model, with rows of its own: for prefixes that begin otherwise."""
        other = copy.copy(self)
        other.store = Store(self.n_layers)
        other.fast = None if self.fast is None else self.fast.with_own_rows()
        return other

    def make_room(self, rows: int) -> None:
        """Prepare for rows up to this many, before any thread writes there."""
        if self.fast is not None:
            self.fast.make_room(rows)

    def logits(self, tokens: Tensor, rows: Tensor, first_new: int, n_new: int) -> Tensor:
        """Logits after the prefixes of a tile, float32 `(b, vocabulary)`; keeps the rows of their last tokens.

        Args:
            tokens: int64 `(b,)`, last token of each prefix, or, for a model without a cache, `(b, tokens)`, all.
            rows: int64 `(b, tokens)`, stored rows of all tokens, the new one last.
            first_new: row of the first new token; those of the others follow.
            n_new: real prefixes; the rest of the tile is padding.
        """
        # bfloat16 is up to autocast in the general way; the step converts its weights by itself.
        if self.fast is not None:
            return self.fast.logits(tokens, rows, first_new, n_new)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return self._by_the_model(tokens, rows, first_new, n_new)

    def _by_the_model(self, tokens: Tensor, rows: Tensor, first_new: int, n_new: int) -> Tensor:
        if not self.stored:  # such as GPT, which has no cache, where the step does not agree with it
            return self.model(input_ids=tokens).logits[:, -1].float()
        self.store.point(rows, first_new, n_new)
        ids = tokens[:, None]  # (b, 1): the model sees the new token alone, and the others by their rows
        if not self.reads_source:
            return self.model(input_ids=ids, past_key_values=self.store.cache, use_cache=True).logits[:, -1].float()
        source, cross = self._empty_source()
        cache = EncoderDecoderCache(self.store.cache, self._cross_cache(cross, len(ids)))
        # Marked as present, so that BART does not compute the encoder's keys and values from `source` anew.
        cache.is_updated = dict.fromkeys(range(self.n_layers), True)
        out = self.model(
            encoder_outputs=(source.expand(len(ids), -1, -1),),
            decoder_input_ids=ids,
            past_key_values=cache,
            use_cache=True,
        )
        return out.logits[:, -1].float()

    @torch.inference_mode()
    def _faster_way(self) -> FastStep | None:
        """The step written out, where it gives what the model gives for three tokens."""
        step = FastStep.of(self.model, self.dtype)
        if step is None:
            return None
        # Eight sequences of three tokens, (8, 3), all at once and then token by token.
        ids = (torch.arange(24, device=self.device).view(8, 3) + _TRIED) % self.model.config.vocab_size
        expected = self.model(input_ids=ids).logits.float()
        rows = torch.arange(24, device=self.device).view(3, 8).t().contiguous()  # row of token t of sequence i: 8 t + i
        # bf16 keeps 8 bits, so that its logits wander by a few hundredths.
        tolerance = 1e-3 if self.dtype == torch.float32 else 0.05 * float(expected.abs().max())
        step.make_room(24)
        for place in range(3):
            logits = step.logits(ids[:, place], rows[:, : place + 1].contiguous(), 8 * place, 8)
            if not torch.allclose(logits, expected[:, place], atol=tolerance, rtol=1e-3):
                return None
        return step

    def _empty_source(self) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Encoder states of the empty source, and the keys and values that each decoder layer makes of them."""
        if self._encoded is None:
            source = encode_empty_source(self.model)
            # One source for all prefixes: its cross-attention keys and values are computed once, (1, h, 3, d) a layer.
            start = torch.full((1, 1), BOS, device=self.device)
            out = self.model(encoder_outputs=(source,), decoder_input_ids=start, use_cache=True)
            layers = out.past_key_values.cross_attention_cache.layers
            self._encoded = source, [(layer.keys, layer.values) for layer in layers]
        return self._encoded

    def _cross_cache(self, cross: list[tuple[Tensor, Tensor]], b: int) -> DynamicCache:
        cache = DynamicCache()
        for place, (keys, values) in enumerate(cross):
            cache.update(keys.expand(b, -1, -1, -1), values.expand(b, -1, -1, -1), place)
        return cache


def encode_empty_source(model: Any) -> Tensor:
    """Encoder states of the empty source (`<bos> <mask> <eos>`), `(1, 3, width)`."""
    source = torch.tensor([[BOS, MASK, EOS]], device=next(model.parameters()).device)
    return model.get_encoder()(source).last_hidden_state
