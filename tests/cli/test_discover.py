from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from matgen.cli import main
from matgen.cli.discover import _print_structures
from matgen.structures.finish import Finish


def made() -> pd.DataFrame:
    """Four compositions: finished, where the potentials disagree, not finished, without structure."""
    return pd.DataFrame({
        "formula": ["KBr", "NaCl", "MgO", "XeAu2"],
        "structure_id": ["0001-KBr-1", "0002-NaCl-1", "0003-MgO-1", None],
        "template": ["halite", "sylvite", "periclase", None],
        "energy_above_hull": [0.01, 0.02, 0.03, 0.04],
        "energy_above_hull_chgnet": [0.3, 0.02, 0.001, None],
        "energy_above_hull_7net_l3i5": [0.05, 0.01, None, None],
        "potentials_disagree": pd.array([True, False, None, None], dtype="boolean"),
        "structure_reason": ["", "", "", "no template"],
        "energy_reason": "",
    })  # fmt: skip


def test_both_potentials_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _print_structures(made(), Finish(top=2))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].startswith("relaxed by chgnet, the first 2 further by 7net-l3i5 (!: they disagree); eV/atom")
    assert [line.split() for line in lines[1:]] == [
        ["NaCl", "0.020", "0.010", "(0.020)", "sylvite"],
        ["KBr", "0.300", "0.050!", "(0.010)", "halite"],
        ["MgO", "0.001", "-", "(0.030)", "periclase"],
        ["XeAu2", "-", "no", "template"],
    ]
    _print_structures(made(), None)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].startswith("relaxed by chgnet; eV/atom") and lines[1].split()[:3] == ["MgO", "0.001", "(0.030)"]


def test_a_bad_number_of_structures_to_finish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discover", "--finish-top", "-1", "--out", str(tmp_path / "out")]) == 2
    assert "--finish-top is -1, it must be 0 (none) or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
