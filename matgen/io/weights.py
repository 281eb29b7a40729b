"""Tensors on disk as safetensors, with a checksum in the file's own header, so that damage to a number is found."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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


def save_arrays(arrays: dict[str, np.ndarray], path: Path | str) -> None:
    """`save_weights` of numpy's arrays, for which torch is not needed; the file is the same."""
    from safetensors.numpy import save_file

    save_file(arrays, path, metadata={_CHECKSUM: _digest_of_arrays(arrays)})


def load_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """`load_weights` as numpy's arrays, for which torch is not needed.

    Raises:
        CheckpointError, OSError, SafetensorError: as `load_weights`.
    """
    from safetensors import safe_open
    from safetensors.numpy import load_file

    with safe_open(path, framework="np") as file:
        expected = (file.metadata() or {}).get(_CHECKSUM)
    arrays: dict[str, np.ndarray] = load_file(path)
    if expected is not None and _digest_of_arrays(arrays) != expected:
        raise CheckpointError(f"{path} is damaged: its numbers are not those that were written")
    return arrays


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and numbers."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        digest.update(_title(name, str(tensor.dtype), tuple(tensor.shape)))
        flat = tensor.reshape(-1).clone(memory_format=torch.contiguous_format)  # whose strides are as a view wants them
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _digest_of_arrays(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(_title(name, f"torch.{array.dtype}", array.shape))
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _title(name: str, kind: str, shape: tuple[int, ...]) -> bytes:
    return f"{name}|{kind}|{shape}|".encode()
