from __future__ import annotations

import subprocess
import sys

import pytest

import matgen


def test_public_names_exist() -> None:
    for name in matgen.__all__:
        assert getattr(matgen, name) is not None
    assert set(dir(matgen)) == set(matgen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = matgen.nothing


def test_importing_matgen_imports_nothing_heavy() -> None:
    code = "import sys, matgen; sys.exit(bool({'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
