from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OptionError, OutputError, StructureError
from matgen.io.files import read_json
from matgen.structures import make
from matgen.structures.energies import formation_energies, hull_energies, mp2020_phases
from matgen.structures.folder import read_structures
from matgen.structures.judge import judge_structures
from matgen.structures.make import make_structures
from matgen.structures.phase_energies import PhaseEnergies
from matgen.structures.plan import StructurePlan
from matgen.structures.potentials.interface import Potential
from matgen.structures.propose import ProposalSettings
from matgen.structures.relax import RelaxSettings
from matgen.structures.templates import bundled_templates
from tests.frames import listed
from tests.progress import Recorder, StopAfter
from tests.structures.conftest import salt, to_atoms
from tests.structures.test_databases import NOWHERE, materials_project, optimade  # noqa: F401 (fixtures)

FORMULAS = ["NaCl", "SrTiO3", "MgO"]
SMALL = ProposalSettings(per_formula=2, max_atoms=10)
BARE = StructurePlan(SMALL, potential=None)
QUICK = StructurePlan(SMALL, RelaxSettings(max_force=0.2, max_steps=60))
OWN = ["structures.extxyz", "structures.json", "structures.parquet", "candidates.parquet", "cif"]


def table(formulas: list[str | None] = FORMULAS, **more: list) -> pd.DataFrame:
    return pd.DataFrame({"formula": formulas} | more)


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of three formulas, relaxed by CHGNet."""
    out = tmp_path_factory.mktemp("relaxed") / "out"
    make_structures(table(), "formula", out, QUICK)
    return out


def same_run(one: Path, other: Path) -> None:
    for name in ("structures.parquet", "candidates.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(one / name), pd.read_parquet(other / name))
    assert (one / "structures.extxyz").read_text() == (other / "structures.extxyz").read_text()
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in other.iterdir())
    assert read_json(one / "structures.json") == read_json(other / "structures.json")


def test_without_relaxation(tmp_path: Path) -> None:
    earlier = {"energy_above_hull_7net_l3i5": [0.1, 0.2, 0.3]}  # of other structures
    rows = table(reason=["a", "b", "c"], score=[1.0, 2.0, 3.0], **earlier)
    made = make_structures(rows, "formula", tmp_path / "out", BARE)
    frame, structures = read_structures(tmp_path / "out")
    pd.testing.assert_frame_equal(made.frame, frame)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(OWN)
    assert frame["structure_id"].tolist() == [f"000{i + 1}-{f}-{n}" for i, f in enumerate(FORMULAS) for n in (1, 2)]
    assert set(structures) == set(frame["structure_id"])
    assert not [name for name in frame if "energy" in name]
    for row in frame.itertuples():
        structure = structures[row.structure_id]
        assert structure.composition.reduced_formula == row.formula
        assert len(structure) == row.n_atoms
        assert structure.volume / len(structure) == pytest.approx(row.volume_per_atom, abs=1e-3)
    assert frame["space_group"].tolist()[0] == 225
    candidates = pd.read_parquet(tmp_path / "out" / "candidates.parquet")
    assert candidates["formula"].tolist() == FORMULAS
    assert candidates["reason"].tolist() == ["a", "b", "c"]  # the user's own column
    assert candidates["score"].tolist() == [1.0, 2.0, 3.0]
    assert not set(earlier) & set(candidates)
    assert candidates["structure_reason"].tolist() == ["", "", ""]
    assert candidates["structure_id"].tolist() == [f"000{i + 1}-{f}-1" for i, f in enumerate(FORMULAS)]
    plan = read_json(tmp_path / "out" / "structures.json")
    assert plan["potential"] is None
    assert (plan["structures"], plan["compositions_with_structure"], plan["failures"]) == (6, 3, {})


def test_with_relaxation(relaxed: Path, chgnet: Potential) -> None:
    frame, structures = read_structures(relaxed)
    assert (frame["relaxed"] ^ frame["stopped_early"]).all()
    assert frame.drop_duplicates("rank")["relaxed"].all()
    assert (frame["max_force"][frame["relaxed"]] < 0.2).all()
    rank = frame["rank"].to_numpy()
    assert (np.diff(rank) >= 0).all()
    energy = frame["energy_per_atom_chgnet"].to_numpy()
    assert (np.diff(energy)[np.diff(rank) == 0] >= 0).all()  # lowest first
    found = chgnet.evaluate([to_atoms(structures[id]) for id in frame["structure_id"]])
    assert energy == pytest.approx([e.energy / len(e.forces) for e in found], abs=1e-3)
    batch = CompositionBatch.from_formulas(frame["formula"])
    formation = formation_energies(batch, energy)
    assert frame["formation_energy_chgnet"].to_numpy() == pytest.approx(formation)
    hull = hull_energies(batch)
    assert frame["energy_above_hull_chgnet"].to_numpy() == pytest.approx(formation - hull)
    candidates = pd.read_parquet(relaxed / "candidates.parquet")
    lowest = frame.drop_duplicates("rank")
    assert candidates["structure_id"].tolist() == lowest["structure_id"].tolist()
    assert candidates["energy_above_hull_chgnet"].tolist() == lowest["energy_above_hull_chgnet"].tolist()
    # rock salts and a perovskite are what these compounds are
    assert candidates["space_group"].tolist() == [225, 221, 225]
    phases = mp2020_phases()
    labels = dict(zip(phases.batch.formulas().tolist(), phases.energy.tolist(), strict=True))
    expected = [labels[formula] for formula in candidates["formula"]]
    assert candidates["formation_energy_chgnet"].tolist() == pytest.approx(expected, abs=0.06)
    assert all("magmom" in structures[id].site_properties for id in structures)


def test_all_are_relaxed_to_the_end_where_asked(tmp_path: Path, relaxed: Path) -> None:
    plan = replace(QUICK, relax_all=True)
    every = make_structures(table(["MgO"]), "formula", tmp_path / "out", plan).frame
    assert every["relaxed"].all()
    assert not every["stopped_early"].any()
    lowest = pd.read_parquet(relaxed / "candidates.parquet").set_index("formula")["energy_per_atom_chgnet"]
    assert every["energy_per_atom_chgnet"].min() == pytest.approx(lowest["MgO"], abs=1e-4)
    with pytest.raises(DataError, match="was begun with other relax_all"):
        make_structures(table(["MgO"]), "formula", tmp_path / "out", QUICK, resume=True)


def test_above_phases_relaxed_by_the_same_potential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chgnet: Potential
) -> None:
    """NaCl's own phase is relaxed from its bundled structure; YP has none and keeps its label."""
    monkeypatch.setenv("MATGEN_CACHE", str(tmp_path / "cache"))
    plan = StructurePlan(ProposalSettings(per_formula=1, max_atoms=4), relaxed_hull=True)
    made = make_structures(table(["NaCl", "YP", "XeF2"]), "formula", tmp_path / "out", plan).candidates
    assert made["energy_above_relaxed_hull_chgnet"].tolist()[:2] == pytest.approx(
        [0.0, made["energy_above_hull_chgnet"][1]], abs=5e-3
    )
    assert made["energy_above_hull_chgnet"][0] > 0.02  # CHGNet's own error
    assert made["decomposition_chgnet"].tolist()[:2] == ["1.00 NaCl", "1.00 YP"]
    assert made["hull_phases_chgnet"].tolist()[:2] == [1, 1]
    assert made["hull_phases_relaxed_chgnet"].tolist()[:2] == [1, 0]
    assert np.isnan(made["energy_above_relaxed_hull_chgnet"][2]) and pd.isna(made["hull_phases_chgnet"][2])
    assert "no compound of Xe" in made["energy_reason"][2]
    again = make_structures(table(["NaCl", "YP", "XeF2"]), "formula", tmp_path / "out", plan, resume=True)
    pd.testing.assert_frame_equal(again.candidates, made)
    (energy,) = PhaseEnergies("chgnet", bundled_templates()).of(["NaCl"])
    assert energy.energy == pytest.approx(made["energy_per_atom_chgnet"][0], abs=5e-3)
    with pytest.raises(OptionError, match="needs a potential"):
        StructurePlan(potential=None, relaxed_hull=True)


