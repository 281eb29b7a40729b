from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from matgen.errors import CheckpointError
from matgen.io.weights import load_weights, save_weights

TENSORS = {
    "matrix": torch.arange(12.0).view(3, 4).t(),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "number": torch.tensor(7, dtype=torch.int64),
    "empty": torch.zeros(0, 2),
    "one of many": torch.arange(4.0)[::4],
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    save_weights({name: one.contiguous() for name, one in TENSORS.items()}, tmp_path / "a.safetensors")
    found = load_weights(tmp_path / "a.safetensors")
    assert set(found) == set(TENSORS)
    assert all(torch.equal(found[name], one) and found[name].dtype == one.dtype for name, one in TENSORS.items())


def test_every_damaged_byte_of_the_numbers_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_weights({name: one.contiguous() for name, one in TENSORS.items()}, path)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in range(start, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match="damaged"):
            load_weights(path)


def test_files_of_other_programs_are_taken_as_they_are(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    assert torch.equal(load_weights(tmp_path / "a.safetensors")["a"], torch.ones(2))
