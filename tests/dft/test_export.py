"""Folders of calculations: files that come back as the same crystals, the manifest, and what must not be lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import ase.db
import ase.io
import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp import Incar, Poscar

from matgen.dft import espresso
from matgen.dft.export import export, jobs_of
from matgen.dft.magnetic_orders import with_magnetic_orders
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import DataError, OptionError, OutputError, StructureError
from matgen.io.files import read_json
from matgen.structures.folder import write_crystals, write_table

from .conftest import CRYSTALS, rock_salt
from .magnets import MAGNETS

JOBS = [
    Job(f"000{rank}-{name}-1", CRYSTALS[name], "candidate", {"template": "a test's", "rank": rank})
    for rank, name in enumerate(CRYSTALS, start=1)
]


def same(found: Structure, expected: Structure) -> bool:
    close = abs(found.volume / len(found) - expected.volume / len(expected)) < 1e-3
    return close and StructureMatcher(scale=False, ltol=0.01, stol=0.01, angle_tol=0.1).fit(found, expected)


@pytest.mark.parametrize("format", ["cif", "poscar", "extxyz"])
def test_files_come_back_as_the_same_crystals(format: str) -> None:
    export(JOBS, "out", format)
    for job in JOBS:
        (path,) = Path("out", job.id).iterdir()
        if format == "extxyz":
            atoms = ase.io.read(path)
            moments = job.moments() or [0.0] * len(job.structure)
            assert np.allclose(atoms.get_initial_magnetic_moments(), moments)
            found = AseAtomsAdaptor.get_structure(atoms)
        else:
            found = Structure.from_file(path)
        assert same(found, job.structure)


def test_a_database_of_ase() -> None:
    export(JOBS, "out", "ase-db")
    rows = list(ase.db.connect("out/structures.db").select())
    assert [row.structure_id for row in rows] == [job.id for job in JOBS]
    for row, job in zip(rows, JOBS, strict=True):
        assert same(AseAtomsAdaptor.get_structure(row.toatoms()), job.structure)
        assert row.data["provenance"] == job.provenance and row.role == "candidate"


def test_the_manifest_says_where_each_comes_from() -> None:
    export(JOBS, "out", "vasp", DFTSettings(cutoff=450.0))
    manifest = read_json("out/manifest.json")
    assert manifest["format"] == "vasp" and manifest["settings"]["cutoff"] == 450
    assert [job["id"] for job in manifest["jobs"]] == [job.id for job in JOBS]
    assert manifest["jobs"][0]["provenance"] == {"template": "a test's", "rank": 1}
    assert {job["formula"]: job["hubbard_u"] for job in manifest["jobs"]} == {
        "NaCl": {}, "Si": {}, "MnO": {"Mn": 3.9}, "MgO": {}}  # fmt: skip
    export(JOBS, "without", "gpaw")
    assert not any(job["hubbard_u"] for job in read_json("without/manifest.json")["jobs"])


def test_what_cannot_be_written_is_told_and_the_rest_goes_on() -> None:
    strange = Job("0009-Og-1", rock_salt("Og", "O", 5.0), "candidate")
    exported = export([strange, *JOBS], "out", "vasp")
    assert [job.id for job in exported.jobs] == [job.id for job in JOBS]
    assert list(exported.failed) == [strange.id] and exported.failed[strange.id]
    assert read_json("out/manifest.json")["failed"] == exported.failed
    assert not Path("out", strange.id).exists()
    assert Path("out/jobs.txt").read_text().split() == [job.id for job in JOBS]
    with pytest.raises(StructureError, match="no input could be written for 1 structures"):
        export([strange], "none", "vasp")
    with pytest.raises(StructureError, match="no input could be written"):  # a reference alone is no use
        export([strange, Job("element-Na", CRYSTALS["NaCl"], "element")], "none", "vasp")
    assert not Path("none").exists()


def test_nothing_is_overwritten_and_force_replaces_only_what_an_export_wrote() -> None:
    export(JOBS, "out", "vasp")
    (Path("out") / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="exists"):
        export(JOBS, "out", "vasp")
    with pytest.raises(StructureError):
        export([Job("0009-Og-1", rock_salt("Og", "O", 5.0), "candidate")], "out", "vasp", force=True)
    with pytest.raises(OptionError, match="no pseudopotentials"):
        export(JOBS, "out", "espresso", DFTSettings(pseudopotentials=Path("nowhere")), force=True)
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before
    export(JOBS[:1], "out", "cif", force=True)
    assert sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()) == [
        f"{JOBS[0].id}/{JOBS[0].id}.cif", "manifest.json", "notes.txt"]  # fmt: skip
    assert [path.name for path in Path().iterdir()] == ["out"]  # no stage is left
    Path("foreign", JOBS[0].id).mkdir(parents=True)
    with pytest.raises(OutputError, match="which no export wrote"):
        export(JOBS, "foreign", "cif", force=True)


def test_bad_requests() -> None:
    with pytest.raises(OptionError, match="unknown format 'siesta'"):
        export(JOBS, "out", "siesta")
    with pytest.raises(DataError, match="two calculations"):
        export([JOBS[0], JOBS[0]], "out", "cif")
    with pytest.raises(DataError, match="cannot be the name"):
        export([Job("../x", CRYSTALS["Si"], "candidate")], "out", "cif")
    Path("file").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        export(JOBS, "file", "cif", force=True)
    assert Path("file").read_text() == "mine" and not Path("out").exists()


@pytest.fixture
def several() -> Path:
    """Two compositions: the first with two structures and a duplicate, its first one failed; the second with one."""
    rows = [
        ("0001-NaCl-2", 1, "NaCl", "", -3.0, None), ("0001-NaCl-3", 1, "NaCl", "", -2.9, "0001-NaCl-2"),
        ("0001-NaCl-4", 1, "NaCl", "", -2.5, None), ("0001-NaCl-1", 1, "NaCl", "it fell apart", None, None),
        ("0002-Si-1", 2, "Si", "", -5.0, None), (None, 3, "XeAu2", "no structure", None, None),
    ]  # fmt: skip
    frame = pd.DataFrame(
        rows, columns=["structure_id", "rank", "formula", "reason", "energy_per_atom_chgnet", "duplicate_of"]
    )
    sound = frame[frame["reason"] == ""]
    write_crystals(Path("several"), [(row.structure_id, CRYSTALS[row.formula], {}) for row in sound.itertuples()])
    write_table(Path("several"), frame, {})
    return Path("several")


def test_which_structures_are_taken(several: Path) -> None:
    def ids(**options: object) -> list[str]:
        return [job.id for job in jobs_of(several, **options)]

    assert ids() == ["0001-NaCl-2", "0002-Si-1"]
    assert ids(every=True) == ["0001-NaCl-2", "0001-NaCl-4", "0002-Si-1"]
    assert ids(top=1) == ["0001-NaCl-2"]
    assert ids(top=1, every=True) == ["0001-NaCl-2", "0001-NaCl-4"]
    (job, _) = jobs_of(several)
    assert job.provenance == {"structure_id": "0001-NaCl-2", "rank": 1, "formula": "NaCl", "reason": "",
                              "energy_per_atom_chgnet": -3.0}  # fmt: skip
    with pytest.raises(OptionError, match="top is 0"):
        jobs_of(several, top=0)


def moments_at(symbols: list[str], places: np.ndarray, moments: np.ndarray) -> dict[tuple[str, ...], float]:
    """Moments by element and fractional coordinates, whatever the order of atoms."""
    rounded = (np.round(places, 4) % 1.0).tolist()
    return {(symbol, *(f"{x:.3f}" for x in place)): float(moment)
            for symbol, place, moment in zip(symbols, rounded, moments, strict=True)}  # fmt: skip


def read_back(folder: Path, format: str) -> dict[tuple[str, ...], float]:
    """What a format's own reader makes of moments."""
    if format == "vasp":
        structure = Poscar.from_file(folder / "POSCAR", check_for_potcar=False).structure
        moments = Incar.from_file(folder / "INCAR")["MAGMOM"]
        return moments_at([site.specie.symbol for site in structure], structure.frac_coords, np.array(moments))
    if format == "gpaw":
        atoms = ase.io.read(folder / "structure.extxyz")
        (line,) = [line for line in (folder / "run.py").read_text().splitlines() if "set_initial_magn" in line]
        exec(line, {"atoms": atoms})
    else:
        (path,) = [path for path in folder.iterdir() if path.suffix in (".in", ".extxyz")]
        atoms = ase.io.read(path, format="espresso-in" if format == "espresso" else None)
    if format == "espresso":  # ASE's reader takes one moment for all species of an element
        text = path.read_text()
        labels = [line.split()[0] for line in text.split("ATOMIC_SPECIES\n")[1].split("\n\n")[0].splitlines()]
        starting = dict(
            zip(labels, map(float, re.findall(r"starting_magnetization\(\d+\) = (\S+)", text)), strict=True)
        )
        atoms.set_initial_magnetic_moments(
            [
                starting[line.split()[0]]
                for line in text.split("ATOMIC_POSITIONS angstrom\n")[1].split("\n")[: len(atoms)]
            ]
        )
    return moments_at(list(atoms.symbols), atoms.get_scaled_positions(), atoms.get_initial_magnetic_moments())


