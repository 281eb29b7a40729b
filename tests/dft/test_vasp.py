"""Inputs of VASP, read again by pymatgen's strict readers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pymatgen.core
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.vasp import Incar, Kpoints, Poscar
from pymatgen.io.vasp.sets import MatPESStaticSet, MPRelaxSet, MPStaticSet

from matgen.dft import vasp
from matgen.dft.settings import DFTSettings, Job

from .conftest import CRYSTALS, rock_salt


@pytest.fixture(autouse=True)
def no_potcars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", None)


def write(job: Job, **settings: object) -> tuple[Path, list[str]]:
    folder = Path(job.id)
    return folder, vasp.write(job, folder, DFTSettings(**settings))


@pytest.mark.parametrize("name", sorted(CRYSTALS))
@pytest.mark.parametrize("calculation", ["static", "relax"])
@pytest.mark.parametrize("input_set", ["mp", "matpes"])
def test_inputs_are_what_pymatgen_reads(name: str, calculation: str, input_set: str, job_of) -> None:
    folder, remarks = write(job_of(name), calculation=calculation, input_set=input_set)
    incar = Incar.from_file(folder / "INCAR")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        incar.check_params()
    assert (incar.get("NSW", 0) > 0) == (calculation == "relax")
    poscar = Poscar.from_file(folder / "POSCAR", check_for_potcar=False)
    assert StructureMatcher(scale=False, primitive_cell=False).fit(poscar.structure, CRYSTALS[name])
    if (folder / "KPOINTS").exists():
        kpoints = Kpoints.from_file(folder / "KPOINTS")
        assert all(n >= 3 for n in kpoints.kpts[0])
    else:
        assert incar["KSPACING"] < 0.5
    assert not (folder / "POTCAR").exists()
    symbols = (folder / "POTCAR.spec").read_text().split()
    assert [symbol.split("_")[0] for symbol in symbols] == poscar.site_symbols
    assert "no POTCAR of" in remarks[0] and "PMG_VASP_PSP_DIR is not set" in remarks[0]


def test_u_and_moments_are_those_of_the_set(job_of: Callable[[str], Job]) -> None:
    folder, _ = write(job_of("MnO"), calculation="relax")
    incar = Incar.from_file(folder / "INCAR")
    own = MPRelaxSet(CRYSTALS["MnO"].get_sorted_structure()).incar
    assert incar["LDAUU"] == own["LDAUU"] and max(incar["LDAUU"]) == pytest.approx(3.9)
    assert sorted(incar["MAGMOM"]) == [-4.5, 0, 0, 4.5]
    assert "LDAUU" not in Incar.from_file(write(job_of("NaCl"))[0] / "INCAR")


def test_moments_of_zero_are_left_to_the_set() -> None:
    structure = rock_salt("Fe", "O", 4.3)
    structure.add_site_property("magmom", [0.0, 0.0])
    folder, _ = write(Job("feo", structure, "candidate"))
    assert Incar.from_file(folder / "INCAR")["MAGMOM"] == [5.0, 0.6]


def test_cutoff_and_sets() -> None:
    job = Job("nacl", CRYSTALS["NaCl"], "candidate")
    folder, _ = write(job, cutoff=433.0)
    assert Incar.from_file(folder / "INCAR")["ENCUT"] == 433
    folder, _ = write(job)
    assert Incar.from_file(folder / "INCAR")["ENCUT"] == MPStaticSet(job.structure).incar["ENCUT"]
    folder, _ = write(job, input_set="matpes")
    assert Incar.from_file(folder / "INCAR")["ENCUT"] == MatPESStaticSet(job.structure).incar["ENCUT"]


@pytest.mark.parametrize(
    ("symbol", "input_set", "told"), [("Yb", "mp", "Yb_2"), ("W", "mp", "W_pv"), ("W", "matpes", "W_sv")]
)
def test_the_known_traps_are_told(symbol: str, input_set: str, told: str) -> None:
    folder, remarks = write(Job("trap", rock_salt(symbol, "O", 4.8), "candidate"), input_set=input_set)
    assert told in (folder / "POTCAR.spec").read_text().split()
    assert any(remark.startswith(told) or (told == "W_sv" and "W_pv" in remark) for remark in remarks[1:])


@pytest.mark.parametrize(
    ("there", "input_set", "wanted"),
    [("POT_GGA_PAW_PBE_54", "mp", "POT_GGA_PAW_PBE"), ("POT_GGA_PAW_PBE", "matpes", "POT_PAW_PBE_64")],
)
def test_a_folder_of_another_release_is_told(
    there: str, input_set: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_potcars(tmp_path / "potcars" / there, ["Na_pv", "Cl"])
    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", str(tmp_path / "potcars"))
    _, remarks = write(Job("nacl", CRYSTALS["NaCl"], "candidate"), input_set=input_set)
    assert remarks[0].endswith(f"has no {wanted}, but {there}")


def test_with_potcars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", str(tmp_path / "potcars"))
    job = Job("nacl", CRYSTALS["NaCl"], "candidate")
    fake_potcars(tmp_path / "potcars/POT_GGA_PAW_PBE", ["Na_pv"])
    folder, remarks = write(job)
    assert remarks == ["no POTCAR of Cl (PBE): POTCAR.spec names what to put together"]
    fake_potcars(tmp_path / "potcars/POT_GGA_PAW_PBE", ["Cl"])
    again = Job("again", job.structure, "candidate")
    folder, remarks = write(again)
    assert remarks == [] and not (folder / "POTCAR.spec").exists()
    text = (folder / "POTCAR").read_text()
    order = Structure.from_file(folder / "POSCAR").symbol_set
    assert set(order) == {"Na", "Cl"}
    first = Poscar.from_file(folder / "POSCAR", check_for_potcar=False).site_symbols[0]
    assert text.index("TITEL  = PAW_PBE " + first) < text.rindex("TITEL  =")


def fake_potcars(folder: Path, symbols: list[str]) -> None:
    """Heads of POTCARs, without what is licensed."""
    for symbol in symbols:
        (folder / symbol).mkdir(parents=True)
        (folder / symbol / "POTCAR").write_text(
            f" PAW_PBE {symbol} 08Apr2002\n 7.00000000000000\n parameters from PSCTR are:\n"
            f"   VRHFIN ={symbol.split('_')[0]}: s2p5\n   LEXCH  = PE\n   TITEL  = PAW_PBE {symbol} 08Apr2002\n"
            "   LULTRA =        F    use ultrasoft PP ?\n   POMASS =   22.990; ZVAL   =    7.000    mass and valenz\n"
            "   ENMAX  =  259.561; ENMIN  =  194.671 eV\n   EAUG   =  200.000\n\n END of PSCTR-controll parameters\n"
            " local part\n  1.0\n End of Dataset\n".replace("\\\n", "\n")
        )
