"""Checkpoints as Materials Transformers were released (Fu et al. 2023), turned into matgen's.

A folder has `vocab.txt` (`[PAD] [UNK] [CLS] [SEP] [MASK]`, 112 elements in alphabetical order of their names, `.`),
`config.json`, and `pytorch_model.bin`, which is read with `weights_only`: nothing in it is executed. Lines were
trained on as `[CLS] Sr Ti O O O . [SEP]`: `[CLS]` becomes `<bos>`, `.` becomes `<eos>`. The configurations name 120 as
first and last token, outside their own vocabulary, which the published generator works around by cutting text at `.`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.composition.elements import SYMBOLS
from matgen.errors import CheckpointError, first_line
from matgen.io.files import read_json
from matgen.models.checkpoint import METADATA, save_checkpoint
from matgen.models.registry import MODELS, Architecture
from matgen.models.retokenize import with_tokens
from matgen.models.tokenizer import BOS, EOS, PAD, vocabulary
from matgen.runtime.cache import cache_folder

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

WEIGHTS, VOCABULARY = "pytorch_model.bin", "vocab.txt"
_NAMES = {"<pad>": "[PAD]", "<unk>": "[UNK]", "<mask>": "[MASK]", "<bos>": "[CLS]", "<eos>": ".", "Og": "Uuo"}
"""Tokens that have another name there."""
_BUFFERS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".embed_positions")
"""What older versions of transformers saved beside the weights: masks and tables that the code makes anew."""


def is_published(folder: Path) -> bool:
    """Whether a folder is laid out as the published checkpoints are."""
    names = (VOCABULARY, "config.json", WEIGHTS)
    return all((folder / name).is_file() for name in names) and not (folder / METADATA).exists()


def converted(folder: Path) -> Path:
    """matgen's form of a published checkpoint, in the cache; made where it is not there yet.

    Raises:
        CheckpointError: it is not a model that writes from left to right, or is damaged.
    """
    parts = [hashlib.sha256((folder / name).read_bytes()).digest() for name in ("config.json", VOCABULARY, WEIGHTS)]
    out = cache_folder() / "published" / hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    if not (out / METADATA).is_file():
        convert(folder, out)
    return out


def convert(folder: Path, out: Path) -> None:
    """Write a published checkpoint as matgen's.

    Raises:
        CheckpointError: it is not a model that writes from left to right, or is damaged.
        OutputError: `out` cannot be written.
    """
    config = read_json(folder / "config.json")
    row = _row(folder, config)
    words = (folder / VOCABULARY).read_text(encoding="utf-8").split()
    old = _load(folder, config, row)
    model = with_tokens(old, _origin(words), bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    elements = [str(symbol) for symbol in SYMBOLS[1:] if _NAMES.get(str(symbol), str(symbol)) in words]
    metadata = {
        "architecture": row.key,
        "preset": "published",
        "notation": "expanded",
        "objective": "causal",
        "converted_from": folder.resolve().name,
        "elements": elements,
        "metrics": {"parameters": sum(p.numel() for p in model.parameters())},
    }
    save_checkpoint(out, model, metadata)


def _row(folder: Path, config: Any) -> Architecture:
    kind = config.get("model_type") if isinstance(config, dict) else None
    fitting = [row for row in MODELS.values() if row.model_type == kind and row.objective.left_to_right]
    if not fitting:
        known = ", ".join(row.model_type for row in MODELS.values() if row.objective.left_to_right)
        raise CheckpointError(
            f"{folder / 'config.json'} is of model type {kind!r}; published layouts are read of {known}"
        )
    return fitting[0]


def _load(folder: Path, config: dict[str, Any], row: Architecture) -> PreTrainedModel:
    """The released model as transformers has it."""
    import torch
    import transformers

    changes = dict(config)
    for name in ("architectures", "model_type", "torch_dtype", "dtype", "transformers_version"):
        changes.pop(name, None)
    changes |= {"bos_token_id": None, "eos_token_id": None}  # 120 of 120 tokens is out of range
    if "rotary_dim" in row.config(row.shapes["tiny"], 1):
        # The release says 64 where a head is 30 wide, and the transformers of its time then rotated all of a head.
        changes["rotary_dim"] = min(config.get("rotary_dim", 64), config["n_embd"] // config["n_head"])
    try:
        model = getattr(transformers, row.auto_class).from_config(
            transformers.AutoConfig.for_model(row.model_type, **changes)
        )
        tensors = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        tensors = {name: value for name, value in tensors.items() if not name.endswith(_BUFFERS)}
        left = model.load_state_dict(tensors, strict=False)
    except Exception as error:  # damaged files, foreign shapes, pickles of other things than tensors
        raise CheckpointError(f"cannot open {folder / WEIGHTS}: {first_line(error)}") from error
    tied = set(model.state_dict()) - {name for name, _ in model.named_parameters()}
    missing = sorted(set(left.missing_keys) - tied)
    if missing or left.unexpected_keys:
        what = f"lacks {missing[0]}" if missing else f"has {left.unexpected_keys[0]}, which is not part of the model"
        raise CheckpointError(f"{folder / WEIGHTS} {what}")
    return model


def _origin(words: list[str]) -> Tensor:
    """Ids there of matgen's tokens, -1 for those that are not there."""
    import torch

    place = {word: i for i, word in enumerate(words)}
    return torch.tensor([place.get(_NAMES.get(token, token), -1) for token in vocabulary("expanded").tokens])
