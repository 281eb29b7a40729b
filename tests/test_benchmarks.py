"""The arithmetic of benchmarks whose figures stand in the README."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Lattice, Structure
from sklearn.model_selection import KFold

from benchmarks import (
    conditional,
    dft_agreement,
    doping,
    lift_pretrained,
    phonons,
    predictors,
    relaxed_draws,
    structure_energies,
    structure_reach,
    structure_weights,
    structures,
    uncertainty,
)
from benchmarks.as_released import WORDS, blocks
from benchmarks.hull_variants import scores
from benchmarks.known_structures import TYPES, known_structures
from benchmarks.published import Row, ceiling, found_among, same
from benchmarks.substitution import chance, ranks, recall
from benchmarks.substitution_queries import Queries, find_queries
from benchmarks.substitution_rankings import (
    MAX_STATE,
    element_order,
    frequency,
    mined_probabilities,
    shannon_radii,
    states,
    training_pairs,
)
from benchmarks.tables import structures as of_structures
from benchmarks.tables.markers import TABLES
from benchmarks.tables.render import Table
from benchmarks.training import work_a_formula
from benchmarks.training_size import table_of_share
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS, SYMBOLS
from matgen.datasets import load_dataset
from matgen.fitting.examples import TokenTable
from matgen.models import build_model
from matgen.models.tokenizer import encode
from matgen.structures.doping import read_dopings
from matgen.structures.phase_energies import own_structures
from matgen.structures.propose import ProposalSettings, Proposer
from matgen.structures.reasons import ScoreWeights, Weights
from matgen.structures.templates import TemplateLibrary, bundled_templates
from matgen.structures.volume import atomic_volumes

KNOWN = CompositionBatch.from_formulas(["SrTiO3", "BaTiO3", "SrZrO3", "LaAlO3", "MgO", "Fe2O3", "Al2O3", "NaCl"])


def symbols(mask: np.ndarray) -> set[str]:
    return set(SYMBOLS[np.flatnonzero(mask)])


def replaced(query: Queries) -> list[str]:
    elements = query.parents.elements.copy()
    elements[np.arange(len(query)), query.slot] = query.answer
    return CompositionBatch.from_arrays(elements, query.parents.counts).formulas().tolist()


def test_parents_differ_by_one_element_of_the_same_count() -> None:
    # Two elements differ in KF; Sr stands in SrTiO4 once, but O four times.
    held_out = CompositionBatch.from_formulas(["CaTiO3", "KF", "CaO", "AlFeO3", "Ti2O3", "SrTiO4"])
    queries = find_queries(KNOWN, held_out, seed=0)
    expected = {"CaTiO3": {"SrTiO3", "BaTiO3"}, "CaO": {"MgO"}, "AlFeO3": {"LaAlO3"}, "Ti2O3": {"Fe2O3", "Al2O3"}}
    assert sorted(replaced(queries)) == sorted(expected)
    for made, parent in zip(replaced(queries), queries.parents.formulas(), strict=True):
        assert parent in expected[made]


def test_candidates_are_new_and_all_parents_are_drawn() -> None:
    held_out = CompositionBatch.from_formulas(["CaTiO3", "SrHfO3"])
    parents: dict[str, set[str]] = {"CaTiO3": set(), "SrHfO3": set()}
    for seed in range(30):
        queries = find_queries(KNOWN, held_out, seed=seed)
        for i, made in enumerate(replaced(queries)):
            parents[made].add(queries.parents[i : i + 1].formulas()[0])
            elements = symbols(queries.candidates[i])
            assert elements == {"Mg", "Fe", "Al", "Na", "Cl", "Ca", "La"} | (
                {"Zr", "Hf"} if made == "CaTiO3" else {"Ba", "Hf"}
            )
    assert parents == {"CaTiO3": {"SrTiO3", "BaTiO3"}, "SrHfO3": {"SrTiO3", "SrZrO3"}}


def test_parents_agree_with_trying_every_pair() -> None:
    rng = np.random.default_rng(0)
    elements = np.argsort(rng.random((400, 6)), axis=1)[:, :3] + 3
    everything = CompositionBatch.from_arrays(elements, rng.integers([1, 0, 0], [4, 3, 3], size=(400, 3)))
    keys = everything.keys()
    everything = everything[np.unique(keys, axis=0, return_index=True)[1]]
    train, held_out = everything[:120], everything[120:]

    def content(batch: CompositionBatch) -> list[dict[int, int]]:
        pairs = zip(batch.elements.tolist(), batch.counts.tolist(), strict=True)
        return [{z: n for z, n in zip(*one, strict=True) if z} for one in pairs]

    def one_replaced(a: dict[int, int], b: dict[int, int]) -> bool:
        gone, come = set(a.items()) - set(b.items()), set(b.items()) - set(a.items())
        return len(gone) == len(come) == 1 and next(iter(gone))[1] == next(iter(come))[1] and len(a) == len(b)

    expected = [made for made in content(held_out) if any(one_replaced(one, made) for one in content(train))]
    queries = find_queries(train, held_out, seed=3)
    assert len(queries) == len(expected)
    asked = content(CompositionBatch.from_formulas(replaced(queries)))
    assert sorted(map(sorted, map(dict.items, asked))) == sorted(map(sorted, map(dict.items, expected)))
    assert all(one_replaced(*pair) for pair in zip(content(queries.parents), asked, strict=True))


def three_queries() -> Queries:
    candidates = np.zeros((3, N_ELEMENTS + 1), dtype=bool)
    candidates[:, [3, 4, 5, 6]] = True
    parents = CompositionBatch.from_formulas(["NaCl", "NaCl", "NaCl"])
    return Queries(parents, np.zeros(3, dtype=np.int64), np.array([3, 4, 6], dtype=np.uint8), candidates)


def test_ranks_count_candidates_only_and_break_ties_by_the_order() -> None:
    scores = np.zeros((3, N_ELEMENTS + 1))
    scores[0, [3, 4, 5, 6, 7]] = [2.0, 3.0, 1.0, -np.inf, 9.0]  # 7 is no candidate
    scores[2] = -np.inf
    order = np.arange(N_ELEMENTS + 1)
    assert ranks(scores, three_queries(), order).tolist() == [2, 2, 4]
    assert ranks(scores, three_queries(), order[::-1]).tolist() == [2, 3, 1]


def test_recall_and_chance() -> None:
    found = recall(np.array([1, 2, 6, 30]))
    assert found["recall_at_1"] == {"value": 0.25, "standard_error": pytest.approx(0.2165, abs=1e-4)}
    assert [found[f"recall_at_{k}"]["value"] for k in (5, 20)] == [0.5, 0.75]
    assert found["mean_reciprocal_rank"]["value"] == pytest.approx((1 + 1 / 2 + 1 / 6 + 1 / 30) / 4, abs=1e-4)
    drawn = chance(np.array([2, 40]))
    assert [drawn[f"recall_at_{k}"]["value"] for k in (1, 5, 20)] == [0.2625, 0.5625, 0.75]
    assert drawn["mean_reciprocal_rank"]["value"] == pytest.approx((0.75 + np.mean(1 / np.arange(1, 41))) / 2, abs=1e-4)


def test_tables_of_the_rankings() -> None:
    queries = find_queries(KNOWN, CompositionBatch.from_formulas(["Ga2O3"]), seed=0)
    assert states(queries).tolist() == [3]
    z = ATOMIC_NUMBER
    held = frequency(KNOWN)(queries)[0]
    assert {SYMBOLS[i]: int(held[i]) for i in np.flatnonzero(held)} == {"Fe": 1, "Al": 1}
    pairs = np.exp(training_pairs(KNOWN))
    assert pairs[z["Sr"], z["Ba"]] == pairs[z["Zr"], z["Ti"]] == pairs[z["Al"], z["Fe"]] == 1
    assert pairs[z["Sr"], z["Fe"]] == 0
    assert element_order(KNOWN)[z["O"]] == 0
    assert shannon_radii()[z["Sr"], 2 + MAX_STATE] > shannon_radii()[z["Ca"], 2 + MAX_STATE]


@pytest.mark.slow
def test_mined_probabilities_are_those_of_pymatgen() -> None:
    from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability
    from pymatgen.core import Species

    any_state, same_state = mined_probabilities()
    table, iron = SubstitutionProbability(), ATOMIC_NUMBER["Fe"]
    place = (ATOMIC_NUMBER["Co"], 2 + MAX_STATE, iron)
    of = [table.prob(Species("Co", 2), Species("Fe", state)) for state in (2, 3)]
    assert np.exp(same_state[place]) == pytest.approx(of[0])
    assert np.exp(any_state[place]) == pytest.approx(max(of))


def test_recovery_of_a_perfect_model_and_of_drawn_formulas() -> None:
    n = len(load_dataset("hybrid-pure").batch)
    assert ceiling("hybrid-pure", 10_000) == pytest.approx(1 - (1 - 1 / n) ** 10_000)
    held_out = CompositionBatch.from_formulas(["NaCl", "KBr", "Li2O", "MgO"])
    assert found_among(held_out, CompositionBatch.from_formulas(["ClNa", "MgO", "MgO", "CaO"])) == 0.5


def test_rows_measured_with_other_settings_are_measured_again() -> None:
    row = Row("gptj", "hybrid-pure", "expanded", "tiny", "split", 10.0, 0)
    found = {**row.__dict__, "samples": {"10000": {}, "50000": {}}}
    assert same(row, [10_000, 50_000], found)
    assert not same(row, [10_000, 100_000], found)
    assert not same(row, [10_000], found | {"minutes": 5.0})
    assert not same(row, [10_000], None)
    assert row.key == "gptj hybrid-pure expanded tiny"
    assert Row("gptj", "x", "counted", "tiny", "split_chemsys", 1, 0).key == "gptj x counted tiny split_chemsys"


def test_blocks_as_released_cut_formulas_in_two() -> None:
    batch = CompositionBatch.from_formulas(["SrTiO3", "NaCl"] * 40)
    words = [[WORDS[i] for i in block] for block in blocks(batch).tolist()]
    assert [len(block) for block in words] == [128] * (40 * (8 + 5) // 128)
    text = " ".join(word for block in words for word in block)
    assert "[CLS] Sr Ti O O O . [SEP] [CLS]" in text or "[CLS] Na Cl . [SEP] [CLS]" in text
    assert any(block[-1] != "[SEP]" for block in words)


def test_shares_of_the_training_set_keep_the_held_out_formulas(tmp_path) -> None:
    dataset = load_dataset("hybrid-pure")
    table_of_share(dataset, 0.01, tmp_path / "share.csv")
    share = load_dataset(str(tmp_path / "share.csv"), published_filter=False)
    assert len(share.part("train")) == round(0.01 * len(dataset.part("train")))
    for part in ("valid", "test"):
        assert set(map(bytes, share.part(part).keys())) == set(map(bytes, dataset.part(part).keys()))


def test_work_of_a_training_step_is_that_of_the_products() -> None:
    batch = CompositionBatch.from_formulas(["NaCl"] * 256 + ["KBr"] * 256)
    table = TokenTable.from_numpy(*encode(batch, "counted"))
    work = work_a_formula("gpt2", "tiny", "counted", table)
    assert work["tokens_a_formula"] == 3  # <bos> and two elements; <eos> predicts nothing
    assert work["computed_rows_a_formula"] == pytest.approx(5 / 256, abs=2e-3)
    model = build_model("gpt2", "tiny", "counted", seed=0)
    products = [p for n, p in model.named_parameters() if p.dim() == 2 and "wpe" not in n]
    assert work["all_tokens"] == pytest.approx(3 * 6 * sum(p.numel() for p in products) / 1e9)


def test_folds_are_matbenchs_and_no_composition_both_learns_and_validates(monkeypatch) -> None:
    frame = pd.DataFrame({"formula": load_dataset("hybrid-pure").frame["formula"][:300].astype(str)})
    frame["target"] = np.random.default_rng(0).normal(size=300)
    frame = pd.concat([frame, frame.head(20)], ignore_index=True)  # two values of one composition
    monkeypatch.setattr(predictors, "load_task", lambda name: frame)
    tested = []
    for fold, (_, test) in enumerate(KFold(5, shuffle=True, random_state=18012019).split(frame)):
        data = predictors.data_of("mp_gap", fold)
        assert np.flatnonzero(data.part == "test").tolist() == test.tolist()
        assert data.lowest == 0
        tested += test.tolist()
        learned, validated = (set(map(bytes, data.of(part)[0].keys())) for part in ("train", "valid"))
        assert not learned & validated
        assert 0.04 < (data.part == "valid").mean() < 0.15
    assert sorted(tested) == list(range(320))
    frame["target"] = (frame["target"] > 0).astype(float)
    assert predictors.data_of("expt_is_metal", 0).task == "classification"


def test_reliability_and_bands() -> None:
    rng = np.random.default_rng(0)
    said = rng.random(20_000)
    found = uncertainty.reliability(said, rng.random(20_000) < said)
    assert all(abs(a - b) < 0.04 for a, b, _ in found["said_and_happened"])
    assert sum(n for *_, n in found["said_and_happened"]) == 20_000
    assert found["brier"] == pytest.approx(1 / 6, abs=0.01)
    assert found["brier_of_the_mean"] == pytest.approx(1 / 4, abs=0.01)
    low, high = uncertainty.band(0.95, 10_000)
    assert (low, high) == pytest.approx((0.9457, 0.9543), abs=1e-4)


def test_what_lies_in_a_range() -> None:
    values = {"band_gap": np.array([0.0, 0.05, 2.5, 7.0]), "formation_energy": np.array([-3.0, -1.0, -3.0, -3.0])}
    assert conditional.inside(values, {"band_gap": (0.0, 0.0)}).tolist() == [True, True, False, False]
    both = {"band_gap": (2.0, 3.0), "formation_energy": (-np.inf, -2.0)}
    assert conditional.inside(values, both).tolist() == [False, False, True, False]
    assert conditional.inside(values, {}).all()


def test_named_structures_are_bundled_and_shared() -> None:
    named = known_structures()
    assert len(named) == len({entry.formula for entry in named}) > 100
    assert {entry.structure_type for entry in named} == set(TYPES)
    templates = [template for template in bundled_templates().templates if template.n_atoms <= 40]
    held = {(template.formula, structures.cell_of(template)) for template in templates}
    sharing = {cell: {formula for formula, other in held if other == cell} for _, cell in held}
    for entry in named:
        assert all((entry.formula, cell) in held for cell in entry.cells), entry
        assert len(sharing[entry.cells[0]]) > 1, entry


def some_templates(*formulas: str) -> TemplateLibrary:
    return TemplateLibrary(template for template in bundled_templates().templates if template.formula in formulas)


def test_occupations_do_not_depend_on_the_alphabet_or_the_origin() -> None:
    fluorite, perovskite = "AB2_cF12_225_a_c", "A3BC_cP5_221_c_a_b"  # of CaF2; of KMgF3: F on c, K on a, Mg on b
    swapped = structure_weights.occupation(fluorite, ["Ca", "F"], {"Ca": "Th", "F": "O"})
    assert swapped == structure_weights.occupation("A2B_cF12_225_c_a", ["O", "Th"], {"O": "O", "Th": "Th"})
    old = ["K", "Mg", "F"]
    as_it_is = structure_weights.occupation(perovskite, old, {"F": "O", "K": "Sr", "Mg": "Ti"})
    same = {symbol: symbol for symbol in ("O", "Sr", "Ti")}
    assert as_it_is == structure_weights.occupation("A3BC_cP5_221_d_b_a", list(same), same)
    assert as_it_is != structure_weights.occupation(perovskite, old, {"F": "O", "K": "Ti", "Mg": "Sr"})
    assert structure_weights.ways_of((1, 1, 3)) == [(0, 1, 2), (1, 0, 2)]


def test_scores_and_ranks_are_those_of_the_proposer() -> None:
    library = some_templates("SrTiO3", "KMgF3", "CaTiO3", "FeBiO3", "MgCO3", "NaNO3", "BaCeO3", "NaCl", "CsCl", "MgO")
    generator = np.random.default_rng(0)
    constant, ionic = generator.normal(size=(2, len(structure_weights.REASONS))).tolist()
    weights = ScoreWeights(Weights(*constant), Weights(*ionic))
    asked = structure_weights.candidates(library, {"NaCl"})
    assert {"SrTiO3", "NaNO3", "MgO"} <= set(asked.formulas)
    assert "NaCl" not in asked.formulas
    vector = [*constant, *ionic]
    scores, ranks = asked.features @ np.array(vector), structure_weights.Ranker(asked).ranks(vector)
    for row, formula in enumerate(asked.formulas):
        proposer = Proposer(ProposalSettings(weights=weights), library.without([formula]))
        own = [template for template in library.templates if template.formula == formula]
        assignments = proposer.assignments(formula, own[0].counts)
        own_scores, keys = scores[asked.query == row], asked.key[asked.query == row]
        pooled = [np.logaddexp.reduce(own_scores[keys == key]) for key in set(keys.tolist())]
        assert max(pooled) == pytest.approx(assignments[0].score)
        occupied = [structures.occupation_of(assignment) for assignment in assignments]
        wanted = {structure_weights.own_occupation(template) for template in own}
        place = structures.place_of(wanted, occupied)
        assert place is not None
        assert abs(ranks[row] - place) <= 0.5  # polymorphs of one compound have equal scores
    half = asked.of(np.arange(len(asked.formulas)) % 2 == 0)
    assert structure_weights.Ranker(half).ranks(vector).tolist() == ranks[::2].tolist()


def test_the_gradient_of_the_likelihood_is_that_of_finite_differences() -> None:
    library = some_templates("SrTiO3", "KMgF3", "CaTiO3", "FeBiO3", "MgCO3", "NaNO3", "BaCeO3")
    likelihood = structure_weights.Likelihood(structure_weights.candidates(library, set()))
    weights = np.random.default_rng(0).normal(size=2 * len(structure_weights.REASONS))
    _, gradient = likelihood.loss(weights)
    for place in range(len(weights)):
        step = 1e-5 * np.eye(len(weights))[place]
        ends = likelihood.loss(weights + step)[0] - likelihood.loss(weights - step)[0]
        assert gradient[place] == pytest.approx(ends / 2e-5, abs=1e-6)


def test_reach_counts_sane_structures_of_each_origin() -> None:
    library = some_templates("CaTiO3", "NaCl")
    asked = structure_reach.reached_by("Sr2FeMoO6", library)
    assert asked == {"formula": "Sr2FeMoO6", "origins": ["ordered", "symmetric"]}
    structure = Structure(Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0, 0]])
    assert structure_reach.sane(structure)
    assert not structure_reach.sane(Structure(Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.2, 0, 0]]))


def test_coverage_leaves_out_the_compounds_own_structures() -> None:
    library = some_templates("CaTiO3", "NaCl", "MgO")
    batch = CompositionBatch.from_formulas(["CaTiO3", "SrTiO3", "NaCl", "K2O"])
    held, another = structures.covered(batch, library)
    assert held.tolist() == [True, True, True, False]
    assert another.tolist() == [False, True, True, False]
    found = structures.shares(batch, library)
    assert found["all"] == {"formulas": 4, "covered": 0.75, "own_left_out": 0.5}
    assert found["by_number_of_elements"]["3"] == {"formulas": 2, "covered": 1.0, "own_left_out": 0.5}


def test_a_known_structure_is_found_among_proposals_from_other_compounds() -> None:
    named = {entry.formula: entry for entry in known_structures()}
    found = structures.refound(named["SrTiO3"], some_templates("SrTiO3", "KMgF3", "MgCO3", "FeBiO3"))
    assert found["rank"] is not None
    assert found["others_with_its_label"] == 1
    lonely = structures.refound(named["SrTiO3"], some_templates("SrTiO3", "MgCO3"))
    assert lonely["rank"] is None
    assert lonely["why_not"].startswith("no other compound")
    assert structures.successes([1, 2, 5, 6, None]) == {"compounds": 5, "at_1": 1, "at_3": 2, "at_5": 3}
    errors = structures.volume_errors([10.5, 17.0, 39.0], [10.0, 20.0, 30.0])
    assert (errors["median"], errors["within_a_tenth"]) == (pytest.approx(0.15), 0.3333)


def test_volumes_are_fitted_without_the_compounds_under_test() -> None:
    before = atomic_volumes()
    with structures.FittedWithout(["CsCl", "NaCl", "UO2"]):
        assert structures.volume.atomic_volumes()["Cl"] != before["Cl"]
    assert atomic_volumes() == before
    proposer = Proposer(ProposalSettings(), some_templates("KMgF3"))
    (first, *_) = proposer.assignments("SrTiO3", {"Sr": 1, "Ti": 1, "O": 3})
    estimates = structures.estimates_of(first)
    three = [estimates[name] for name in structures.ESTIMATES]
    assert estimates["geometric mean"] == pytest.approx(np.prod(three) ** (1 / 3))


def test_tables_are_filled_from_templates() -> None:
    template = """
