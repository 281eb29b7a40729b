"""The table of results: arithmetic by invented energies, outputs of runs elsewhere, and a real set by GPAW."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

from matgen.dft.collect import collect
from matgen.dft.export import export
from matgen.dft.references import element_jobs
from matgen.dft.run import run_folder
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import DataError
from matgen.io.files import read_json, write_json

from .conftest import CRYSTALS
from .programs import NEEDS_GPAW, StandIn
from .test_run import background, wait_for
from .test_vasp_output import vasprun


def element(symbol: str, count: int) -> Job:
    structure = Structure(Lattice.cubic(4 * count), [symbol] * count, [[i / count, 0, 0] for i in range(count)])
    return Job(f"element-{symbol}", structure, "element", {"offset": 0.01})


MGCL2 = Structure(Lattice.cubic(5), ["Mg", "Cl", "Cl"], [[0, 0, 0], [0.3, 0.3, 0.3], [0.7, 0.7, 0.7]])
NA3CL = Structure(Lattice.cubic(6), ["Na", "Na", "Na", "Cl"], [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0.5]])
CARRIED = {"energy_per_atom_chgnet": -3.4, "formation_energy_chgnet": -2.1, "rank": 1}
JOBS = [
    Job("0001-NaCl-1", CRYSTALS["NaCl"], "candidate", CARRIED),
    Job("0002-MgCl2-1", MGCL2, "candidate"),
    element("Na", 3), element("Cl", 4), element("Mg", 2),
]  # fmt: skip


def done(folder: Path, job: Job, each: float, **changes: object) -> None:
    """As `matgen dft run` leaves it, with this energy of an atom."""
    n = len(job.structure)
    result = {"energy": each * n, "n_atoms": n, "max_force": 0.02, "volume": 20.0 * n, "magnetic_moment": 1.5,
              "converged": True, "structure": {"symbols": [site.specie.symbol for site in job.structure]}}  # fmt: skip
    write_json(folder / job.id / "status.json", {"state": "done", "result": result | changes, "seconds": 7.0})


@pytest.fixture
def dft(tmp_path: Path) -> Path:
    export(JOBS, tmp_path / "dft", "gpaw")
    for job, energy in zip(JOBS, (-3.5, -4.0, -1.3, -1.8, -1.5), strict=True):
        done(tmp_path / "dft", job, energy)
    return tmp_path / "dft"


def test_formation_energies(dft: Path) -> None:
    frame = collect(dft).set_index("structure_id")
    assert list(frame["state"]) == ["done"] * 5 and list(frame["reason"]) == [""] * 5
    assert frame["energy_per_atom_dft"].to_list() == pytest.approx([-3.5, -4.0, -1.3, -1.8, -1.5])
    expected = [-3.5 + (1.3 + 1.8) / 2, -4.0 + (1.5 + 2 * 1.8) / 3, 0, 0, 0]
    assert frame["formation_energy_dft"].to_list() == pytest.approx(expected)
    row = frame.loc["0001-NaCl-1"]
    assert (row["energy_per_atom_chgnet"], row["formation_energy_chgnet"]) == (-3.4, -2.1)
    assert (row["max_force_dft"], row["volume_per_atom_dft"], row["magnetic_moment_dft"]) == (0.02, 20, 1.5)
    assert frame.loc["element-Cl", "reference_offset"] == 0.01 and frame.loc["element-Cl", "formula"] == "Cl2"


def test_without_corrections_and_above_the_hull_of_what_was_calculated(tmp_path: Path) -> None:
    other = Job("competing-0001-MgCl2", MGCL2, "competing")
    richer = Job("0002-NaCl-1", CRYSTALS["NaCl"], "candidate", CARRIED)
    jobs = [richer, other, *JOBS[2:]]
    export(jobs, tmp_path / "dft", "gpaw", lacking_phases={})
    for job, energy in zip(jobs, (-1.5, -4.0, -1.3, -1.8, -1.5), strict=True):
        done(tmp_path / "dft", job, energy)
    frame = collect(tmp_path / "dft").set_index("structure_id")
    row = frame.loc["0002-NaCl-1"]
    chlorine = MaterialsProject2020Compatibility().comp_correction["Cl"] / 2  # half of the atoms
    assert row["formation_energy_chgnet_uncorrected"] == pytest.approx(-2.1 - chlorine, abs=1e-4)
    # Na and Cl only: nothing but the elements competes.
    assert row["energy_above_hull_dft"] == pytest.approx(row["formation_energy_dft"]) == pytest.approx(0.05)
    assert frame["energy_above_hull_dft"].notna().sum() == 1
    (tmp_path / "dft" / other.id / "status.json").unlink()
    frame = collect(tmp_path / "dft").set_index("structure_id")
    assert frame.loc["0002-NaCl-1", "energy_above_hull_dft"] == pytest.approx(0.05)  # MgCl2 competes with others only


def test_candidates_compete_with_each_other_and_so_they_do_for_a_potential(tmp_path: Path) -> None:
    """Distances of DFT and of a potential to the hull of the same phases, as pymatgen has them."""
    two = Job("0001-NaCl-1", CRYSTALS["NaCl"], "candidate", {"formation_energy_chgnet": -1.9})
    three = Job("0002-Na3Cl-1", NA3CL, "candidate", {"formation_energy_chgnet": -0.9})
    other = Job("competing-0001-MgCl2", MGCL2, "competing", {})  # without a potential's energy, of other elements
    jobs = [two, three, other, *JOBS[2:]]
    export(jobs, tmp_path / "dft", "gpaw", lacking_phases={})
    for job, energy in zip(jobs, (-3.5, -2.4, -4.0, -1.3, -1.8, -1.5), strict=True):
        done(tmp_path / "dft", job, energy)
    frame = collect(tmp_path / "dft").set_index("structure_id").loc[[two.id, three.id]]
    for formation, above in (
        ("formation_energy_dft", "energy_above_hull_dft"),
        ("formation_energy_chgnet_uncorrected", "energy_above_hull_chgnet_uncorrected"),
    ):
        entries = [PDEntry(row.formula, getattr(row, formation) * Composition(row.formula).num_atoms)
                   for row in frame.itertuples()]  # fmt: skip
        elements = [PDEntry(symbol, 0.0) for symbol in ("Na", "Cl")]
        for entry, (_, row) in zip(entries, frame.iterrows(), strict=True):
            others = PhaseDiagram([one for one in entries if one is not entry] + elements)
            hull = others.get_hull_energy_per_atom(entry.composition)
            assert row[above] == pytest.approx(entry.energy_per_atom - hull)
    assert frame.loc[three.id, "energy_above_hull_dft"] > frame.loc[three.id, "formation_energy_dft"]
    products = [set(text.split(" + ")) for text in frame["decomposition_dft"]]
    assert products == [{"0.67 Na3Cl", "0.33 Cl"}, {"0.50 NaCl", "0.50 Na"}]


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (None, ""),  # competing phases were not asked for
        ({}, ""),
        ({"CaO": "no template"}, ""),
        ({"Na3Cl": "no template"}, "no energy above the hull: Na3Cl competes and is lacking (no template)"),
        ({"NaCl": "no template"}, ""),  # itself
    ],
)
def test_no_distance_to_a_hull_that_lacks_a_phase(lacking: dict[str, str] | None, reason: str, tmp_path: Path) -> None:
    jobs = [Job("0002-NaCl-1", CRYSTALS["NaCl"], "candidate", CARRIED), *JOBS[2:]]
    export(jobs, tmp_path / "dft", "gpaw", lacking_phases=lacking)
    for job, energy in zip(jobs, (-3.5, -1.3, -1.8, -1.5), strict=True):
        done(tmp_path / "dft", job, energy)
    row = collect(tmp_path / "dft").set_index("structure_id").loc["0002-NaCl-1"]
    assert row["reason"] == reason
    # Elements are all that competes, and count.
    expected = row["formation_energy_dft"] if lacking is not None and not reason else float("nan")
    assert row["energy_above_hull_dft"] == pytest.approx(expected, nan_ok=True)
    assert read_json(tmp_path / "dft" / "manifest.json")["lacking_phases"] == lacking


def test_a_competing_phase_that_failed_lacks_for_its_candidates_only(tmp_path: Path) -> None:
    jobs = [*JOBS[:2], Job("competing-0001-Na3Cl", NA3CL, "competing"), *JOBS[2:]]
    export(jobs, tmp_path / "dft", "gpaw", lacking_phases={})
    for job, energy in zip(jobs, (-3.5, -4.0, -1.3, -1.3, -1.8, -1.5), strict=True):
        done(tmp_path / "dft", job, energy)
    write_json(tmp_path / "dft/competing-0001-Na3Cl/status.json", {"state": "failed", "reason": "no room"})
    frame = collect(tmp_path / "dft").set_index("structure_id")
    assert frame["energy_above_hull_dft"].notna()[[JOBS[0].id, JOBS[1].id]].tolist() == [False, True]
    assert "Na3Cl competes and is lacking (it has no formation energy)" in frame.loc[JOBS[0].id, "reason"]


def test_exports_of_earlier_versions_have_no_distance(tmp_path: Path) -> None:
    jobs = [JOBS[0], Job("competing-0001-Na3Cl", NA3CL, "competing"), *JOBS[2:]]
    export(jobs, tmp_path / "dft", "gpaw", lacking_phases={})
    for job, energy in zip(jobs, (-3.5, -1.3, -1.3, -1.8, -1.5), strict=True):
        done(tmp_path / "dft", job, energy)
    manifest = read_json(tmp_path / "dft/manifest.json")
    write_json(tmp_path / "dft/manifest.json", {"format": manifest["format"], "settings": manifest["settings"],
                                                "jobs": manifest["jobs"]})  # fmt: skip
    frame = collect(tmp_path / "dft").set_index("structure_id")
    assert frame["energy_above_hull_dft"].isna().all()
    assert "did not say what phases lack: export again" in frame.loc[JOBS[0].id, "reason"]


def test_missing_references_are_named(dft: Path) -> None:
    write_json(dft / "element-Cl/status.json", {"state": "failed", "reason": "no room"})
    (dft / "element-Mg/status.json").unlink()
    frame = collect(dft).set_index("structure_id")
    assert frame.loc["element-Cl", ["state", "reason"]].to_list() == ["failed", "no room"]
    assert frame.loc["element-Mg", ["state", "reason"]].to_list() == ["waiting", "not run"]
    assert "no reference of Cl, Mg calculated" in frame.loc["0002-MgCl2-1", "reason"]
    assert "no reference of Cl calculated" in frame.loc["0001-NaCl-1", "reason"]
    assert frame["energy_per_atom_dft"].notna().to_list() == [True, True, True, False, False]
    assert frame["formation_energy_dft"].notna().to_list() == [False, False, True, False, False]


def test_results_that_are_no_numbers_are_not_taken(dft: Path) -> None:
    done(dft, JOBS[0], -3.5, energy=float("nan"))
    done(dft, JOBS[1], -3.5, n_atoms=0)
    frame = collect(dft)
    assert frame["state"].to_list() == ["waiting", "waiting", "done", "done", "done"]
    assert frame["formation_energy_dft"].notna().sum() == 3


def test_outputs_of_runs_elsewhere(tmp_path: Path) -> None:
    jobs = [JOBS[0], JOBS[1], JOBS[2], JOBS[3]]
    export(jobs, tmp_path / "dft", "vasp")
    whole = vasprun()
    (tmp_path / "dft" / jobs[0].id / "vasprun.xml").write_text(whole)
    (tmp_path / "dft" / jobs[1].id / "vasprun.xml").write_text(whole)  # of another compound
    (tmp_path / "dft" / jobs[2].id / "vasprun.xml").write_text(whole[: len(whole) // 2])
    assert collect(tmp_path / "dft")["state"].to_list() == ["done", "failed", "waiting", "waiting"]
    hour_ago = time.time() - 3_600
    os.utime(tmp_path / "dft" / jobs[2].id / "vasprun.xml", (hour_ago, hour_ago))  # nothing writes it any more
    frame = collect(tmp_path / "dft").set_index("structure_id")
    assert frame["state"].to_list() == ["done", "failed", "failed", "waiting"]
    assert frame.loc[jobs[0].id, "energy_per_atom_dft"] == -13.6
    assert frame.loc[jobs[1].id, "reason"].endswith("is of NaCl, not of MgCl2")
    assert "is not whole" in frame.loc[jobs[2].id, "reason"]
    assert frame["energy_per_atom_dft"].notna().sum() == 1


def test_energies_with_u_are_not_set_against_elements(tmp_path: Path) -> None:
    jobs = [Job("0001-MnO-1", CRYSTALS["MnO"], "candidate"), element("Mn", 2), element("O", 2)]
    for name, with_u in (("with", True), ("without", False)):
        export(jobs, tmp_path / name, "gpaw", DFTSettings(hubbard_u=with_u))
        for job in jobs:
            done(tmp_path / name, job, -8.0)
        row = collect(tmp_path / name).iloc[0]
        assert row["state"] == "done" and np.isnan(row["formation_energy_dft"]) == with_u
        assert ("calculated with U (Mn 3.9)" in row["reason"]) == with_u


def test_one_that_runs_is_waited_for(dft: Path, tmp_path: Path) -> None:
    (dft / JOBS[0].id / "status.json").unlink()
    program = StandIn(tmp_path / "programs", {"*": {"sleep": 600}})
    process = background(dft, program)
    wait_for(lambda: len(program.called()) == 1)
    assert collect(dft).loc[0, ["state", "reason"]].to_list() == ["waiting", "it is running"]
    process.kill()
    process.communicate()


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no manifest\.json"):
        collect(tmp_path)
    export(JOBS, tmp_path / "cif", "cif")
    with pytest.raises(DataError, match="holds cif files"):
        collect(tmp_path / "cif")


@NEEDS_GPAW
@pytest.mark.slow
def test_a_formation_energy_by_gpaw(tmp_path: Path) -> None:
    """AlNi, of which PBE says -0.67 eV/atom (the Materials Project's mp-1487: -0.68)."""
    structure = Structure(Lattice.cubic(2.89), ["Al", "Ni"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    elements, lacking = element_jobs(["Al", "Ni"])
    assert not lacking
    jobs = [Job("0001-AlNi-1", structure, "candidate"), *elements]
    export(jobs, tmp_path / "dft", "gpaw", DFTSettings(cutoff=300, kpoint_density=2.0, magnetic_orders=1))
    summary = run_folder(tmp_path / "dft", "gpaw")
    assert summary.failed == {}
    frame = collect(tmp_path / "dft").set_index("structure_id")
    raw = {job.id: json.loads((tmp_path / "dft" / job.id / "result.json").read_text()) for job in jobs}
    by_hand = (raw["0001-AlNi-1"]["energy"] - raw["element-Al"]["energy"] - raw["element-Ni"]["energy"]) / 2
    assert frame.loc["0001-AlNi-1", "formation_energy_dft"] == pytest.approx(by_hand, abs=1e-9)
    assert by_hand == pytest.approx(-0.67, abs=0.08)
    assert 0.3 < frame.loc["element-Ni", "magnetic_moment_dft"] < 0.9
