"""Text in blocks: the content and the places of bad bytes do not depend on where a block ends."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from matgen.datasets import text_files
from matgen.datasets.text_files import text_blocks
from matgen.errors import DataError


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, mark: bytes, size: int) -> None:
    monkeypatch.setattr(text_files, "_BLOCK", size)
    pack = gzip.compress if suffix.endswith(".gz") else bytes
    path = tmp_path / f"a{suffix}"
    text = "NaCl\r\nCuSO4·5H2O\n\nMgO"
    path.write_bytes(pack(mark + text.encode()))
    blocks = list(text_blocks(path))
    assert "".join(blocks) == text
    assert all(block.endswith("\n") for block in blocks[:-1])
    path.write_bytes(pack(mark + b"NaCl\nMgO\n\xff\0\n"))
    with pytest.raises(DataError, match=rf"not text in UTF-8 \(byte {9 + len(mark)}\)"):
        list(text_blocks(path))
