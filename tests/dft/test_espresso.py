"""Inputs of pw.x, and what it leaves; the program itself runs where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from matgen.dft import espresso
from matgen.dft.export import export
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import DataError, OptionError, StructureError

from .conftest import CRYSTALS, rock_salt, silicon
from .programs import NEEDS_PW
from .test_pseudopotentials import upf

QUICK = DFTSettings(cutoff=200.0, kpoint_density=1.5)


def shaken_silicon() -> Job:
    structure = silicon()
    structure.translate_sites([1], [0.01, 0.0, 0.0])
    return Job("si", structure, "candidate")


def number(text: str, name: str) -> float:
    return float(re.search(rf"^\s*{re.escape(name)}\s*=\s*(\S+)$", text, re.MULTILINE)[1])


def test_cutoffs_and_mesh() -> None:
    upf("Na.upf", wfc_cutoff="40", rho_cutoff="200")
    upf("Cl.upf", wfc_cutoff="55", pseudo_type="PAW")
    settings = DFTSettings(pseudopotentials=Path("family"), kpoint_density=4.0)
    remarks = espresso.write(Job("a", CRYSTALS["NaCl"], "candidate"), Path("a"), settings)
    text = Path("a/pw.in").read_text()
    assert remarks == []
    assert number(text, "ecutwfc") == 55 and number(text, "ecutrho") == 8 * 55
    mesh = [int(n) for n in text.split("K_POINTS automatic\n")[1].split()[:3]]
    lengths = np.linalg.norm(CRYSTALS["NaCl"].lattice.reciprocal_lattice.matrix, axis=1)
    assert all(n >= 4.0 * length > n - 1 for n, length in zip(mesh, lengths, strict=True))
    own = DFTSettings(pseudopotentials=Path("family"), cutoff=13.605693 * 30)
    espresso.write(Job("b", CRYSTALS["NaCl"], "candidate"), Path("b"), own)
    assert number(Path("b/pw.in").read_text(), "ecutwfc") == 30


def test_all_of_a_folder_have_the_same_cutoffs(tmp_path: Path) -> None:
    upf("Na.upf", wfc_cutoff="40", rho_cutoff="200")
    upf("Cl.upf", wfc_cutoff="55", pseudo_type="PAW")
    sodium = Structure(Lattice.cubic(4.2), ["Na"] * 2, [[0, 0, 0], [0.5] * 3])
    jobs = [Job("a", CRYSTALS["NaCl"], "candidate"), Job("element-Na", sodium, "element")]
    export(jobs, tmp_path / "dft", "espresso", DFTSettings(pseudopotentials=Path("family")))
    texts = [(tmp_path / "dft" / job.id / "pw.in").read_text() for job in jobs]
    assert [number(text, "ecutwfc") for text in texts] == [55, 55]
    assert [number(text, "ecutrho") for text in texts] == [440, 440]


def test_moments_and_u_of_each_kind_of_atom() -> None:
    upf("Mn.upf", wfc_cutoff="40", z_valence="15.00")
    upf("O.upf", z_valence="6.00")
    settings = DFTSettings(pseudopotentials=Path("family"), hubbard_u=True)
    remarks = espresso.write(Job("a", CRYSTALS["MnO"], "candidate"), Path("a"), settings)
    assert any("O.upf states no cut-off" in remark for remark in remarks)
    text = Path("a/pw.in").read_text()
    labels = [line.split()[0] for line in text.split("ATOMIC_SPECIES\n")[1].splitlines()[:3]]
    assert sorted(labels) == ["Mn", "Mn1", "O"]
    for place, label in enumerate(labels, start=1):
        moment = number(text, f"starting_magnetization({place})")
        assert abs(moment) == pytest.approx(0.3 if label.startswith("Mn") else 0.0)
        if label.startswith("Mn"):
            assert number(text, f"hubbard_u({place})") == 3.9
    assert number(text, "starting_magnetization(1)") == -number(text, "starting_magnetization(2)")
    assert "hubbard_u(3)" not in text and number(text, "nspin") == 2


def test_like_moments_share_a_species() -> None:
    """pw.x stops above ten species: one for each predicted moment would be 17."""
    upf("Mn.upf", wfc_cutoff="40", z_valence="15.00")
    upf("O.upf", wfc_cutoff="40", z_valence="6.00")
    structure = CRYSTALS["MnO"].copy()
    structure.make_supercell([2, 2, 2])
    signs = [0.0 if site.specie.symbol == "O" else 1 - 2 * (i % 2) for i, site in enumerate(structure)]
    structure.add_site_property("magmom", [sign * (4.3 + 0.01 * i) for i, sign in enumerate(signs)])
    espresso.write(Job("a", structure, "candidate"), Path("a"), DFTSettings(pseudopotentials=Path("family")))
    text = Path("a/pw.in").read_text()
    labels = [line.split()[0] for line in text.split("ATOMIC_SPECIES\n")[1].split("\n\n")[0].splitlines()]
    assert number(text, "ntyp") == len(labels) == len(set(signs))
    assert number(text, "nspin") == 2


def test_magnetic_elements_without_predicted_moments_are_not_calculated_as_non_magnetic() -> None:
    upf("Fe.upf", wfc_cutoff="40", z_valence="16.00")
    upf("O.upf", wfc_cutoff="40", z_valence="6.00")
    job = Job("a", rock_salt("Fe", "O", 4.3), "candidate")
    remarks = espresso.write(job, Path("a"), DFTSettings(pseudopotentials=Path("family")))
    text = Path("a/pw.in").read_text()
    assert number(text, "nspin") == 2
    assert number(text, "starting_magnetization(1)") == pytest.approx(5 / 16, abs=1e-3)
    assert any("no moments are predicted" in remark for remark in remarks)


def test_without_pseudopotentials_the_files_to_fetch_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    monkeypatch.setattr(espresso, "SYSTEM_FAMILY", tmp_path / "nothing")
    exported = export([Job("a", CRYSTALS["NaCl"], "candidate")], tmp_path / "dft", "espresso")
    assert not exported.failed
    assert [remark.startswith("no pseudopotentials are here") for remark in exported.remarks["a"]] == [True]
    text = (tmp_path / "dft/a/pw.in").read_text()
    assert re.search(r"pseudo_dir\s*=\s*'../pseudo'", text)
    assert number(text, "ecutwfc") == 100 and number(text, "ecutrho") == 400
    species = [line.split() for line in text.split("ATOMIC_SPECIES\n")[1].split("\n\n")[0].splitlines()]
    listed = (tmp_path / "dft/a/pseudopotentials.txt").read_text().split()
    assert sorted(file for _, _, file in species) == sorted(listed) == ["Cl.upf", "Na.upf"]


def test_an_element_without_pseudopotential() -> None:
    upf("Na.upf")
    with pytest.raises(StructureError, match="no pseudopotential of Cl in"):
        job = Job("a", CRYSTALS["NaCl"], "candidate")
        espresso.write(job, Path("a"), DFTSettings(pseudopotentials=Path("family")))
    with pytest.raises(OptionError, match="no pseudopotentials at nowhere"):
        espresso.family_folder(DFTSettings(pseudopotentials=Path("nowhere")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which pw.x has calculated silicon with one atom out of its place."""
    return calculated(tmp_path_factory.mktemp("pw"), QUICK)


