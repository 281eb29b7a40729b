from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Structure

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OptionError, StructureError
from matgen.io.files import read_json
from matgen.structures.doping import (
    Doping,
    DopingSettings,
    Host,
    find_host,
    propose_doped,
    read_dopings,
)
from matgen.structures.energies import element_energies
from matgen.structures.finish import Finish
from matgen.structures.folder import read_structures
from matgen.structures.make import make_structures
from matgen.structures.plan import StructurePlan
from matgen.structures.potentials.interface import Potential
from matgen.structures.propose import ProposalSettings, Proposer
from matgen.structures.relax import RelaxSettings
from matgen.structures.templates import TemplateLibrary, bundled_templates
from tests.structures.conftest import CRYSTALS, salt, to_atoms
from tests.structures.test_make import refused

LANTHANUM = Doping("SrTiO3", "Sr", "La", Fraction(1, 8))
PEROVSKITE = Host(CRYSTALS["perovskite"], "mine.cif", "A3BC_cP5_221_c_a_b", {})


def table(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["formula", "host", "site", "dopant"])


def test_doped_rows_are_recognized() -> None:
    candidates = table(
        ("LaSr7Ti8O24", "SrTiO3", "Sr", "La"),
        ("SrTiO3", "SrTiO3", "Sr", "Sr"),  # the host itself
        ("BaTiO3", "TiSrO3", "Sr", "Ba"),  # the full replacement
        ("Sr3Ti5O12", "SrTiO3", "Sr", "Ti"),  # an element of the host on another site
        ("NaCl", None, None, None),
        ("what", "SrTiO3", "Sr", "La"),
    )
    assert read_dopings(candidates, "formula") == {
        1: LANTHANUM, 4: Doping("SrTiO3", "Sr", "Ti", Fraction(1, 4)),
    }  # fmt: skip
    assert str(LANTHANUM) == "La on 1/8 of Sr in SrTiO3"
    assert read_dopings(candidates.drop(columns="site"), "formula") == {}


@pytest.mark.parametrize(
    "row",
    [
        ("Sr7LaTi8O23", "SrTiO3", "Sr", "La"),
        ("Sr7LaTi8O24", "SrTiO3", "Ti", "La"),
        ("Sr7LaTi8O24", "SrTiO3", "Ca", "La"),
        ("Sr7LaTi8O24", "SrTiO3", "Sr", "Ba"),
        ("Sr9Ti8O24", "SrTiO3", "Sr", "La"),
        ("Sr7LaTi8O24", "perovskite", "Sr", "La"),
    ],
)
def test_rows_that_contradict_themselves(row: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="row 2: "):
        read_dopings(table(("LaSr7Ti8O24", "SrTiO3", "Sr", "La"), row), "formula")


def test_one_dopant() -> None:
    (proposal,) = propose_doped(LANTHANUM, PEROVSKITE, DopingSettings(), 5)
    assert proposal.structure.composition == Composition("Sr7LaTi8O24")
    assert proposal.structure.lattice.abc == pytest.approx([7.9] * 3)
    assert proposal.provenance() == {
        "formula": "Sr7LaTi8O24", "origin": "doped", "template": "mine.cif", "prototype": "A3BC_cP5_221_c_a_b",
        "mapping": "Sr>La", "template_score": None, "closing_probability": None,
        "doping": "n-type", "dopant_charge": 1.0, "compensation": "",
        "host_formula": "SrTiO3", "n_cells": 8, "n_dopants": 1, "n_vacancies": 0, "arrangements": 1, "degeneracy": 8,
        "dopant_distance": 7.9,
    }  # fmt: skip


def test_arrangements_from_far_to_near() -> None:
    doping = Doping("SrTiO3", "Ti", "Nb", Fraction(1, 4))
    every = propose_doped(doping, PEROVSKITE, DopingSettings(max_atoms=40), 100)
    # two of eight titanium atoms of a cube: along an edge, a face's diagonal, or the space diagonal
    assert [proposal.details["dopant_distance"] for proposal in every] == pytest.approx(
        [3.95 * np.sqrt(3), 3.95 * np.sqrt(2), 3.95], abs=1e-3
    )
    assert [proposal.details["degeneracy"] for proposal in every] == [4, 12, 12]
    assert sum(proposal.details["degeneracy"] for proposal in every) == 28
    two = propose_doped(doping, PEROVSKITE, DopingSettings(max_atoms=40), 2)
    assert [proposal.structure for proposal in two] == [every[0].structure, every[2].structure]
    for proposal in every:
        assert proposal.structure.composition == Composition("Sr8Ti6Nb2O24")
        assert proposal.details["arrangements"] == 3


