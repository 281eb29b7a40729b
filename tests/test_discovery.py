from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.discovery import DiscoveryPlan, discover
from matgen.errors import DataError, MissingDependencyError, OptionError, OutputError
from matgen.io.files import read_json
from matgen.models.locate import find_checkpoint
from matgen.prediction import Predictor
from matgen.reinforcement import ReinforcementPlan
from matgen.sampling import Constraints
from matgen.structures.finish import Finish
from matgen.training import TrainingPlan, default_settings


@pytest.fixture(scope="module")
def found(small_table: Path, tmp_path_factory: pytest.TempPathFactory):
    settings = default_settings("tiny", epochs=6, batch_size=64, precision="fp32")
    plan = DiscoveryPlan(training=TrainingPlan("gptj", str(small_table), settings=settings), n=400)
    return discover(plan, tmp_path_factory.mktemp("discover") / "out")


def test_the_whole_way(found) -> None:
    names = {path.name for path in found.folder.iterdir()}
    written = {"model", "candidates.csv", "candidates.csv.json", "report", "ranked.csv", "discovery.json"}
    assert names == written | {"ranked.csv.json", "plan.json"}
    summary = read_json(found.folder / "discovery.json")
    assert summary["metrics"]["n"] == 400
    assert summary["metrics"] == read_json(found.folder / "report" / "report.json")
    assert summary["ranked"] == len(found.ranked)
    assert set(found.seconds) == {"train", "sample", "evaluate"}


def test_ranked_are_valid_novel_distinct_and_in_order(found) -> None:
    ranked = pd.read_csv(found.folder / "ranked.csv", keep_default_na=False)
    content = read_json(found.folder / "discovery.json")["metrics"]
    assert len(ranked) == round(content["valid_unique_novel"] * content["n"]) > 0
    assert ranked["formula"].is_unique
    assert ranked["log_prob"].is_monotonic_decreasing
    assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1))


