from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from matgen.runtime import machine_code
from matgen.runtime.machine_code import Kernel
from matgen.sampling.decoders.fast_step import ATTEND, ATTEND_WHOLE, LOOK_UP


@pytest.mark.parametrize(("heads", "d", "n_tokens"), [(6, 32, 1), (6, 10, 3), (4, 15, 9), (2, 64, 20)])
def test_attention_is_that_of_torch(heads: int, d: int, n_tokens: int) -> None:
    generator = torch.Generator().manual_seed(n_tokens)
    b, width, n_stored = 64, heads * d, 300
    mixed = torch.randn(b, 3 * width, generator=generator)
    stored = torch.randn(n_stored, 2 * width, generator=generator)
    rows = torch.randint(0, n_stored, (b, n_tokens), generator=generator)
    query = mixed[:, :width]
    kept = stored[rows].view(b, n_tokens, 2, heads, d)
    keys, values = (kept[:, :, i].transpose(1, 2) for i in (0, 1))
    expected = functional.scaled_dot_product_attention(query.reshape(b, heads, 1, d), keys, values, scale=0.3)
    score, out = torch.empty(n_tokens), torch.empty(b, width)
    given = (stored.data_ptr(), n_stored, rows.data_ptr(), b, n_tokens, heads, d, 0.3, score.data_ptr(), out.data_ptr())
    ATTEND.load()(query.data_ptr(), 4 * query.stride(0), 4, *given)
    torch.testing.assert_close(out, expected.reshape(b, width))
    out.zero_()
    whole = query.contiguous()
    ATTEND_WHOLE.load()(whole.data_ptr(), *given)
    torch.testing.assert_close(out, expected.reshape(b, width))


def test_looking_up_reads_part_of_a_row() -> None:
    rng = np.random.default_rng(0)
    table, x = rng.permutation(1 << 16).astype(np.uint16), rng.integers(0, 1 << 16, (7, 12)).astype(np.uint16)
    out = np.zeros((7, 5), dtype=np.uint16)
    LOOK_UP.load()(x.ctypes.data, 12, table.ctypes.data, 7, 5, out.ctypes.data)
    assert np.array_equal(out, table[x[:, :5]])


def test_code_is_kept_and_then_needs_no_numba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "no folder"
    package.write_text("")  # so that nothing can be written beside the package
    monkeypatch.setattr(machine_code, "code_folders", lambda: (package / "kernels", tmp_path / "cache" / "kernels"))
    fresh = Kernel(LOOK_UP.module, LOOK_UP.function, LOOK_UP.arguments, LOOK_UP.options)
    assert fresh.load() is not None
    (kept,) = (tmp_path / "cache" / "kernels").iterdir()
    again = Kernel(LOOK_UP.module, LOOK_UP.function, LOOK_UP.arguments, LOOK_UP.options)
    monkeypatch.setattr(Kernel, "_compiled", lambda *_: pytest.fail("compiled again"))
    assert again.load() is not None
    # Damaged code is not run but made anew.
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    monkeypatch.setattr(Kernel, "_compiled", lambda *_: None)
    assert Kernel(LOOK_UP.module, LOOK_UP.function, LOOK_UP.arguments, LOOK_UP.options).load() is None


def test_without_llvmlite_or_numba_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine_code, "code_folders", lambda: (tmp_path, tmp_path))
    monkeypatch.setitem(sys.modules, "numba", None)
    assert Kernel(LOOK_UP.module, LOOK_UP.function, LOOK_UP.arguments, LOOK_UP.options).load() is None
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert Kernel(LOOK_UP.module, LOOK_UP.function, LOOK_UP.arguments, LOOK_UP.options).load() is None


@pytest.mark.slow
def test_kept_code_loads_in_a_process_without_numba() -> None:
    ATTEND.load()
    code = (
        "import sys; from matgen.sampling.decoders.fast_step import ATTEND; assert ATTEND.load() is not None; "
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
