"""A causal language model with its tokenizer and adapters, which reads numbers digit by digit."""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import Any

import torch
from torch import nn

from matgen.errors import CheckpointError, MissingDependencyError, OptionError, first_line

NUMBER_CHARACTERS = "0123456789-.e"
_FINGERPRINTED = 64
"""Numbers of each weight that tell a model from others."""


def layers_of(model: Any) -> nn.ModuleList:
    """The layers of a model, lowest first, whatever its architecture calls them."""
    count = model.config.num_hidden_layers
    return next(part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == count)


class LanguageModel:
    """A model out of a folder or from the Hub, on a GPU where there is one.

    Args:
        source: folder or Hub id.
        max_length: tokens that it reads at most; None for the length in its configuration.

    Attributes:
        model, tokenizer: as transformers has them.
        max_length: tokens that it reads at most.
        number_tokens: the token of each character that numbers are written with.

    Raises:
        CheckpointError: there is no causal language model.
        OptionError: its tokenizer has no token for a digit alone.
    """

    def __init__(self, source: str, max_length: int | None = None) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self.tokenizer = AutoTokenizer.from_pretrained(source)
            self.model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{source} is no causal language model that can be read: {first_line(error)}"
            ) from error
        self.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.max_length = max_length or int(getattr(self.model.config, "max_position_embeddings", 1024))
        self.number_tokens = {character: self._only_token(source, character) for character in NUMBER_CHARACTERS}

    def _only_token(self, source: str, character: str) -> int:
        ids = self.tokenizer.encode(character, add_special_tokens=False)
        if len(ids) != 1:
            raise OptionError(
                f"{source}: its tokenizer has no token for {character!r} alone, so it cannot write numbers"
            )
        return ids[0]

    def add_adapters(self, seed: int, *, layers: int | None = None, **settings: Any) -> None:
        """Make all weights fixed and add low-rank adapters to the linear maps.

        Args:
            seed: of their initial weights.
            layers: how many layers have them, from the top; None for all.
            settings: as of peft's `LoraConfig`.

        Raises:
            MissingDependencyError: peft is not installed.
        """
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingDependencyError(
                "peft, which fine-tunes, is not installed: pip install 'matgen[lift]'"
            ) from error
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            targets = "all-linear" if layers is None else self._linear_maps(layers)
            config = LoraConfig(task_type="CAUSAL_LM", target_modules=targets, **settings)
            self.model = get_peft_model(self.model, config)

    def _linear_maps(self, layers: int) -> list[str]:
        """Names of the linear maps of the top layers."""
        from transformers.pytorch_utils import Conv1D  # the linear map of GPT-2

        blocks = set(layers_of(self.model)[-layers:].children())
        names = [name for name, module in self.model.named_modules() if module in blocks]
        return [
            f"{name}.{inner}"
            for name in names
            for inner, module in self.model.get_submodule(name).named_modules()
            if isinstance(module, nn.Linear | Conv1D)
        ]

    def without_adapters(self) -> Any:
        """The context in which the model is as it was before adapters were added."""
        return self.model.disable_adapter() if hasattr(self.model, "disable_adapter") else contextlib.nullcontext()

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(layers_of(self.model))

    @property
    def fingerprint(self) -> str:
        """Short text that tells models apart by their configuration and the first numbers of each weight."""
        digest = hashlib.blake2b(self.model.config.to_json_string().encode(), digest_size=16)
        for name, weight in self.model.named_parameters():
            first = weight.detach().reshape(-1)[:_FINGERPRINTED].float().cpu().numpy()
            digest.update(name.encode() + first.tobytes())
        return digest.hexdigest()

    @property
    def n_trained(self) -> int:
        """Number of weights that are not fixed."""
        return sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def bf16(self) -> bool:
        """Whether the device has instructions for products in bfloat16, which are several times faster."""
        if self.device.type != "cpu":
            return self.device.type == "cuda"
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()

    def autocast(self) -> Any:
        """The context in which products are computed in bfloat16, where the device is made for that."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, each digit a token of its own."""
        ids: list[int] = []
        for piece in re.split(r"(\d)", text):
            if piece in self.number_tokens:
                ids.append(self.number_tokens[piece])
            elif piece:
                ids += self.tokenizer.encode(piece, add_special_tokens=False)
        return ids
