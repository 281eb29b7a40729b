"""What VASP left: a small vasprun.xml, whole and cut short."""

from __future__ import annotations

from pathlib import Path

import pytest

from matgen.dft.vasp_output import parse
from matgen.errors import DataError


def vasprun(energy: str = "-27.2", *, steps: int = 5) -> str:
    """A static calculation of NaCl that took some electronic steps of at most 60."""
    structure = """
    <crystal><varray name="basis">
      <v> 0.0 2.82 2.82 </v><v> 2.82 0.0 2.82 </v><v> 2.82 2.82 0.0 </v>
    </varray></crystal>
    <varray name="positions"><v> 0 0 0 </v><v> 0.5 0.5 0.5 </v></varray>"""
    energies = "".join(f'<i name="{name}"> {energy} </i>' for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
    step = f"<scstep><energy>{energies}</energy></scstep>\n"
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="program" type="string">vasp </i><i name="version" type="string">6.3.0 </i></generator>
 <incar><i type="int" name="NSW"> 0</i><i type="int" name="NELM"> 60</i></incar>
 <kpoints>
  <generation param="Gamma"><v type="int" name="divisions"> 1 1 1 </v><v name="usershift"> 0 0 0 </v></generation>
  <varray name="kpointlist"><v> 0 0 0 </v></varray><varray name="weights"><v> 1 </v></varray>
 </kpoints>
 <parameters>
  <separator name="electronic"><i type="int" name="NELM"> 60</i><i type="int" name="ISPIN"> 1</i></separator>
  <separator name="ionic"><i type="int" name="NSW"> 0</i><i type="int" name="IBRION"> -1</i></separator>
 </parameters>
 <atominfo>
  <atoms> 2 </atoms><types> 2 </types>
  <array name="atoms"><dimension dim="1">ion</dimension><field type="string">element</field>
   <field type="int">atomtype</field><set><rc><c>Na</c><c> 1</c></rc><rc><c>Cl</c><c> 2</c></rc></set></array>
  <array name="atomtypes"><dimension dim="1">type</dimension><field type="int">atomspertype</field>
   <field type="string">element</field><field>mass</field><field>valence</field>
   <field type="string">pseudopotential</field>
   <set><rc><c> 1</c><c>Na</c><c> 22.99</c><c> 7.0</c><c> PAW_PBE Na_pv 19Sep2006 </c></rc>
   <rc><c> 1</c><c>Cl</c><c> 35.45</c><c> 7.0</c><c> PAW_PBE Cl 06Sep2000 </c></rc></set></array>
 </atominfo>
 <structure name="initialpos">{structure}</structure>
 <calculation>
  {step * steps}
  <structure>{structure}</structure>
  <varray name="forces"><v> 0.0 0.0 0.3 </v><v> 0.0 0.4 -0.3 </v></varray>
  <varray name="stress"><v> 1 0 0 </v><v> 0 1 0 </v><v> 0 0 1 </v></varray>
  <energy>{energies}</energy>
 </calculation>
 <structure name="finalpos">{structure}</structure>
</modeling>
"""


def test_a_whole_output() -> None:
    Path("vasprun.xml").write_text(vasprun())
    Path("OSZICAR").write_text("DAV:  1\n   1 F= -.27E+02 E0= -.27E+02  d E =-.1E-08  mag=    -1.2500\n")
    found = parse(Path())
    assert found["energy"] == -27.2 and found["n_atoms"] == 2 and found["converged"] is True
    assert found["max_force"] == pytest.approx(0.5)
    assert found["volume"] == pytest.approx(5.64**3 / 4)
    assert found["magnetic_moment"] == -1.25
    assert found["structure"]["symbols"] == ["Na", "Cl"]
    Path("OSZICAR").unlink()
    assert parse(Path())["magnetic_moment"] is None


def test_one_that_did_not_converge() -> None:
    Path("vasprun.xml").write_text(vasprun(steps=60))
    assert parse(Path())["converged"] is False


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99])
def test_one_cut_short_is_no_number(share: float) -> None:
    text = vasprun()
    Path("vasprun.xml").write_text(text[: int(share * len(text))])
    with pytest.raises(DataError, match="is not whole"):
        parse(Path())


@pytest.mark.parametrize("energy", ["nan", "**********", "inf"])
def test_energies_that_are_none(energy: str) -> None:
    Path("vasprun.xml").write_text(vasprun(energy))
    with pytest.raises(DataError, match="is not whole"):
        parse(Path())


def test_nothing_at_all() -> None:
    with pytest.raises(DataError, match=r"no vasprun\.xml"):
        parse(Path())
