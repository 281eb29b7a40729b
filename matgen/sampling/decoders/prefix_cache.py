"""A model's logits after prefixes whose own prefixes it has seen: by matgen's step, or by transformers with a store.

Keys and values of distinct prefixes are kept once each and gathered for whichever prefixes extend them: by `FastStep`,
which is matgen's own, or in `prefix_store` for transformers, which is imported for models without such a step alone.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from matgen.models.tokenizer import BOS, EOS, MASK
from matgen.sampling.decoders.fast_step import FastStep

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.checkpoint import Checkpoint
    from matgen.sampling.decoders.prefix_store import Store

_TRIED = 32
"""First of the token ids that a faster way is tried with."""


class NextToken:
    """The model's logits after prefixes, one new token at a time.

    Args:
        checkpoint: of a causal or a denoising model.
        precision: `fp32`, or `bf16` for matrix products in bfloat16.
    """

    def __init__(self, checkpoint: Checkpoint, precision: str = "fp32") -> None:
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.model: Any = checkpoint.network
        self.device = next(self.model.parameters()).device
        self.reads_source = checkpoint.architecture.objective.reads_source
        # BART's decoder attends to an encoder too, which the step does not have.
        self.fast = None if self.reads_source else self._faster_way()
        # Whether a prefix is given by stored rows and its last token, rather than by all of its tokens.
        self.stored = checkpoint.architecture.has_cache or self.fast is not None
        if self.fast is None:
            self.model = checkpoint.model  # the way of transformers, with its caches
        self._encoded: tuple[Tensor, list[tuple[Tensor, Tensor]]] | None = None

    @cached_property
    def store(self) -> Store:
        """Rows of keys and values, for transformers."""
        from matgen.sampling.decoders.prefix_store import Store

        config = self.model.config
        return Store(config.decoder_layers if self.reads_source else config.num_hidden_layers)

    @property
    def parallel(self) -> bool:
        """True where several threads may ask for logits at once."""
        return self.fast is not None and self.device.type == "cpu"

    def with_own_rows(self) -> NextToken:
        """The same model, with rows of its own: for prefixes that begin otherwise."""
        other = copy.copy(self)
        vars(other).pop("store", None)  # one of its own, where it is needed
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
        from matgen.sampling.decoders.prefix_store import with_source

        source, cross = self._empty_source()
        out = self.model(
            encoder_outputs=(source.expand(len(ids), -1, -1),),
            decoder_input_ids=ids,
            past_key_values=with_source(self.store, cross, len(ids)),
            use_cache=True,
        )
        return out.logits[:, -1].float()

    @torch.inference_mode()
    def _faster_way(self) -> FastStep | None:
        """The step written out, where it gives what whole sequences of three tokens give."""
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


def encode_empty_source(model: Any) -> Tensor:
    """Encoder states of the empty source (`<bos> <mask> <eos>`), `(1, 3, width)`."""
    source = torch.tensor([[BOS, MASK, EOS]], device=next(model.parameters()).device)
    return model.get_encoder()(source).last_hidden_state
