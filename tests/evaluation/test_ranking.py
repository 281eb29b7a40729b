from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.errors import OptionError
from matgen.evaluation import evaluate
from matgen.evaluation.facts import facts
from matgen.evaluation.limits import Limits
from matgen.evaluation.page.ranking_table import ranking_table
from matgen.evaluation.ranking import PROBABILITY, chosen, plausibility, ranked, write_ranked
from matgen.pareto import parse_objectives
from matgen.screening import screen_file

from .standin import Reference

KNOWN = CompositionBatch.from_formulas(["NaCl", "SrTiO3"])


def predicted(**columns) -> pd.DataFrame:
    """Candidates as `matgen predict` writes them."""
    rows = pd.DataFrame(
        {
            "formula": ["KCl", "BaTiO3", "Na3Cl2", "Rb2O"],
            "log_prob": [-1.0, -4.0, -2.0, -3.0],
            "formation_energy": [-2.0, -3.0, -1.0, -1.5],
            "formation_energy_std": 0.1,
            "energy_above_hull": [0.0, -0.1, 0.3, 0.05],
            "energy_above_hull_std": 0.1,
            "probability_hull_0.1": [0.8, 0.9, 0.1, 0.6],
            "decomposition": "0.50 K + 0.50 Cl",
            "in_domain": [True, True, True, False],
        }
    )
    return rows.assign(**columns)


def test_the_score_is_the_product_that_is_documented() -> None:
    rows = predicted(oxidation_state_score=[1.0, 0.5, 1.0, 1.0], probability_made=[0.7, 0.6, 0.2, 1.0])
    found = ranked(rows, [KNOWN]).set_index("formula")
    # One place on the scale for half and for a fifth of the atoms; from Na3Cl2, a tenth of them is 90 places from NaCl.
    novelty = {"KCl": 0.5 / 0.6, "BaTiO3": 0.2 / 0.3, "Na3Cl2": 9 / 9.1}
    factors = {"KCl": (0.8, 0.7, 1.0), "BaTiO3": (0.9, 0.6, 0.5), "Na3Cl2": (0.1, 0.2, 1.0)}
    for formula, (probability, made, states) in factors.items():
        assert found.loc[formula, "novelty"] == pytest.approx(novelty[formula])
        assert found.loc[formula, "score"] == pytest.approx(probability * np.cbrt(made * states * novelty[formula]))
    # Rb2O is unlike anything learned from.
    assert found.index.tolist() == ["KCl", "BaTiO3", "Na3Cl2", "Rb2O"] and found["rank"].tolist() == [1, 2, 3, 4]
    assert found["nearest_known"].tolist()[:3] == ["NaCl", "SrTiO3", "NaCl"]


def test_equal_scores_go_by_energy_then_by_the_models_probability() -> None:
    rows = predicted(formula=["KCl", "NaBr", "LiCl", "RbCl"], in_domain=True)
    rows = rows.assign(**{PROBABILITY: 0.5, "energy_above_hull": [0.1, 0.1, 0.0, 0.1], "log_prob": [-2, -1, -9, -3]})
    known = CompositionBatch.from_formulas(["KCl", "NaBr", "LiCl", "RbCl"])  # all at distance 0: scores of 0
    assert ranked(rows, [known])["formula"].tolist() == ["LiCl", "NaBr", "KCl", "RbCl"]


def test_size_alone_wins_nothing() -> None:
    """Swapping one element in four for its neighbor is as new in four atoms as in forty."""
    rows = predicted(formula=["BaTiO2", "Ba10Ti9VO20", "Ba2O", "CaTiO3"], in_domain=True, **{PROBABILITY: 0.5})
    known = CompositionBatch.from_formulas(["SrTiO2", "Sr10Ti9VO20", "Sr2O", "HgCl2"])
    found = ranked(rows, [known]).set_index("formula")
    assert found.loc["BaTiO2", "score"] == pytest.approx(found.loc["Ba10Ti9VO20", "score"], rel=1e-9)


def test_an_alloy_has_no_oxidation_states_to_be_ranked_by() -> None:
    rows = pd.DataFrame({
        PROBABILITY: [0.5, 0.5, 0.5], "oxidation_state_score": [0.0, 0.2, 0.0], "metallicity_score": [0.9, 0.9, 0.1],
        "all_metal": [True, True, False], "electronegativity_balanced": [False, True, False],
    })  # fmt: skip
    assert plausibility(rows).tolist() == pytest.approx([0.5 * 0.9**0.5, 0.5 * 0.2**0.5, 0.0])


