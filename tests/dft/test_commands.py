"""`matgen export`, `matgen dft run` and `matgen dft collect` as typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from matgen.io.files import read_json

from .conftest import CRYSTALS, rock_salt
from .magnets import MAGNETS
from .programs import NEEDS_GPAW, NEEDS_PW, StandIn

Matgen = Callable[..., tuple[int, str]]
Refused = Callable[..., str]


def files(folder: Path = Path()) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_export_run_collect(structures, matgen: Matgen) -> None:
    program = StandIn(Path("programs").absolute(), {"0002-Si-1": {"says": "no room"}})
    status, said = matgen("export", structures("NaCl", "Si"), "--format", "gpaw")
    assert status == 0 and "2 written, 0 left out; dft/manifest.json lists them" in said
    assert matgen("export", "structures", "--format", "gpaw")[0] == 0
    assert Path("dft-2/manifest.json").exists()
    run = ("dft", "run", "dft", "--engine", "gpaw", "--command", program.command)
    status, said = matgen(*run)
    assert status == 1
    assert "failed 0002-Si-1: GPAW left no result: no room" in said and "2 run now; 1 done, 1 failed" in said
    status, said = matgen(*run)
    assert status == 1 and "0 run now; 1 done, 1 failed" in said
    status, said = matgen("dft", "collect", "dft")
    assert status == 0 and "1 done, 1 failed, 0 waiting; dft/results.csv" in said
    assert "0001-NaCl-1: no reference of Cl, Na calculated: matgen export --element-references" in said
    program.becomes({})
    assert matgen(*run, "--retry-failed", "--quiet") == (0, "")
    before = Path("dft/results.csv").read_bytes()
    assert matgen("dft", "collect", "dft", "--quiet") == (0, "")
    assert Path("dft/results.csv").read_bytes() == before
    frame = pd.read_csv("dft/results-2.csv")
    assert frame["state"].to_list() == ["done", "done"] and frame["energy_per_atom_dft"].to_list() == [-3, -3]
    assert frame["energy_per_atom_chgnet"].to_list() == [-1.5, -3.0]
    assert read_json("dft/results-2.csv.json")["states"] == {"done": 2}


@pytest.mark.slow
def test_elements_and_competing_phases(structures, matgen: Matgen) -> None:
    program = StandIn(Path("programs").absolute(), {"0001-NaCl-1": {"energy": -7.0}, "element-Na": {"energy": -3.6}})
    status, said = matgen("export", structures("NaCl"), "--format", "gpaw", "--element-references", "--competing")
    assert status == 0, said
    jobs = {job["id"]: job for job in read_json("dft/manifest.json")["jobs"]}
    assert {"element-Na", "element-Cl", "0001-NaCl-1"} <= set(jobs)
    assert jobs["element-Cl"]["provenance"]["source"] == "delta test, ASE"
    assert matgen("dft", "run", "dft", "--engine", "gpaw", "--command", program.command)[0] == 0
    status, said = matgen("dft", "collect", "dft", "--out", "mine.parquet")
    frame = pd.read_parquet("mine.parquet").set_index("structure_id")
    n = jobs["element-Na"]["n_atoms"]
    expected = -7.0 / 2 - (-3.6 / n + -3.0) / 2
    assert frame.loc["0001-NaCl-1", "formation_energy_dft"] == pytest.approx(expected)
    assert f"0001-NaCl-1: formation energy {expected:.3f} eV/atom" in said


def test_what_export_says_of_elements_without_reference(
    structures, matgen: Matgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CRYSTALS, "MgS", rock_salt("Mg", "S", 5.2))
    status, said = matgen("export", structures("MgS"), "--format", "cif", "--element-references")
    assert status == 0
    assert "no reference S: no structure of S with at most 4 atoms is like its ground state" in said


def test_notes_are_grouped(structures, matgen: Matgen, monkeypatch: pytest.MonkeyPatch) -> None:
    import pymatgen.core

    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", None)
    _, said = matgen("export", structures("MgO", "NaCl", "MgO"))
    assert "note (2 calculations): no POTCAR of Mg_pv, O (PBE)" in said
    assert "inputs for vasp of structures into dft/" in said


def test_bad_requests_of_export(structures, refused: Refused) -> None:
    folder = structures("NaCl")
    Path("taken").mkdir()
    Path("taken/results").write_text("mine")
    Path("broken.jinja").write_text("{{ account")
    before = files()
    for arguments, message in [
        (("nowhere",), "no such file: nowhere"),
        ((folder, "--format", "siesta"), "unknown format 'siesta'; known: vasp, espresso, gpaw, cif"),
        ((folder, "--calculation", "bands"), "unknown calculation 'bands'"),
        ((folder, "--input-set", "mit"), "unknown input set 'mit'"),
        ((folder, "--cutoff", "-1"), "--cutoff is -1"),
        ((folder, "--cutoff", "nan"), "--cutoff is nan"),
        ((folder, "--kpoint-density", "0"), "--kpoint-density is 0"),
        ((folder, "--magnetic-orders", "0"), "magnetic-orders is 0"),
        ((folder, "--magnetic-orders", "2", "--format", "cif"), "cif files hold no moments: leave out"),
        ((folder, "--kpoint-density", "inf"), "above 0 and finite"),
        ((folder, "--top", "0"), "top is 0"),
        ((folder, "--out", "taken"), "taken exists"),
        ((folder, "--format", "gpaw", "--flow"), "take --format vasp"),
        ((folder, "--flow", "--input-set", "matpes", "--calculation", "relax"), "no relaxation by the MatPES set"),
        ((folder, "--scheduler-template", "broken.jinja"), "broken.jinja is no usable template"),
        ((folder, "--scheduler-template", "missing.jinja"), "no such file: missing.jinja"),
        ((folder, "--scheduler-template", "broken.jinja", "--format", "cif"), "nothing to run"),
        ((folder, "--format", "espresso", "--pseudopotentials", "nowhere"), "no such file: nowhere"),
        ((folder, "--format", "espresso", "--pseudopotentials", "taken"), "no scalar-relativistic PBE"),
        ((folder, "--out", ""), "an empty name"),
    ]:  # fmt: skip
        assert message in refused("export", *arguments), arguments
    assert files() == before and not Path("dft").exists()


def test_bad_requests_of_dft(structures, matgen: Matgen, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    matgen("export", structures("NaCl"), "--format", "gpaw")
    matgen("export", "structures", "--format", "cif", "--out", "cif")
    Path("taken.csv").write_text("mine")
    before = files()
    run = ("dft", "run", "dft", "--engine", "gpaw")
    for arguments, message in [
        (("dft", "run", "nowhere", "--engine", "gpaw"), "no such file: nowhere"),
        (("dft", "run", "dft", "--engine", "siesta"), "unknown engine 'siesta'"),
        (("dft", "run", "dft", "--engine", "vasp"), "holds inputs of gpaw, not of vasp"),
        (("dft", "run", "dft"), "--engine"),
        ((*run, "--hours", "0"), "--hours is 0, it must be above 0"),
        ((*run, "--workers", "0"), "workers is 0"),
        ((*run, "--command", "no-such-program"), "no-such-program is not installed"),
        ((*run, "--command", "a 'b"), "cannot be read"),
        (("dft", "collect", "nowhere"), "no such file: nowhere"),
        (("dft", "collect", "cif"), "holds cif files"),
        (("dft", "collect", "dft", "--out", "taken.csv"), "taken.csv exists"),
        (("dft", "collect", "dft", "--out", "x.txt"), "must end in .csv or .parquet"),
        (("dft",), "STEP"),
    ]:
        assert message in refused(*arguments), arguments
    monkeypatch.setenv("PATH", "/nowhere")
    assert "gpaw is not installed: apt install gpaw gpaw-data" in refused(*run)
    assert files() == before and not Path("nowhere").exists()


def test_magnetic_orders_from_export_to_collect(structures, matgen: Matgen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CRYSTALS, "NiO", MAGNETS["NiO"])
    program = StandIn(Path("programs").absolute(), {"0001-NiO-1-afm": {"energy": -13.0}})
    status, said = matgen("export", structures("NiO", "NaCl"), "--format", "gpaw", "--magnetic-orders", "3")
    assert status == 0 and "note: 2 more with antiferromagnetic moments (<id>-afm), ranked by a rule" in said
    assert "4 written, 0 left out" in said
    assert matgen("dft", "run", "dft", "--engine", "gpaw", "--command", program.command)[0] == 0
    assert sorted(program.called()) == ["0001-NiO-1", "0001-NiO-1-afm", "0001-NiO-1-afm2", "0002-NaCl-1"]
    assert matgen("dft", "collect", "dft")[0] == 0
    frame = pd.read_csv("dft/results.csv").set_index("structure_id")
    assert frame["magnetic_order"].to_dict() == {"0001-NiO-1": "antiferromagnetic", "0002-NaCl-1": "nonmagnetic"}
    assert frame.loc["0001-NiO-1", "energy_per_atom_dft"] == -13 / 4
    assert frame.loc["0001-NiO-1", "energy_per_atom_dft_fm"] == -3
    matgen("export", "structures", "--format", "gpaw", "--magnetic-orders", "1", "--out", "one")
    assert [job["id"] for job in read_json("one/manifest.json")["jobs"]] == ["0001-NiO-1", "0002-NaCl-1"]


@NEEDS_PW
@pytest.mark.slow
def test_the_commands_with_pw(structures, matgen: Matgen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    options = ("--format", "espresso", "--cutoff", "200", "--kpoint-density", "1.5")
    status, said = matgen("export", structures("NaCl", "Si"), *options)
    assert status == 0 and "left out 0001-NaCl-1: no pseudopotential of Cl, Na in" in said
    assert matgen("dft", "run", "dft", "--engine", "espresso")[0] == 0
    assert matgen("dft", "collect", "dft")[0] == 0
    (row,) = pd.read_csv("dft/results.csv").itertuples()
    assert row.structure_id == "0002-Si-1" and row.state == "done" and row.max_force_dft < 0.01


@NEEDS_GPAW
@pytest.mark.slow
def test_the_commands_with_gpaw(structures, matgen: Matgen) -> None:
    options = ("--format", "gpaw", "--cutoff", "300", "--kpoint-density", "1")
    assert matgen("export", structures("NaCl"), *options)[0] == 0
    assert matgen("dft", "run", "dft", "--engine", "gpaw")[0] == 0
    assert matgen("dft", "collect", "dft")[0] == 0
    (row,) = pd.read_csv("dft/results.csv").itertuples()
    assert row.state == "done" and row.max_force_dft < 0.02
    assert row.volume_per_atom_dft == pytest.approx(5.64**3 / 8, rel=1e-4)
