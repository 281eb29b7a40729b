"""Families of pseudopotentials, by stand-ins with the heads of real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matgen.dft.pseudopotentials import read_family
from matgen.errors import DataError


def upf(name: str, **attributes: str) -> Path:
    told = {"element": name[:2].strip("._-"), "pseudo_type": "NC", "relativistic": "scalar", "functional": "PBE",
            "z_valence": "4.00"} | attributes  # fmt: skip
    path = Path("family") / name
    path.parent.mkdir(exist_ok=True)
    head = "\n".join(f'{key}="{value}"' for key, value in told.items())
    path.write_text(
        f'<UPF version="2.0.1">\n<PP_INFO>\n</PP_INFO>\n<PP_HEADER {head}/>\n<PP_MESH>\n</PP_MESH>\n</UPF>\n'
    )
    return path


def test_sssp_by_its_table() -> None:
    upf("Si.pbe-n-rrkjus_psl.1.0.0.UPF", z_valence="4.00")
    upf("o_pbe_v1.2.uspp.F.UPF", z_valence="6.00")
    table = {
        "Si": {"filename": "Si.pbe-n-rrkjus_psl.1.0.0.UPF", "md5": "", "pseudopotential": "100US", "cutoff_wfc": 30.0,
               "cutoff_rho": 240.0},
        "O": {"filename": "o_pbe_v1.2.uspp.F.UPF", "md5": "", "pseudopotential": "GBRV-1.2", "cutoff_wfc": 50.0,
              "cutoff_rho": 400.0},
        "Fe": {"filename": "gone.UPF", "cutoff_wfc": 90.0, "cutoff_rho": 1080.0},
    }  # fmt: skip
    Path("family/SSSP_1.3.0_PBE_efficiency.json").write_text(json.dumps(table))
    family = read_family("family")
    assert sorted(family) == ["O", "Si"]
    assert (family["O"].file, family["O"].cutoff, family["O"].density_cutoff) == ("o_pbe_v1.2.uspp.F.UPF", 50, 400)
    assert (family["Si"].cutoff, family["Si"].valence, family["Si"].stated) == (30, 4, True)


@pytest.mark.parametrize("functional", ["PBESOL", "SLA  PW   PSX  PSC"])
def test_a_table_of_another_functional_is_refused(functional: str) -> None:
    upf("Si.pbesol-n-rrkjus_psl.1.0.0.UPF", functional=functional)
    table = {"Si": {"filename": "Si.pbesol-n-rrkjus_psl.1.0.0.UPF", "cutoff_wfc": 30.0, "cutoff_rho": 240.0}}
    Path("family/SSSP_1.3.0_PBEsol_efficiency.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=f"another functional than PBE: Si.pbesol.*UPF is of {functional}"):
        read_family("family")


def test_pseudo_dojo_by_its_hints() -> None:
    upf("Si.upf")
    hints = {name: {"ecut": value, "pps": 1} for name, value in (("low", 14.0), ("normal", 18.0), ("high", 24.0))}
    Path("family/Si.djrepo").write_text(json.dumps({"basename": "Si", "hints": hints}))
    found = read_family("family")["Si"]
    assert (found.file, found.cutoff, found.density_cutoff, found.stated) == ("Si.upf", 48.0, 192.0, True)
    Path("family/Si.djrepo").write_text("{")
    assert read_family("family")["Si"].stated is False


def test_other_files_by_their_heads() -> None:
    upf("Si.pbe-a.UPF", pseudo_type="PAW", wfc_cutoff="4.4E+01", rho_cutoff="1.7E+02", functional="SLA  PW   PBX  PBC")
    upf("Si.pbe-z.UPF", pseudo_type="NC", wfc_cutoff="90")
    upf("Ge.pz.UPF", functional="SLA  PZ   NOGX NOGC")
    upf("Ge.pbesol.UPF", functional="SLA  PW   PSX  PSC")
    upf("Pb.rel-pbe-x.UPF", relativistic="full", has_so="T")
    upf("Al.pbe.UPF", pseudo_type="USPP")
    old = """Generated in 1990
Suggested minimum cutoff for wavefunctions:  25. Ry
<PP_HEADER>
   0                   Version Number
  C                    Element
   US                  Ultrasoft pseudopotential
    T                  Nonlinear Core Correction
 SLA  PW   PBX  PBC   PBE  Exchange-Correlation functional
    4.00000000000      Z valence
</PP_HEADER>
"""
    Path("family/C.pbe-rrkjus.UPF").write_text(old)
    family = read_family("family")
    assert sorted(family) == ["Al", "C", "Si"]
    assert (family["Si"].file, family["Si"].cutoff) == ("Si.pbe-a.UPF", 44)
    assert family["Si"].density_cutoff == pytest.approx(8 * 44)  # augmentation charges need more than the file says
    assert family["Al"].stated is False
    assert (family["C"].valence, family["C"].cutoff) == (4, 25)


def test_no_family_at_all() -> None:
    with pytest.raises(DataError, match="not a folder"):
        read_family("nowhere")
    Path("empty").mkdir()
    with pytest.raises(DataError, match="no scalar-relativistic PBE"):
        read_family("empty")
