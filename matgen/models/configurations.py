"""Arguments of transformers' configurations for a shape, in the words of each model type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matgen.models.tokenizer import BOS, PAD

if TYPE_CHECKING:
    from matgen.models.shapes import Shape


def gpt(size: Shape, positions: int) -> dict[str, Any]:
    """OpenAI GPT, which has no feed-forward option: it is four times the width."""
    return {
        "n_embd": size.width,
        "n_layer": size.layers,
        "n_head": size.heads,
        "n_positions": positions,
        "embd_pdrop": size.dropout,
        "resid_pdrop": size.dropout,
        "attn_pdrop": size.dropout,
        "initializer_range": size.initializer,
    }


def gpt2(size: Shape, positions: int) -> dict[str, Any]:
    """GPT-2."""
    return gpt(size, positions) | {"n_inner": size.feed_forward}


def gptj(size: Shape, positions: int) -> dict[str, Any]:
    """GPT-J. The released rotary_dim of 64 exceeds the width of a head (30): all of it is rotated."""
    return gpt2(size, positions) | {"rotary_dim": size.width // size.heads}


def gpt_neo(size: Shape, positions: int) -> dict[str, Any]:
    """GPT-Neo, whose layers attend globally and locally in turn."""
    return {
        "hidden_size": size.width,
        "num_layers": size.layers,
        "num_heads": size.heads,
        "intermediate_size": size.feed_forward,
        "attention_types": [[["global", "local"], size.layers // 2]],
        "max_position_embeddings": positions,
        "embed_dropout": size.dropout,
        "resid_dropout": size.dropout,
        "attention_dropout": size.dropout,
        "initializer_range": size.initializer,
    }


def bart(size: Shape, positions: int) -> dict[str, Any]:
    """BART, with as many layers in the encoder as in the decoder."""
    return {
        "d_model": size.width,
        "encoder_layers": size.layers,
        "decoder_layers": size.layers,
        "encoder_attention_heads": size.heads,
        "decoder_attention_heads": size.heads,
        "encoder_ffn_dim": size.feed_forward,
        "decoder_ffn_dim": size.feed_forward,
        "max_position_embeddings": positions,
        "dropout": size.dropout,
        "init_std": size.initializer,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
    }


def blank(size: Shape, positions: int) -> dict[str, Any]:
    """matgen's blank language model."""
    return {
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": size.feed_forward,
        "max_position_embeddings": positions,
        "dropout": size.dropout,
        "initializer_range": size.initializer,
    }


def roberta(size: Shape, positions: int) -> dict[str, Any]:
    """RoBERTa."""
    return {
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": size.feed_forward,
        "max_position_embeddings": positions + 1 + PAD,  # RoBERTa numbers positions from pad_token_id + 1
        "hidden_dropout_prob": size.dropout,
        "attention_probs_dropout_prob": size.dropout,
        "initializer_range": size.initializer,
        "type_vocab_size": 1,
    }
