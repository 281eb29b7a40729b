import dataclasses
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, SYMBOLS
from matgen.errors import OptionError
from matgen.models.tokenizer import BOS, EOS, FIRST_ELEMENT, NOTATIONS, PAD, decode, encode, vocabulary
from matgen.sampling.constraints import look_ahead, reachability
from matgen.sampling.constraints.definition import Constraints
from matgen.sampling.constraints.reachability import DecodingMask
from matgen.validity import ValidityRules, check
from tests.sampling.constraints.test_definition import obeys

# Equal electronegativities (H, Ru; Si, Cu), both signs (H, Ru, Si, N), no states (He), no electronegativity (Pm).
POOL = "Li-Si-Cu-H-Ru-O"
WIDER = "Na-Pm-H-Ru-N-He"


def every_composition(pool: str, max_atoms: int) -> CompositionBatch:
    """All reduced compositions of the elements of a pool."""
    z = [ATOMIC_NUMBER[symbol] for symbol in pool.split("-")]
    rows = []
    for n_elements in range(1, len(z) + 1):
        for elements in combinations(z, n_elements):
            for counts in product(range(1, max_atoms + 1), repeat=n_elements):
                if sum(counts) <= max_atoms and np.gcd.reduce(counts) == 1:
                    padding = [0] * (len(z) - n_elements)
                    rows.append(([*elements, *padding], [*counts, *padding]))
    elements, counts = np.array(rows).transpose(1, 0, 2)
    return CompositionBatch.from_arrays(elements, counts)


def sequences(batch: CompositionBatch, notation: str) -> set[tuple[int, ...]]:
    ids, lengths = encode(batch, notation)
    return {tuple(row[1 : length - 1].tolist()) for row, length in zip(ids, lengths, strict=True)}


def all_walks(mask: DecodingMask) -> set[tuple[int, ...]]:
    """Every sequence that the mask lets end; also asserts that no prefix is a dead end."""
    states, prefixes = mask.start(), [()]
    complete = []
    while prefixes:
        allowed = mask.allowed(states)
        assert allowed.any(axis=1).all()
        assert not allowed[:, [i for i in range(FIRST_ELEMENT) if i != EOS]].any()
        complete += [prefixes[row] for row in np.flatnonzero(allowed[:, EOS])]
        allowed[:, EOS] = False
        parents, tokens = np.nonzero(allowed)
        prefixes = [(*prefixes[row], int(token)) for row, token in zip(parents, tokens, strict=True)]
        if prefixes:
            states = mask.advance(states, parents, tokens)
            assert len(states) == len(prefixes)
    assert len(complete) == len(set(complete))
    return set(complete)


def random_walks(mask: DecodingMask, n: int, seed: int) -> np.ndarray:
    """Token ids of `n` sequences, each token drawn uniformly from the allowed ones."""
    rng = np.random.default_rng(seed)
    ids = np.full((n, mask.max_atoms + 2), PAD)
    ids[:, 0] = BOS
    alive, states = np.arange(n), mask.start()[np.zeros(n, dtype=np.int64)]
    for place in range(1, ids.shape[1]):
        allowed = mask.allowed(states)
        assert allowed.any(axis=1).all()
        tokens = (rng.random(allowed.shape) * allowed).argmax(axis=1)
        ids[alive, place] = tokens
        rows = np.flatnonzero(tokens != EOS)
        alive = alive[rows]
        states = mask.advance(states, rows, tokens[rows])
    assert not len(alive)
    return ids


