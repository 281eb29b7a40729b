from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import matgen


def test_public_names_exist() -> None:
    for name in matgen.__all__:
        assert getattr(matgen, name) is not None
    assert set(dir(matgen)) == set(matgen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = matgen.nothing


def test_type_checkers_see_the_same_names() -> None:
    stub = ast.parse((Path(matgen.__file__).parent / "__init__.pyi").read_text(encoding="utf-8"))
    homes = {name.asname: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert homes == matgen._PUBLIC


def test_a_wrong_name_is_answered_by_the_nearest() -> None:
    with pytest.raises(AttributeError, match="'sampel', did you mean sample?"):
        _ = matgen.sampel


USER = """
import pandas as pd
import matgen

candidates = matgen.sample(100, contains="Li-O", exclude=["toxic"], num_elements=(3, 5), model="hybrid-pure-gptj-small")
frame: pd.DataFrame = candidates.to_frame()
first: list[str] = candidates.formulas[:3]
valid: bool = bool(matgen.check("Fe3O4", mixed_valence=True))
report = candidates.evaluate(reference="mp-pure", no_baselines=True)
shares: dict[str, object] = report.content
gaps: pd.DataFrame = matgen.predict(["MgO"], "band_gap", source="mp").to_frame()
places: list[dict[str, float]] = matgen.tinker("SrTiO3", mask="Sr").positions
kept = matgen.screen(matgen.rank(candidates, predictor="formation_energy-oqmd"), "cost < 50", max_per_system=1)
ranked: pd.DataFrame = matgen.discover(1000, contains="Li-O", structures=2).ranked
made = matgen.make_structures(kept, top=2, per_formula=1)
symbols: dict[str, object] = {name: one.get_chemical_symbols() for name, one in made.atoms().items()}
sampler = matgen.Sampler("hybrid-pure-gptj-small")
predictor = matgen.Predictor.load("band_gap-mp")
"""

WRONG = """
import matgen

matgen.sample(10, containz="Li")
matgen.sampel(10)
number: int = matgen.check("NaCl").valid
"""


@pytest.mark.slow
def test_the_calls_have_types(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    root = Path(matgen.__file__).resolve().parent.parent
    said = {}
    for name in ("user.py", "wrong.py"):
        # From the root, so that what was checked before need not be checked again.
        command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(tmp_path / name)]
        said[name] = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout
    assert "Success: no issues" in said["user.py"], said["user.py"]
    for complaint in ('"containz"', '"sampel"', "Incompatible types in assignment"):
        assert complaint in said["wrong.py"], said["wrong.py"]


def test_importing_matgen_imports_nothing_heavy() -> None:
    code = (
        "import sys, matgen; sys.exit(bool({'torch', 'numpy', 'pandas', 'pymatgen', 'matgen.api'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