@pytest.mark.slow
def test_phonons_of_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, out = tmp_path / "some.csv", tmp_path / "out"
    table(["SrTiO3", "MgO", "NaCl"]).to_csv(given, index=False)
    quick = ["--per-formula", "1", "--max-atoms", "10", "--workers", "1", "--finish", "none", "--quiet"]
    assert main(["structure", str(given), *quick, "--phonons", "2", "--out", str(out)]) == 0
    assert main(["structure", str(given), *quick[:-1], "--phonons", "2", "--out", str(out), "--resume"]) == 0
    assert " of 2 with phonons" in capsys.readouterr().err
    frame, structures = read_structures(out)
    with_verdict = frame[frame["dynamically_stable"].notna()]
    assert set(with_verdict["formula"]) == {"SrTiO3", "MgO"}  # not NaCl, the third
    (oxide,) = with_verdict[with_verdict["formula"] == "MgO"].to_dict("records")
    assert oxide["dynamically_stable"]
    assert oxide["lowest_frequency_chgnet"] > 1
    assert (oxide["phonon_reason"], oxide["space_group"]) == ("", 225)
    followed, cubic = with_verdict[with_verdict["formula"] == "SrTiO3"].to_dict("records")  # lowest first
    assert (cubic["space_group"], cubic["dynamically_stable"]) == (221, False)
    assert cubic["lowest_frequency_at"] == "1/2 1/2 1/2"
    assert (followed["origin"], followed["template"]) == ("followed", cubic["structure_id"])
    assert followed["energy_per_atom_chgnet"] < cubic["energy_per_atom_chgnet"]
    assert followed["energy_above_hull_chgnet"] < cubic["energy_above_hull_chgnet"]
    assert len(structures[followed["structure_id"]]) == followed["n_atoms"] == 10
    candidates = pd.read_parquet(out / "candidates.parquet")
    assert candidates["structure_id"][0] == followed["structure_id"]
    assert candidates["lowest_frequency_chgnet"].notna().tolist() == [True, True, False]
    assert (out / "cif" / f"{followed['structure_id']}.cif").exists()
    assert judge_structures(out, np.ones(3, bool)).frame["origin"].tolist()[0] == "followed"


