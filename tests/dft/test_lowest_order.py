"""The lowest of several magnetic orders, by invented energies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from matgen.dft.collect import collect
from matgen.dft.export import export
from matgen.dft.settings import DFTSettings, Job
from matgen.io.files import read_json, write_json

from .magnets import MAGNETS
from .test_collect import done, element

ENERGIES = {"nio": -5.0, "nio-afm": -5.2, "nio-afm2": -5.1, "nio2": -5.0, "nio2-afm": -4.9,
            "competing-nio": -5.5, "competing-nio-afm": -5.4, "element-Ni": -5.0, "element-O": -4.0}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    jobs = [Job("nio", MAGNETS["NiO"], "candidate"), element("Ni", 1), element("O", 2)]
    export(jobs, tmp_path / "dft", "gpaw", DFTSettings(magnetic_orders=3), lacking_phases={})
    for job in read_json(tmp_path / "dft/manifest.json")["jobs"]:
        size = MAGNETS["NiO"] if "nio" in job["id"] else next(one.structure for one in jobs if one.id == job["id"])
        done(tmp_path / "dft", Job(job["id"], size, job["role"]), ENERGIES[job["id"]])
    return tmp_path / "dft"


def test_a_structure_has_the_energy_of_its_lowest_order(folder: Path) -> None:
    frame = collect(folder).set_index("structure_id")
    assert list(frame.index) == ["nio", "element-Ni", "element-O"]
    row = frame.loc["nio"]
    assert (row["state"], row["reason"], row["magnetic_order"]) == ("done", "", "antiferromagnetic")
    energies = [row[f"energy_per_atom_dft{end}"] for end in ("", "_fm", "_afm", "_afm2")]
    assert energies == [-5.2, -5.0, -5.2, -5.1]
    assert row["formation_energy_dft"] == row["energy_above_hull_dft"] == pytest.approx(-5.2 + 4.5)
    assert row["seconds_dft"] == 3 * 7.0
    assert np.isnan(frame.loc["element-Ni", "energy_per_atom_dft_fm"])  # it has no other order


def test_of_orders_that_failed_the_others_count(folder: Path) -> None:
    write_json(folder / "nio-afm/status.json", {"state": "failed", "reason": "it did not converge"})
    row = collect(folder).set_index("structure_id").loc["nio"]
    assert (row["state"], row["reason"]) == ("done", "nio-afm: it did not converge")
    assert (row["energy_per_atom_dft"], row["magnetic_order"]) == (-5.1, "antiferromagnetic")  # the second one
    write_json(folder / "nio-afm2/status.json", {"state": "failed", "reason": "no room"})
    row = collect(folder).set_index("structure_id").loc["nio"]
    assert (row["energy_per_atom_dft"], row["magnetic_order"]) == (-5.0, "ferromagnetic")
    write_json(folder / "nio/status.json", {"state": "failed", "reason": "no memory"})
    row = collect(folder).set_index("structure_id").loc["nio"]
    assert (row["state"], row["reason"]) == ("failed", "no memory") and np.isnan(row["formation_energy_dft"])


def test_a_structure_waits_for_all_of_its_orders(folder: Path) -> None:
    (folder / "nio-afm2/status.json").unlink()
    row = collect(folder).set_index("structure_id").loc["nio"]
    assert (row["state"], row["reason"]) == ("waiting", "nio-afm2: not run")
    assert np.isnan(row["energy_per_atom_dft"]) and np.isnan(row["formation_energy_dft"])
    assert (row["energy_per_atom_dft_fm"], row["energy_per_atom_dft_afm"]) == (-5.0, -5.2)


def test_a_competing_phase_counts_by_its_lowest_order(tmp_path: Path) -> None:
    dioxide = Structure(Lattice.cubic(4), ["Ni", "O", "O"], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]])
    jobs = [Job("nio2", dioxide, "candidate"), Job("competing-nio", MAGNETS["NiO"], "competing"),
            element("Ni", 1), element("O", 2)]  # fmt: skip
    export(jobs, tmp_path / "dft", "gpaw", lacking_phases={})
    structures = {job.id: job.structure for job in jobs}
    for job in read_json(tmp_path / "dft/manifest.json")["jobs"]:
        structure = structures[job["id"].removesuffix("-afm")]
        done(tmp_path / "dft", Job(job["id"], structure, job["role"]), ENERGIES[job["id"]])
    frame = collect(tmp_path / "dft").set_index("structure_id")
    assert frame.loc["competing-nio", "magnetic_order"] == "ferromagnetic"
    formation, of_nio = -5.0 + (5.0 + 2 * 4.0) / 3, -5.5 + 4.5
    assert frame.loc["nio2", "formation_energy_dft"] == pytest.approx(formation)
    assert frame.loc["nio2", "energy_above_hull_dft"] == pytest.approx(formation - of_nio * 2 / 3)


def test_exports_of_earlier_versions_have_one_order(folder: Path) -> None:
    manifest = read_json(folder / "manifest.json")
    for job in manifest["jobs"]:
        del job["order_of"], job["magnetic_order"]
    write_json(folder / "manifest.json", {name: manifest[name] for name in ("format", "settings", "jobs")})
    frame = collect(folder)
    assert len(frame) == 5 and frame["formation_energy_dft"].notna().all() and (frame["magnetic_order"] == "").all()
