"""The candidates of a campaign from tables and folders, and what can be calculated of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from matgen.dft.campaign.plan import CampaignPlan
from matgen.dft.campaign.source import competing_formulas, left_out, read_source
from matgen.errors import DataError, OptionError
from matgen.structures.energies import mp2020_phases
from matgen.structures.finish import Finish


def test_rows_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "ranked.csv"
    table.write_text("formula,material,score\nx1,OMg,1\nx2,Mg2O2,2\nx3,nonsense!,3\nx4,NaCl,4\nx5,KCl,5\n")
    source = read_source(table, "material", CampaignPlan("gpaw", top=3))
    assert source.formulas == ["MgO", "nonsense!", "NaCl"]  # each composition once
    assert source.frame["formula_input"].to_list() == ["x1", "x3", "x4"]
    assert source.frame["score"].to_list() == [1, 3, 4] and source.folder is None
    assert source.content() == {"formulas": source.formulas}
    assert source.relaxation(CampaignPlan("gpaw", finish="7net-0")) == ("chgnet", Finish("7net-0"))
    assert list(left_out(source, CampaignPlan("gpaw"))) == ["nonsense!"]
    table.write_text("formula\n")
    with pytest.raises(DataError):
        read_source(table, None, CampaignPlan("gpaw"))


def test_compositions_of_a_folder(relaxed) -> None:
    source = read_source(relaxed("NaCl", "MgO", "Si"), None, CampaignPlan("gpaw", top=2, potential="chgnet"))
    assert source.formulas == ["NaCl", "MgO"] and source.frame["n_atoms"].to_list() == [2, 2]
    assert source.frame["mine"].to_list() == ["note NaCl", "note MgO"]
    assert source.relaxation(CampaignPlan("gpaw", potential="mace", finish="7net-0")) == ("chgnet", None)
    assert len(source.content()["structures"]) == 64


def test_elements_are_left_out(relaxed) -> None:
    source = read_source(relaxed("Si", "NaCl"), None, CampaignPlan("gpaw"))
    assert left_out(source, CampaignPlan("gpaw")) == {"Si": "an element has no formation energy"}


def test_newer_setups_of_gpaw_count(relaxed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = read_source(relaxed("EuO"), None, CampaignPlan("gpaw"))
    (tmp_path / "Eu.PBE.gz").write_text("")
    monkeypatch.setenv("GPAW_SETUP_PATH", str(tmp_path))
    assert "GPAW" not in left_out(source, CampaignPlan("gpaw")).get("EuO", "")


def test_plans_that_make_no_sense() -> None:
    from matgen.dft.settings import DFTSettings

    with pytest.raises(OptionError, match="elements have no U"):
        CampaignPlan("gpaw", settings=DFTSettings(hubbard_u=True))
    assert "pseudopotentials" not in CampaignPlan("gpaw").content()
    assert CampaignPlan("espresso").content()["pseudopotentials"] is None


@pytest.mark.slow
def test_competing_phases_are_those_of_the_hull_of_labels() -> None:
    formulas = ["MgO", "KMgF3"]
    assert competing_formulas([]) == []
    names = competing_formulas(formulas)
    batch = read_batch(formulas)
    words = " ".join(mp2020_phases().in_words(mp2020_phases().decompose(batch), 2))
    assert names and all(name in words for name in names) and not set(names) & {"Mg", "O", *formulas}


def read_batch(formulas: list[str]):
    from matgen.composition.batch import CompositionBatch

    return CompositionBatch.from_formulas(formulas)
