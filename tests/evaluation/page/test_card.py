"""The card of a candidate: what it says, against independent sources, and nothing of the input read as HTML."""

from __future__ import annotations

import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from matgen.composition.elements import SYMBOLS
from matgen.evaluation.page.card import (
    CARD_SCRIPTS,
    CARD_STYLE,
    CandidateCard,
    Crystal,
    candidate_cards,
    card_page,
    cards_html,
    distance_columns,
)
from matgen.structure_report import crystal_of
from matgen.validity import RARE, state_shares
from matgen.validity.rules import icsd_reports

HOSTILE = "</script><script>window.hacked=1</script>"


def one(formula: str, **columns: object) -> CandidateCard:
    (card,) = candidate_cards(pd.DataFrame({"formula": [formula], **{name: [v] for name, v in columns.items()}}))
    return card


def facts_of(card: CandidateCard) -> dict[str, str]:
    return {name: re.sub(r"<[^>]+>", "", str(text)) for name, text in card.facts}


def test_it_says_which_rule_a_composition_passes() -> None:
    verdicts = {formula: [verdict.text for verdict in one(formula).verdicts] for formula in
                ("SrTiO3", "CsPbSe", "Fe3O4", "Na3Cl", "AlNi3", "Si")}  # fmt: skip
    assert verdicts["SrTiO3"][:2] == ["valid, common states", "made"]
    assert verdicts["CsPbSe"][0] == "valid, uncommon states"
    assert verdicts["Fe3O4"][0] == "valid with mixed valence"
    assert verdicts["Na3Cl"][0] == "not valid" and "made" not in verdicts["Na3Cl"]
    assert "intermetallic" in verdicts["AlNi3"] and verdicts["Si"][0] == "element"


def test_states_are_shown_by_how_common_they_are() -> None:
    ions = {ion.symbol: ion for ion in one("CsPbSe").ions}
    assert ions["Pb"].state == 1 and ions["Pb"].level == "rare" and ions["Cs"].level == "common"
    assert ions["Pb"].share < RARE
    assert str(one("Fe2O3").ions[0].title) == "2 Fe<sup>3+</sup>"
    assert [ion.state for ion in one("Fe3O4").ions if ion.symbol == "Fe"] == [2, 3]
    assert one("Fe3O4").states_note == "with mixed valence"
    assert not one("Na2Cl").ions and "neutral" in one("Na2Cl").states_note


def test_shares_are_those_of_the_reports() -> None:
    reports = icsd_reports()
    element = SYMBOLS.tolist().index("Fe")
    middle = reports.shape[1] // 2
    shares = state_shares(np.array([element] * 3), np.array([2, 3, -2]))
    assert shares == pytest.approx([reports[element, middle + state] / reports[element].sum() for state in (2, 3, -2)])
    assert np.isnan(state_shares(np.array([103]), np.array([3]))[0]) or reports[103].sum() > 0


def test_distances_side_by_side_and_where_they_disagree() -> None:
    card = one("SrTiO3", energy_above_hull=0.01, energy_above_hull_std=0.02, energy_above_hull_chgnet=0.2,
               energy_above_hull_7net_l3i5=0.05, **{"probability_hull_0.1": 0.913})  # fmt: skip
    assert [(one.by, one.value) for one in card.distances] == [
        ("predicted", 0.01),
        ("chgnet", 0.2),
        ("7net-l3i5", 0.05),
    ]
    assert card.distances[0].note == "± 0.020, P(within 0.1) 91 %"
    assert card.remark == "the potentials differ by 0.15 eV/atom"
    apart = one("SrTiO3", energy_above_hull=0.01, energy_above_hull_chgnet=0.2)
    assert apart.remark == "predicted and relaxed differ by 0.19 eV/atom"
    assert one("SrTiO3", energy_above_hull=float("nan")).distances == []
    assert distance_columns(["energy_above_hull_std", "formation_energy"]) == {}


def test_what_is_unknown_is_left_out() -> None:
    assert set(facts_of(one("TbIO"))) <= {"Price of the elements"}
    assert one("TbIO").distances == [] and one("TbIO").remark == ""
    assert "☢ radioactive" in [verdict.text for verdict in one("UO2").verdicts]
    assert "Known" in facts_of(one("SrTiO3"))


def test_words_on_the_decomposition_and_the_nearest_known() -> None:
    card = one("Na3AlO3", decomposition="0.64 Na2O + 0.36 Al2O3", energy_above_hull=-0.007, nearest_known="KNa2GaO3",
               nearest_known_made=False, nearest_known_energy_above_hull=0.0, chemical_distance=0.2857)  # fmt: skip
    found = facts_of(card)
    assert found["Competing phases"] == "2 Na3AlO3 → 3 Na2O + Al2O3: costs 0.007 eV/atom, predicted"
    assert found["Nearest known"] == (
        "KNa2GaO3 (not known to be made, 0.000 eV/atom above the hull, chemical distance 0.29)"
    )


def crystal() -> tuple[Structure, Crystal]:
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    row = {"structure_id": "0001-NaCl-1", "space_group": 225, "origin": "template", "template": "aflow:x",
           "energy_above_hull_chgnet": 0.032, "energy_above_hull": 0.5}  # fmt: skip
    primitive = salt.get_primitive_structure()
    return salt, crystal_of(primitive, row)


def test_files_of_a_structure_are_the_conventional_cell() -> None:
    salt, made = crystal()
    assert made.words == "Fm-3m (225), 2 atoms in the primitive cell; template aflow:x"
    assert made.energies == {"chgnet": 0.032}
    (card,) = candidate_cards(pd.DataFrame({"formula": ["NaCl"]}), {"NaCl": made})
    files = {label: (name, unquote(address.split(",", 1)[1])) for label, name, address in made.files("NaCl")}
    assert files["CIF"][0] == "NaCl.cif" and files["POSCAR"][0] == "NaCl.vasp"
    for format, (_, text) in zip(("cif", "poscar"), files.values(), strict=True):
        read = Structure.from_str(text, fmt=format)
        assert len(read) == 8 and read.lattice.abc == pytest.approx(salt.lattice.abc, abs=1e-3)
    html = str(cards_html([card]))
    assert html.count("matgen-view") == 1 and 'download="NaCl.cif"' in html
    assert [(one.by, one.value) for one in card.distances] == [("chgnet", 0.032)]


def test_nothing_of_the_input_is_html() -> None:
    _, made = crystal()
    hostile = Crystal(made.id, {**made.scene, "note": HOSTILE}, HOSTILE, HOSTILE, HOSTILE, {HOSTILE: 0.1})
    frame = pd.DataFrame({"formula": ["NaCl"], "nearest_known": [HOSTILE], "decomposition": [HOSTILE]})
    html = str(cards_html(candidate_cards(frame, {"NaCl": hostile}), [("relax", HOSTILE)]))
    assert "<script" not in html and "</script" not in html


def test_actions_commands_and_a_page_by_itself() -> None:
    card = one("Ca(OH)2")
    assert card.command == "echo 'Ca(HO)2' | matgen structure - --out Ca_HO_2"
    html = str(cards_html([card], [("basket", "Add to basket")]))
    assert 'data-action="basket"' in html and "Copy as command" in html
    page = str(card_page([card]))
    assert page.startswith("<style>") and "<script" not in page.replace("matgen-scene", "")
    assert CARD_STYLE == "card.css" and CARD_SCRIPTS[-1] == "card.js"
    assert candidate_cards(pd.DataFrame({"formula": []})) == []
