import json
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, ELECTRONEGATIVITY, IS_METAL, SYMBOLS
from matgen.composition.groups import ELEMENT_GROUPS, group_named
from matgen.errors import OptionError
from matgen.sampling.constraints.definition import Constraints
from matgen.validity import ValidityRules, state_table

POOL = ("Li", "Fe", "H", "Ru", "N", "O", "He")


def numbers(symbols: str) -> tuple[int, ...]:
    return tuple(sorted(ATOMIC_NUMBER[symbol] for symbol in symbols.split()))


def balanced(formula: dict[str, int]) -> bool:
    """Some assignment of states is neutral and has every cation less electronegative than every anion."""
    if len(formula) == 1:
        return True
    table = state_table(ValidityRules())
    chi = [ELECTRONEGATIVITY[ATOMIC_NUMBER[symbol]] for symbol in formula]
    if np.isnan(chi).any():
        return False
    for states in product(*(table.of(symbol) for symbol in formula)):
        charge = sum(s * c for s, c in zip(states, formula.values(), strict=True))
        cations = [x for x, s in zip(chi, states, strict=True) if s > 0]
        anions = [x for x, s in zip(chi, states, strict=True) if s < 0]
        if charge == 0 and (not cations or not anions or max(cations) < min(anions)):
            return True
    return False