@pytest.mark.parametrize(
    ("doping", "vacant", "remark", "n"),
    [
        (Doping("SrTiO3", "Sr", "La", Fraction(1, 4)), "Sr", "Sr vacancies, 1/2 for each La", 4),
        # the strontium of a cube of eight cells is as far from all of its titanium
        (Doping("SrTiO3", "Ti", "Nb", Fraction(1, 4)), "Sr", "Sr vacancies, 1/2 for each Nb", 3),
        (Doping("SrTiO3", "Ti", "Fe", Fraction(1, 4)), "O", "O vacancies, 1/2 for each Fe", 4),
    ],
)
def test_vacancies_compensate(doping: Doping, vacant: str, remark: str, n: int) -> None:
    proposals = propose_doped(doping, PEROVSKITE, DopingSettings(max_atoms=40, compensate=True), 4)
    assert len(proposals) == n
    for proposal in proposals:
        expected = Composition("Sr8Ti8O24") + Composition({doping.dopant: 2})
        expected -= Composition({doping.site: 2}) + Composition({vacant: 1})
        assert proposal.structure.composition == expected
        assert proposal.formula == expected.reduced_formula
        assert (proposal.details["compensation"], proposal.details["n_vacancies"]) == (remark, 1)
        states = {"Sr": 2, "Ti": 4, "O": -2, "La": 3, "Nb": 5, "Fe": 3}
        assert sum(states[str(element)] * n for element, n in proposal.structure.composition.items()) == 0


def test_what_cannot_be_compensated() -> None:
    (proposal,) = propose_doped(LANTHANUM, PEROVSKITE, DopingSettings(max_atoms=40, compensate=True), 4)
    assert proposal.details["compensation"] == "none: no whole number of vacancies in at most 40 atoms"
    assert proposal.structure.composition == Composition("Sr7LaTi8O24")
    calcium = Doping("SrTiO3", "Sr", "Ca", Fraction(1, 8))
    (proposal,) = propose_doped(calcium, PEROVSKITE, DopingSettings(compensate=True), 4)
    assert proposal.details["compensation"] == "none needed"


def test_too_few_atoms() -> None:
    with pytest.raises(StructureError, match=r"8 cells of 5 atoms: --max-atoms 40 at least"):
        propose_doped(LANTHANUM, PEROVSKITE, DopingSettings(max_atoms=39), 4)


def test_hosts_come_from_the_library_or_a_proposal(chgnet: Potential) -> None:
    proposer = Proposer(ProposalSettings(per_formula=2, max_atoms=12))
    quick = RelaxSettings(max_force=0.2, max_steps=60)
    own = find_host("GaN", proposer, DopingSettings(), [chgnet], quick)
    assert own.template == "amcsd:15172"  # wurtzite
    (evaluation,) = chgnet.evaluate([to_atoms(own.structure)])
    each = evaluation.energy / 4 - (element_energies()["Ga"] + element_energies()["N"]) / 2
    assert own.formation_energies == {"chgnet": pytest.approx(each, abs=1e-5)}
    assert "magmom" not in own.structure.site_properties  # dopants would have none
    without = Proposer(proposer.settings, bundled_templates().without(["GaN"]))
    proposed = find_host("GaN", without, DopingSettings(), [], quick)
    assert proposed.structure.composition.reduced_formula == "GaN"
    assert proposed.formation_energies == {}
    nothing = Proposer(ProposalSettings(symmetric=0), TemplateLibrary([]))
    with pytest.raises(StructureError, match="GaN: no template"):
        find_host("GaN", nothing, DopingSettings(), [], quick)