@pytest.mark.parametrize("format", ["vasp", "gpaw", "espresso", "extxyz", "ase-db"])
@pytest.mark.parametrize("name", ["NiO", "Fe2O3", "LaMnO3"])
def test_signs_of_moments_come_back(name: str, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espresso, "SYSTEM_FAMILY", Path("nowhere"))
    structure = MAGNETS[name].copy()
    Random(1).shuffle(structure.sites)  # elements and signs alternate
    export([Job("a", structure, "candidate")], "out", format)
    (_, afm), _ = with_magnetic_orders([Job("a", structure, "candidate")], 2)
    expected = moments_at([site.specie.symbol for site in afm.structure], afm.structure.frac_coords,
                          np.array(afm.moments()))  # fmt: skip
    if format == "ase-db":
        atoms = ase.db.connect("out/structures.db").get(structure_id="a-afm").toatoms()
        found = moments_at(list(atoms.symbols), atoms.get_scaled_positions(), atoms.get_initial_magnetic_moments())
    else:
        found = read_back(Path("out/a-afm"), format)
    assert found.keys() == expected.keys() and min(expected.values()) < 0
    if format == "espresso":  # as shares of the valence electrons
        assert {at: np.sign(m) for at, m in found.items()} == {at: np.sign(m) for at, m in expected.items()}
    else:
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("format", ["cif", "poscar"])
def test_formats_without_moments_hold_the_crystal_alone(format: str) -> None:
    exported = export([Job("a", MAGNETS["NiO"], "candidate")], "out", format)
    assert [job.id for job in exported.jobs] == ["a"]
    (path,) = Path("out/a").iterdir()
    assert "magmom" not in Structure.from_file(path).site_properties


