"""What a new user would type first in Python works, or is answered by what is possible."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import matgen
from matgen.errors import CheckpointError, DataError, FormulaError, OptionError


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def drawn() -> matgen.Candidates:
    return matgen.sample(60, contains="Li-O", seed=1)


def test_01_check_a_formula() -> None:
    checked = matgen.check("Fe3O4")
    assert not checked
    assert "no: the nearest, 3Fe3+ 4O2-, has charge +1" in repr(checked)
    assert matgen.check("Fe3O4", mixed_valence=True)


def test_02_check_a_list_a_series_and_pymatgen() -> None:
    from ase import Atoms
    from pymatgen.core import Composition, Lattice, Structure

    salt = Structure(Lattice.cubic(3), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    for formulas in (
        ["NaCl", "NaCl2"],
        pd.Series(["NaCl", "NaCl2"], index=[7, 8]),
        pd.DataFrame({"formula": ["NaCl", "NaCl2"]}),
        [Composition("NaCl"), Composition("NaCl2")],
        [salt, Composition("NaCl2")],
        [Atoms("NaCl"), "NaCl2"],
        matgen.CompositionBatch.from_formulas(["NaCl", "NaCl2"]),
    ):
        checked = matgen.check(formulas)
        assert checked.valid.tolist() == [True, False]
        assert checked.to_frame()["oxidation_states"].tolist() == ["Na+ Cl-", None]
    assert matgen.check(salt)


def test_03_sample_to_a_frame(drawn: matgen.Candidates) -> None:
    frame = drawn.to_frame()
    assert list(frame.columns) == ["formula", "log_prob", "canonical"]
    assert len(frame) == len(drawn) == 60
    for composition in drawn.compositions():
        assert {"Li", "O"} <= {element.symbol for element in composition}


def test_04_sample_with_a_seed_is_the_command_line(drawn: matgen.Candidates) -> None:
    from matgen.cli import main

    assert main(["sample", "-n", "60", "--contains", "Li-O", "--seed", "1", "--quiet"]) == 0
    assert pd.read_csv("candidates.csv")["formula"].tolist() == drawn.formulas


def test_05_sample_with_lists_and_ranges() -> None:
    drawn = matgen.sample(20, contains=["Li", "O"], exclude=["toxic"], num_elements=(3, 4), count={"Li": (1, 2)})
    for composition in drawn.compositions():
        assert 3 <= len(composition) <= 4
        assert 1 <= composition["Li"] <= 2


def test_06_sample_into_a_file() -> None:
    drawn = matgen.sample(20, out="mine.csv")
    assert pd.read_csv("mine.csv")["formula"].tolist() == drawn.formulas
    with pytest.raises(matgen.MatgenError, match=r"mine\.csv"):
        matgen.sample(20, out="mine.csv")


def test_07_evaluate_a_list_and_a_sample(drawn: matgen.Candidates) -> None:
    report = matgen.evaluate(["NaCl", "LiFe2Cl9"], no_baselines=True)
    assert report.frame["novel"].tolist() == [False, True]
    assert "Charge neutral" in report._repr_html_()
    assert "against mp-pure" in repr(drawn.evaluate(reference="mp-pure", no_baselines=True))


def test_08_predict_a_property() -> None:
    predicted = matgen.predict(["MgO"], "band_gap").to_frame()
    assert predicted["band_gap_low"][0] < predicted["band_gap"][0] < predicted["band_gap_high"][0]


def test_09_predict_says_how_stable() -> None:
    assert "energy_above_hull" in matgen.predict("LiFePO4").to_frame()


def test_10_predictor_by_name() -> None:
    predictor = matgen.Predictor.load("band_gap-mp")
    assert "band_gap" in repr(predictor) and "eV" in predictor._repr_html_()
    by_name = matgen.predict(["MgO"], "band_gap-mp").to_frame()
    assert by_name["band_gap"][0] == pytest.approx(predictor.predict("MgO")["band_gap"][0])
    assert matgen.predict("MgO", model=predictor).to_frame().equals(by_name)
    assert matgen.Predictor.load("band_gap").name == "band_gap"


def test_11_tinker() -> None:
    ways = matgen.tinker("SrTiO3", mask="Sr", top=5)
    assert len(ways) == 5
    assert ways.to_frame()["probability"].is_monotonic_decreasing
    assert ways._repr_html_().count("<svg") == 1
    assert matgen.tinker("SrTiO3", mask=1, top=5).formulas == ways.formulas


def test_12_samplers() -> None:
    sampler = matgen.Sampler()
    assert "hybrid-stable-gptj-small" in repr(sampler) and "gptj" in sampler._repr_html_()
    assert matgen.Sampler("hybrid-stable-gptj-small").checkpoint.folder == sampler.checkpoint.folder
    by_name, by_object = (matgen.sample(20, model=model, seed=2) for model in ("hybrid-stable-gptj-small", sampler))
    assert by_name.formulas == by_object.formulas


def test_13_score() -> None:
    known, odd = matgen.score(["NaCl", "NaCl9"]).to_frame()["log_prob"]
    assert known > odd


def test_14_screen(drawn: matgen.Candidates) -> None:
    kept = drawn.screen("toxic = 0 and radioactive = 0", max_per_system=1)
    assert 0 < len(kept) <= len(drawn)
    assert not kept.to_frame()["toxic"].any()


def test_15_rank(drawn: matgen.Candidates) -> None:
    ranked = matgen.rank(drawn)
    assert ranked.to_frame()["rank"].tolist() == list(range(1, len(ranked) + 1))
    assert set(ranked) <= set(drawn.batch().formulas())


@pytest.mark.slow
def test_16_discover() -> None:
    discovery = matgen.discover(300, contains="Li-O", structures=0, out="found")
    assert len(discovery.ranked) and (Path("found") / "report" / "report.html").exists()
    assert discovery.report is not None
    assert matgen.predict(discovery, "band_gap").to_frame()["band_gap"].notna().all()


@pytest.mark.slow
def test_17_structures_as_pymatgen_and_ase() -> None:
    made = matgen.make_structures(["NaCl", "MgO"], per_formula=1, symmetric=0, finish="none", workers=1, max_steps=5)
    assert len(made) == 2 and made.folder == Path("structures")
    for name, structure in made.structures.items():
        assert sorted(made.atoms()[name].get_chemical_symbols()) == sorted(str(site.specie) for site in structure)
    assert made.candidates.to_frame()["structure_id"].notna().all()


def test_18_a_wrong_option_is_answered_by_the_nearest_and_all() -> None:
    with pytest.raises(OptionError, match="'containz', did you mean contains\\? options: .*exclude"):
        matgen.sample(10, containz="Li")
    with pytest.raises(OptionError, match="elements of matgen.sample is now num_elements"):
        matgen.sample(10, elements="3..5")
    with pytest.raises(OptionError, match="the command line has: matgen sample --resume"):
        matgen.sample(10, resume=True)
    with pytest.raises(OptionError, match="unknown value 'publishd', did you mean published"):
        matgen.evaluate(["NaCl"], protocol="publishd")
    with pytest.raises(OptionError, match="unknown dataset 'hybird', did you mean hybrid"):
        matgen.evaluate(["NaCl"], "hybird")


def test_19_a_wrong_name_is_answered_by_the_known_ones() -> None:
    with pytest.raises(OptionError, match="unknown property 'bandgap', did you mean band_gap\\? known: .*is_metal"):
        matgen.predict(["MgO"], "bandgap")
    with pytest.raises(CheckpointError, match="did you mean hybrid-pure-gptj-small\\? bundled: hybrid"):
        matgen.Sampler("hybrid-pure-gptj-smal")
    with pytest.raises(CheckpointError, match="no predictor band_gap-pm, did you mean band_gap-mp"):
        matgen.Predictor.load("band_gap-pm")


def test_20_what_cannot_be_is_refused_in_a_line() -> None:
    with pytest.raises(OptionError, match="n is 'ten', it must be a whole number"):
        matgen.sample("ten")  # type: ignore[arg-type]
    with pytest.raises(FormulaError, match="'Xx2' is neither a formula nor a file: no element 'Xx'"):
        matgen.check("Xx2")
    with pytest.raises(DataError, match="no such file: nothing.csv"):
        matgen.evaluate("nothing.csv")
    with pytest.raises(DataError, match="there are no formulas"):
        matgen.predict([], "band_gap")