SETS = [
    {},
    {"chemsys": "Li-Ru-O"},
    {"chemsys": "H"},
    {"contains": "H,O"},
    {"exclude": "Li"},
    {"num_elements": "3..4"},
    {"num_elements": "1"},
    {"num_elements": "..2"},
    {"anonymous_formula": "ABC3"},
    {"anonymous_formula": "A2B3"},
    {"anonymous_formula": "A"},
    {"stoichiometry": "? O3"},
    {"stoichiometry": "A2 B O3"},
    {"stoichiometry": "Li2 O"},
    {"stoichiometry": "Li"},
    {"stoichiometry": "?2 ? H2"},
    {"count": "O:2..3"},
    {"count": "O:..2,H:1.."},
    {"count": "Si:2"},
    {"contains": "Cu", "count": "O:2..4", "num_elements": "2..3"},
    {"stoichiometry": "? ? O3", "exclude": "Cu", "count": "H:0..1"},
    {"anonymous_formula": "ABC2", "contains": "Ru"},
]


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("valid", [False, True])
@pytest.mark.parametrize("options", SETS, ids=str)
def test_walks_are_the_satisfying_sequences_no_more_no_less(options, valid, notation):
    constraints = Constraints.from_options(within=POOL, max_atoms=6, valid=valid, **options)
    every = every_composition(POOL, 6)
    satisfying = every[constraints.satisfied(every)]
    assert len(satisfying)
    mask = DecodingMask(constraints, notation)
    assert all_walks(mask) == sequences(satisfying, notation)
    assert mask.count_compositions(10**6) == len(satisfying)
    assert mask.count_compositions(3) == min(3, len(satisfying))


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("pool", ["Na-Pm-H-Ru-N-He", "Fe-Co-S-Xe-I-F"])
def test_elements_without_states_or_electronegativity(pool, notation):
    constraints = Constraints.from_options(within=pool, max_atoms=6, valid=True)
    every = every_composition(pool, 6)
    assert all_walks(DecodingMask(constraints, notation)) == sequences(every[constraints.satisfied(every)], notation)


@pytest.mark.parametrize("valid", [False, True])
@pytest.mark.parametrize("count", [None, "O:17..40", "Fe:16,O:..33"])
def test_counts_that_take_several_tokens(valid, count):
    constraints = Constraints.from_options(within="Li-Fe-O", max_atoms=50, valid=valid, count=count)
    every = every_composition("Li-Fe-O", 50)
    satisfying = every[constraints.satisfied(every)]
    assert satisfying.counts.max() > 16
    for notation in NOTATIONS:
        mask = DecodingMask(constraints, notation)
        assert all_walks(mask) == sequences(satisfying, notation)
        assert mask.count_compositions(10**6) == len(satisfying)


@pytest.mark.parametrize(
    "rules",
    [
        ValidityRules(include_zero=True),
        ValidityRules(commonality="main"),
        ValidityRules(oxidation_states="smact14"),
        ValidityRules(oxidation_states="wiki"),
    ],
    ids=str,
)
def test_other_tables_of_states(rules):
    constraints = Constraints.from_options(within=POOL, max_atoms=6, valid=True, rules=rules)
    every = every_composition(POOL, 6)
    assert all_walks(DecodingMask(constraints, "counted")) == sequences(every[constraints.satisfied(every)], "counted")


def test_a_table_of_large_states(tmp_path):
    path = tmp_path / "states.txt"
    path.write_text("Li 20\nSi 0 19\nH 17 -17\nRu -20 0\nO -13\n")
    constraints = Constraints.from_options(
        within=POOL, max_atoms=34, num_elements="..2", valid=True, rules=ValidityRules(oxidation_states=str(path))
    )
    every = every_composition(POOL, 6)
    pairs = list(combinations(POOL.split("-"), 2))
    every = CompositionBatch.concatenate([every_composition("-".join(pair), 34) for pair in pairs])
    expected = sequences(every[constraints.satisfied(every)], "counted")
    assert len(expected) > 6
    assert all_walks(DecodingMask(constraints, "counted")) == expected


