"""Tensors on disk as safetensors, with a checksum in the file's own header, so that damage to a number is found."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from matgen.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_CHECKSUM = "matgen_sha256"


def save_weights(tensors: dict[str, Tensor], path: Path | str) -> None:
    """Write tensors by name to a safetensors file.

    Raises:
        OSError, SafetensorError: it cannot be written.
    """
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={_CHECKSUM: _digest(tensors)})


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Files that another program wrote have no checksum, and are taken as they are.

    Raises:
        CheckpointError: a number is not the one that was written.
        OSError, SafetensorError: the file is missing or is none.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        expected = (file.metadata() or {}).get(_CHECKSUM)
    tensors = load_file(path)
    if expected is not None and _digest(tensors) != expected:
        raise CheckpointError(f"{path} is damaged: its numbers are not those that were written")
    return tensors


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and numbers."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)  # whose strides are as a view wants them
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
