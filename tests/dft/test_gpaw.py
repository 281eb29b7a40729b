"""Scripts for GPAW, run by GPAW, against a few lines of its own; what is left of cut results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from matgen.dft import gpaw
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import DataError

from .conftest import CRYSTALS, rock_salt
from .programs import NEEDS_GPAW

DIRECT = """
import json
from ase import Atoms
from gpaw import GPAW, PW, FermiDirac
a = 5.64
cell = [[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]]
atoms = Atoms("NaCl", cell=cell, scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], pbc=True)
atoms.calc = GPAW(mode=PW(300), xc="PBE", kpts={"density": 1.5, "gamma": True}, occupations=FermiDirac(0.05), txt=None)
print(json.dumps([atoms.get_potential_energy(), len(atoms.calc.get_ibz_k_points())]))
"""


def by_gpaw(script: Path) -> str:
    assert shutil.which("gpaw"), "CI needs GPAW: apt-get install gpaw gpaw-data"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(["gpaw", "python", script.name], cwd=script.parent, env=environment, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@NEEDS_GPAW
@pytest.mark.slow
def test_the_energy_is_gpaws_own(tmp_path: Path) -> None:
    gpaw.write(Job("nacl", CRYSTALS["NaCl"], "candidate"), tmp_path, DFTSettings(cutoff=300, kpoint_density=1.5))
    by_gpaw(tmp_path / "run.py")
    found = gpaw.parse(tmp_path)
    (tmp_path / "direct.py").write_text(DIRECT)
    energy, _ = json.loads(by_gpaw(tmp_path / "direct.py").splitlines()[-1])
    assert found["energy"] == pytest.approx(energy, abs=1e-3)
    assert found["volume"] == pytest.approx(5.64**3 / 4)
    assert found["max_force"] < 0.01 and found["converged"] is True and found["magnetic_moment"] == 0


@NEEDS_GPAW
@pytest.mark.slow
def test_a_relaxation_and_moments_run_too(tmp_path: Path) -> None:
    small = Job("mgo", CRYSTALS["MgO"].copy(), "candidate")
    small.structure.scale_lattice(small.structure.volume * 1.06)
    small.structure.add_site_property("magmom", [0.0, 0.5])
    gpaw.write(small, tmp_path, DFTSettings("relax", cutoff=300, kpoint_density=0.8))
    by_gpaw(tmp_path / "run.py")
    found = gpaw.parse(tmp_path)
    assert found["converged"] is True and found["max_force"] < 0.05
    assert found["volume"] < small.structure.volume * 0.99
    assert abs(found["magnetic_moment"]) < 0.1
    assert found["structure"]["symbols"] == ["Mg", "O"]


def script(job: Job, **settings: object) -> str:
    gpaw.write(job, Path("job"), DFTSettings(**settings))
    text = Path("job/run.py").read_text()
    compile(text, "run.py", "exec")
    return text


def test_what_the_script_says(job_of) -> None:
    text = script(job_of("MnO"), hubbard_u=True, cutoff=433.0)
    assert "atoms.set_initial_magnetic_moments([4.5, -4.5, 0.0, 0.0])" in text
    assert "setups={'Mn': ':d,3.9'}" in text and "PW(433.0)" in text and "spinpol=True" in text
    text = script(job_of("MnO"))
    assert "setups" not in text and "PW(500.0)" in text and "BFGS" not in text
    assert "spinpol=False" in script(job_of("NaCl"))
    assert "optimizer.run(fmax=0.05" in script(job_of("NaCl"), calculation="relax")


def test_magnetic_elements_without_predicted_moments_begin_with_the_sets(tmp_path: Path) -> None:
    remarks = gpaw.write(Job("a", rock_salt("Fe", "O", 4.3), "candidate"), tmp_path, DFTSettings())
    assert "atoms.set_initial_magnetic_moments([5.0, 0.0])" in (tmp_path / "run.py").read_text()
    assert "no moments are predicted" in remarks[0]
    assert gpaw.write(Job("b", rock_salt("Na", "Cl", 5.6), "candidate"), tmp_path, DFTSettings()) == []
    assert "set_initial_magnetic_moments" not in (tmp_path / "run.py").read_text()


def test_elements_without_a_setup_are_named_at_export(tmp_path: Path) -> None:
    (remark,) = gpaw.write(Job("a", rock_salt("La", "N", 5.3), "element"), tmp_path, DFTSettings())
    assert remark.startswith("GPAW's setups 0.9.20000 have none of La")


@NEEDS_GPAW
def test_the_setups_are_those_of_debian() -> None:
    folder = Path("/usr/share/gpaw-setups")
    if folder.is_dir():
        assert {path.name.split(".")[0] for path in folder.glob("*.PBE.gz")} == gpaw.SETUPS


WHOLE = json.dumps({"energy": -7.0, "n_atoms": 2, "max_force": 0.0, "volume": 44.0, "magnetic_moment": 0.0,
                    "converged": True, "structure": {"symbols": ["Na", "Cl"]}})  # fmt: skip


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", "null", WHOLE[:40], WHOLE[:-1], WHOLE.replace("-7.0", '"low"')])
def test_results_that_are_not_whole(text: str) -> None:
    Path("result.json").write_text(WHOLE)
    assert gpaw.parse(Path())["energy"] == -7
    Path("result.json").write_text(text)
    with pytest.raises(DataError):
        gpaw.parse(Path())


def test_the_last_words_of_one_that_left_nothing() -> None:
    Path("gpaw.txt").write_text("  ___ ___ ___\n")
    Path("stderr.txt").write_text("Traceback\n  File ...\ngpaw.KohnShamConvergenceError: Did not converge!\n\n")
    with pytest.raises(DataError, match="left no result: gpaw.KohnShamConvergenceError: Did not converge!"):
        gpaw.parse(Path())
