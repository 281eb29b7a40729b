"""The blank language model (Shen et al., EMNLP 2020, arXiv:2002.03079), for formulas as in Wei et al. 2022 (BLMM).

A canvas begins as one blank. Each step chooses a blank, a word for it, and whether a new blank stands to the left and
to the right of that word; a canvas without blanks is finished. A blank stands for at least one word. So a sequence of n
words can be written in n! orders, each of which fixes its steps, and

    p(x) = sum over orders of prod over steps p(blank | canvas) p(word | blank) p(flags | blank, word).

By Jensen's inequality, -ln p(x) is at most -ln n! plus the mean over random orders of the summed nats of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput

from matgen.models.blank_config import BlankConfig


@dataclass
class BlankOutput(ModelOutput):
    """What a canvas gives.

    Attributes:
        last_hidden_state: float `(b, length, width)`.
        blank_log_prob: float32 `(b, length)`, ln probability that the next word goes into this blank; minus infinity
            where there is no blank.
        action_log_prob: float32 `(m,)`, of the actions asked for.
    """

    last_hidden_state: Tensor | None = None
    blank_log_prob: Tensor | None = None
    action_log_prob: Tensor | None = None


class BlankLanguageModel(PreTrainedModel):
    """A transformer encoder over the canvas with three heads: which blank, which word, which flags."""

    config_class = BlankConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"

    def __init__(self, config: BlankConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.word_embedding = nn.Embedding(config.vocab_size, width)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, width)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width)
        self.blank_head = nn.Linear(width, 1)
        self.word_head = nn.Linear(width, width)
        self.word_bias = nn.Parameter(torch.zeros(config.vocab_size - config.first_word))
        self.flag_hidden = nn.Linear(2 * width, width)
        self.flag_head = nn.Linear(width, 4)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        if module is self:
            nn.init.zeros_(self.word_bias)

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of tokens."""
        return self.word_embedding

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        actions: Tensor | None = None,
        **more: Any,
    ) -> BlankOutput:
        """Read canvases.

        Args:
            input_ids: int64 `(b, length)`, `<bos> words and blanks <eos> <pad> ...`.
            attention_mask: `(b, length)`, 0 at padding; by default all that is not `<pad>` is looked at.
            actions: int64 `(m, 4)`: row, place of the blank in it, id of the word, flags.
        """
        seen = input_ids != self.config.pad_token_id if attention_mask is None else attention_mask.bool()  # (b, length)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.dropout(self.word_embedding(input_ids) + self.position_embedding(places))
        # Without padding no mask is given: attention then takes its fastest way. Else (b, 1, 1, length) over the keys.
        mask = None if bool(seen.all()) else seen[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        is_blank = input_ids == self.config.blank_token_id
        which = self.blank_head(x).squeeze(2).float().masked_fill(~is_blank, -torch.inf)  # (b, length)
        # A finished canvas has no blank to choose: its row stays minus infinity instead of becoming NaN.
        blank_log_prob = which - which.logsumexp(1, keepdim=True).clamp(min=torch.finfo(torch.float32).min)
        of_action = None if actions is None else self._of_actions(x, is_blank, blank_log_prob, actions)
        return BlankOutput(x, blank_log_prob, of_action)

    def word_logits(self, at_blank: Tensor) -> Tensor:
        """Logits of the words for blanks, float32 `(m, words)`, from their hidden states `(m, width)`."""
        projected = functional.gelu(self.word_head(at_blank))
        # Output weights are the embeddings; special tokens, whose ids come first, are never written.
        words = self.word_embedding.weight[self.config.first_word :]
        return functional.linear(projected, words, self.word_bias).float()

    def flag_logits(self, at_blank: Tensor, words: Tensor) -> Tensor:
        """Logits of the four flags, float32 `(m, 4)`, once words `(m,)` are chosen for blanks `(m, width)`."""
        joined = torch.cat([at_blank, self.word_embedding(words)], dim=1)  # (m, 2 * width)
        return self.flag_head(functional.gelu(self.flag_hidden(joined))).float()

    def _of_actions(self, x: Tensor, is_blank: Tensor, blank_log_prob: Tensor, actions: Tensor) -> Tensor:
        row, place, word, flags = actions.unbind(1)
        # Several actions go into the same blank; its words are computed once.
        blanks = x[is_blank]  # (blanks, width), in the order of the flattened canvases
        number = is_blank.flatten().long().cumsum(0) - 1  # (b * length,), which of `blanks` a place is
        of_word = self.word_logits(blanks).log_softmax(1)[
            number[row * x.shape[1] + place], word - self.config.first_word
        ]
        of_flags = self.flag_logits(x[row, place], word).log_softmax(1).gather(1, flags[:, None]).squeeze(1)
        return blank_log_prob[row, place] + of_word + of_flags


class _Layer(nn.Module):
    """Attention over the whole canvas and a feed-forward layer, each after a norm and beside a shortcut."""

    def __init__(self, config: BlankConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_forward = nn.Linear(width, config.intermediate_size)
        self.feed_forward_out = nn.Linear(config.intermediate_size, width)
        self.dropout = nn.Dropout(config.dropout)
        self.rate = config.dropout

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """One layer, `(b, length, width)` to the same; `mask` is True where a token may be looked at."""
        b, length, width = x.shape
        packed = self.query_key_value(self.attention_norm(x)).view(b, length, 3, self.n_heads, width // self.n_heads)
        # In both directions: what is written so far may stand on either side of a blank.
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each (b, heads, length, width of a head)
        rate = self.rate if self.training else 0.0
        looked = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        x = x + self.dropout(self.attention_out(looked.transpose(1, 2).reshape(b, length, width)))
        inner = functional.gelu(self.feed_forward(self.feed_forward_norm(x)))
        return x + self.dropout(self.feed_forward_out(inner))