def calculated(folder: Path, settings: DFTSettings, **changes: str) -> Path:
    assert shutil.which("pw.x"), "CI needs pw.x: apt-get install quantum-espresso quantum-espresso-data"
    espresso.write(shaken_silicon(), folder, settings)
    text = (folder / "pw.in").read_text()
    for name, value in changes.items():
        text, count = re.subn(rf"({name}\s*=) .*", rf"\1 {value}", text)
        assert count == 1
    (folder / "pw.in").write_text(text)
    with (folder / "pw.out").open("w") as out:
        subprocess.run(["pw.x", "-in", "pw.in"], cwd=folder, stdout=out, stderr=subprocess.DEVNULL, timeout=300)
    return folder


@NEEDS_PW
def test_pw_takes_it_and_its_output_is_read(whole: Path) -> None:
    found = espresso.parse(whole)
    text = (whole / "pw.out").read_text()
    energy = float(re.findall(r"^!\s+total energy\s+=\s+(\S+) Ry", text, re.MULTILINE)[-1])
    assert found["energy"] == pytest.approx(energy * 13.605693122994, abs=1e-4)  # ASE has it as of 2006
    rows = re.findall(r"atom\s+\d+ type\s+1\s+force =\s+(\S+)\s+(\S+)\s+(\S+)", text)[:2]
    largest = np.linalg.norm(np.array(rows, float), axis=1).max() * 13.605693122994 / 0.529177210903
    assert found["max_force"] == pytest.approx(largest, rel=1e-4) and largest > 0.05
    assert found["volume"] == pytest.approx(silicon().volume, rel=1e-4)
    assert found["n_atoms"] == 2 and found["converged"] is True
    assert found["structure"]["symbols"] == ["Si", "Si"]


@NEEDS_PW
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.97])
def test_an_output_cut_short_is_no_number(whole: Path, share: float) -> None:
    text = (whole / "pw.out").read_text()
    Path("pw.out").write_text(text[: int(share * len(text))])
    with pytest.raises(DataError, match="did not end well: ."):
        espresso.parse(Path())


@NEEDS_PW
def test_electrons_that_do_not_converge(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it did not converge"):
        espresso.parse(calculated(tmp_path, QUICK, electron_maxstep="1"))


@pytest.mark.slow
@NEEDS_PW
@pytest.mark.parametrize("steps", [1, 30])
def test_a_relaxation_that_runs_out_of_steps(tmp_path: Path, steps: int) -> None:
    settings = DFTSettings("relax", cutoff=200.0, kpoint_density=1.5)
    found = espresso.parse(calculated(tmp_path, settings, outdir=f"'work'\n   nstep = {steps}"))
    assert found["converged"] is (steps > 1)
    if found["converged"]:
        assert found["max_force"] < 0.05
        assert found["volume"] != pytest.approx(silicon().volume, rel=1e-4)


@NEEDS_PW
def test_what_pw_complains_of_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pw.x did not end well: Error in routine"):
        espresso.parse(calculated(tmp_path, QUICK, ibrav="999"))


@NEEDS_PW
@pytest.mark.slow
def test_pw_takes_moments_and_u() -> None:
    cell = Lattice([[0, 2.15, 2.15], [2.15, 0, 2.15], [2.15, 2.15, 0]])
    structure = Structure(cell, ["Ni", "O"], [[0, 0, 0], [0.5] * 3], site_properties={"magmom": [2.0, 0.0]})
    espresso.write(
        Job("nio", structure, "candidate"), Path("nio"), DFTSettings(cutoff=300, kpoint_density=0.5, hubbard_u=True)
    )
    text = Path("nio/pw.in").read_text().replace("electron_maxstep = 200", "electron_maxstep = 1")
    Path("nio/pw.in").write_text(text)
    done = subprocess.run(["pw.x", "-in", "pw.in"], cwd="nio", capture_output=True, text=True, timeout=300)
    assert "Simplified LDA+U" in done.stdout or "LDA+U" in done.stdout
    assert re.search(r"Ni\s+0\.111", done.stdout), done.stdout[-2000:]  # 2 of 18 electrons
    assert "JOB DONE" in done.stdout
