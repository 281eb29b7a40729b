"""What the files of GPT, GPT-2, GPT-Neo and GPT-J hold: names and defaults of options, names and shapes of tensors.

These are those of transformers, written down as plain facts, so that a checkpoint is read without it.
"""

from __future__ import annotations

from typing import Any

from matgen.errors import DataError

_GPT_NAMES = {
    "max_position_embeddings": "n_positions",
    "hidden_size": "n_embd",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
    "intermediate_size": "n_inner",
}
_NAMES = {
    **dict.fromkeys(("openai-gpt", "gpt2", "gptj"), _GPT_NAMES),
    "gpt_neo": {"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"},
}
"""By model type: what an option that all have is called in its `config.json`."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    "openai-gpt": {
        "afn": "gelu",
        "tie_word_embeddings": True,
        **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.1),
    },
    "gpt2": {
        "n_inner": None,
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "tie_word_embeddings": True,
        **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.1),
    },
    "gpt_neo": {
        "intermediate_size": None,
        "activation_function": "gelu_new",
        "window_size": 256,
        "tie_word_embeddings": True,
        **dict.fromkeys(("embed_dropout", "attention_dropout", "resid_dropout"), 0.0),
    },
    "gptj": {
        "n_inner": None,
        "activation_function": "gelu_new",
        "rotary_dim": 64,
        "tie_word_embeddings": False,
        **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0),
    },
}
"""What transformers takes where a `config.json` does not say. The shape is not among it: a file that does not give it
is left to transformers."""

_UNKNOWN_HERE = {"reorder_and_upcast_attn": False, "add_cross_attention": False}
"""Options of another computation, with the only value that is read here."""

_NORMS = {f"ln_{i}.{name}": "w" for i in (1, 2) for name in ("weight", "bias")}
_GPT_LAYER = _NORMS | {
    "attn.c_attn.weight": "w 3w",
    "attn.c_attn.bias": "3w",
    "attn.c_proj.weight": "w w",
    "attn.c_proj.bias": "w",
    "mlp.c_fc.weight": "w f",
    "mlp.c_fc.bias": "f",
    "mlp.c_proj.weight": "f w",
    "mlp.c_proj.bias": "w",
}
_LAYERS = {
    "openai-gpt": _GPT_LAYER,
    "gpt2": _GPT_LAYER,
    "gpt_neo": _NORMS
    | {f"attn.attention.{name}.weight": "w w" for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    | {
        "attn.attention.out_proj.bias": "w",
        "mlp.c_fc.weight": "f w",
        "mlp.c_fc.bias": "f",
        "mlp.c_proj.weight": "w f",
        "mlp.c_proj.bias": "w",
    },
    "gptj": {f"attn.{name}.weight": "w w" for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    | {
        "ln_1.weight": "w",
        "ln_1.bias": "w",
        "mlp.fc_in.weight": "f w",
        "mlp.fc_in.bias": "f",
        "mlp.fc_out.weight": "w f",
        "mlp.fc_out.bias": "w",
    },
}
"""By model type the tensors of a layer, and their shapes: `w` the width, `f` that of the feed-forward."""

_LAST_NORM = {"transformer.ln_f.weight": "w", "transformer.ln_f.bias": "w"}
_OUTSIDE = {
    "openai-gpt": {"transformer.tokens_embed.weight": "v w", "transformer.positions_embed.weight": "p w"},
    "gpt2": {"transformer.wte.weight": "v w", "transformer.wpe.weight": "p w", **_LAST_NORM},
    "gpt_neo": {"transformer.wte.weight": "v w", "transformer.wpe.weight": "p w", **_LAST_NORM},
    "gptj": {"transformer.wte.weight": "v w", "lm_head.bias": "v", **_LAST_NORM},
}
"""The tensors outside of the layers but for the head's weight, `v w` in all: `v` words, `p` positions."""


class CausalConfig:
    """A `config.json`, with transformers' names for what the model types call differently.

    Args:
        content: of the file.

    Raises:
        DataError: another model type, a shape that is not given or cannot be, or an option of another computation.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.model_type = str(content.get("model_type"))
        if self.model_type not in _DEFAULTS:
            raise DataError(f"model type {self.model_type!r}")
        self._values = {"layer_norm_epsilon": 1e-5, **_DEFAULTS[self.model_type], **content}
        for name, value in _UNKNOWN_HERE.items():
            if content.get(name, value) != value:
                raise DataError(f"{name} is {content[name]}")
        names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")
        shape = {name: getattr(self, name, None) for name in names}
        if not all(type(size) is int and size > 0 for size in shape.values()) or self.hidden_size % self.n_heads:
            raise DataError(f"a shape of {shape}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # such as while it is copied
            raise AttributeError(name)
        name = _NAMES[self.model_type].get(name, name)
        if name not in self._values:
            raise AttributeError(f"no {name} in the configuration")
        return self._values[name]

    @property
    def n_heads(self) -> int:
        """Heads of attention."""
        return int(self.num_attention_heads)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all tensors of the model."""
        w = self.hidden_size
        # GPT has no option for it.
        f = (None if self.model_type == "openai-gpt" else self.intermediate_size) or 4 * w
        sizes = {"v": self.vocab_size, "p": self.max_position_embeddings, "w": w, "3w": 3 * w, "f": f}
        written = {"lm_head.weight": "v w", **_OUTSIDE[self.model_type]}
        for i in range(self.num_hidden_layers):
            written |= {f"transformer.h.{i}.{name}": shape for name, shape in _LAYERS[self.model_type].items()}
        return {name: tuple(sizes[size] for size in shape.split()) for name, shape in written.items()}
