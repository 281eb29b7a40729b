"""A tiny model of random weights, with a tokenizer of its own."""

import string

import torch


def save_tiny_model(folder):
    """Write a GPT-2 of random weights that reads characters, and merges `12` and `no` into one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    letters = sorted(set(string.printable) | {"Ġ"})
    vocabulary = {letter: i for i, letter in enumerate(letters)} | {"12": len(letters), "no": len(letters) + 1}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[("1", "2"), ("n", "o")]))
    inner.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=inner).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(vocabulary), n_positions=256, n_embd=32, n_layer=2, n_head=2, initializer_range=0.2
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)