def test_duplicates_are_marked(tmp_path: Path) -> None:
    many = StructurePlan(ProposalSettings(per_formula=4, max_atoms=8))
    make_structures(table(["NaCl"]), "formula", tmp_path / "out", many)
    frame, structures = read_structures(tmp_path / "out")
    matcher = StructureMatcher()
    own = frame[frame["duplicate_of"].isna()]
    assert 0 < len(own) < len(frame) == 4
    for row in frame.dropna(subset="duplicate_of").itertuples():
        assert row.duplicate_of in set(own["structure_id"])
        assert matcher.fit(structures[row.structure_id], structures[row.duplicate_of])
    kept = [structures[id] for id in own["structure_id"]]
    assert not any(matcher.fit(a, b) for i, a in enumerate(kept) for b in kept[:i])


def test_what_cannot_be_done_is_recorded(tmp_path: Path) -> None:
    formulas = ["Xx2O", "TiSrO3", None, "Na31Cl37O41", "NaCl"]
    made = make_structures(table(formulas), "formula", tmp_path / "out", BARE)
    candidates = pd.read_parquet(tmp_path / "out" / "candidates.parquet")
    assert candidates["structure_id"].notna().tolist() == [False, True, False, False, True]
    too_many = (
        "no template of its anonymous formula with at most 10 atoms, "
        "and its 109 atoms are more than the 10 a primitive cell may have"
    )
    assert candidates["structure_reason"].tolist() == [
        "the formula cannot be read: no element 'Xx'",
        "",
        "the formula cannot be read: missing",
        too_many,
        "",
    ]
    assert made.failures == dict.fromkeys(candidates["structure_reason"][[0, 2, 3]], 1)
    failed = made.frame[made.frame["reason"] != ""]
    assert failed["rank"].tolist() == [1, 3, 4]
    assert failed["structure_id"].isna().all()
    assert listed(failed["formula"]) == [None, None, "Na31Cl37O41"]
    assert listed(candidates["formula"]) == formulas
    assert made.frame["formula"].dropna().unique().tolist() == ["SrTiO3", "Na31Cl37O41", "NaCl"]