| {n:,} rows | {share!p} | size |
| {name} | {value:.2f} | {size?!M:.1f} | <- each parts
| once | {value:.1f} | | <- with parts[b]
| left out | {value} | | <- with missing?

{missing?}

{parts!n} parts.
"""
    parts = {"a": {"value": None, "size": 2_000_000}, "b": {"value": 1}, "note": "no row"}
    assert Table("training", (), template).lines({"n": 1000, "share": 0.5, "parts": parts}) == [
        "| 1,000 rows | 50.0 % | size |",
        "|---|---|---|",
        "| a | - | 2.0 |",
        "| b | 1.00 |  |",
        "| once | 1.0 | |",
        "",
        "3 parts.",
    ]
    with pytest.raises(KeyError, match="shares"):
        Table("training", (), "{shares}").lines({"share": 1})


def test_tables_of_structures_add_up() -> None:
    def row(formula: str, kind: str, rank: int | None, place: int | None) -> dict:
        return {"formula": formula, "structure_type": kind, "rank": rank, "rank_of_its_occupation": place}

    rows = [row(f"A{i}", "spinel", 1, 1) for i in range(5)]
    rows += [row("NaCl", "rock salt", None, 7), row("CsCl", "other", None, None)]
    content = {
        "refound": {"all": structures.successes([r["rank"] for r in rows]), "by_type": structures.by_type(rows),
                    "compounds": rows},
        "volumes": {"compounds_judged": 3, "estimates": {"bond lengths": {"median": 0.125}}},
    }  # fmt: skip
    names = ("fitted", "fitted, the same for all compounds", "fitted, reasons of 0.2 alone", "0.2")
    half = {"n": 9, "at_1": {"value": 0.25}, "at_5": {"value": 0.5}}
    judged = {name: {"judged_half": half} for name in (*names, "substitution alone", "members alone")}
    lines = TABLES["structures_refound"].lines({"structures": content, "structures_weights": {"variants": judged}})
    assert "| spinel | 5 | 100.0 % | 100.0 % | 100.0 % |" in lines
    assert "| the other 2 types together | 2 | 0.0 % | 0.0 % | 0.0 % |" in lines
    assert lines[-5].endswith(": NaCl (7), CsCl (of no other compound).")
    assert "25.0 % and 50.0 % with substitutions alone" in lines[-3]
    assert "bond lengths 12.5 %" in lines[-1]


def test_known_compounds_are_spread_over_the_anions() -> None:
    chosen = structure_energies.compounds()
    assert len(chosen) == structure_energies.N == len({formula for formula, *_ in chosen})
    classes = Counter(anion for *_, anion in chosen)
    assert {"O", "S", "N", "F", "Cl", "Br", "I", "Se", "Te", "none"} <= set(classes)
    assert max(classes.values()) - min(classes.values()) <= 1
    assert all(np.isfinite(label) for _, label, _ in chosen)
    own = own_structures(bundled_templates(), structure_energies.SETTINGS)
    for formula, *_ in chosen[:20]:
        assert all(structure.composition.reduced_formula == formula for _, structure in own[formula])
    assert len(Counter(anion for *_, anion in chosen[:18])) == len(classes)  # the front is a fair sample
    assert structure_energies.errors(np.array([-0.1, 0.3, 0.4])) == {"n": 3, "bias": 0.2, "mae": 0.2667, "median": 0.3}


def test_distances_to_hulls_are_scored() -> None:
    true = np.array([-0.1, 0.0, 0.3, np.nan])
    said = {"labels": np.array([0.03, -0.02, -0.1, 0.5])}
    score = scores(true, said)["labels"]
    assert (score["n"], score["stable"], score["unstable_said_stable"]) == (3, 2, 1)
    assert [score[f"stable_within_{t}"] for t in (0.0, 0.02, 0.05, 0.1)] == [1, 1, 2, 2]
    assert (score["bias"], score["mae"], score["median"]) == pytest.approx((-0.29 / 3, 0.55 / 3, 0.13), abs=1e-4)


def test_shares_of_novel_compositions_by_one_and_by_both_potentials() -> None:
    nan = float("nan")
    above = {"a": np.array([-0.1, 0.05, 0.2, nan, -0.9]), "b": np.array([0.05, -0.2, 0.0, 0.0, 0.0])}
    found = relaxed_draws.within(above)
    assert {name: (row["stable"]["count"], row["metastable"]["count"]) for name, row in found.items()} == {
        "a": (1, 2), "b": (4, 5), "all": (0, 2)
    }  # fmt: skip
    assert found["b"]["metastable"]["interval"] == [0.5655, 1.0]  # Wilson's of 5 of 5


def test_differences_to_dft() -> None:
    rows = [
        {"formula": "NaCl", "formation_energy_dft": -1.0} | dict.fromkeys(dft_agreement.POTENTIALS, -1.1),
        {"formula": "MgO", "formation_energy_dft": -2.0} | dict.fromkeys(dft_agreement.POTENTIALS, -1.7),
    ]
    found = dft_agreement.differences(rows)["chgnet"]
    assert found == {"n": 2, "bias": 0.1, "mae": 0.2, "median": 0.2, "largest": 0.3, "largest_of": "MgO"}


def test_tables_of_relaxed_structures_add_up() -> None:
    speeds = {"matgen, one core": 0.4, "chgnet, one core": 0.1, "matgen, all cores": 0.8,
              "chgnet, all cores, threads": 0.16, "chgnet, all cores, processes": 0.2}  # fmt: skip
    difference = {"median": 0.01, "max": 2.0, "within_1": 3}
    content = {"structures": 4, "atoms": [2, 20, 5, 6], "cores": 2, "structures_per_second": speeds,
               "steps": {"matgen": [100, 3, 9, 7], "chgnet": [100, 100, 20, 30]},
               "energy_difference_mev": difference}  # fmt: skip
    lines = TABLES["relaxation"].lines(content)
    assert "1 of matgen's and 2 of the other's are stopped after 100 steps" in lines[-1]
    assert "| one core | 24.0 | 6.0 | 4.0 x |" in lines
    assert lines[4].endswith("| 48.0 | 12.0 | 4.0 x |")
    group = {"before": {"n": 2, "bias": -0.2, "mae": 0.2}, "after": {"n": 2, "bias": 0.01, "mae": 0.03, "median": 0.02}}
    below = {"n": 2, "bias": -0.01, "mae": 0.02, "median": 0.02, "stable": 1, "unstable_said_stable": 0}
    below |= {f"stable_within_{t}": 1 for t in (0.0, 0.02, 0.05, 0.1)}
    group["before"]["median"] = 0.2
    hulls = {"labels": below, "relaxed": below}
    chgnet = {"all": group, "by_anion": {"Br": group | hulls, "none": group | hulls}, "hull": hulls}
    content = {"potentials": {"chgnet": chgnet}, "per_formula": 3, "max_atoms": 24}
    lines = TABLES["structure_energies"].lines(content)
    assert "| Br | 2 | -0.200 | +0.010 | 0.030 | - | - | - | - |" in lines
    lines = TABLES["hull_distances"].lines(content)
    assert "| CHGNet; labels | 2 | -0.010 | 0.020 | 0.020 | 1 | 1 | 1 | 1 | 0 |" in lines
    lines = TABLES["hull_distances_by_anion"].lines(content)
    assert "| Br | 2 | -0.010, 0.020 | -0.010, 0.020 | - | - |" in lines
    found = {"n": 200, "counts": {"stable": 20, "metastable": 50, "sun": 4, "msun": 10, "novel": 60, "unique": 190,
                                  "relaxed": 150}, "with_structure": 195, "failures": {"a": 3, "b": 4},
             "settings": {"max_steps": 200, "per_formula": 3, "max_atoms": 24},
             "median_energy_above_hull": 0.2}  # fmt: skip
    lines = TABLES["sun"].lines(found)
    assert lines[3] == "| stable, unique and novel | 2.0 % (0.8 to 5.0 %) | 5.0 % (2.7 to 9.0 %) |"
    assert "7 structures or compositions failed" in lines[-1]


def test_cases_of_doping_are_doped_formulas() -> None:
    variants = [variant for case in doping.CASES for variant in (case.right, case.wrong)]
    names = ("formula", "host", "site", "dopant")
    rows = pd.DataFrame([{name: getattr(variant, name) for name in names} for variant in variants])
    read = read_dopings(rows, "formula")
    assert [str(read[place].share) for place in range(1, len(variants) + 1)] == [variant.share for variant in variants]
    assert [read[1].host, read[1].site, read[1].dopant] == ["SrTiO3", "Sr", "La"]


def test_judging_dopants() -> None:
    def energies(elements: float, least: float, n_vacancies: int = 0) -> dict[str, float]:
        return {"dopant_formation_energy": elements, "dopant_formation_energy_min": least, "n_dopants": 2,
                "n_vacancies": n_vacancies}  # fmt: skip

    site = next(case for case in doping.CASES if case.question == "site" and case.right.host == "ZnO")
    row = doping.judged(site, {site.right.name: energies(1.0, 0.5), site.wrong.name: energies(9.0, 0.7)})
    assert row["gap"] == pytest.approx(0.2)
    # the potential of zinc less that of oxygen is largest beside metallic zinc: twice the energy of ZnO an atom, 3.6 eV
    assert 0 < 8.0 - row["gap_at_worst_limit"] < 4.0
    vacancy = next(case for case in doping.CASES if case.question == "compensation")
    row = doping.judged(vacancy, {vacancy.right.name: energies(2.0, 0.5, 1), vacancy.wrong.name: energies(1.5, 0.4)})
    assert (row["found"], row["found_at_every_limit"]) == (False, False)
    assert row["oxygen_potential_of_equal_energies"] == pytest.approx(-1.0)
    assert row["gap_at_worst_limit"] == pytest.approx(-0.5, abs=1e-3)


def test_crystals_of_the_phonons_are_what_their_names_say() -> None:
    for name, structure in {**phonons.STABLE, **phonons.UNSTABLE}.items():
        assert structure.composition.reduced_formula == Composition(name.split()[0]).reduced_formula
    groups = {name: phonons.space_group(structure) for name, structure in phonons.STABLE.items()}
    assert groups["MgAl2O4"] == groups["Si"] == "Fd-3m"
    assert (groups["Mg2SiO4"], groups["SiO2 (alpha-quartz)"], groups["ZnO"]) == ("Pnma", "P3_221", "P6_3mc")


def test_tables_of_phonons_add_up() -> None:
    row = {"dynamically_stable": True, "lowest_frequency": 1.0, "lowest_frequency_at": "0 0 1/2", "seconds": 2.0}
    alarm = row | {"dynamically_stable": False, "lowest_frequency": -1.0, "followed": None, "seconds_following": 3.0}
    down = {"space_group": "R-3c", "gain_mev": 0.4, **row}
    rows = {
        "MgO": row | {"lowest_by_displacement": {"0.01": 0.75, "0.05": -0.5}}, "NaCl": alarm,
        "SrTiO3 (cubic)": alarm | {"followed": down}, "W (fcc)": row, "Si": {"reason": "no forces", "seconds": 1.0},
    }  # fmt: skip
    summary = phonons.summary(rows)
    assert (summary["stable"], summary["false_alarms"], summary["without_verdict"]) == (3, ["NaCl"], ["Si"])
    assert (summary["unstable"], summary["detected"]) == (2, ["SrTiO3 (cubic)"])
    assert summary["followed_lower"] == summary["followed_to_stable"] == ["SrTiO3 (cubic)"]
    assert summary["false_alarms_by_displacement"] == {"0.01": [], "0.05": ["MgO"]}
    assert summary["largest_change_by_displacement"] == 1.5
    assert summary["seconds"] == 2 + 5 + 5 + 2 + 1
    content = {"potentials": {"chgnet": {"compounds": rows, "summary": summary}}}
    stable = {line["title"]: line["cells"] for line in of_structures.phonons_of_stable(content)}
    unstable = {line["title"]: line["cells"] for line in of_structures.phonons_of_unstable(content)}
    assert stable["MgO"] == "1.00 (0 0 1/2) | 2"
    assert stable["NaCl"] == "**-1.00 (0 0 1/2)** | 5"  # wrong
    assert (stable["Si"], stable["KBr"]) == ("no forces | 1.0", "- | -")
    assert unstable["SrTiO3 (cubic)"] == "-1.00 (0 0 1/2), followed to R-3c, -0.4 meV/atom, 1.00 | 5"
    assert unstable["W (fcc)"] == "**1.00 (0 0 1/2)** | 2"
    assert "1 false alarms of 3 (NaCl), 1 of 2 instabilities detected" in of_structures.phonon_counts(content)
    assert "1.50 THz of 1" in of_structures.phonon_spreads(content)


def test_what_names_are_worth_is_a_mean_over_pairs_of_the_same_rows():
    rng = np.random.default_rng(0)
    named, plain = rng.integers(0, 2, (2, 3, 200))
    fits = [
        {"kind": lift_pretrained.HEAD, "table": "tae", "template": template, "seed": seed, "right": right.tolist()}
        for template, own in (("named", named), ("x1", plain))
        for seed, right in enumerate(own)
    ]
    (found,) = lift_pretrained.differences(fits[:-1])
    assert found["seeds"] == 2 and found["difference"] == pytest.approx(named[:2].mean() - plain[:2].mean())
    error = (named[:2] - plain[:2]).mean(axis=0).std() / np.sqrt(200)  # the normal approximation
    expected = found["difference"] + 1.96 * error * np.array([-1, 1])
    assert np.array(found["interval"]) == pytest.approx(expected, abs=0.15 * error + 0.005)
    assert lift_pretrained.differences(fits[:3]) == []
