"""What the page asks of the stages, beside the stages themselves."""

from __future__ import annotations

import dataclasses
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pymatgen.core import Structure

from matgen.app import CancellableProgress, Cancelled, Session, shared
from matgen.app.session import energies_in_words
from matgen.composition.batch import CompositionBatch
from matgen.errors import MatgenError
from matgen.evaluation import evaluate
from matgen.models.locate import find_checkpoint
from matgen.prediction import Predictor
from matgen.prediction.locate import ranking_predictor
from matgen.prediction.screening import Screen
from matgen.prediction.writing import predict_file
from matgen.sampling import Constraints, SampleRequest, sample_to_file, tinker


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder of results."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATGEN_CACHE", str(folder))
        shared.shared_cache.cache_clear()
        yield folder / "app"
    shared.shared_cache.cache_clear()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(
        tmp_path_factory.mktemp("session"), find_checkpoint(None), ranking_predictor(None), dft_format="poscar"
    )


@pytest.mark.slow
def test_draws_are_those_of_the_stages_and_in_order(session, tmp_path):
    wanted = Constraints.from_options(contains="Li", exclude="F", num_elements="3..4")
    request = SampleRequest(40, seed=5, constraints=wanted)
    found = session.generate(request, CancellableProgress()).frame
    sample_to_file(session.sampler, request, tmp_path / "drawn.csv")
    assert set(found["formula"]) == set(pd.read_csv(tmp_path / "drawn.csv")["formula"])
    assert len(found) == len(set(found["reduced_formula"]))
    assert found["formula"].str.contains("Li").all()
    assert not found["formula"].str.contains("F(?!e|r|m)").any()
    assert found.loc[~found["valid"], "reason"].str.len().gt(5).all()


@pytest.mark.slow
def test_draws_are_ranked_as_discover_ranks_them(session, tmp_path):
    request = SampleRequest(40, seed=6)
    found = session.generate(request, CancellableProgress()).frame
    sample_to_file(session.sampler, request, tmp_path / "drawn.parquet")
    predict_file(Predictor.load(session.predictor), tmp_path / "drawn.parquet", tmp_path / "predicted.parquet")
    order = evaluate(tmp_path / "predicted.parquet", baselines=False).ranked
    first = found["valid"] & found["novel"]
    assert 0 < first.sum() < len(found)
    pd.testing.assert_frame_equal(
        found.loc[first, list(order)].reset_index(drop=True), order, check_dtype=False, check_names=False
    )
    assert first.tolist() == sorted(first, reverse=True)
    assert found.loc[~first, "rank"].isna().all()
    assert found["nearest_known"].notna().all()


@pytest.mark.slow
def test_details_are_those_of_a_draw_and_computed_once(session, monkeypatch):
    drawn = session.generate(SampleRequest(5, seed=2), CancellableProgress()).frame
    row = drawn.iloc[[0]]
    once = session.details(row["reduced_formula"].iloc[0], CancellableProgress())
    same = [name for name in once if name not in ("log_prob", "canonical")]
    assert {"valid", "oxidation_states", "energy_above_hull", "decomposition", "nearest_known", "cost"} <= set(same)
    pd.testing.assert_frame_equal(
        once[same], row[same].reset_index(drop=True), check_dtype=False, rtol=1e-4, check_names=False
    )
    monkeypatch.setattr("matgen.app.session.evaluate", None)
    shared.shared_cache.cache_clear()
    again = session.details(row["reduced_formula"].iloc[0], CancellableProgress())
    pd.testing.assert_frame_equal(again, once)


def test_models_are_loaded_once_by_all_who_ask_at_the_same_time(monkeypatch):
    loads: list[Path] = []

    def load(folder: Path) -> object:
        loads.append(folder)
        time.sleep(0.05)
        return object()

    once = shared.once(load)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(once, [Path("a")] * 8 + [Path("b")] * 8))
    assert sorted(loads) == [Path("a"), Path("b")]
    assert len(set(map(id, given))) == 2


def test_who_waits_for_a_turn_can_leave():
    turn, first, second = shared.Turn(), CancellableProgress(), CancellableProgress()
    with turn.taken(first):
        threading.Timer(0.1, second.cancel).start()
        with pytest.raises(Cancelled), turn.taken(second):
            pass
        assert "another page" in second.label
    with turn.taken(CancellableProgress()):
        pass


@pytest.mark.slow
def test_two_visitors_at_once_get_what_each_asked_for(session, tmp_path_factory):
    def draw(seed: int, screen: str) -> pd.DataFrame:
        own = dataclasses.replace(session, folder=tmp_path_factory.mktemp("visitor"))
        return own.generate(SampleRequest(6, seed=seed), CancellableProgress(), screen).frame

    asked = [(1, "band_gap > 2"), (2, ""), (3, "band_gap < 0.5")]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda one: draw(*one), asked))
    assert (together[0]["band_gap"] > 2).all()
    assert (together[2]["band_gap"] < 0.5).all()
    for one, frame in zip(asked, together, strict=True):
        assert frame["formula"].tolist() == draw(*one)["formula"].tolist()


@pytest.mark.slow
def test_conditions_on_properties_are_those_of_the_screen(session):
    text = "band_gap > 2 and probability_hull_0.1 >= 0.3"
    found = session.generate(SampleRequest(12, seed=1), CancellableProgress(), text).frame
    assert len(found)
    assert Screen(text)(CompositionBatch.from_formulas(list(found["formula"]))).all()
    assert (found["band_gap"] > 2).all()
    assert (found["probability_hull_0.1"] >= 0.3).all()
    assert "band_gap" not in session.generate(SampleRequest(5), CancellableProgress()).frame
    nothing = session.generate(SampleRequest(2, most_draws=4), CancellableProgress(), "band_gap > 50")
    assert nothing.frame.empty
    assert (nothing.draws, nothing.stopped) == (4, "budget")