OPTIONS = st.fixed_dictionaries(
    {"max_atoms": st.integers(1, 6)},
    optional={
        "chemsys": st.sampled_from(["H-Na", "H-N-Ru", "N-Na"]),
        "contains": st.sampled_from(["H", "N,Ru", "He", "Pm"]),
        "exclude": st.sampled_from(["Na", "Ru,N"]),
        "num_elements": st.sampled_from(["1", "2", "2..3", "3..", "4..5"]),
        "anonymous_formula": st.sampled_from(["A", "AB", "ABC3", "A2B3", "ABCD"]),
        "count": st.sampled_from(["N:2..3", "N:..1", "H:3..,Na:1", "Ru:2,H:2..3"]),
        "stoichiometry": st.sampled_from(["? N", "? ? N3", "?2 ?3", "Na H", "?2 ? H"]),
        "valid": st.just(True),
    },
)


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(OPTIONS, st.sampled_from(NOTATIONS))
def test_any_combination_is_kept_or_refused_where_nothing_satisfies_it(options, notation):
    every = every_composition(WIDER, 6)
    try:
        constraints = Constraints.from_options(within=WIDER, **options)
    except OptionError as refused:
        formulas = [dict(zip(*row, strict=True)) for row in zip(SYMBOLS[every.elements], every.counts, strict=True)]
        numbers = {name: value for name, value in options.items() if name != "valid"} | {"within": WIDER}
        reduced = [{symbol: count for symbol, count in formula.items() if symbol} for formula in formulas]
        assert not any(obeys(formula, numbers) for formula in reduced), str(refused)
        return
    satisfying = every[constraints.satisfied(every)]
    try:
        mask = DecodingMask(constraints, notation)
    except OptionError as refused:
        assert not len(satisfying), str(refused)
        return
    assert all_walks(mask) == sequences(satisfying, notation)
    assert mask.count_compositions(10**6) == len(satisfying) > 0


FULL = [
    {"chemsys": "Li-Fe-P-O"},
    {"within": "Li-Na-transition_metals-O-F", "valid": True},
    {"contains": "Fe,O", "exclude": "radioactive,toxic,noble_gases", "valid": True},
    {"num_elements": "3..5", "max_atoms": 20},
    {"num_elements": "3..5", "valid": True},
    {"anonymous_formula": "ABC3", "valid": True},
    {"stoichiometry": "A2 B O4", "valid": True},
    {"stoichiometry": "Sr ? O3"},
    {"count": "O:2..6", "valid": True, "max_atoms": 20},
    {"valid": True},
]


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("options", FULL, ids=str)
def test_ten_thousand_random_walks_break_nothing(options, notation):
    constraints = Constraints.from_options(**options)
    mask = DecodingMask(constraints, notation)
    read = decode(random_walks(mask, 10_000, seed=1), notation)
    assert len(read.rows) == 10_000
    assert read.canonical.all()
    assert constraints.satisfied(read.batch).all()
    assert read.batch.n_atoms.max() <= mask.max_atoms
    if constraints.valid:
        assert check(read.batch).valid.all()


def test_tables_too_large_are_worked_out_as_they_are_asked_for(monkeypatch):
    constraints = Constraints.from_options(within=POOL, max_atoms=6, valid=True)
    expected = all_walks(DecodingMask(constraints, "expanded"))
    monkeypatch.setattr(look_ahead, "MAX_BYTES_BY_COUNT", 0)
    assert all_walks(DecodingMask(constraints, "expanded")) == expected
    assert all_walks(DecodingMask(constraints.without("valid"), "expanded")) > expected
    monkeypatch.setattr(look_ahead, "MAX_TABLE_BYTES", 1000)
    with pytest.raises(OptionError, match="lower max-atoms"):
        DecodingMask(constraints, "expanded")