def test_what_is_known_of_the_nearest_known() -> None:
    found = ranked(predicted(), [KNOWN]).set_index("formula")
    assert found.loc["BaTiO3", "nearest_known_made"] is True
    of_srtio3 = facts(KNOWN)["energy_above_hull"][1]
    assert found.loc["BaTiO3", "nearest_known_energy_above_hull"] == of_srtio3
    beyond = ranked(predicted(formula=["RfO2", "KCl", "NaBr", "LiCl"]), [KNOWN]).set_index("formula").loc["RfO2"]
    assert beyond["nearest_known"] is None and np.isnan(beyond["chemical_distance"]) and beyond["novelty"] == 1


def test_what_it_takes_is_shown() -> None:
    found = ranked(predicted(formula=["TlCl", "PmCl3", "KCl", "CdO"]), [KNOWN]).set_index("formula")
    assert found["toxic"].to_dict() == {"TlCl": True, "PmCl3": False, "KCl": False, "CdO": True}
    assert found["radioactive"].to_dict() == {"TlCl": False, "PmCl3": True, "KCl": False, "CdO": False}
    assert (found.loc[["TlCl", "KCl", "CdO"], "cost"] > 0).all()


def test_the_front_comes_first() -> None:
    rows = predicted(formula=["KCl", "BaTiO3", "Na3Cl2", "NaBr"], band_gap=[1.0, 2.0, 9.0, 0.5])
    found = ranked(rows, [KNOWN], parse_objectives("energy_above_hull,+band_gap"))
    assert found["formula"].tolist()[:2] == ["Na3Cl2", "BaTiO3"] or found["formula"].tolist()[:2] == [
        "BaTiO3",
        "Na3Cl2",
    ]
    assert found.set_index("formula")["pareto_front"].to_dict() == {
        "KCl": False, "BaTiO3": True, "Na3Cl2": True, "NaBr": False,  # NaBr is out of the domain
    }  # fmt: skip
    assert "band_gap" in found


def test_a_front_is_asked_for_before_anything_is_judged() -> None:
    with pytest.raises(OptionError, match="run `matgen predict` on the table first"):
        evaluate(pd.DataFrame({"formula": ["KCl"]}), Reference(), baselines=False, pareto="cost")
    with pytest.raises(OptionError, match="no column 'band_gap'"):
        evaluate(predicted(), Reference(), baselines=False, pareto="+band_gap")
    front = evaluate(predicted(formula=["CsPbSe", "Ba7SrTi8O24", "Cs9Na7Br16", "Rb2O"]), Reference(), baselines=False,
                     pareto="cost").ranked  # fmt: skip
    assert front["pareto_front"].sum() == 1 and front.loc[front["pareto_front"], "cost"].item() == front["cost"].min()


def test_without_predictions_by_the_models_probability() -> None:
    found = ranked(predicted().drop(columns="probability_hull_0.1"), [KNOWN])
    assert found["formula"].tolist() == ["KCl", "Na3Cl2", "Rb2O", "BaTiO3"]
    assert "score" not in found
    assert ranked(pd.DataFrame({"formula": ["B", "A"]}))["formula"].tolist() == ["B", "A"]


def test_only_valid_novel_first_rows_are_chosen() -> None:
    frame = pd.DataFrame(
        {
            "formula": ["A", "B", "A", "C", "D"],
            "valid": [True, True, True, False, True],
            "novel": [True, True, True, True, False],
            "duplicate_of": pd.array([None, None, 0, None, None], dtype="Int64"),
        }
    )
    assert chosen(frame)["formula"].tolist() == ["A", "B"]


@pytest.mark.slow
def test_the_page_ranks_what_was_predicted(tmp_path: Path) -> None:
    frame = predicted(formula=["K5Rb3Cl8", "Ba7SrTi8O24", "Cs9Na7Br16", "Rb2O"])
    report = evaluate(frame, "hybrid", baselines=False, out=tmp_path / "report")
    assert set(report.ranked["formula"]) <= set(frame["formula"])
    assert "Rb2O" not in set(report.ranked["formula"])  # known
    page = (tmp_path / "report" / "report.html").read_text()
    assert "probably stable and new" in page
    assert "Energy above the hull against novelty" in page
    assert report.ranked["formula"][0] in page
    assert np.isfinite(report.ranked["score"]).all()
    plain = evaluate(frame[["formula"]], "hybrid", baselines=False, out=tmp_path / "plain")
    assert plain.ranked is None
    assert "probably stable and new" not in (tmp_path / "plain" / "report.html").read_text()
    again = report.write(tmp_path / "again")
    assert (tmp_path / "again" / "report.html").read_text() == page
    assert again.ranked is report.ranked


