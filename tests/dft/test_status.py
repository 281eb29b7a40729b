"""How a calculation stands: statuses that can be trusted, results that are numbers, and locks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matgen.dft.status import (
    claimed,
    is_claimed,
    read_result,
    read_status,
    require_formula,
    require_sound,
    status_of_outputs,
)
from matgen.errors import DataError
from matgen.io.files import write_json

RESULT = {"energy": -3.0, "n_atoms": 2, "max_force": 0.0, "volume": 40.0, "magnetic_moment": 0.0, "converged": True,
          "structure": {"symbols": ["Na", "Cl"], "cell": [], "scaled_positions": []}}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"energy": float("nan")}, {"volume": 0}, {"n_atoms": 0}, {"max_force": -1}, {"max_force": "x"}, {"converged": 1}],
)
def test_a_result_that_is_no_number(change: dict[str, object]) -> None:
    require_sound(RESULT)
    with pytest.raises(DataError, match="a result"):
        require_sound(RESULT | change)
    with pytest.raises(DataError, match="a result without"):
        require_sound({})


def test_a_status_counts_once_its_result_is_sound(tmp_path: Path) -> None:
    assert read_status(tmp_path)["state"] == "waiting"
    write_json(tmp_path / "status.json", {"state": "done", "result": RESULT})
    assert read_status(tmp_path)["state"] == "done"
    write_json(tmp_path / "status.json", {"state": "done", "result": RESULT | {"volume": 0}})
    assert read_status(tmp_path)["state"] == "waiting"


def test_a_result_of_another_composition(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", RESULT)
    result = read_result("gpaw", tmp_path)
    assert result["energy"] == -3.0
    require_formula(result, tmp_path, "NaCl")
    with pytest.raises(DataError, match=r"is of NaCl, not of MgO"):
        require_formula(result, tmp_path, "MgO")
    assert status_of_outputs(tmp_path, "gpaw", "NaCl")["state"] == "done"
    assert "not of MgO" in status_of_outputs(tmp_path, "gpaw", "MgO")["reason"]


def test_one_holds_a_calculation(tmp_path: Path) -> None:
    assert not is_claimed(tmp_path)
    with claimed(tmp_path) as held:
        assert held is not None and is_claimed(tmp_path)
        with claimed(tmp_path) as second:
            assert second is None
    assert not is_claimed(tmp_path)


def test_modules_and_locks_work_where_there_is_no_fcntl(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["fcntl"] = None
import importlib, pkgutil
import matgen.dft, matgen.io
for package in (matgen.dft, matgen.io):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
from pathlib import Path
from matgen.dft import status
from matgen.io.files import lock
folder = Path({str(tmp_path)!r})
with status.claimed(folder) as held:
    assert held == ()
    assert status.is_claimed(folder)
assert not status.is_claimed(folder)
with lock(folder / "out.csv"):
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True)
