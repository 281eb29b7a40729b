from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from matgen.cli import main
from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OptionError
from matgen.io.files import read_checksummed, read_json, write_checksummed
from matgen.structures import finish as finishing
from matgen.structures.energies import formation_energies, hull_energies, mp2020_correction
from matgen.structures.finish import Finish, agreement, finished
from matgen.structures.folder import read_structures
from matgen.structures.judge import VERDICTS, judge_structures
from matgen.structures.make import make_structures
from matgen.structures.plan import StructurePlan
from matgen.structures.potentials.interface import Evaluation, Potential
from matgen.structures.potentials.registry import shared_potential
from matgen.structures.propose import ProposalSettings
from matgen.structures.relax import RelaxSettings, relax
from tests.progress import StopAfter
from tests.structures.conftest import salt, skewed, to_atoms

FORMULAS = ["MgO", "NaCl", "SrTiO3"]
LOOSE = RelaxSettings(max_force=0.2, max_steps=40)
PLAN = StructurePlan(ProposalSettings(per_formula=3, max_atoms=6), LOOSE, finish=Finish("7net-0", lowest=1, top=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three compositions, of the first two of which SevenNet-0 finished the lowest structure."""
    out = tmp_path_factory.mktemp("finished") / "out"
    make_structures(pd.DataFrame({"formula": FORMULAS}), "formula", out, PLAN)
    return out


def test_what_was_finished_comes_first_and_carries_both_energies(folder: Path, chgnet: Potential) -> None:
    frame, structures = read_structures(folder)
    is_finished = frame["energy_per_atom_7net_0"].notna()
    assert is_finished.groupby(frame["rank"]).sum().to_dict() == {1: 1, 2: 1, 3: 0}
    assert is_finished.groupby(frame["rank"]).first().to_dict() == {1: True, 2: True, 3: False}
    rows = frame[is_finished]
    crystals = [to_atoms(structures[id]) for id in rows["structure_id"]]
    energies = [found.energy / len(found.forces) for found in shared_potential("7net-0").evaluate(crystals)]
    assert rows["energy_per_atom_7net_0"].to_numpy() == pytest.approx(energies, abs=1e-4)
    # CHGNet's energy: where it left the structure or, if that is lower, where SevenNet did
    screened = [found.energy / len(found.forces) for found in chgnet.evaluate(crystals)]
    assert (rows["energy_per_atom_chgnet"].to_numpy() <= np.array(screened) + 1e-4).all()
    batch = CompositionBatch.from_formulas(rows["formula"])
    formation = formation_energies(batch, np.array(energies)) + mp2020_correction(batch)
    assert rows["formation_energy_7net_0"].to_numpy() == pytest.approx(formation, abs=1e-4)
    assert rows["energy_above_hull_7net_0"].to_numpy() == pytest.approx(formation - hull_energies(batch), abs=1e-4)
    spread = (rows["formation_energy_chgnet"] - rows["formation_energy_7net_0"]).abs()
    assert rows["potential_spread"].tolist() == spread.tolist() and (spread < 0.1).all()  # of known compounds
    assert rows["potentials_disagree"].tolist() == [False, False]
    assert frame.loc[~is_finished, ["potential_spread", "potentials_disagree"]].isna().all().all()
    assert rows["finish_reason"].tolist() == ["", ""] and rows["relaxed"].all() and (rows["max_force"] < 0.2).all()
    assert all("magmom" in structures[id].site_properties for id in structures)  # CHGNet's, of the same sites
    candidates = pd.read_parquet(folder / "candidates.parquet")
    assert candidates["structure_id"].tolist() == frame.drop_duplicates("rank")["structure_id"].tolist()
    assert candidates["potential_spread"].notna().tolist() == [True, True, False]
    plan = read_json(folder / "structures.json")
    assert plan["finish"] == {"potential": "7net-0", "lowest": 1, "top": 2} and plan["finish_version"] == "0.13.0"


def test_verdicts_by_each_potential_and_by_both(folder: Path) -> None:
    judged = judge_structures(folder, np.array([True, True, False]))
    frame, groups = judged.frame, judged.content["by_potential"]
    for verdict in VERDICTS:
        assert frame[f"{verdict}_chgnet"].tolist() == frame[verdict].tolist()
        assert frame[f"{verdict}_both"].isna().tolist() == [False, False, True]  # nobody asked SevenNet about the third
    assert frame["stable_7net_0"].tolist()[:2] == (frame["energy_above_hull_7net_0"][:2] <= 0).tolist()
    both = (frame["msun_chgnet"] & frame["msun_7net_0"]).tolist()[:2]
    assert frame["msun_both"].tolist()[:2] == both == [True, True]
    assert {name: group["n"] for name, group in groups.items()} == {"chgnet": 3, "7net-0": 2, "both": 2}
    assert groups["both"]["counts"]["msun"] == 2 and groups["chgnet"]["counts"] == {
        verdict: judged.content["counts"][verdict] for verdict in VERDICTS
    }
    assert judged.content["agreement"]["n"] == 2 and judged.content["agreement"]["disagree"] == 0
    assert judged.content["protocol"]["finish"]["version"] == "0.13.0"


def test_a_run_that_was_interrupted_goes_on_to_the_same_end(folder: Path, tmp_path: Path) -> None:
    table, out = pd.DataFrame({"formula": FORMULAS}), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_structures(table, "formula", out, PLAN, progress=StopAfter(1))
    for other in (None, Finish("7net-0", lowest=2, top=2)):
        with pytest.raises(DataError, match="was begun with other finish: repeat"):
            make_structures(table, "formula", out, dataclasses.replace(PLAN, finish=other), resume=True)
    make_structures(table, "formula", out, PLAN, resume=True)
    for name in ("structures.parquet", "candidates.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(out / name), pd.read_parquet(folder / name))


def test_only_distinct_crystals_are_finished(chgnet: Potential) -> None:
    screened = relax([salt(5.5), salt(5.9), skewed(), salt(0.1)], chgnet, LOOSE)
    found = finished(screened, Finish("7net-0", lowest=2), LOOSE, chgnet)
    lowest = min((0, 1), key=lambda place: screened[place].energy)
    assert set(found) == {lowest, 2}  # one of two equal crystals, and nothing that failed before
    result, energy = found[2]
    assert result.energy != pytest.approx(screened[2].energy, abs=0.05) and energy <= screened[2].energy
    assert set(finished(screened, Finish("7net-0", lowest=1), LOOSE, chgnet)) == {2}


def test_a_structure_that_the_second_potential_fails_on_stays_as_it_was(
    chgnet: Potential, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        name, version, corrected, elements = "7net-0", "1", False, frozenset({"Na", "Cl"})

        def evaluate(self, crystals: list) -> list[Evaluation]:
            raise ValueError("out of its depth")

    monkeypatch.setattr(finishing, "shared_potential", lambda name: Failing())
    screened = relax([salt()], chgnet, LOOSE)
    result, energy = finished(screened, Finish("7net-0"), LOOSE, chgnet)[0]
    assert result.reason == "the potential failed: out of its depth" and energy == screened[0].energy


def test_where_potentials_disagree() -> None:
    frame = pd.DataFrame(
        {"formation_energy_chgnet": [-1.0, -1.0, np.nan], "formation_energy_7net_l3i5": [-1.05, -0.8, 0.0]}
    )
    found = agreement(frame, "chgnet", "7net-l3i5")
    assert found["potential_spread"].tolist()[:2] == pytest.approx([0.05, 0.2])
    assert found["potentials_disagree"].tolist() == [False, True, pd.NA]


def test_bad_plans() -> None:
    for make, message in [
        (lambda: Finish("vasp"), "unknown potential 'vasp'"),
        (lambda: Finish(lowest=0), "lowest is 0"),
        (lambda: Finish(top=-1), "top is -1"),
        (lambda: StructurePlan(potential=None, finish=Finish()), "7net-l3i5 finishes what another potential relaxed"),
        (lambda: StructurePlan(potential="sevennet", finish=Finish("7net-0")), "7net-0 cannot finish its own"),
    ]:
        with pytest.raises(OptionError, match=message):
            make()
    assert StructurePlan(potential="sevennet").potential == "7net-0"


def test_folders_of_earlier_versions(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their plans say nothing of a second potential."""
    out = tmp_path / "old"
    plan = dataclasses.replace(PLAN, finish=None)
    pd.DataFrame({"formula": FORMULAS[:2]}).to_csv(tmp_path / "c.csv", index=False)
    command = ["structure", str(tmp_path / "c.csv"), "--per-formula", "3", "--max-atoms", "6", "--max-force", "0.2",
               "--max-steps", "40", "--workers", "1", "--out", str(out)]  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        make_structures(pd.DataFrame({"formula": FORMULAS[:2]}), "formula", out, plan, progress=StopAfter(1))
    begun = read_checksummed(out / "parts" / "structures.json")
    write_checksummed(out / "parts" / "structures.json", {k: v for k, v in begun.items() if k != "finish"})
    assert main([*command, "--resume"]) == 0
    assert "relaxed by chgnet, into" in capsys.readouterr().err
    assert not [name for name in pd.read_parquet(out / "structures.parquet") if "7net" in name or "potential" in name]
    assert "by_potential" not in judge_structures(out, np.array([True, True])).content


def test_as_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.txt").write_text("MgO\n")
    quick = ["structure", "c.txt", "--per-formula", "1", "--max-atoms", "4", "--workers", "1", "--max-force", "0.2"]
    assert main([*quick, "--finish", "7net-0", "--finish-top", "1", "--out", "both"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "structures of the first 20 of c.txt, relaxed by chgnet, into both/"
    assert said[1].endswith("relaxed by chgnet, the lowest 2 of the first 1 further by 7net-0")
    assert said[-1].endswith("above the hull: 1 by chgnet, 1 by 7net-0, 1 by both")
    monkeypatch.setattr(finishing, "find_spec", lambda name: None)
    assert main([*quick, "--out", "one"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[1].startswith("no second potential relaxes the lowest structures further: sevenn is missing")
    assert main([*quick, "--finish", "none", "--out", "none"]) == 0
    assert "second" not in capsys.readouterr().err
    pd.testing.assert_frame_equal(*(pd.read_parquet(f"{name}/structures.parquet") for name in ("one", "none")))
    assert main([*quick, "--finish", "vasp", "--out", "x"]) == 2
    assert "unknown potential 'vasp'" in capsys.readouterr().err and not Path("x").exists()
