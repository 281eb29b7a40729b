from __future__ import annotations

import sys

import pytest

from matgen.cli import compilation, main
from matgen.runtime import compiled


def test_what_is_compiled_is_said(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(compilation, "_WORK", {"drawing": compilation._drawing})
    with pytest.raises(SystemExit) as ended:
        main(["--compile"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("drawing: ")


def test_without_numba_there_is_nothing_to_compile(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(compiled, "load_kernel", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main(["--compile"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "matgen --compile: numba is not installed or does not work here: pip install numba"
    ]


@pytest.mark.slow
def test_the_work_reaches_every_module_of_kernels_that_it_names() -> None:
    for work in compilation._WORK.values():
        work()
    kernels = ("composition.parser_kernel", "composition.sequence_kernel", "validity.kernel", "validity.witness_kernel")
    for name in kernels:
        dispatchers = [one for one in vars(sys.modules[f"matgen.{name}"]).values() if hasattr(one, "signatures")]
        assert any(one.signatures for one in dispatchers), name
