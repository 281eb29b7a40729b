from __future__ import annotations

import sys

import pytest

from matgen.runtime import compiled


def test_where_numba_works_the_module_comes() -> None:
    assert compiled.load_kernel("validity.kernel").judge is not None
    assert compiled.load_kernel("validity.kernel") is compiled.load_kernel("validity.kernel")


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'numba'", name="numba"),
        ImportError("Numba needs NumPy 2.4 or less"),
        RuntimeError("cannot cache function 'judge': no locator available"),
    ],
)
def test_where_it_does_not_there_is_none(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(compiled, "import_module", fail)
    assert compiled.load_kernel.__wrapped__("validity.kernel") is None


def test_a_fault_of_our_own_is_not_hidden() -> None:
    with pytest.raises(ModuleNotFoundError, match="matgen.nothing"):
        compiled.load_kernel.__wrapped__("nothing")
    assert "matgen.nothing" not in sys.modules
