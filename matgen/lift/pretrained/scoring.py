"""Probabilities of given completions, for training and for labels.

`generate` has no part in this: it returns one continuation of its own choice, while the probability of every label (and
of the completion that is trained on) needs one pass over tokens that are known beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from matgen.lift.key_value_cache import cache_argument
from matgen.lift.pretrained.examples import IGNORED, padded_left, positions_of
from matgen.lift.pretrained.generation import prefilled

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from matgen.lift.pretrained.language_model import LanguageModel

_ROWS_AT_ONCE = 64


def completion_nats(model: Any, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Negative log-probability of each completion after its prompt.

    Args:
        model: a causal language model.
        batch: as `PromptTable.batch` returns it.

    Returns:
        float32 `(B,)`, in nats.
    """
    ids, mask, labels = batch
    width = labels.shape[1]
    # Completions end at the same place, so the logits of the last tokens suffice: (B, width + 1, vocabulary).
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), logits_to_keep=width + 1)
    logits = out.logits[:, -width - 1 : -1].float()
    return cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none").sum(dim=1)


def label_nats(model: Any, prompts: list[list[int]], labels: list[list[int]]) -> Tensor:
    """Negative log-probability of every label after every prompt; a prompt's keys and values are computed once.

    Args:
        model: a causal language model.
        prompts: token ids of each, two or more.
        labels: token ids of each.

    Returns:
        float64 `(prompts, labels)`, in nats, on the CPU.
    """
    n, m, width = len(prompts), len(labels), max(map(len, labels))
    ids, mask = (tensor.to(model.device) for tensor in padded_left(prompts))
    cache = prefilled(model, ids[:, :-1], mask[:, :-1], m)
    # Labels are padded on the right, (m, width) each; rows are ordered by prompt, then label, (n * m, width).
    tokens = torch.tensor([label + [0] * (width - len(label)) for label in labels]).repeat(n, 1).to(model.device)
    kept = torch.tensor([[1] * len(label) + [0] * (width - len(label)) for label in labels]).repeat(n, 1)
    # The prompt's last token is read with the label: the logits after it are those of the label's first token.
    read = torch.cat([ids[:, -1:].repeat_interleave(m, dim=0), tokens[:, :-1]], dim=1)
    seen = torch.cat([mask[:, :-1].repeat_interleave(m, dim=0), torch.ones_like(read)], dim=1)
    out = model(
        input_ids=read, attention_mask=seen, position_ids=positions_of(seen)[:, -width:], use_cache=True,
        **cache_argument(cache),
    )  # fmt: skip
    nats = cross_entropy(out.logits.float().transpose(1, 2), tokens, reduction="none").cpu()
    return (nats * kept).sum(dim=1).reshape(n, m).double()


def label_log_probabilities(language: LanguageModel, prompts: list[list[int]], labels: list[list[int]]) -> np.ndarray:
    """Log-probabilities of labels as whole completions, normalized over them, float64 `(prompts, labels)`.

    Args:
        language: the model.
        prompts, labels: as of `label_nats`.
    """
    at_once = max(1, _ROWS_AT_ONCE // len(labels))
    with torch.inference_mode(), language.autocast():
        parts = [
            label_nats(language.model, prompts[start : start + at_once], labels)
            for start in range(0, len(prompts), at_once)
        ]
    nats = torch.cat(parts) if parts else torch.zeros((0, len(labels)), dtype=torch.float64)
    return torch.log_softmax(-nats, dim=1).numpy()