def test_the_manifest_names_magnetic_orders() -> None:
    jobs = [Job("nio", MAGNETS["NiO"], "candidate"), Job("fe3o4", MAGNETS["Fe3O4"], "competing"),
            Job("nacl", CRYSTALS["NaCl"], "candidate")]  # fmt: skip
    export(jobs, "out", "gpaw")
    listed = {job["id"]: (job["order_of"], job["magnetic_order"]) for job in read_json("out/manifest.json")["jobs"]}
    assert listed == {
        "nio": (None, "ferromagnetic"), "nio-afm": ("nio", "antiferromagnetic"),
        "fe3o4": (None, "ferromagnetic"), "fe3o4-afm": ("fe3o4", "ferrimagnetic"), "nacl": (None, "nonmagnetic"),
    }  # fmt: skip
    assert Path("out/jobs.txt").read_text().split() == list(listed)
    export(jobs, "one", "gpaw", DFTSettings(magnetic_orders=1))
    assert [job["id"] for job in read_json("one/manifest.json")["jobs"]] == ["nio", "fe3o4", "nacl"]
    with pytest.raises(OptionError, match="magnetic_orders is 0"):
        DFTSettings(magnetic_orders=0)
    taken = Job("nio-afm", CRYSTALS["Si"], "candidate")
    with pytest.raises(DataError, match="two calculations have the name 'nio-afm'"):
        export([jobs[0], taken], "taken", "gpaw")


def test_predicted_moments_become_initial_ones(structures: Callable[..., Path]) -> None:
    (job,) = jobs_of(structures("MnO"))
    assert job.moments() == [4.5, -4.5, 0, 0]
    export([job], "out", "gpaw")
    assert "set_initial_magnetic_moments([4.5, -4.5, 0.0, 0.0])" in Path("out", job.id, "run.py").read_text()


@pytest.mark.parametrize("formula", ["Ca(OH)2", "CuSO4·5H2O", "K2[Fe(CN)6]", "LiFePO4"])
def test_folders_are_safe_for_any_formula(formula: str) -> None:
    from matgen.dft.settings import require_sound_ids
    from matgen.structures.folder import structure_id

    require_sound_ids([structure_id(1, formula, 1)])