def test_a_front_that_cannot_be_had_is_refused_before_any_work(tmp_path: Path) -> None:
    predictor = Path("any")
    with pytest.raises(OptionError, match="no column 'band_gap'; there are probability_hull_0.1"):
        discover(DiscoveryPlan(predictor=predictor, pareto="+band_gap"), tmp_path / "out")
    with pytest.raises(OptionError, match="--pareto goes with predictions"):
        discover(DiscoveryPlan(pareto="cost"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_taken_instead_of_training(found, tmp_path: Path) -> None:
    again = discover(DiscoveryPlan(checkpoint=found.folder / "model", n=400), tmp_path / "again")
    assert not (tmp_path / "again" / "model").exists()
    pd.testing.assert_frame_equal(again.ranked, found.ranked)


@pytest.mark.slow
def test_a_reward_reinforces_before_anything_is_drawn(tmp_path: Path) -> None:
    how = ReinforcementPlan("", "contains(O) * valid", steps=2, batch_size=64)
    checkpoint = find_checkpoint("hybrid-mix-gptj-tiny")
    found = discover(DiscoveryPlan(checkpoint=checkpoint, reinforcement=how, n=100), tmp_path / "out")
    summary = read_json(found.folder / "discovery.json")
    assert summary["reward"] == how.reward and summary["checkpoint"].endswith("reinforced")
    assert summary["training"]["steps"] == 2 and "reinforce" in found.seconds
    assert read_json(found.folder / "candidates.csv.json")["model"] == "reinforced"


@pytest.mark.slow
def test_a_predictor_ranks_by_stability_and_novelty(found, of_oqmd: Predictor, tmp_path: Path) -> None:
    plan = DiscoveryPlan(checkpoint=found.folder / "model", predictor=of_oqmd.folder, n=400)
    again = discover(plan, tmp_path / "again")
    ranked = pd.read_csv(tmp_path / "again" / "ranked.csv", keep_default_na=False, na_values=[""])
    assert set(ranked["formula"]) == set(found.ranked["formula"])
    assert {"score", "novelty", "energy_above_hull", "probability_hull_0.1", "nearest_known"} <= set(ranked)
    others = ranked[["probability_made", "oxidation_state_score", "novelty"]].prod(axis=1) ** (1 / 3)
    expected = (ranked["probability_hull_0.1"] * others).to_numpy()  # NaN where the hull lacks an element
    assert ranked["score"].to_numpy() == pytest.approx(expected, abs=1e-4, nan_ok=True)
    inside = ranked[ranked["in_domain"].astype(str) == "True"]
    assert inside["score"].is_monotonic_decreasing
    assert inside.index.tolist() == list(range(len(inside)))
    assert set(again.seconds) == {"sample", "predict", "evaluate"}
    assert (tmp_path / "again" / "predicted.parquet").exists()
    assert "Ranking: probably stable and new" in (tmp_path / "again" / "report" / "report.html").read_text()


@pytest.mark.slow
def test_it_ends_in_structures_and_inputs_for_dft(found, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = DiscoveryPlan(checkpoint=found.folder / "model", n=400, structures=2, dft_format="gpaw",
                         finish=Finish("7net-0", top=1))  # fmt: skip
    again = discover(plan, out)
    assert again.structures["formula"].tolist() == found.ranked["formula"].head(2).tolist()
    written = pd.read_csv(out / "ranked.csv", keep_default_na=False, na_values=[""])
    for order in (again.ranked, written):
        above = order.set_index("formula")["energy_above_hull_chgnet"]
        assert sorted(order["formula"]) == sorted(found.ranked["formula"]) and above.notna().sum() <= 2
        assert (above[above > 0.1].index == order["formula"].tail((above > 0.1).sum())).all()
    ids = again.structures["structure_id"].dropna().tolist()
    assert ids and {f"{id}.cif" for id in ids} <= {path.name for path in (out / "structures" / "cif").iterdir()}
    assert all((out / "dft" / id / "run.py").exists() for id in ids)
    summary = read_json(out / "discovery.json")
    assert summary["structures"] == len(ids) and summary["metrics"]["structures"]["n"] == 2
    assert "structure" in summary["seconds"]
    page = (out / "report" / "report.html").read_text()
    assert page.count('class="matgen-scene"') == len(ids)
    assert "By each potential, and by both" in page and "7net-0, of 1" in page
    assert read_json(out / "report" / "report.json") == summary["metrics"]


class Stop(Exception):
    """Raised where a run is cut off."""


def cut_off_at(stage: str, plan: DiscoveryPlan, out: Path) -> None:
    """Run until a stage is announced."""

    def say(line: str) -> None:
        if stage in line:
            raise Stop

    with pytest.raises(Stop):
        discover(plan, out, say=say)


@pytest.mark.parametrize("stage", ["training", "drawing", "judging"])
def test_a_run_that_was_cut_off_goes_on_where_it_was(found, small_table: Path, tmp_path: Path, stage: str) -> None:
    settings = default_settings("tiny", epochs=6, batch_size=64, precision="fp32")
    plan = DiscoveryPlan(training=TrainingPlan("gptj", str(small_table), settings=settings), n=400)
    cut_off_at(stage, plan, tmp_path / "out")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.safetensors")}
    said: list[str] = []
    again = discover(replace(plan, workers=2), tmp_path / "out", resume=True, say=said.append)
    pd.testing.assert_frame_equal(again.ranked, found.ranked)
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    complete = {"training": [], "drawing": ["1/3 model"], "judging": ["1/3 model", "2/3 candidates.csv"]}[stage]
    assert [line.removesuffix(": complete") for line in said if line.endswith("complete")] == complete


def test_a_run_goes_on_with_its_own_options_only(found, tmp_path: Path) -> None:
    plan = DiscoveryPlan(checkpoint=found.folder / "model", n=60, constraints=Constraints.from_options(exclude="F"))
    cut_off_at("judging", plan, tmp_path / "out")
    with pytest.raises(DataError, match=r"out was begun with other constraints, n: repeat them, or choose"):
        discover(replace(plan, n=80, constraints=None), tmp_path / "out", resume=True)
    with pytest.raises(OutputError, match="exists"):
        discover(plan, tmp_path / "out")
    assert len(discover(plan, tmp_path / "out", resume=True).ranked)
    assert len(discover(plan, tmp_path / "out", resume=True).ranked)  # of a run that has ended


def test_stages_of_a_replaced_run_are_not_taken_for_those_of_the_new_one(found, tmp_path: Path) -> None:
    plan = DiscoveryPlan(checkpoint=found.folder / "model", n=60)
    discover(plan, tmp_path / "out")

    def stop(line: str) -> None:
        if "drawing" in line:
            raise Stop

    with pytest.raises(Stop):
        discover(replace(plan, n=80), tmp_path / "out", force=True, say=stop)
    again = discover(replace(plan, n=80), tmp_path / "out", resume=True)
    assert len(pd.read_csv(tmp_path / "out" / "candidates.csv")) == again.report.content["n"] == 80


@pytest.mark.slow
def test_structures_go_on_and_settle_the_ranking(found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = DiscoveryPlan(checkpoint=found.folder / "model", n=400, structures=2)
    monkeypatch.setattr("matgen.discovery.settled", lambda *_: (_ for _ in ()).throw(Stop))
    with pytest.raises(Stop):
        discover(plan, tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setattr("matgen.structures.make._make_parts", lambda out, waiting, count: None)  # none is waiting
    again = discover(plan, tmp_path / "out", resume=True)
    assert again.structures is not None and again.structures["structure_id"].notna().any()
    assert "energy_above_hull_chgnet" in again.ranked


def test_structures_without_their_packages_are_refused_before_any_work(
    found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matgen.discovery.missing_for_structures", lambda: "chgnet")
    with pytest.raises(MissingDependencyError, match=r"chgnet: pip install 'matgen\[structures\]'"):
        discover(DiscoveryPlan(checkpoint=found.folder / "model", structures=1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_it_can_be_aimed(found, of_oqmd: Predictor, tmp_path: Path) -> None:
    constraints = Constraints.from_options(exclude="F", max_atoms="8")
    plan = DiscoveryPlan(checkpoint=found.folder / "model", predictor=of_oqmd.folder, n=60, constraints=constraints,
                         unique=True, novel_to=("hybrid-strict",), screen="formation_energy < 0.5")  # fmt: skip
    said: list[str] = []
    again = discover(plan, tmp_path / "out", say=said.append)
    drawn = pd.read_csv(tmp_path / "out" / "candidates.csv", keep_default_na=False)["formula"]
    batch = CompositionBatch.from_formulas(drawn)
    assert 0 < len(drawn) <= 60 and drawn.is_unique
    assert (batch.n_atoms <= 8).all() and not (batch.elements == 9).any()
    assert not KeySet(load_dataset("hybrid-strict").batch.keys()).contains(batch.keys()).any()
    predicted = pd.read_parquet(tmp_path / "out" / "predicted.parquet")
    assert (predicted["formation_energy"] < 0.5).all()
    settings = read_json(tmp_path / "out" / "candidates.csv.json")
    assert settings["unique"] and "formation_energy < 0.5" in settings["screen"] and settings["constraints"]
    assert again.report.content["n"] == len(drawn)
    assert len(drawn) == 60 or any("kept of" in line for line in said)


def test_aims_that_cannot_be_met_are_refused(found, tmp_path: Path) -> None:
    model, out = found.folder / "model", tmp_path / "x"
    with pytest.raises(OptionError, match="takes no conditions"):
        discover(DiscoveryPlan(conditions=("band_gap=2..3",)), out)
    with pytest.raises(OptionError, match="no predictor writes a column colour"):
        discover(DiscoveryPlan(checkpoint=model, n=10, screen="colour > 1"), out)
    assert not out.exists()
    with pytest.raises(DataError, match="none of 20 draws is kept"):
        discover(DiscoveryPlan(checkpoint=model, n=10, screen="formation_energy < -50", most_draws=20), out)


def test_bad_requests(found, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="n is 0"):
        discover(DiscoveryPlan(n=0), tmp_path / "x")
    with pytest.raises(OutputError, match="add --force"):
        discover(DiscoveryPlan(n=10), found.folder)
    assert not (tmp_path / "x").exists()