def test_states_are_independent_rows():
    mask = DecodingMask(Constraints.from_options(num_elements="2..4", valid=True), "counted")
    start = mask.start()
    assert len(start) == 1
    tokens = np.flatnonzero(mask.allowed(start)[0])
    states = mask.advance(start, np.zeros(len(tokens), dtype=np.int64), tokens)
    assert len(states) == len(tokens)
    rows = np.random.default_rng(0).integers(0, len(tokens), 50)
    assert np.array_equal(mask.allowed(states[rows]), mask.allowed(states)[rows])
    assert np.array_equal(mask.allowed(states[3:5]), mask.allowed(states)[3:5])
    alone = [mask.allowed(mask.advance(start, np.zeros(1, dtype=np.int64), tokens[[row]]))[0] for row in rows]
    assert np.array_equal(mask.allowed(states[rows]), alone)
    none = mask.advance(states, rows[:0], tokens[:0])
    assert len(none) == 0
    assert mask.allowed(none).shape == (0, len(mask.vocabulary))
    with pytest.raises(ValueError, match="element tokens"):
        mask.advance(states, np.zeros(1, dtype=np.int64), np.array([EOS]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"chemsys": "K-Na", "valid": True},
            "no composition of at most 40 atoms satisfies chemsys K-Na, valid: "
            "without chemsys or without valid there would be one",
        ),
        ({"chemsys": "K-Na", "valid": True, "max_atoms": 10}, "of at most 10 atoms"),
        ({"anonymous_formula": "ABC3", "count": "O:2"}, "without anonymous-formula or without count"),
        ({"chemsys": "Fr-O", "valid": True}, "without valid"),
        ({"chemsys": "Na-F", "count": "Na:21..,F:19", "valid": True}, "without count or without valid there"),
        ({"stoichiometry": "?9 Na", "within": "Na-Li-K", "valid": True}, "no composition satisfies"),
        ({"chemsys": "Cs-K-O", "count": "O:11", "valid": True, "max_atoms": 20}, "without max-atoms"),
        (
            {"anonymous_formula": "AB200"},
            "anonymous-formula AB200 needs 201 atoms, under constraints a sequence holds at most 126",
        ),
        ({"count": "O:130.."}, "count O:130.. needs 130 atoms"),
    ],
)
def test_impossible_requests_say_why(options, message):
    with pytest.raises(OptionError) as refused:
        DecodingMask(Constraints.from_options(**options), "counted")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_longer_formula_is_offered_where_it_helps(tmp_path):
    path = tmp_path / "states.txt"
    path.write_text("Cs 1\nK 1\nN -3\n")
    constraints = Constraints.from_options(
        chemsys="Cs-K-N", count="N:11", valid=True, rules={"oxidation_states": str(path)}
    )  # 33 cations at least
    with pytest.raises(OptionError, match="of at most 40 atoms .* or with a larger max-atoms there would be one"):
        DecodingMask(constraints, "expanded")
    longer = DecodingMask(dataclasses.replace(constraints, max_atoms=44), "expanded")
    assert longer.count_compositions(100) == 30  # Cs and K share 33 atoms, not in multiples of 11


def test_limits_of_atoms():
    def atoms(**options):
        return DecodingMask(Constraints.from_options(**options), "counted").max_atoms

    assert atoms(chemsys="Na-Cl") == 126
    assert atoms(chemsys="Na-Cl", valid=True) == reachability.MAX_ATOMS_VALID
    assert atoms(chemsys="Na-Cl", valid=True, max_atoms=50) == 50
    assert atoms(chemsys="Na-Cl", max_atoms=500) == 126
    assert atoms(count="O:30..", within="Al-Ti-O", valid=True) == 60
    assert atoms(anonymous_formula="ABC3") == 5
    assert DecodingMask(Constraints(), "expanded", max_tokens=10).max_atoms == 10


def test_only_known_elements_are_drawn():
    known = np.zeros(119, dtype=bool)
    known[[ATOMIC_NUMBER[symbol] for symbol in ("Li", "O", "F")]] = True
    mask = DecodingMask(Constraints.from_options(max_atoms=5), "expanded", known=known)
    assert all_walks(mask) == sequences(every_composition("Li-O-F", 5), "expanded")
    with pytest.raises(OptionError, match="does not know Fe, which must be present"):
        DecodingMask(Constraints.from_options(contains="Fe"), "expanded", known=known)


def test_prompts():
    words = vocabulary("expanded").tokens
    mask = DecodingMask(Constraints.from_options(chemsys="Sr-Ti-O", max_atoms=6), "expanded")

    def ids(text):
        return [words.index(word) for word in text.split()]

    mask.check_prompt(ids("Sr Ti O O O"))
    mask.check_prompt([])
    for prompt, first_wrong in [("Sr O", "'Sr O'"), ("Ti Sr", "'Ti'"), ("Sr Fe Ti", "'Sr Fe'")]:
        with pytest.raises(OptionError, match=f"begins with {first_wrong} satisfies chemsys"):
            mask.check_prompt(ids(prompt))


def test_small_spaces_are_counted():
    mask = DecodingMask(Constraints.from_options(chemsys="Na-Cl", max_atoms=4), "expanded")
    assert mask.count_compositions(100) == 5  # NaCl, NaCl2, Na2Cl, NaCl3, Na3Cl
    valid = DecodingMask(Constraints.from_options(within="Na-Mg-O", valid=True), "expanded")
    assert valid.count_compositions(10**6) > 3
