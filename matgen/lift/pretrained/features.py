"""What a language model makes of a sentence: its hidden states, pooled over the tokens.

States are those that leave a layer, before any last normalization, so that layers above the highest one that is asked
for are never computed. A sentence is read once: read twice, as by Springer et al. ("Repetition improves language model
embeddings", ICLR 2025), it takes twice the time, and predictions for rows of Iris and TAE were no better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from matgen.lift.pretrained.language_model import layers_of
from matgen.lift.pretrained.states import KeptStates, Sentence, key_of

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.lift.pretrained.language_model import LanguageModel

POOLINGS = ("tail", "mean")
"""The mean of the last eight tokens (the end of the question), and of all."""
_TAIL = 8
_ROWS_AT_ONCE = 16
_ROWS_PER_FILE = 256


class _Enough(Exception):
    """The highest layer that is asked for is computed."""


def lower_layers(count: int, most: int) -> list[int]:
    """At most so many layers of the lower three quarters of `count`, numbered from 1, evenly spread.

    The top quarter turns to the next token; rows of tables were told apart better by what lies below.
    """
    top = max(1, round(0.75 * count))
    return sorted({max(1, round(layer)) for layer in np.linspace(top / most, top, most)})


def sentence_features(
    language: LanguageModel,
    sentences: list[list[int]],
    layers: Sequence[int],
    poolings: Sequence[str] = POOLINGS,
    count: Callable[[int], None] = lambda rows: None,
    folder: Path | None = None,
) -> np.ndarray:
    """Pooled hidden states of sentences; of those that are alike, one is read.

    Args:
        language: the model; weights are not changed.
        sentences: token ids of each of `n`.
        layers: `l` numbers of layers, from 1, ascending.
        poolings: `p` of `POOLINGS`.
        count: is told how many sentences each batch accounts for.
        folder: where states are kept as they are read, and taken from where they are there; None keeps none.

    Returns:
        float32 `(l, p, n, width)`.
    """
    kept = None if folder is None else KeptStates(folder, _origin(language, layers, poolings))
    known = {} if kept is None else kept.read()
    rows_of: dict[Sentence, list[int]] = {}
    for row, ids in enumerate(sentences):
        rows_of.setdefault(tuple(ids), []).append(row)
    out = np.empty((len(layers), len(poolings), len(sentences), language.model.config.hidden_size), np.float32)
    new: list[Sentence] = []
    for sentence, rows in rows_of.items():
        states = known.get(key_of(sentence))
        if states is None:
            new.append(sentence)
        else:
            out[:, :, rows] = states[:, :, None]
            count(len(rows))
    # Sentences of like length share a batch, so that little is computed for padding.
    new.sort(key=len)
    unwritten: list[Sentence] = []
    for start in range(0, len(new), _ROWS_AT_ONCE):
        batch = new[start : start + _ROWS_AT_ONCE]
        for sentence, states in zip(batch, _pooled_states(language, batch, layers, poolings), strict=True):
            out[:, :, rows_of[sentence]] = states[:, :, None]
        unwritten += batch
        if kept and (len(unwritten) >= _ROWS_PER_FILE or start + len(batch) == len(new)):
            first_rows = [rows_of[sentence][0] for sentence in unwritten]
            kept.write(unwritten, np.moveaxis(out[:, :, first_rows], 2, 0))
            unwritten = []
        count(sum(len(rows_of[sentence]) for sentence in batch))
    return out


def _pooled_states(
    language: LanguageModel, sentences: Sequence[Sentence], layers: Sequence[int], poolings: Sequence[str]
) -> np.ndarray:
    """Of one batch, float32 `(B, l, p, width)`."""
    with torch.inference_mode(), language.autocast():
        pooled = _pooled(_states(language, sentences, layers), [len(ids) for ids in sentences], poolings)
    return np.moveaxis(pooled.cpu().numpy(), 2, 0)


def _origin(language: LanguageModel, layers: Sequence[int], poolings: Sequence[str]) -> bytes:
    return repr((language.fingerprint, language.bf16, list(layers), list(poolings))).encode()


def _states(language: LanguageModel, sentences: Sequence[Sentence], layers: Sequence[int]) -> Tensor:
    """Hidden states after layers, float32 `(l, B, T, width)`; what follows a sentence is padding."""
    longest = max(map(len, sentences))
    ids = torch.tensor([[*row] + [0] * (longest - len(row)) for row in sentences], device=language.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in sentences], device=language.device)
    with _kept_states(language.model, layers) as kept, suppress(_Enough):
        language.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
    return torch.stack([kept[layer].float() for layer in layers])


@contextmanager
def _kept_states(model: Any, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Where the states after layers are put by a forward pass, which the highest of them ends."""
    kept: dict[int, Tensor] = {}

    def hook(layer: int) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            kept[layer] = output[0] if isinstance(output, tuple) else output
            if layer == max(layers):
                raise _Enough

        return keep

    blocks = layers_of(model)
    handles = [blocks[layer - 1].register_forward_hook(hook(layer)) for layer in layers]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _pooled(states: Tensor, lengths: list[int], poolings: Sequence[str]) -> Tensor:
    """States `(l, B, T, width)` pooled over the tokens of each sentence, `(l, p, B, width)`."""

    def tokens(pooling: str, n: int) -> slice:
        return slice(max(0, n - _TAIL), n) if pooling == "tail" else slice(0, n)

    pooled = [
        torch.stack([states[:, row, tokens(pooling, n)].mean(dim=1) for row, n in enumerate(lengths)], dim=1)
        for pooling in poolings
    ]
    return torch.stack(pooled, dim=1)
