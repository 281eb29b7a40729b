from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Lattice, Structure

from matgen.errors import FormulaError, OptionError, StructureError
from matgen.structures.propose import MATCHER, Proposal, ProposalSettings, Proposer, is_new
from matgen.structures.templates import TemplateLibrary, bundled_templates, templates_in
from tests.structures.conftest import salt

KNOWN = ["SrTiO3", "NaCl", "Fe2O3", "LiFePO4", "Fe", "MgAl2O4", "K2PtCl6"]


@pytest.fixture(scope="module")
def proposer() -> Proposer:
    return Proposer()


@pytest.mark.parametrize("formula", KNOWN)
def test_known_structures_come_first(proposer: Proposer, formula: str) -> None:
    proposals = proposer.propose(formula)
    assert 1 <= len(proposals) <= 5
    scores = [proposal.score for proposal in proposals if proposal.score is not None]
    assert scores == sorted(scores, reverse=True)
    for proposal in proposals:
        assert proposal.formula == Composition(formula).reduced_formula
        assert proposal.structure.composition.reduced_composition == Composition(formula).reduced_composition
        assert len(proposal.structure) <= 40
    for one, other in itertools.combinations(proposals, 2):
        assert not StructureMatcher(**MATCHER).fit(one.structure, other.structure)
    own = next(template for template in bundled_templates().templates if template.formula == formula)
    assert any(StructureMatcher().fit(proposal.structure, own.structure()) for proposal in proposals)


def test_a_perovskite_of_calcium_titanates_kind() -> None:
    library = bundled_templates()
    perovskite = next(t for t in library.templates if t.id == "aflow:AB3C_cP5_221_a_c_b")
    (first, *_) = Proposer(library=TemplateLibrary([perovskite])).propose("BaZrO3")
    assert first.mapping == {"Ca": "Ba", "Ti": "Zr", "O": "O"}
    zirconium = next(site for site in first.structure if site.specie.symbol == "Zr")
    near = [n for n in first.structure.get_neighbors(zirconium, 2.6) if n.specie.symbol == "O"]
    assert len(near) == 6
    assert first.provenance() == {
        "formula": "BaZrO3",
        "origin": "template",
        "template": perovskite.id,
        "prototype": "AB3C_cP5_221_a_c_b",
        "mapping": "Ca>Ba O>O Ti>Zr",
        "template_score": first.score,
        "closing_probability": None,
    }


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["Li", "Na", "Ca", "Fe", "Ti", "Al", "O", "S", "F", "Yb"]), st.integers(1, 4),
                    min_size=1, max_size=4)
)  # fmt: skip
def test_every_proposal_has_the_composition_asked_for(proposer: Proposer, counts: dict[str, int]) -> None:
    formula = "".join(f"{symbol}{count}" for symbol, count in counts.items())
    try:
        proposals = proposer.propose(formula)
    except StructureError as error:
        assert "no template of its anonymous formula" in str(error)
        return
    wanted = Composition(formula)
    for proposal in proposals:
        assert proposal.structure.composition.reduced_composition == wanted.reduced_composition
        assert proposal.structure.is_ordered
        assert len(proposal.structure) <= 40
        if proposal.origin in ("template", "ordered"):
            assert set("+".join(proposal.mapping.values()).split("+")) == set(counts)
        if proposal.origin == "template":
            template = next(t for t in bundled_templates().templates if t.id == proposal.template)
            assert Composition(template.formula).anonymized_formula == wanted.anonymized_formula


def words(proposals: list[Proposal]) -> list[tuple]:
    return [(proposal.provenance(), proposal.structure.as_dict()) for proposal in proposals]


@pytest.mark.parametrize("formula", ["PbCl2", "KClO4", "MgSiO3"])
def test_variants_of_a_prototype_do_not_take_all_places(proposer: Proposer, formula: str) -> None:
    counts = Counter(proposal.prototype for proposal in proposer.propose(formula))
    assert max(counts.values()) <= 2 and len(counts) >= 3