def test_without_a_predictor_there_are_no_energies(tmp_path):
    session = Session(tmp_path, find_checkpoint(None))
    found = session.generate(SampleRequest(10), CancellableProgress()).frame
    assert "energy_above_hull" not in found
    assert "valid" in found


def test_a_cancelled_draw_ends_and_the_next_one_goes_on(session):
    progress = CancellableProgress()
    progress.cancel()
    with pytest.raises(Cancelled):
        session.generate(SampleRequest(10), progress)
    with pytest.raises(Cancelled):
        session.variants("SrTiO3", "Sr", progress)
    assert len(session.generate(SampleRequest(10), CancellableProgress()).frame)


def test_progress_is_a_share():
    progress = CancellableProgress().stage("Drawing")
    assert progress.share is None
    with progress(8, "sample", "formulas", done=2) as count:
        count.update(2)
        assert progress.share == 0.5
        progress.cancel()
        with pytest.raises(Cancelled):
            count.update()


def test_variants_are_those_of_tinker(session):
    own = session.variants("SrTiO3", "Sr", CancellableProgress())
    pd.testing.assert_frame_equal(own.frame, tinker(session.sampler, "SrTiO3", mask="Sr").frame)


def test_variants_are_kept(session, monkeypatch):
    once = session.variants("SrTiO3", "Ti", CancellableProgress())
    monkeypatch.setattr("matgen.app.session.tinker", None)
    shared.shared_cache.cache_clear()
    again = session.variants("TiSrO3", "Ti", CancellableProgress())
    pd.testing.assert_frame_equal(again.frame, once.frame)
    assert (again.positions, again.summary) == (once.positions, once.summary)


@pytest.mark.slow
def test_a_structure_is_relaxed_once(session, cache, monkeypatch):
    from matgen.structures import make

    relaxed: list[str] = []
    make_structures = make.make_structures

    def counted(table: pd.DataFrame, *rest: Any, **options: Any) -> Any:
        relaxed.extend(table["formula"])
        return make_structures(table, *rest, **options)

    monkeypatch.setattr(make, "make_structures", counted)
    assert session.kept_crystals(["NaCl"]) == {}
    structure, words = session.structure("NaCl", CancellableProgress())
    shared.shared_cache.cache_clear()  # as after a restart
    crystal = session.crystal("ClNa", CancellableProgress())
    assert relaxed == ["NaCl"]
    assert Structure.from_str(crystal.cif, fmt="cif").reduced_formula == "NaCl"
    assert session.kept_crystals(["NaCl", "KBr"]) == {"NaCl": crystal}
    assert all(f"{value:.3f} eV/atom by {name}" in words for name, value in crystal.energies.items())
    assert session.structure("NaCl", CancellableProgress())[0] == structure

    # of a basket what is missing is relaxed, and a cancelled rest loses nothing
    progress = CancellableProgress()

    def cancelled_after_one(table: pd.DataFrame, *rest: Any, **options: Any) -> Any:
        done = counted(table, *rest, **options)
        progress.cancel()
        return done

    monkeypatch.setattr(make, "make_structures", cancelled_after_one)
    with pytest.raises(Cancelled):
        session.as_inputs(["NaCl", "LiCl", "KCl"], "cif", progress)
    monkeypatch.setattr(make, "make_structures", counted)
    archive, made = session.as_inputs(["NaCl", "LiCl", "KCl"], "cif", CancellableProgress())
    assert (made, relaxed) == (3, ["NaCl", "LiCl", "KCl"])
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert sum(name.endswith(".cif") for name in names) == 3

    # what is damaged is made again
    (kept,) = cache.glob("structures/NaCl-*.json")
    kept.write_text(kept.read_text()[:-100])
    shared.shared_cache.cache_clear()
    assert session.structure("NaCl", CancellableProgress())[0].matches(structure)
    assert relaxed[3:] == ["NaCl"]


@pytest.mark.slow
def test_exports(session):
    table = pd.read_csv(io.BytesIO(session.as_csv(pd.DataFrame({"formula": ["NaCl"], "energy_above_hull": [0.25]}))))
    assert table.to_dict("records") == [{"formula": "NaCl", "energy_above_hull": 0.25}]
    for format, inner in (("cif", ".cif"), ("poscar", "POSCAR")):
        archive, made = session.as_inputs(["SrTiO3", "Og37Lr41Rn43"], format, CancellableProgress())
        assert made == 1
        packed = zipfile.ZipFile(io.BytesIO(archive))
        texts = [packed.read(name).decode() for name in packed.namelist() if Path(name).name.endswith(inner)]
        assert texts
        assert all("Sr" in text and "Ti" in text for text in texts)


def test_a_formula_that_is_none_is_refused(session):
    with pytest.raises(MatgenError):
        session.variants("Xx2", "Xx", CancellableProgress())


def test_what_potentials_say_of_a_structure():
    one = {"formula": "NaCl", "energy_above_hull_chgnet": 0.0312, "formation_energy_chgnet": -2.0}
    assert energies_in_words(one) == "above the hull: 0.031 eV/atom by chgnet"
    both = one | {"energy_above_hull_7net_l3i5": 0.2, "potentials_disagree": True}
    assert energies_in_words(both) == (
        "above the hull: 0.031 eV/atom by chgnet, 0.200 eV/atom by 7net-l3i5; the potentials disagree"
    )
    assert energies_in_words({"formula": "HeNe"}) == "no energy above the hull"
