"""What `benchmarks.discovery` counts, keeps and shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import discovery, discovery_measures, relaxed_draws
from benchmarks.discovery import Table, file_name, told_command
from benchmarks.discovery_rows import Draws, Row, filtered_draws, random_rows, valid_draws
from benchmarks.tables import discovery as of_discovery
from benchmarks.tables.markers import TABLES
from matgen.composition.batch import CompositionBatch, ParsedFormulas
from matgen.composition.elements import SYMBOLS
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.errors import OptionError
from matgen.io.files import read_json
from matgen.models.checkpoint import read_metadata
from matgen.models.locate import DEFAULT_CHECKPOINT, find_checkpoint
from matgen.sampling import Sampler
from matgen.structures.plan import StructurePlan
from matgen.structures.propose import ProposalSettings
from matgen.validity import check

KNOWN = CompositionBatch.from_formulas(["SrTiO3", "NaCl", "MgO", "Fe2O3"])


def draws_of(formulas: list[str], drawn: int | None = None) -> Draws:
    batch = CompositionBatch.from_formulas(formulas)
    return Draws(len(batch), ParsedFormulas(batch, np.arange(len(batch)), []), drawn or len(batch), 1.0)


@pytest.fixture
def few_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_measures, "known", lambda: KeySet(KNOWN.keys()))


def test_rows_are_read_and_told_without_their_folder() -> None:
    row = Row.of("new=/home/me/runs/a@1.4,condition=hull_distance=0..0.05,filter=12.5,keep=50")
    assert row == Row("new", "/home/me/runs/a", 1.4, ("hull_distance=0..0.05",), 12.5, 50)
    assert str(row) == "new=a@1.4,condition=hull_distance=0..0.05,filter=12.5,keep=50"
    assert Row.of(str(row)) == Row("new", "a", 1.4, row.conditions, 12.5, 50)
    assert Row.of("x=runs/b") == Row("x", "runs/b")
    assert Row.of("x, T = 0.9=runs/b@0.9") == Row("x, T = 0.9", "runs/b", 0.9)
    options = discovery.options_of(["--row", "a=/home/me/a@1", "--first", "b=/home/me/ranked.csv", "--only", "a"])
    assert "/home" not in told_command(options)
    assert file_name("a b/c") == "a_b_c"


@pytest.mark.parametrize("spec", ["runs/a", "x=", "x=a@warm", "x=a,filter=long", "x=a,top=3", "x=a,condition="])
def test_rows_that_cannot_be_read_are_named(spec: str) -> None:
    with pytest.raises(OptionError, match="row "):
        Row.of(spec)


@pytest.mark.usefixtures("few_are_known")
def test_shares_and_systems_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_measures, "OF_SYSTEMS", 3)
    # In threes: {Sr-Ti-O, Na-Cl, K-Cl}, {Na-Cl, K-Cl}; the last one is beyond a whole three.
    found = discovery_measures.shares(draws_of(["SrTiO3", "NaCl", "KCl", "NaCl", "KCl", "KCl", "MgO"]))
    assert found["chemical_systems_per_3"] == 2.5
    assert found["chemical_systems"] == 4
    assert (found["unique"], found["novel"]) == (round(4 / 7, 5), 0.25)
    assert found["valid_unique_novel"] == round(1 / 7, 5)
    few = discovery_measures.shares(draws_of(["NaCl", "KCl"]))
    assert few["chemical_systems_per_3"] is None


def test_random_rows_restricted_to_valid_ones_are_valid() -> None:
    names = [(row.checkpoint, row.valid_only) for row in random_rows()]
    assert len(names) == len(set(names)) == 6
    batch = valid_draws("stoichiometry_frequency", KNOWN, 50, 0)
    assert len(batch) == 50
    assert check(batch).valid.all()


def test_made_compounds_are_counted_per_draw_and_by_what_a_row_can_write() -> None:
    made = load_dataset(discovery_measures.MADE).batch
    two = made[:2].formulas().tolist()
    row = Row("kept", DEFAULT_CHECKPOINT, minutes=1.0)
    found = discovery_measures.made(draws_of([*two, two[0], "NaCl"], drawn=50_000), row)
    assert (found["found"], found["found_per_100000"], found["compounds"]) == (2, 4.0, len(made))
    assert found["can_write"] <= min(found["of_length"], found["of_elements"], found["of_tokens"])
    # By hand: tokens that the training part has, each an element with its count (none is above 16 here).
    told = read_metadata(find_checkpoint(DEFAULT_CHECKPOINT))
    train = load_dataset(told["dataset"], where=told["where"]).part("train")
    seen = {
        pair for pair in zip(train.elements.ravel().tolist(), train.counts.ravel().tolist(), strict=True) if pair[0]
    }
    few = made[np.flatnonzero(made.counts.max(axis=1) <= 16)[::20]]
    reach = discovery_measures.reach_of_model(DEFAULT_CHECKPOINT, few)
    for i in range(len(few)):
        pairs = [pair for pair in zip(few.elements[i].tolist(), few.counts[i].tolist(), strict=True) if pair[0]]
        assert reach["of_tokens"][i] == all(pair in seen for pair in pairs)
        assert reach["of_elements"][i] == all(SYMBOLS[z] in told["elements"] for z, _ in pairs)
        assert reach["of_length"][i] == (len(pairs) < len(told["length_histogram"]))


def test_reach_of_random_formulas() -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "Og2O3", "NaCl12", "NaC20"])
    reach = discovery_measures.reach_of_baseline("uniform", batch)
    assert reach["of_length"].tolist() == [True, True, False, False]
    assert reach["of_elements"].tolist() == [True, False, True, True]
    by_frequency = discovery_measures.reach_of_baseline("stoichiometry_frequency", batch)
    assert by_frequency["of_elements"].tolist() == [True, False, True, True]
    assert by_frequency["of_length"][0]


def test_recovery_counts_only_what_a_checkpoint_was_not_trained_on() -> None:
    test = discovery_measures.stable("split").part("test")
    found = discovery_measures.recovery(draws_of(test[:10].formulas().tolist()), Row("a", DEFAULT_CHECKPOINT))
    assert found["split"] == {"stable": len(test), "found": round(10 / len(test), 5), "held_out": True}
    assert found["split_chemsys"]["held_out"] is False
    of_random = discovery_measures.recovery(draws_of(["NaCl"]), random_rows()[0])
    assert of_random["split_chemsys"]["held_out"] is True


@pytest.mark.usefixtures("few_are_known")
def test_predictions_count_each_draw_and_each_novel_composition_once() -> None:
    found = discovery_measures.predicted(draws_of(["NaCl", "NaCl", "NaCl", "KCl", "KCl", "HeCl"]))
    said = discovery_measures.said_of(CompositionBatch.from_formulas(["NaCl", "KCl", "HeCl"]))
    one, two, none = said["probability_hull_0.1"].fillna(0.0)
    assert found["draws"]["probability"] == pytest.approx((3 * one + 2 * two + none) / 6, abs=1e-3)
    assert found["novel"]["probability"] == pytest.approx((two + none) / 2, abs=1e-3)


def test_draw_and_filter_keeps_the_best_distinct_ones(tmp_path: Path) -> None:
    seen: list[CompositionBatch] = []

    def reward(batch: CompositionBatch) -> np.ndarray:
        seen.append(batch)
        return np.where(batch.n_atoms > 4, -batch.n_atoms.astype(float), np.nan)

    row = Row("kept", DEFAULT_CHECKPOINT, minutes=1e-6, keep=20)
    path = tmp_path / "kept.csv"
    draws = filtered_draws(row, 0, Sampler(find_checkpoint(DEFAULT_CHECKPOINT)), reward, path)
    scored = np.concatenate([batch.n_atoms for batch in seen])
    assert draws.batch.n_atoms.tolist() == sorted(scored[scored > 4])[:20]
    assert len(set(draws.batch.formulas())) == draws.n == 20
    assert draws.drawn == 16_384
    again = filtered_draws(row, 0, None, None, path)  # type: ignore[arg-type]  # from the file alone
    assert again.batch.formulas().tolist() == draws.batch.formulas().tolist()
    assert (again.drawn, again.seconds) == (draws.drawn, draws.seconds)


def test_groups_are_kept_until_their_source_changes(tmp_path: Path) -> None:
    measured: list[int] = []

    def measure() -> dict[str, Any]:
        measured.append(1)
        return {"value": len(measured)}

    def table() -> Table:
        opened = Table("t", {"n": 5}, tmp_path)
        opened.content["commands"] = ["python -m benchmarks.discovery"]
        return opened

    first = table()
    first.begin("a", {"weights": "x"})
    first.keep("a", "group", measure, of="one")
    again = table()  # of what the file has
    again.begin("a", {"weights": "x"})
    again.keep("a", "group", measure, of="one")
    assert len(measured) == 1
    again.keep("a", "group", measure, of="another predictor")
    assert read_json(tmp_path / "t.json")["rows"]["a"]["group"] == {"value": 2, "of": "another predictor"}
    again.begin("a", {"weights": "y"})
    assert again.rows["a"] == {"source": {"weights": "y"}}
    with pytest.raises(OptionError, match="measured with"):
        Table("t", {"n": 6}, tmp_path)


def test_rows_and_roles_must_exist(tmp_path: Path) -> None:
    for words in (["--only", "no such"], ["--role", "winner=a"], ["--role", "ranked"], ["--first", "ranked.csv"]):
        with pytest.raises(OptionError):
            discovery.run(discovery.options_of(words), tmp_path)
    assert not list(tmp_path.iterdir())


def test_first_of_a_ranking(tmp_path: Path) -> None:
    path = tmp_path / "ranked.csv"
    path.write_text("rank,formula\n1,NaCl\n2,SrTiO3\n3,KCl\n")
    parsed, n = discovery.first_of(path, 2)
    assert (parsed.batch.formulas().tolist(), n) == (["NaCl", "SrTiO3"], 2)


def test_novel_candidates_are_distinct() -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "KCl", "K2Cl2", "LiF", "SrTiO3"])
    assert relaxed_draws.novel_of(batch, KeySet(KNOWN.keys())).formulas().tolist() == ["KCl", "LiF"]


def test_structures_of_a_composition_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(task: Any) -> list[dict[str, Any]]:
        made.append(task[1])
        return relaxed_draws_make_one(task)

    relaxed_draws_make_one = relaxed_draws.make_one
    monkeypatch.setattr(relaxed_draws, "make_one", counted)
    plan = StructurePlan(ProposalSettings(per_formula=1, max_atoms=8), potential=None)
    first = relaxed_draws.structure_rows(["KCl", "LiF"], plan, tmp_path)
    again = relaxed_draws.structure_rows(["LiF", "CaO", "KCl"], plan, tmp_path)
    assert made == ["KCl", "LiF", "CaO"]
    assert [(row["rank"], row["structure_id"]) for row in again] == [
        (1, first[1]["structure_id"]), (2, "0001-CaO-1"), (3, first[0]["structure_id"])
    ]  # fmt: skip
    other = StructurePlan(ProposalSettings(per_formula=1, max_atoms=10), potential=None)
    relaxed_draws.structure_rows(["KCl"], other, tmp_path)
    assert made[-1] == "KCl"


def test_shares_are_of_the_novel_ones_and_of_all_draws() -> None:
    above = {"a": np.array([-0.1, 0.05]), "b": np.array([0.2, 0.05])}
    found = relaxed_draws.within(above, draws=10)
    assert found["all"]["metastable"]["count"] == 1
    assert found["all"]["metastable"]["interval"] == [0.0945, 0.9055]  # Wilson's of 1 of 2
    assert found["all"]["metastable"]["of_draws"] == [0.0179, 0.4042]  # and of 1 of 10


def test_predictions_that_are_far_off() -> None:
    nan = float("nan")
    said = np.array([0.0, 0.0, 0.5, nan, 0.0])
    found = relaxed_draws.far_off({"a": np.array([0.3, 0.1, 0.2, 0.0, nan])}, said)["a"]
    assert (found["n"], found["off"]["count"], found["too_low"]["count"]) == (3, 2, 1)


def a_row(balanced: float, msun: int, sun: int, **source: Any) -> dict[str, Any]:
    def share(count: int) -> dict[str, Any]:
        return {"count": count, "interval": [0.1, 0.2], "of_draws": [0.05, 0.1]}

    verdict = {"stable": share(sun), "metastable": share(msun)}
    recall = {f"recall_at_{k}": {"value": 0.25} for k in (1, 5, 20)} | {"mean_reciprocal_rank": {"value": 0.5}}
    draws = {"n": 1000, "drawn": 1000, "valid": 0.9, "balanced_common": balanced, "unique": 0.9, "novel": 0.5,
             "valid_unique_novel": balanced, "charge_neutral": 0.995, "electronegativity_balanced": 0.96,
             "chemical_systems_per_10000": None}  # fmt: skip
    return {
        "source": source, "draws": draws, "substitution": recall,
        "made": {"found_per_100000": 100 * balanced, "can_write": 1100, "compounds": 1234},
        "recovery": {"limit": 0.05, "split": {"found": 0.1, "held_out": True},
                     "split_chemsys": {"found": 0.1, "held_out": False}},
        "predicted": {"draws": {"probability": 0.3, "in_domain": 0.8}},
        "tinkered": {"first": ["Ba", "Ca", "Eu", "La", "Li", "K"]},
        "relaxed": {"n": 200, "novel": 80, "chemical_systems": 150, "by": {"chgnet": verdict, "7net-l3i5": verdict,
                    "all": verdict}, "far_off": {"chgnet": {"n": 80, "off": share(8), "too_low": share(4)}}},
    }  # fmt: skip


def test_tables_of_discovery_are_filled() -> None:
    rows = {"random": a_row(0.2, 1, 0, valid_only=False), "0.2.0": a_row(0.1, 10, 2), "new": a_row(0.6, 60, 10)}
    del rows["random"]["substitution"]
    content = {"settings": {"n": 1000}, "rows": rows, "roles": {"former": "0.2.0", "checkpoint": "new"},
               "substitution": {"split": {"chance": rows["new"]["substitution"]}}}  # fmt: skip
    lines = TABLES["discovery_goals"].lines(content)
    assert "60, 6.0 x (`new`) | yes |" in lines[2]
    assert "| 10.0 % | 60.0 % (`new`) | yes |" in lines[3]
    assert "10.0 %, 0.50 x | 60.0 %, 3.00 x (`new`) | yes |" in lines[4]
    assert "| 5.0 / 1.0 % | 30.0 / 5.0 % (`new`) | no |" in lines[5]  # 60 and 10 of 200
    assert lines[6].endswith("| - | - | - |")  # nothing was ranked
    assert "| 99.5 / 96.0 % (`new`) | no |" in lines[9]
    assert "100 (1,100 of 1,234)" not in TABLES["discovery"].lines(content)[3]
    assert (
        "| 60.0 % | 90.0 % | 50.0 % | 60.0 % | - | 60 (1,100 of 1,234) | 10.0 % | - |"
        in TABLES["discovery"].lines(content)[4]
    )
    models = TABLES["discovery_models"].lines(content)
    assert [line.split(" | ")[0] for line in models[2:]] == ["| 0.2.0", "| new", "| chance"]
    relaxed = TABLES["discovery_relaxed"].lines(content)
    assert len(relaxed) == 2 + 9
    assert relaxed[-1].startswith(
        "| new, first 200 | both | 80 | 12.5 % (10 to 20 %) | 75.0 % (10 to 20 %) | 5.0 % (5 to"
    )
    assert relaxed[-1].endswith("| - | - |")


def test_reinforced_rows_are_set_against_draw_and_filter() -> None:
    content = {"rows": {"f": a_row(0.1, 10, 2)}, "roles": {"filtered": "f"}}
    assert of_discovery.against_filter(a_row(0.1, 25, 2), content) == (2.5, 1.0)


def test_substitutions_are_asked_whose_answers_are_stable() -> None:
    asked = discovery_measures.asked("split", 0)
    queries = asked.queries
    elements = queries.parents.elements.copy()
    elements[np.arange(len(queries)), queries.slot] = queries.answer
    answers = CompositionBatch.from_arrays(elements, queries.parents.counts)
    stable = load_dataset("hybrid-pure")
    distance = stable.frame[["hull_distance_oqmd", "hull_distance_mp"]].min(axis=1).to_numpy()
    near = stable.batch[np.flatnonzero((distance <= 0.05) & stable.part_mask("test"))]
    assert len(queries) == discovery_measures.QUERIES <= asked.held_out_with_parent <= asked.held_out == len(near)
    assert KeySet(near.keys()).contains(answers.keys()).all()


def test_candidates_are_judged_by_their_novel_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    above = {"chgnet": np.array([-0.1, np.nan]), "7net-l3i5": np.array([0.05, np.nan])}
    monkeypatch.setattr(relaxed_draws, "distances", lambda formulas, *_: above)
    batch = CompositionBatch.from_formulas(["KCl", "NaCl", "KCl", "YbF5"])
    plan = StructurePlan(ProposalSettings(), potential=None)
    found = relaxed_draws.judged(
        batch, 5, KeySet(KNOWN.keys()), lambda batch: np.full(len(batch), -0.3), tmp_path, tmp_path, plan=plan
    )
    assert [found[name] for name in ("n", "novel", "chemical_systems", "with_distance")] == [5, 2, 3, 1]
    assert found["without_hull"] == 1  # Yb's energy is not known
    assert (found["by"]["all"]["metastable"]["count"], found["by"]["all"]["stable"]["count"]) == (1, 0)
    assert found["far_off"]["7net-l3i5"]["too_low"]["count"] == 1
    assert found["rows"][1] == {"formula": "YbF5", "chgnet": None, "7net-l3i5": None, "predicted": -0.3}