def test_settings_are_respected(proposer: Proposer) -> None:
    assert len(Proposer(ProposalSettings(per_formula=2)).propose("NaCl")) == 2
    small = Proposer(ProposalSettings(max_atoms=5, symmetric=0)).propose("SrTiO3")
    assert {len(proposal.structure) for proposal in small} == {5}
    (alone,) = Proposer(ProposalSettings(per_formula=1, symmetric=1, templates=False)).propose("NaCl")
    assert (alone.origin, alone.prototype, alone.mapping, alone.score) == ("symmetric", "", {}, None)
    assert alone.template.startswith("space group ")
    assert alone.probability is not None and 0 < alone.probability <= 1
    # ordered ones fill up to `ordered`, symmetric ones to `symmetric`, and only where templates give fewer
    mixed = Proposer(ProposalSettings(symmetric=3, ordered=0)).propose("Ba2YCu3O7")
    assert [proposal.origin for proposal in mixed] == ["template", "symmetric", "symmetric"]
    assert "symmetric" not in {proposal.origin for proposal in Proposer(ProposalSettings(symmetric=2)).propose("NaCl")}
    assert len(Proposer(ProposalSettings(per_formula=1, symmetric=3, templates=False)).propose("NaCl")) == 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same(proposer: Proposer) -> None:
    seeded = ProposalSettings(symmetric=3, seed=1, ordered=0)
    for formula in ("Ba2YCu3O7", "SrTiO3"):
        assert words(Proposer(seeded).propose(formula)) == words(Proposer(seeded).propose(formula))
    assert words(proposer.propose("TiSrO3")) == words(proposer.propose("SrTiO3"))
    others = Proposer(ProposalSettings(symmetric=3, seed=2, ordered=0)).propose("Ba2YCu3O7")
    assert words(others)[1:] != words(Proposer(seeded).propose("Ba2YCu3O7"))[1:]


def test_a_compound_left_out_does_not_lend_its_structure() -> None:
    library = bundled_templates()
    own = {template.id for template in library.templates if template.formula == "NaCl"}
    assert own & {proposal.template for proposal in Proposer().propose("NaCl")}
    without = Proposer(ProposalSettings(per_formula=10), library.without(["NaCl"])).propose("NaCl")
    assert not own & {proposal.template for proposal in without}
    assert any(StructureMatcher().fit(proposal.structure, salt()) for proposal in without)  # other rock salts do


def test_templates_of_a_user(tmp_path: Path) -> None:
    odd = Structure.from_spacegroup("P4/mmm", Lattice.tetragonal(3, 4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    odd.to(str(tmp_path / "mine.cif"))
    library, _ = templates_in(tmp_path)
    (found,) = Proposer(ProposalSettings(symmetric=0), library).propose("KBr")
    assert found.template == "mine.cif"
    assert found.mapping == {"Na": "K", "Cl": "Br"}
    with pytest.raises(StructureError, match="SrTiO3: no template of its anonymous formula with at most 40 atoms$"):
        Proposer(ProposalSettings(symmetric=0), library).propose("SrTiO3")


def test_elements_share_sites_where_no_template_has_as_many() -> None:
    found = Proposer(ProposalSettings(symmetric=0)).propose("NaCaMgFeSi4O12")
    assert [proposal.origin for proposal in found] == ["ordered"] * 3
    assert any("+" in symbols for symbols in found[0].mapping.values())
    assert [proposal.score for proposal in found] == sorted((p.score or 0 for p in found), reverse=True)
    with pytest.raises(StructureError, match="no template of its anonymous formula"):
        Proposer(ProposalSettings(symmetric=0, ordered=0)).propose("NaCaMgFeSi4O12")


def test_chosen_space_groups() -> None:
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    for formula in ("SrTiO3", "Sr2FeMoO6"):
        for proposal in Proposer(ProposalSettings(space_groups=(221, 225))).propose(formula):
            assert SpacegroupAnalyzer(proposal.structure).get_space_group_number() >= 195
    with pytest.raises(StructureError, match="with at most 40 atoms in the space groups asked for$"):
        Proposer(ProposalSettings(symmetric=0, ordered=0, space_groups=(230,))).propose("SrTiO3")


def test_compositions_without_a_structure(proposer: Proposer) -> None:
    with pytest.raises(StructureError) as caught:
        proposer.propose("Na31Cl37O41")
    assert str(caught.value) == (
        "Na31Cl37O41: no template of its anonymous formula with at most 40 atoms, "
        "and its 109 atoms are more than the 40 a primitive cell may have"
    )
    with pytest.raises(FormulaError, match="no element 'Xx'"):
        proposer.propose("Xx2O")


def test_new_by_structure_matcher() -> None:
    assert is_new(salt(), [])
    assert not is_new(salt(), [salt(5.0)])
    caesium = Structure(Lattice.cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    assert is_new(salt(), [caesium])
    assert not is_new(salt(), [caesium, salt(5.5)])


def test_options() -> None:
    with pytest.raises(OptionError, match="per_formula is 0"):
        ProposalSettings(per_formula=0)
    with pytest.raises(OptionError, match="max_atoms is 0"):
        ProposalSettings(max_atoms=0)
    with pytest.raises(OptionError, match="symmetric is -1, it must be 0 or more"):
        ProposalSettings(symmetric=-1)
    with pytest.raises(OptionError, match="ordered is -1, it must be 0 or more"):
        ProposalSettings(ordered=-1)
    with pytest.raises(OptionError, match="'231' is no space group"):
        ProposalSettings(space_groups=(231,))