def test_relaxations_that_fail_are_recorded(tmp_path: Path) -> None:
    made = make_structures(table(["AmO", "MgO"]), "formula", tmp_path / "out", QUICK)
    assert made.frame.groupby("formula")["reason"].unique().map(list).to_dict() == {
        "AmO": ["the potential does not know Am"],
        "MgO": [""],
    }
    assert made.failures == {"the potential does not know Am": 2}
    failed = made.frame[made.frame["formula"] == "AmO"]
    assert failed["structure_id"].tolist() == ["0001-AmO-1", "0001-AmO-2"]
    assert failed["energy_per_atom_chgnet"].isna().all()
    assert listed(made.candidates["structure_id"])[0] is None
    assert made.candidates["structure_reason"].tolist() == ["the potential does not know Am", ""]
    assert not list((tmp_path / "out" / "cif").glob("*Am*"))


def test_nothing_at_all_could_be_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 2 formulas can be read"):
        make_structures(table(["Xx2O", "?"]), "formula", tmp_path / "out", BARE)
    assert not (tmp_path / "out").exists()
    with pytest.raises(StructureError, match="no structure could be made of 1 compositions; the first: no template"):
        make_structures(table(["Na31Cl37O41"]), "formula", tmp_path / "out", BARE)


def test_a_run_that_was_interrupted_goes_on_to_the_same_end(tmp_path: Path, relaxed: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_structures(table(), "formula", out, QUICK, progress=StopAfter(2))
    assert len(list((out / "parts").glob("0*.json"))) == 2
    assert not (out / "structures.parquet").exists()
    rest = Recorder()
    make_structures(table(), "formula", out, QUICK, resume=True, progress=rest)
    assert rest.begun == [(3, "structure", "compositions", 2)]
    same_run(out, relaxed)


def test_what_is_finished_is_not_done_again(tmp_path: Path, relaxed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    shutil.copytree(relaxed, out)
    monkeypatch.setattr(make, "run_tasks", None)
    made = make_structures(table(), "formula", out, QUICK, resume=True)
    pd.testing.assert_frame_equal(made.frame, pd.read_parquet(relaxed / "structures.parquet"))
    pd.testing.assert_frame_equal(made.candidates, pd.read_parquet(relaxed / "candidates.parquet"))
    same_run(out, relaxed)
    (out / "candidates.parquet").write_text("damaged")
    with pytest.raises(DataError, match="candidates.parquet is damaged"):
        make_structures(table(), "formula", out, QUICK, resume=True)


@pytest.mark.slow
def test_killed_in_the_middle(tmp_path: Path, relaxed: Path) -> None:
    out, csv = tmp_path / "out", tmp_path / "candidates.csv"
    table().to_csv(csv, index=False)
    command = [
        sys.executable, "-m", "matgen", "structure", str(csv), "--per-formula", "2", "--max-atoms", "10",
        "--max-force", "0.2", "--max-steps", "60", "--finish", "none", "--workers", "1", "--out", str(out), "--quiet",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    while process.poll() is None and not list(out.glob("parts/0*.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert main([*command[3:], "--resume"]) == 0
    same_run(out, relaxed)


def test_resumed_otherwise(tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = tmp_path / "templates"
    folder.mkdir()
    salt().to(str(folder / "salt.cif"))
    plan = StructurePlan(SMALL, potential=None, templates=folder)
    with pytest.raises(KeyboardInterrupt):
        make_structures(table(), "formula", out, plan, progress=StopAfter(1))
    for formulas, other, name in [
        (["NaCl", "MgO"], plan, "formulas"),
        (FORMULAS, StructurePlan(SMALL, potential=None), "templates, templates_digest"),
        (FORMULAS, StructurePlan(ProposalSettings(seed=1), potential=None, templates=folder), "proposals"),
        (FORMULAS, StructurePlan(SMALL, templates=folder), "potential"),
        (FORMULAS, StructurePlan(SMALL, RelaxSettings(0.1), None, folder), "relaxation"),
    ]:
        with pytest.raises(DataError, match=f"was begun with other {name}: repeat them"):
            make_structures(table(formulas), "formula", out, other, resume=True)
    salt(4.5, ("Cs", "Br")).to(str(folder / "salt.cif"))
    with pytest.raises(DataError, match="was begun with other templates_digest"):
        make_structures(table(), "formula", out, plan, resume=True)
    salt().to(str(folder / "salt.cif"))
    make_structures(table(), "formula", out, plan, resume=True)


def test_results_are_only_replaced_by_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_structures(table(), "formula", out, BARE)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        make_structures(table(["KBr"]), "formula", out, BARE)
    before = (out / "structures.parquet").read_bytes()
    broken = StructurePlan(SMALL, potential=None, templates=tmp_path / "nowhere")
    with pytest.raises(DataError, match="is not a folder of structures"):
        make_structures(table(["KBr"]), "formula", out, broken, force=True)
    assert (out / "structures.parquet").read_bytes() == before  # nothing was touched before all is at hand
    make_structures(table(["KBr"]), "formula", out, BARE, force=True)
    frame, structures = read_structures(out)
    assert set(frame["formula"]) == {"KBr"}
    assert {path.stem for path in (out / "cif").iterdir()} == set(structures)
    assert (out / "notes.txt").read_text() == "mine"


def test_a_user_s_templates(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    Structure(Lattice.cubic(3.5), ["Cs", "Cl"], [[0, 0, 0], [0.5] * 3]).to(str(folder / "caesium.cif"))
    (folder / "bad.cif").write_text("nonsense")
    said: list[str] = []
    alone = StructurePlan(ProposalSettings(symmetric=0), RelaxSettings(), None, folder, True)
    made = make_structures(table(), "formula", tmp_path / "out", alone, tell=said.append)
    assert made.frame["template"].dropna().unique().tolist() == ["caesium.cif"]
    assert made.candidates["structure_id"].notna().tolist() == [True, False, True]
    assert len(said) == 1
    assert said[0].startswith("no template: bad.cif: ")
    beside = make_structures(
        table(), "formula", tmp_path / "beside", StructurePlan(SMALL, potential=None, templates=folder)
    )
    assert beside.candidates["structure_id"].notna().all()
    left_out = StructurePlan(SMALL, potential=None, leave_out=("NaCl",))
    found = make_structures(table(["NaCl"]), "formula", tmp_path / "left", left_out).frame["template"]
    assert not set(found) & {t.id for t in bundled_templates().templates if t.formula == "NaCl"}


def test_templates_are_fetched_once(tmp_path: Path, materials_project, optimade: str) -> None:  # noqa: F811
    sources = ("materials-project", optimade)
    plan = StructurePlan(
        ProposalSettings(max_atoms=10, symmetric=0), RelaxSettings(), None, None, True, templates_from=sources
    )
    said: list[str] = []
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_structures(table(), "formula", out, plan, progress=StopAfter(1), tell=said.append)
    assert said == ["3 templates of materials-project", f"2 templates of {optimade}"]
    assert sorted(path.name for path in (out / "parts" / "fetched_templates").iterdir()) == [
        "Materials-Project-mp-1.cif", "Materials-Project-mp-2.cif", "Materials-Project-mp-4.cif",
        "OPTIMADE-1.cif", "OPTIMADE-5.cif",
    ]  # fmt: skip
    assert materials_project.asked["formula"] == ["AB", "ABC3"]
    materials_project.asked.clear()
    made = make_structures(table(), "formula", out, plan, resume=True)
    assert materials_project.asked == {}
    assert made.candidates["structure_id"].notna().all()
    assert {name.split("-")[0] for name in made.frame["template"]} <= {"Materials", "OPTIMADE"}
    assert read_json(out / "structures.json")["templates_from"] == list(sources)
    with pytest.raises(DataError, match="was begun with other only_own_templates, templates_from"):
        make_structures(table(), "formula", out, StructurePlan(plan.proposals, potential=None), resume=True)
    nothing = StructurePlan(plan.proposals, RelaxSettings(), None, None, True, templates_from=(optimade,))
    with pytest.raises(DataError, match=f"{optimade} has no template for these compositions"):
        make_structures(table(["Na2O"]), "formula", tmp_path / "none", nothing)
    assert not (tmp_path / "none").exists()
    beside = StructurePlan(plan.proposals, potential=None, templates_from=(optimade,))
    make_structures(table(["Na2O"]), "formula", tmp_path / "none", beside)
    assert not (tmp_path / "none" / "fetched_templates").exists()


@pytest.mark.slow
def test_two_workers_make_what_one_makes(tmp_path: Path, relaxed: Path) -> None:
    plan = StructurePlan(SMALL, QUICK.relaxation, workers=2)
    make_structures(table(), "formula", tmp_path / "out", plan)
    same_run(tmp_path / "out", relaxed)


def test_options() -> None:
    with pytest.raises(OptionError, match="workers is 0"):
        StructurePlan(workers=0)
    with pytest.raises(OptionError, match="only_own_templates needs a folder"):
        StructurePlan(only_own_templates=True)
    with pytest.raises(OptionError, match="phonons is -1, it must be 0"):
        StructurePlan(phonons=-1)
    with pytest.raises(OptionError, match="phonons need a potential"):
        StructurePlan(potential=None, phonons=1)
    assert StructurePlan().content()["phonons"] is None  # so that folders of earlier versions go on
    assert StructurePlan().content()["relax_all"] is None
    assert StructurePlan(phonons=3).content()["phonons"] == 3
    with pytest.raises(OptionError, match="unknown potential 'vasp'"):
        StructurePlan(potential="vasp")
    with pytest.raises(OptionError, match="unknown source of templates 'icsd'"):
        StructurePlan(templates_from=("icsd",))


@pytest.fixture
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    table(["NaCl", "Xx2O", "SrTiO3"], reason=["likely", "", "new"]).to_csv("ranked.csv", index=False)
    yield tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a bad request gets."""
    capsys.readouterr()
    try:
        status = main(["structure", *map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("matgen structure:")]
    assert status == 2, captured.err
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def test_as_typed(in_own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["structure", "ranked.csv", "--no-relax", "--per-formula", "2", "--max-atoms", "10", "--workers", "1"]
    assert main([*quick, "--top", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "structures of the first 2 of ranked.csv, not relaxed, into structures/",
        "structures of 2 compositions of ranked.csv, not relaxed",
        "2 structures of 1 of 2 compositions; 1 failed (column reason), most often (1): "
        "the formula cannot be read: no element 'Xx'",
    ]
    assert main([*quick, "--top", "0", "--quiet"]) == 0  # said twice: the next numbered folder
    assert capsys.readouterr().err == ""
    candidates = pd.read_parquet("structures-2/candidates.parquet")
    assert candidates["reason"].fillna("").tolist() == ["likely", "", "new"]
    assert candidates["structure_id"].notna().tolist() == [True, False, True]
    assert main([*quick, "--top", "2", "--resume"]) == 0  # of structures/, which is finished
    assert "exists" in refused(capsys, *quick[1:], "--out", "structures")
    assert main([*quick, "--out", "structures", "--force", "--quiet"]) == 0
    assert len(pd.read_parquet("structures/candidates.parquet")) == 3
    # its own table of candidates goes in again, and earlier columns are replaced
    again = ["structure", "structures/candidates.parquet", *quick[2:], "--out", "again", "--quiet"]
    assert main(again) == 0
    first, second = (pd.read_parquet(f"{name}/candidates.parquet") for name in ("structures", "again"))
    pd.testing.assert_frame_equal(first, second)
    assert main([*quick, "--no-templates", "--out", "random", "--quiet"]) == 0
    assert set(pd.read_parquet("random/structures.parquet")["origin"].dropna()) == {"symmetric"}


def test_relaxed_as_typed(in_own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--top", "1", "--per-formula", "1", "--max-atoms", "4", "--workers", "1"]
    assert main(["structure", "ranked.csv", *quick]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "structures of the first 1 of ranked.csv, relaxed by chgnet, into structures/"
    assert said[1].endswith("relaxed by chgnet, the lowest 2 further by 7net-l3i5")
    assert said[-1] == (
        "1 structures of 1 of 1 compositions; at most 0.1 eV/atom above the hull: 1 by chgnet, 1 by 7net-l3i5, "
        "1 by both"
    )


def test_bad_requests(in_own_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty.csv").write_text("formula\n")
    Path("bad.csv").write_text("formula\nXx2O\nnonsense\n")
    bare = ["ranked.csv", "--no-relax"]
    monkeypatch.delenv("MP_API_KEY", raising=False)
    for arguments, message in [
        (["empty.csv"], "no rows"),
        (["nowhere.csv"], "no such file"),
        (["bad.csv"], "none of the 2 formulas can be read"),
        (["ranked.csv", "--top", "-1"], "--top is -1"),
        ([*bare, "--column", "name"], "name"),
        ([*bare, "--per-formula", "0"], "--per-formula is 0"),
        ([*bare, "--workers", "-1"], "--workers is -1"),
        ([*bare, "--only-own-templates"], "needs a folder of templates"),
        ([*bare, "--templates", "nowhere"], "no such file: nowhere"),
        ([*bare, "--templates-from", "icsd"], "unknown source of templates 'icsd'"),
        ([*bare, "--templates-from", "materials-project"], "set MP_API_KEY"),
        ([*bare, "--templates-from", NOWHERE], "did not answer"),
        (["ranked.csv", "--potential", "vasp"], "unknown potential 'vasp'"),
        (["ranked.csv", "--max-force", "0"], "--max-force is 0"),
        (["ranked.csv", "--phonons", "-1"], "--phonons is -1"),
        ([*bare, "--phonons", "1"], "--phonons needs relaxed structures: drop --no-relax"),
    ]:
        assert message in refused(capsys, *arguments)
    assert sorted(path.name for path in in_own_folder.iterdir()) == ["bad.csv", "empty.csv", "ranked.csv"]


def test_offline_nothing_is_damaged(in_own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["ranked.csv", "--no-relax", "--per-formula", "1", "--max-atoms", "10", "--workers", "1", "--out", "out"]
    assert main(["structure", *quick, "--quiet"]) == 0
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert "did not answer" in refused(capsys, *quick, "--force", "--templates-from", NOWHERE)
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--workers", "0"), "--workers is 0"), (("--no-templates", "--symmetric", "0"), "leave nothing to propose")],
)
def test_options_that_make_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "c.csv").write_text("formula\nNaCl\n")
    assert main(["structure", str(tmp_path / "c.csv"), "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_structures_of_other_programs_in_chosen_space_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "generated"
    folder.mkdir()
    salt(6.0).to(str(folder / "one.cif"))
    (folder / "broken.cif").write_text("data_\nno crystal\n")
    table(["NaCl", "NaCaMgFeSi4O12"]).to_csv(tmp_path / "in.csv", index=False)
    words = ["structure", str(tmp_path / "in.csv"), "--no-relax", "--workers", "1", "--per-formula", "1", "--proposals",
             str(folder), "--space-group", "221", "--space-group", "1..2", "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(words) == 0
    told = capsys.readouterr().err
    assert told.count("not proposed: broken.cif: ") == 1
    frame = pd.read_parquet(tmp_path / "out" / "structures.parquet")
    salts = frame[frame["formula"] == "NaCl"]
    assert salts["origin"].tolist() == ["proposed", "template"]
    assert salts["template"].iloc[0] == "one.cif"
    assert salts["space_group"].tolist() == [225, 221]
    assert main([*words, "--resume"]) == 0  # finished
    salt(5.0).to(str(folder / "one.cif"))
    assert main([*words, "--resume"]) == 2
    assert "was begun with other proposals_digest" in capsys.readouterr().err
    assert main(["structure", str(tmp_path / "in.csv"), "--space-group", "Fm-3m"]) == 2
    assert "'Fm-3m' is no space group" in capsys.readouterr().err
