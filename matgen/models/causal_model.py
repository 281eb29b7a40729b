"""GPT, GPT-2, GPT-Neo and GPT-J from their files alone: the weights as they lie in a checkpoint, and a forward pass.

transformers takes seconds to import, for classes of which sampling and scoring need the numbers alone. So checkpoints
of these are read here: `config.json` and `model.safetensors` become a tree of tensors under the names that transformers
gives them, which `Decoder.of` reads like a model of transformers. What is not exactly as expected (another option,
another tensor, another shape) is left to transformers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from matgen.errors import DataError
from matgen.io.files import read_json
from matgen.models.causal_files import CausalConfig
from matgen.models.decoder import Decoder
from matgen.models.registry import layout_of

if TYPE_CHECKING:
    from torch import Tensor

    from matgen.models.layouts import DecoderLayer, Norm


class CausalModel:
    """The weights of a model that writes from left to right, and its logits, without gradients or dropout.

    Args:
        config: of the checkpoint.
        tensors: float32, under the names of `CausalConfig.shapes`.

    Attributes:
        transformer, lm_head: the same as a tree, such as `transformer.h[0].ln_1.weight`.
    """

    def __init__(self, config: CausalConfig, tensors: dict[str, Tensor]) -> None:
        self.config, self._tensors = config, tensors
        tree = _tree(tensors)
        self.transformer, self.lm_head = tree.transformer, tree.lm_head
        if config.model_type == "gptj":
            angles = _angles(config.max_position_embeddings, config.rotary_dim)
            self.transformer.rotary_emb = SimpleNamespace(embed_positions=angles.to(next(self.parameters()).device))
        self._decoder: Decoder | None = None

    def parameters(self) -> Iterator[Tensor]:
        """The weights; one that is tied to another comes twice."""
        return iter(self._tensors.values())

    @torch.no_grad()
    def __call__(self, input_ids: Tensor) -> SimpleNamespace:
        """Logits of the token after each token, float32 `(b, length, vocabulary)`, as `logits` of what is returned.

        Args:
            input_ids: int64 `(b, length)`.
        """
        if self._decoder is None:
            self._decoder = Decoder.of(self)
        assert self._decoder is not None  # `read_causal_model` has seen that it has a layout
        return SimpleNamespace(logits=logits_of(self._decoder, input_ids))


def read_causal_model(folder: Path, model_type: str, device: torch.device | str = "cpu") -> CausalModel | None:
    """The model of a checkpoint folder with weights as float32, or None where it is left to transformers.

    Args:
        folder: with `config.json` and `model.safetensors`.
        model_type: that its configuration must have.
        device: where the weights go.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = CausalConfig(read_json(folder / "config.json"))
        layout = layout_of(config.model_type)
        if layout is None or config.model_type != model_type or not layout.is_plain(config):
            return None
        tensors = load_file(folder / "model.safetensors", device=str(device))
    except (DataError, SafetensorError, OSError, AttributeError, TypeError):
        return None  # transformers says what is wrong
    embedding = tensors.get(f"transformer.{layout.embedding}.weight")
    is_tied = config.tie_word_embeddings and embedding is not None
    if is_tied and not torch.equal(tensors.setdefault("lm_head.weight", embedding), embedding):
        return None
    expected = config.shapes()
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != expected:
        return None
    if not all(tensor.is_floating_point() for tensor in tensors.values()):
        return None
    return CausalModel(config, {name: tensors[name].float() for name in expected})


def logits_of(decoder: Decoder, ids: Tensor) -> Tensor:
    """The forward pass of whole sequences, float32 `(b, length, vocabulary)`.

    Attention is over the tokens before and the token itself (Radford et al. 2018, 2019; Su et al., arXiv:2104.09864).

    Args:
        decoder: the weights.
        ids: int64 `(b, length)`.
    """
    length = ids.shape[1]
    x = functional.embedding(ids, decoder.embedding)  # (b, length, width)
    if decoder.positions is not None:
        x = x + decoder.positions[:length]

    def normed(x: Tensor, norm: Norm) -> Tensor:
        return functional.layer_norm(x, norm[0].shape, *norm, decoder.epsilon)

    def fed(x: Tensor, layer: DecoderLayer) -> Tensor:
        return _product(_gelu(_product(x, layer.up, layer.up_bias)), layer.down, layer.down_bias)

    for layer in decoder.layers:
        if decoder.order == "after":
            x = normed(x + _attended(x, layer, decoder), layer.norm)
            assert layer.norm_2 is not None
            x = normed(x + fed(x, layer), layer.norm_2)
            continue
        read = normed(x, layer.norm)
        attended = _attended(read, layer, decoder)
        if layer.norm_2 is None:  # side by side
            x = attended + fed(read, layer) + x
        else:
            x = attended + x
            x = x + fed(normed(x, layer.norm_2), layer)
    if decoder.last_norm is not None:
        x = normed(x, decoder.last_norm)
    return _product(x, decoder.head, decoder.head_bias)


def _attended(x: Tensor, layer: DecoderLayer, decoder: Decoder) -> Tensor:
    """What each token gathers from those up to it, `(b, length, width)` to the same."""
    b, length, width = x.shape
    mixed = _product(x, layer.into, layer.into_bias)
    turned, value = mixed[..., : 2 * width], mixed[..., 2 * width :]
    if decoder.rotary is not None:
        cosine, sine = decoder.rotary[:length].unbind(-1)  # (length, width) each, a column for each pair of columns
        even, odd = turned[..., ::2], turned[..., 1::2]
        turned = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1).flatten(-2)
    # (b, heads, length, width of a head) each
    query, key, value = (
        part.unflatten(-1, (decoder.heads, -1)).transpose(1, 2)
        for part in (turned[..., :width], turned[..., width:], value)
    )
    seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=decoder.scale)
    return _product(seen.transpose(1, 2).reshape(b, length, width), layer.back, layer.back_bias)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x @ weight + bias`, with the bias added while the product is summed, as transformers' modules do."""
    return functional.linear(x, weight.t(), bias)


def _gelu(x: Tensor) -> Tensor:
    """GELU by its tanh approximation (Hendrycks and Gimpel, arXiv:1606.08415), rounded as transformers rounds it."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def _angles(positions: int, width: int) -> Tensor:
    """Sines, then cosines, of the angles of each position and pair of columns, float32 `(positions, width)`."""
    frequency = 1.0 / (10000 ** (torch.arange(0, width, 2, dtype=torch.int64) / width))
    angle = torch.arange(positions, dtype=torch.int64).float()[:, None] * frequency
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)


def _tree(tensors: dict[str, Tensor]) -> Any:
    """Tensors by their dotted names as nested namespaces, the layers a list; a bias that is not there is None."""
    root = SimpleNamespace()
    layers: dict[str, SimpleNamespace] = {}
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        node = root
        for i, step in enumerate(path):
            if step.isdecimal():  # transformer.h.0
                node = layers.setdefault(step, SimpleNamespace())
                continue
            if not hasattr(node, step):
                setattr(node, step, SimpleNamespace() if i + 1 < len(path) else SimpleNamespace(bias=None))
            node = getattr(node, step)
        setattr(node, last, tensor)
    root.transformer.h = [layers[step] for step in sorted(layers, key=int)]
    return root
