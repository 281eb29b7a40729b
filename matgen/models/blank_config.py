"""Configuration of the blank language model, apart from the network so that reading it needs no torch."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig

from matgen.models.tokenizer import BLANK, BOS, EOS, FIRST_ELEMENT, PAD


class BlankConfig(PreTrainedConfig):
    """Shape of a `BlankLanguageModel`, in the words of transformers.

    Args:
        vocab_size: tokens, special ones included.
        first_word: id of the first token that may be written into a blank; the ids below are special.
        blank_token_id: the token of a blank.
        hidden_size: width of the layers.
        num_hidden_layers: their number.
        num_attention_heads: heads of each; they divide `hidden_size`.
        intermediate_size: width of the feed-forward layers.
        max_position_embeddings: longest canvas, `<bos>` and `<eos>` included.
        dropout: probability.
        initializer_range: standard deviation of the first weights.
    """

    model_type = "blank_language_model"

    def __init__(
        self,
        vocab_size: int = 150,
        first_word: int = FIRST_ELEMENT,
        blank_token_id: int = BLANK,
        hidden_size: int = 128,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int = 512,
        max_position_embeddings: int = 128,
        dropout: float = 0.0,
        initializer_range: float = 0.02,
        pad_token_id: int = PAD,
        bos_token_id: int = BOS,
        eos_token_id: int = EOS,
        **more: Any,
    ) -> None:
        self.vocab_size, self.first_word, self.blank_token_id = vocab_size, first_word, blank_token_id
        self.hidden_size, self.num_hidden_layers = hidden_size, num_hidden_layers
        self.num_attention_heads, self.intermediate_size = num_attention_heads, intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.dropout, self.initializer_range = dropout, initializer_range
        super().__init__(pad_token_id=pad_token_id, bos_token_id=bos_token_id, eos_token_id=eos_token_id, **more)
