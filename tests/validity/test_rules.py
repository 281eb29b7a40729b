"""Tables of states against SMACT's own, and users' tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from smact import Element, ordered_elements
from smact.screening import MIXED_VALENCE_ELEMENTS as SMACT_MIXED
from smact.utils.oxidation import ICSD24OxStatesFilter

from matgen.composition.elements import SYMBOLS
from matgen.errors import DataError, OptionError
from matgen.validity import ValidityRules, rules, state_table

ATTRIBUTES = {"icsd16": "icsd16", "smact14": "smact14", "pymatgen": "sp", "wiki": "wiki"}


@pytest.mark.parametrize("table", ATTRIBUTES)
def test_fixed_tables_are_smacts(table: str) -> None:
    ours = state_table(ValidityRules(table))
    for symbol in ordered_elements(1, 103):
        assert ours.of(symbol) == sorted(getattr(Element(symbol), f"oxidation_states_{ATTRIBUTES[table]}") or [])
    assert ours.of("Rf") == []


@pytest.mark.parametrize("consensus", [0, 1, 3, 6, 50])
@pytest.mark.parametrize("commonality", ["low", "medium", "high", "main", 12.5, 2])
@pytest.mark.parametrize("include_zero", [False, True])
def test_icsd24_is_filtered_as_smact_does(consensus: int, commonality: str | float, include_zero: bool) -> None:
    ours = state_table(ValidityRules(consensus=consensus, commonality=commonality, include_zero=include_zero))
    filtered = ICSD24OxStatesFilter().filter(consensus, include_zero, commonality)
    theirs = {row.element: [int(s) for s in str(row.oxidation_state).split()] for row in filtered.itertuples()}
    assert {symbol: ours.of(symbol) for symbol in SYMBOLS[1:104] if ours.of(symbol)} == theirs


def test_smacts_static_file_is_a_consensus_of_six() -> None:
    ours = state_table(ValidityRules(consensus=6))
    for symbol in ordered_elements(1, 103):
        assert ours.of(symbol) == (Element(symbol).oxidation_states_icsd24 or [])


def test_mixed_valence_elements_are_smacts() -> None:
    assert set(rules.MIXED_VALENCE_ELEMENTS) == SMACT_MIXED
    assert state_table(ValidityRules(mixed_valence=True)).mixed.sum() == len(SMACT_MIXED) == 24
    assert not state_table(ValidityRules()).mixed.any()


def test_weights_are_shares_of_reports() -> None:
    table = state_table(ValidityRules())
    reports = rules.icsd_reports()
    iron = table.of("Fe")
    counts = [reports[26, state + rules.MAX_STATE] for state in iron]
    assert max(zip(counts, iron, strict=True))[1] == 3
    order = sorted(range(len(iron)), key=lambda place: counts[place])
    assert sorted(range(len(iron)), key=lambda place: table.weights[26, place]) == order
    assert (table.weights <= 0).all()


def test_a_users_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# mine\nFe 3 2 2   # iron\nO -2\nXe\nNa +1\n\nFe 2 3\n")
    table = state_table(ValidityRules(str(path)))
    assert (table.of("Fe"), table.of("O"), table.of("Xe"), table.of("Na"), table.of("K")) == ([2, 3], [-2], [], [1], [])
    assert table.name == str(path)


def test_equal_tables_have_equal_hashes(tmp_path: Path) -> None:
    named = state_table(ValidityRules("icsd16"))
    path = tmp_path / "copy.txt"
    path.write_text("\n".join(" ".join([s, *map(str, named.of(s))]) for s in SYMBOLS[:0:-1]))
    assert state_table(ValidityRules(str(path))).sha256 == named.sha256 != state_table(ValidityRules()).sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Fe 2 3\nQq 1\n", "line 2: 'Qq' is not an element"),
        ("Fe 2 x\n", "line 1: states of Fe must be integers"),
        ("Fe 2.5\n", "line 1: states of Fe must be integers"),
        ("Fe 99\n", "a state of Fe is beyond 20"),
        ("# nothing\nFe\n", "holds no oxidation state"),
        (b"\xff\xfe\x00", "cannot read the oxidation states"),
    ],
)
def test_a_bad_users_table_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        state_table(ValidityRules(str(path)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"oxidation_states": "icsd99"}, r"unknown oxidation-state table 'icsd99'; known: icsd24, icsd16"),
        ({"oxidation_states": "wiki", "consensus": 5}, "filter icsd24 alone, not wiki"),
        ({"oxidation_states": "icsd16", "include_zero": True}, "filter icsd24 alone"),
        ({"consensus": -1}, "consensus -1: at least 0"),
        ({"commonality": "rare"}, "low, medium, high, main"),
        ({"commonality": 101}, "0 to 100 per cent"),
    ],
)
def test_rules_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ValidityRules(**settings)


def test_two_lines_of_one_element_must_agree(tmp_path: Path) -> None:
    table = tmp_path / "states.txt"
    table.write_text("Fe 2 3\nO -2\nFe 3 2\n")
    assert state_table(ValidityRules(str(table))).of("Fe") == [2, 3]
    table.write_text("Fe 2\nO -2\nFe 3\n")
    with pytest.raises(DataError, match="line 3: Fe has a line with other states above"):
        state_table(ValidityRules(str(table)))


@pytest.mark.parametrize(
    "content",
    [
        "Fe 2 3\nO -2\n".encode("utf-8-sig"),
        "Fe\t2\t3\r\nO\t\u22122\r\n".encode("utf-16"),
        b"Fe,2,3,\nO,-2,,\n",
        b"Fe; 2; 3\nO; -2\n",
    ],
)
def test_tables_as_other_programs_write_them(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "states.csv"
    path.write_bytes(content)
    assert rules.read_states(path) == {"Fe": [2, 3], "O": [-2]}
