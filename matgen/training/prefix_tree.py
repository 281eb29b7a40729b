"""The next-token loss of a batch with every distinct prefix computed once.

Formulas of a batch begin alike: the first token is one of some eighty elements, the second often agrees too. In a model
that writes from left to right, what is computed at a token depends on the tokens before it alone, so sequences that
begin alike share it. A batch is a tree of its distinct prefixes; all products run over the nodes of that tree. For 256
formulas of `hybrid-pure` these are 5.1 nodes per formula instead of 8.2 tokens (in `counted`, 2.7 instead of 5.4). Loss
and gradient are those of the batch, exactly; under dropout, sequences share the noise of what they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from matgen.models.decoder import Decoder
from matgen.models.layouts import DecoderLayer, Norm
from matgen.models.tokenizer import EOS, PAD
from matgen.training.prefix_tree_operations import add_dropped, attention, gelu
from matgen.training.replay import LARGEST, Replay, rounded_up

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PrefixTree:
    """The distinct prefixes of a batch of sequences.

    Attributes:
        node: int64 `(B, L)`, the prefix of each sequence that ends at each of its first `L` tokens.
        token: int64 `(N,)`, the last token of each prefix.
        place: int64 `(N,)`, its position.
        row: int64 `(N,)`, where in the flattened `(B, L)` a prefix occurs first.
    """

    node: Tensor
    token: Tensor
    place: Tensor
    row: Tensor

    @cached_property
    def above(self) -> Tensor:
        """The prefixes of each prefix, itself at its place, int64 `(N, L)`; what follows means nothing."""
        return self.node[self.row // self.node.shape[1]]

    def padded(self, n: int) -> PrefixTree:
        """The tree with prefixes that no sequence has, so that there are `n`."""
        more = n - len(self.token)
        # Padding is a copy of token 0 at place 0 of sequence 0. No target refers to it, so its gradient is zero.
        return PrefixTree(self.node, *(functional.pad(x, (0, more)) for x in (self.token, self.place, self.row)))

    def to(self, device: torch.device) -> PrefixTree:
        """The tree on another device."""
        return PrefixTree(*(sent(x, device) for x in (self.node, self.token, self.place, self.row)))

    @classmethod
    def of(cls, ids: Tensor) -> PrefixTree:
        """The tree of sequences `(B, L)`, right-padded."""
        b, length = ids.shape
        node = torch.empty_like(ids)
        # Sequences with the same tokens so far have the same number: (B,), all alike before the first token.
        group = torch.zeros(b, dtype=torch.long, device=ids.device)
        n, span = 0, int(ids.max()) + 1  # nodes so far; tokens are below `span`, so a pair packs into one integer
        firsts = []
        every = torch.arange(b, device=ids.device)
        for place in range(length):
            distinct, group = torch.unique(group * span + ids[:, place], return_inverse=True)
            node[:, place] = n + group  # nodes of a place follow those of the places before it
            n += len(distinct)
            # The first sequence of each group, (groups,); `b` is above every row, so the minimum replaces it.
            first = torch.full((len(distinct),), b, device=ids.device).scatter_reduce(0, group, every, "amin")
            firsts.append(first * length + place)
        row = torch.cat(firsts)  # (N,), in order of nodes
        return cls(node, ids.flatten()[row], row % length, row)


class PrefixTreeLoss(nn.Module):
    """A causal model whose forward pass is the loss of a batch.

    Batches are best on the CPU, wherever the model is: finding out what they share would keep a GPU waiting.

    Args:
        model: a GPT, GPT-2, GPT-Neo or GPT-J language model of transformers; its parameters are shared.

    Raises:
        ValueError: it is another kind of model.
    """

    batches_on_cpu = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if Decoder.of(model) is None:
            raise ValueError(f"{type(model).__name__} does not write from left to right")
        self.model = model
        self.replay = Replay(lambda: _Nats(self))
        self.small = sum(p.numel() for p in model.parameters()) <= LARGEST

    def forward(self, ids: Tensor) -> Tensor:
        """Sum of -ln p(token | tokens before) over sequences, a scalar; `<bos>` is given, `<eos>` is predicted.

        Args:
            ids: int64 `(B, L)`, `<bos> tokens <eos> <pad> ...`.
        """
        # Nothing is predicted from a sequence's last token.
        tree, targets = PrefixTree.of(ids[:, :-1]), ids[:, 1:]
        device = next(self.model.parameters()).device
        if device == ids.device:
            return self.nats(tree, targets)
        if device.type == "cuda":
            # Batches of the same number of nodes are rare; of few sizes, recordings are met again.
            tree = tree.padded(rounded_up(len(tree.token)))
        tree, targets = tree.to(device), sent(targets, device)
        if device.type == "cuda" and self.small and self._to_be_learned_from():
            arguments = (tree.node, tree.token, tree.place, tree.row, targets)
            if (recorded := self.replay.find(arguments)) is not None:
                return recorded(*arguments)
        return self.nats(tree, targets)

    def log_prob(self, ids: Tensor, forbidden: Tensor) -> Tensor:
        """Ln probability of each sequence as samplers draw it, float32 `(B,)`, with gradients where these are enabled.

        Args:
            ids: int64 `(B, L)`, `<bos> tokens <eos> <pad> ...`, in whatever order the tokens were drawn.
            forbidden: bool `(vocabulary,)`, tokens that are never drawn; nor is `<eos>` first.
        """
        device = next(self.model.parameters()).device
        tree, targets = PrefixTree.of(ids[:, :-1]).to(device), ids[:, 1:].to(device)
        logits = self._logits(tree).float().masked_fill(forbidden.to(device), -torch.inf)  # (N, vocabulary)
        ends = (tree.place == 0)[:, None] & (torch.arange(logits.shape[1], device=device) == EOS)
        log_prob = logits.masked_fill(ends, -torch.inf).log_softmax(-1)
        # What is left of a padded row means nothing, and may be minus infinity, of which zero times is no number.
        padding = targets == PAD
        index = (tree.node * log_prob.shape[1] + targets).masked_fill(padding, int(targets[0, 0]))
        return _rows(log_prob.view(-1), index).masked_fill(padding, 0.0).sum(1)

    def _to_be_learned_from(self) -> bool:
        """True in a training step whose gradients are not added to others: a recording writes over its earlier ones."""
        return self.training and torch.is_grad_enabled() and all(p.grad is None for p in self.model.parameters())

    def nats(self, tree: PrefixTree, targets: Tensor) -> Tensor:
        """Sum of -ln p(target) over the targets `(B, L)`, a scalar; padding counts nothing."""
        log_prob = self._logits(tree).float().log_softmax(-1)  # (N, vocabulary), float32 under autocast too
        # One flat index per target: row of its prefix, column of its token. Sequences that share a prefix read the same
        # row, so its gradient is the sum of theirs.
        of_target = _rows(log_prob.view(-1), tree.node * log_prob.shape[1] + targets)
        return -of_target.masked_fill(targets == PAD, 0.0).sum()

    def _logits(self, tree: PrefixTree) -> Tensor:
        """Logits after each prefix, `(N, vocabulary)`."""
        decoder = Decoder.of(self.model)
        assert decoder is not None
        embedding_dropout, attention_dropout, dropout = (p * self.training for p in decoder.dropout)
        x = _rows(decoder.embedding, tree.token)  # (N, width), one row per prefix all the way down
        if decoder.positions is not None:
            x = x + _rows(decoder.positions, tree.place)
        x = functional.dropout(x, embedding_dropout) if embedding_dropout else x

        def norm(x: Tensor, weights: Norm) -> Tensor:
            return functional.layer_norm(x, (x.shape[1],), *weights, decoder.epsilon)

        def attend(layer: DecoderLayer, x: Tensor) -> Tensor:
            mixed = functional.linear(x, layer.into.t(), layer.into_bias)  # (N, 3 * width)
            attended = attention(mixed, tree, decoder.heads, decoder.scale, decoder.rotary, attention_dropout)
            return functional.linear(attended, layer.back.t(), layer.back_bias)

        for layer in decoder.layers:
            if layer.norm_2 is None:  # GPT-J: both read the same normalized input and are added to the residual stream
                normed = norm(x, layer.norm)
                x = add_dropped(x, attend(layer, normed), dropout)
                x = add_dropped(x, _feed_forward(layer, normed), dropout)
            elif decoder.order == "before":  # GPT-2, GPT-Neo
                x = add_dropped(x, attend(layer, norm(x, layer.norm)), dropout)
                x = add_dropped(x, _feed_forward(layer, norm(x, layer.norm_2)), dropout)
            else:  # GPT: the residual stream itself is normalized
                x = norm(add_dropped(x, attend(layer, x), dropout), layer.norm)
                x = norm(add_dropped(x, _feed_forward(layer, x), dropout), layer.norm_2)
        if decoder.last_norm is not None:
            x = norm(x, decoder.last_norm)
        return functional.linear(x, decoder.head.t(), decoder.head_bias)


class _Nats(nn.Module):
    """`PrefixTreeLoss.nats` as a module of tensors."""

    def __init__(self, learner: PrefixTreeLoss) -> None:
        super().__init__()
        self.model, self._nats = learner.model, learner.nats

    def forward(self, node: Tensor, token: Tensor, place: Tensor, row: Tensor, targets: Tensor) -> Tensor:
        return self._nats(PrefixTree(node, token, place, row), targets)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on another device; a GPU is not waited for."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    # Only pinned memory is copied while the CPU goes on.
    return tensor.contiguous().pin_memory().to(device, non_blocking=True)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """`table[index]`, on a GPU with a gradient that is added up in place: others sort first, with the host's help."""
    if table.device.type == "cuda":
        return table.index_select(0, index.flatten()).view(*index.shape, *table.shape[1:])
    return functional.embedding(index, table) if table.dim() == 2 else table[index]


def _feed_forward(layer: DecoderLayer, x: Tensor) -> Tensor:
    wide = gelu(functional.linear(x, layer.up.t(), layer.up_bias))  # (N, feed_forward)
    return functional.linear(wide, layer.down.t(), layer.down_bias)