def test_a_ranking_shows_what_state_a_candidate_rests_on() -> None:
    frame = predicted(formula=["CsPbSe", "Ba7SrTi8O24", "Cs9Na7Br16", "Rb2O"])
    report = evaluate(frame, Reference(), baselines=False)
    order = report.ranked.set_index("formula")
    assert order.loc["CsPbSe", "rarest_state"] == "Pb+1" and order.loc["Rb2O", "rarest_state"] in ("Rb+1", "O-2")
    shown = shown_rows(report.ranked)
    assert shown["CsPbSe"]["rarest_state"] == "Pb+1, 0.06 %: rare" and shown["CsPbSe"]["oxidation_state_score"] == 0.09
    assert "rare" not in shown["Rb2O"]["rarest_state"]


def test_a_ranking_can_be_ranked_again() -> None:
    first = ranked(predicted(), [KNOWN])
    again = ranked(first.iloc[::-1].reset_index(drop=True), [KNOWN])
    pd.testing.assert_frame_equal(again, first)


@pytest.mark.slow
@pytest.mark.parametrize("lacking", [[0], [0, 1, 2]])
def test_candidates_without_a_distance_are_shown_without_one(lacking: list[int], tmp_path: Path) -> None:
    frame = predicted(formula=["K5Rb3Cl8", "Ba7SrTi8O24", "Cs9Na7Br16", "Rb2O"])
    numbers = [name for name in frame if name.startswith(("energy_above_hull", "probability_hull"))]
    frame.loc[lacking, numbers] = np.nan
    report = evaluate(frame, "hybrid", baselines=False, out=tmp_path / "report")
    assert report.ranked["score"].isna().sum() == len(lacking)
    page = (tmp_path / "report" / "report.html").read_text()
    assert ("Energy above the hull against novelty" in page) == (len(lacking) < 3)
    assert "nan ±" not in page


@pytest.mark.slow
def test_a_large_table_is_ranked_as_a_small_one(tmp_path: Path) -> None:
    """Of a table too large to be kept, the ranking is of all its rows, and `ranked.csv` holds it."""
    formulas = load_dataset("hybrid-pure").batch.formulas()[:4000]
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"formula": rng.permutation(formulas), "log_prob": rng.normal(size=len(formulas))})
    path = tmp_path / "drawn.parquet"
    table.to_parquet(path)
    whole = evaluate(table, "mp-pure", baselines=False)
    few = Limits(rows_per_chunk=700, rows_held=1_000, rows_ranked=300)
    streamed = evaluate(path, "mp-pure", baselines=False, out=tmp_path / "report", limits=few)
    expected = ranked(chosen(whole.frame)).head(300)
    assert streamed.ranked is not None and len(chosen(whole.frame)) > 300
    pd.testing.assert_frame_equal(streamed.ranked, expected)
    written = pd.read_csv(tmp_path / "report" / "ranked.csv")
    assert written["formula"].tolist() == expected["formula"].tolist()
    evaluate(table[["formula"]], "mp-pure", baselines=False, out=tmp_path / "report", force=True)
    assert not (tmp_path / "report" / "ranked.csv").exists()


def test_columns_of_a_written_ranking_are_matgens_own(tmp_path: Path) -> None:
    """A screen of `ranked.csv` makes the columns anew, and does not take them for the user's."""
    order = ranked(predicted(), [KNOWN])
    write_ranked(order, tmp_path / "ranked.csv")
    screened = screen_file(tmp_path / "ranked.csv", tmp_path / "out.csv", pareto="energy_above_hull,novelty").frame
    assert not [name for name in screened if name.endswith("_matgen")] and screened["cost"].notna().all()
    assert 0 < len(screened) < len(order)


def test_a_ranking_on_the_page_says_how_like_made_compounds_each_is() -> None:
    frame = predicted(
        formula=["CsPbSe", "Ba7SrTi8O24", "Cs9Na7Br16", "Rb2O"], probability_made=[0.25, 0.5, np.nan, 1.0]
    )
    shown = shown_rows(evaluate(frame, Reference(), baselines=False).ranked)
    assert shown["CsPbSe"]["probability_made"] == 0.25 and shown["Cs9Na7Br16"]["probability_made"] is None
    assert shown["CsPbSe"]["hazards"] == "☠ toxic" and shown["Rb2O"]["hazards"] is None
    assert shown["CsPbSe"]["toxic"] is True and shown["Rb2O"]["toxic"] is False
    without = shown_rows(evaluate(predicted(), Reference(), baselines=False).ranked)
    assert without and not any("probability_made" in row for row in without.values())


def shown_rows(order: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Values of the page's ranking, by formula and column."""
    table = ranking_table(order, {}, {})
    rows = [{column.name: column.values[i] for column in table.columns} for i in range(table.n)]
    return {str(row["formula"]): row for row in rows}