def obeys(formula: dict[str, int], options: dict) -> bool:
    """The meaning of each option for a reduced formula, in plain Python."""

    def inside(value, text):
        low, _, high = str(text).partition("..") if ".." in str(text) else (text, "", text)
        return int(low or 0) <= value <= (int(high) if high else 10**9)

    def split(text):
        return set(text.replace(",", "-").split("-"))

    tests = {
        "chemsys": lambda v: set(formula) == split(v),
        "within": lambda v: set(formula) <= split(v),
        "contains": lambda v: set(formula) >= split(v),
        "exclude": lambda v: not set(formula) & split(v),
        "num_elements": lambda v: inside(len(formula), v),
        "max_atoms": lambda v: sum(formula.values()) <= v,
        "anonymous_formula": lambda v: sorted(formula.values()) == [int(n or 1) for n in re.findall(r"[A-Z](\d*)", v)],
        "count": lambda v: all(inside(formula.get(one.split(":")[0], 0), one.split(":")[1]) for one in v.split(",")),
        "stoichiometry": lambda v: (
            sorted(formula.values()) == sorted(int(word[-1]) if word[-1].isdigit() else 1 for word in v.split())
            and all(
                formula.get(word.rstrip("0123456789")) == int(word[-1] if word[-1].isdigit() else 1)
                for word in v.split()
                if word[0] != "?"
            )
        ),
        "valid": lambda v: balanced(formula) if v else True,
    }
    return all(tests[name](value) for name, value in options.items())


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "chemsys": st.sampled_from(["Li-O", "Fe-O", "Ru-H", "N"]),
        "within": st.sampled_from(["Li-Fe-O", "H-Ru-N-O", "Fe-O-He"]),
        "contains": st.sampled_from(["O", "Fe", "H,O"]),
        "exclude": st.sampled_from(["Li", "He,N"]),
        "num_elements": st.sampled_from(["1", "2..3", "3..", "..2"]),
        "max_atoms": st.sampled_from([1, 3, 5]),
        "anonymous_formula": st.sampled_from(["AB", "ABC3", "A2B3"]),
        "count": st.sampled_from(["O:2..3", "O:..1", "Fe:1", "O:1..,Li:0"]),
        "stoichiometry": st.sampled_from(["? O", "? ? O3", "?2 ?3", "Fe2 O3"]),
        "valid": st.booleans(),
    },
)
FORMULAS = st.dictionaries(st.sampled_from(POOL), st.integers(1, 4), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(OPTIONS, st.lists(FORMULAS, min_size=1, max_size=30))
def test_satisfied_means_what_the_options_say(options, formulas):
    try:
        constraints = Constraints.from_options(**options)
    except OptionError:
        return
    batch = CompositionBatch.from_formulas(["".join(f"{s}{c}" for s, c in f.items()) for f in formulas])
    reduced = [
        {str(SYMBOLS[z]): int(c) for z, c in zip(*row, strict=True) if z}
        for row in zip(batch.elements, batch.counts, strict=True)
    ]
    assert constraints.satisfied(batch).tolist() == [obeys(formula, options) for formula in reduced]


@settings(max_examples=150, deadline=None)
@given(OPTIONS)
def test_description_is_json_and_reads_back(options):
    try:
        constraints = Constraints.from_options(**options)
    except OptionError:
        return
    described = json.loads(json.dumps(constraints.describe()))
    assert Constraints.from_description(described) == constraints
    former = {"num_elements": "elements", "anonymous_formula": "anonymous"}
    assert Constraints.from_description({former.get(k, k): v for k, v in described.items()}) == constraints
    assert bool(constraints) == bool(constraints.given())
    assert set(described) - {"rules"} == set(constraints.given())


def test_nothing_given_constrains_nothing():
    constraints = Constraints.from_options()
    assert not constraints
    assert constraints.describe() == {}
    assert constraints.satisfied(CompositionBatch.from_formulas(["XeHe", "Fe"])).all()
    assert constraints.satisfied(CompositionBatch.from_formulas([])).shape == (0,)


def test_each_form_is_read():
    constraints = Constraints.from_options(
        within="Li, Fe-P O lanthanides", exclude=["lanthanoids", "P"], contains="O", num_elements=3, max_atoms="12"
    )
    assert constraints.within == tuple(sorted({3, 26, 15, 8, *range(57, 72)}))
    assert constraints.exclude == (15, *range(57, 72))
    assert (constraints.contains, constraints.num_elements, constraints.max_atoms) == ((8,), (3, 3), 12)
    assert Constraints.from_options(num_elements="..4").num_elements == (0, 4)
    assert Constraints.from_options(num_elements="2..").num_elements == (2, None)
    assert Constraints.from_options(anonymous_formula="A3BC").anonymous_formula == (1, 1, 3)
    assert Constraints.from_options(count=["O:2..6", "Fe:1"]).count == ((8, 2, 6), (26, 1, 1))
    assert str(Constraints.from_options(chemsys="Li-Fe-P-O", valid=True)) == "chemsys Fe-Li-O-P, valid"
    assert str(Constraints.from_options(exclude="radioactive")).endswith("...")


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("Sr ? O3", ((38, 1), (0, 1), (8, 3))),
        ("A2 B O4", ((0, 2), (0, 1), (8, 4))),
        ("A2BO4", ((0, 2), (0, 1), (8, 4))),
        ("?2 B O4", ((0, 2), (5, 1), (8, 4))),
        ("LaMO3", ((57, 1), (0, 1), (8, 3))),
        ("A2 B B' O6", ((0, 2), (0, 1), (0, 1), (8, 6))),
        ("B O3 ?", ((5, 1), (8, 3), (0, 1))),
        ("? ?3", ((0, 1), (0, 3))),
    ],
)
def test_stoichiometries(text, slots):
    constraints = Constraints.from_options(stoichiometry=text)
    assert constraints.stoichiometry == slots
    assert Constraints.from_options(**constraints.describe()) == constraints


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chemsys": "Li-Xx"}, "unknown element 'Xx' in chemsys"),
        ({"chemsys": " - "}, "chemsys names no element"),
        ({"chemsys": "Li-halogens"}, "'halogens' is a group"),
        ({"contains": "halogens"}, "contains takes elements alone"),
        ({"exclude": "heavy"}, "unknown element or group 'heavy' in exclude; groups: actinides, "),
        ({"num_elements": "3-5"}, "elements '3-5' is not a range"),
        ({"num_elements": ".."}, "not a range"),
        ({"num_elements": "5..3"}, "5 is more than 3"),
        ({"num_elements": "0"}, "at least one element"),
        ({"max_atoms": 0}, "max-atoms is 0"),
        ({"max_atoms": "ten"}, "max-atoms 'ten' is not a whole number"),
        ({"anonymous_formula": "ABO3"}, "letters A, B, C ... in turn"),
        ({"anonymous_formula": "A-B"}, "is not capital letters"),
        ({"anonymous_formula": "AB0"}, "a letter without atoms"),
        ({"anonymous_formula": "A2B4"}, "not reduced: divide its counts by 2"),
        ({"stoichiometry": "?3 ?3"}, "stoichiometry '?3 ?3' is not reduced"),
        ({"stoichiometry": "sr O3"}, "cannot be read"),
        ({"stoichiometry": ""}, "cannot be read"),
        ({"stoichiometry": "Sr O3 Sr"}, "names Sr twice"),
        ({"stoichiometry": "A O3 A"}, "names A twice"),
        ({"stoichiometry": "Xx O3"}, "unknown element 'Xx'"),
        ({"stoichiometry": "Sr0 O3"}, "Sr has no atoms"),
        ({"count": "O2..6"}, "count 'O2..6' is not an element and a range"),
        ({"count": ""}, "count names no element"),
        ({"count": "Q:2"}, "unknown element 'Q' in count"),
        ({"count": "O:x"}, "count O: 'x' is not a range"),
        ({"count": "O:2,O:3"}, "count names O twice"),
        ({"count": "O:99999999999999999999"}, "is not a range"),
        ({"contains": "Fe", "exclude": "metals"}, "Fe must be present (contains), but exclude leaves it out"),
        ({"contains": "Fe", "within": "Li-O"}, "Fe must be present (contains), but it is not in within Li-O"),
        ({"count": "Fe:2", "chemsys": "Li-O"}, "Fe must be present (count), but it is not in chemsys Li-O"),
        ({"chemsys": "Li-O", "count": "O:0"}, "O must be present (chemsys), but count O:0 leaves it out"),
        ({"stoichiometry": "Fe2 O3", "contains": "Li"}, "'Fe2 O3' has no place for it"),
        ({"stoichiometry": "Fe2 O3", "count": "O:1..2"}, "count O:1..2 contradicts stoichiometry 'Fe2 O3'"),
        (
            {"stoichiometry": "? O3", "anonymous_formula": "AB2"},
            "stoichiometry '? O3' contradicts anonymous-formula AB2",
        ),
        ({"stoichiometry": "? O3", "num_elements": "3.."}, "has 2 elements, but num-elements 3.. is asked for"),
        ({"stoichiometry": "? O3", "chemsys": "Li-Fe-O"}, "has 2 elements, but 3 must be present"),
        ({"anonymous_formula": "ABC3", "within": "Li-O"}, "needs 3 elements, but only 2 may be used"),
        ({"anonymous_formula": "ABC3", "max_atoms": 4}, "5 atoms are needed at least, but max-atoms is 4"),
        ({"chemsys": "Li-Fe-P-O", "num_elements": "..3"}, "4 elements must be present, but num-elements"),
        ({"chemsys": "Li-O", "num_elements": "3"}, "num-elements 3 needs 3 elements, but only 2 may be used"),
        ({"exclude": "metals nonmetals"}, "no element is left by exclude"),
        ({"count": "O:5..6,Li:2", "max_atoms": 6}, "7 atoms are needed at least, but max-atoms is 6"),
        ({"valid": True, "rules": ValidityRules(mixed_valence=True)}, "no mixed valence"),
        ({"valid": True, "rules": {"include_alloys": True}}, "no alloy rule"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, message):
    with pytest.raises(OptionError) as refused:
        Constraints.from_options(**options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_groups_hold_what_their_sources_say():
    assert [len(ELEMENT_GROUPS[name]) for name in ("lanthanides", "actinides", "rare_earths")] == [15, 15, 17]
    assert ELEMENT_GROUPS["noble_gases"] == numbers("He Ne Ar Kr Xe Rn Og")
    assert ELEMENT_GROUPS["radioactive"][:4] == numbers("Tc Pm Po At")
    assert numbers("Bi")[0] not in ELEMENT_GROUPS["radioactive"]
    assert group_named("Lanthanoids") == ELEMENT_GROUPS["lanthanides"]
    assert group_named("Fe") is None
    for group in ELEMENT_GROUPS.values():
        assert list(group) == sorted(set(group))
    metals = {z for z in range(1, 119) if IS_METAL[z]}
    assert metals == set(ELEMENT_GROUPS["metals"]) == set(range(1, 119)) - set(ELEMENT_GROUPS["nonmetals"])
    for name in ("alkali_metals", "alkaline_earth_metals", "transition_metals", "precious_metals"):
        assert {z for z in ELEMENT_GROUPS[name] if z <= 103} <= metals


@pytest.mark.parametrize(
    ("text", "said"), [("X2 Y Z", "Y is yttrium"), ("A B C3", "C is carbon"), ("XYZ", "Y is yttrium")]
)
def test_letters_of_sites_that_are_elements_are_said(text: str, said: str) -> None:
    from matgen.errors import MatgenWarning

    with pytest.warns(MatgenWarning, match=rf"{said}; write \? for an open place"):
        Constraints.from_options(stoichiometry=text)


def test_a_rare_earth_in_two_letters_is_said() -> None:
    from matgen.errors import MatgenWarning

    with pytest.warns(MatgenWarning, match="R and E are two open places; write R for one rare earth"):
        made = Constraints.from_options(stoichiometry="RE2O3")
    assert made.stoichiometry == ((0, 1), (0, 2), (8, 3))


@pytest.mark.parametrize("letter", ["R", "M", "A", "X", "T"])
def test_placeholders_are_open_in_all_forms(letter: str) -> None:
    for text in (f"{letter}2 O3", f"{letter}2O3"):
        assert Constraints.from_options(stoichiometry=text).stoichiometry == ((0, 2), (8, 3))