def test_relaxed_cells_have_formation_energies_of_the_dopant(tmp_path: Path, chgnet: Potential) -> None:
    """The energies again, from total energies of the structures written."""
    candidates = table(("Mg3NiO4", "MgO", "Mg", "Ni"), ("MgO", "MgO", "Mg", "Mg"))
    plan = StructurePlan(ProposalSettings(per_formula=2), RelaxSettings(0.1, 100),
                         doping=DopingSettings(max_atoms=8))  # fmt: skip
    made = make_structures(candidates, "formula", tmp_path / "out", plan)
    frame, structures = read_structures(tmp_path / "out")
    doped, host = frame[frame["rank"] == 1].iloc[0], frame[frame["rank"] == 2].iloc[0]
    energies = {id: e.energy for id, e in zip(structures, chgnet.evaluate([to_atoms(s) for s in structures.values()]),
                                              strict=True)}  # fmt: skip
    per_host_atom = energies[host["structure_id"]] / host["n_atoms"]
    added = element_energies()["Ni"] - element_energies()["Mg"]
    expected = energies[doped["structure_id"]] - 8 * per_host_atom - added
    assert doped["dopant_formation_energy_chgnet"] == pytest.approx(expected, abs=0.02)
    assert doped["dopant_formation_energy_min_chgnet"] <= doped["dopant_formation_energy_max_chgnet"] + 1e-6
    assert abs(doped["dopant_formation_energy_min_chgnet"]) < 0.3  # NiO and MgO mix
    assert (doped["doping"], doped["competing_phases"]) == ("isovalent", "NiO")
    candidate = made.candidates.iloc[0]
    assert (candidate["host"], candidate["dopant"], candidate["formula"]) == ("MgO", "Ni", "Mg3NiO4")
    assert candidate["dopant_formation_energy_chgnet"] == doped["dopant_formation_energy_chgnet"]
    assert read_json(tmp_path / "out" / "structures.json")["doping"] == {
        "max_atoms": 8, "compensate": False, "host": None, "rows": {"1": "Ni on 1/4 of Mg in MgO"},
    }  # fmt: skip


def test_both_potentials_relax_host_and_dopant(tmp_path: Path) -> None:
    plan = StructurePlan(ProposalSettings(per_formula=1), RelaxSettings(0.1, 100), finish=Finish(lowest=1),
                         doping=DopingSettings(max_atoms=8))  # fmt: skip
    frame = make_structures(table(("Mg3NiO4", "MgO", "Mg", "Ni")), "formula", tmp_path / "out", plan).frame
    (row,) = frame.to_dict("records")
    for name in ("chgnet", "7net_l3i5"):
        energies = row[f"formation_energy_{name}"] - row[f"host_formation_energy_{name}"]
        assert row[f"dopant_formation_energy_{name}"] == pytest.approx(8 * energies)
        assert abs(row[f"dopant_formation_energy_min_{name}"]) < 0.3
    assert row["competing_phases"] == "NiO"


def test_a_host_of_ones_own(tmp_path: Path) -> None:
    salt(4.3, ("Mg", "O")).to(str(tmp_path / "mine.cif"))
    plan = StructurePlan(potential=None, doping=DopingSettings(max_atoms=8, host=tmp_path / "mine.cif"))
    make_structures(table(("Mg3NiO4", "MgO", "Mg", "Ni")), "formula", tmp_path / "out", plan)
    frame, structures = read_structures(tmp_path / "out")
    assert frame["template"].tolist() == ["mine.cif"] * len(frame)
    for structure in structures.values():
        assert structure.volume == pytest.approx(4.3**3, rel=1e-4)


def test_bad_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doped, plain, out = tmp_path / "doped.csv", tmp_path / "plain.csv", tmp_path / "out"
    table(("Mg3NiO4", "MgO", "Mg", "Ni")).to_csv(doped, index=False)
    plain.write_text("formula\nNaCl\n")
    salt().to(str(tmp_path / "salt.cif"))
    (tmp_path / "empty.cif").write_text("")
    for arguments, said in [
        ((plain, "--compensate"), "the table has none"),
        ((plain, "--host", tmp_path / "salt.cif"), "the table has none"),
        ((doped, "--host", tmp_path / "salt.cif"), "salt.cif is NaCl, but the table has the host MgO"),
        ((doped, "--host", tmp_path / "empty.cif"), "cannot read the host's structure"),
        ((doped, "--host", tmp_path / "no.cif"), "no.cif"),
        ((doped, "--max-atoms", "0"), "max_atoms is 0"),
    ]:
        assert said in refused(capsys, *arguments, "--no-relax", "--out", out)
        assert not (out / "structures.json").exists()
    with pytest.raises(OptionError):
        DopingSettings(max_atoms=0)


def test_ordered_structures_of_many_dopants_differ() -> None:
    """Placements that symmetry tells apart are different crystals by StructureMatcher as well."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    doping = Doping("SrTiO3", "Sr", "Ba", Fraction(1, 2))
    proposals = propose_doped(doping, PEROVSKITE, DopingSettings(max_atoms=40), 100)
    matcher = StructureMatcher(scale=False, ltol=0.01, stol=0.01, angle_tol=0.1)
    groups = matcher.group_structures([proposal.structure for proposal in proposals])
    assert len(groups) == len(proposals) == proposals[0].details["arrangements"]
    batch = CompositionBatch.from_formulas([proposal.formula for proposal in proposals])
    assert set(batch.formulas()) == {"BaSrTi2O6"}
    assert all(isinstance(proposal.structure, Structure) for proposal in proposals)
