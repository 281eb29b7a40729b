"""What the page asks of the stages, beside the stages themselves."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from matgen.app import CancellableProgress, Cancelled, Session
from matgen.app.session import energies_in_words
from matgen.composition.batch import CompositionBatch
from matgen.errors import MatgenError
from matgen.models.locate import find_checkpoint
from matgen.prediction.locate import ranking_predictor
from matgen.prediction.screening import Screen
from matgen.sampling import Constraints, SampleRequest, sample_to_file, tinker


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
    ranks = list(zip(~found["valid"], ~found["novel"].astype(bool), -found["probability_hull_0.1"], strict=True))
    assert ranks == sorted(ranks)
    assert found.loc[~found["valid"], "reason"].str.len().gt(5).all()


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
