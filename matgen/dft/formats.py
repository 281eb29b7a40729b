"""What `matgen export --format` writes: inputs of each code, or plain structure files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matgen.dft.codes import CODES
from matgen.dft.interface import Writer
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import unknown_name
from matgen.io.files import atomic_write, write_text

DATABASE, DATABASE_FILE = "ase-db", "structures.db"
"""The format that is one file of all jobs, and that file."""

WITHOUT_MOMENTS = ("cif", "poscar")
"""Formats that hold no magnetic moments, and so the crystal alone."""


def _write_cif(job: Job, folder: Path, settings: DFTSettings) -> list[str]:
    from matgen.structures.folder import cif

    write_text(folder / f"{job.id}.cif", cif(job.structure))
    return []


def _write_poscar(job: Job, folder: Path, settings: DFTSettings) -> list[str]:
    from pymatgen.io.vasp import Poscar

    write_text(folder / "POSCAR", str(Poscar(job.structure.get_sorted_structure(), comment=job.id)))
    return []


def _write_extxyz(job: Job, folder: Path, settings: DFTSettings) -> list[str]:
    from ase.io import write

    with atomic_write(folder / f"{job.id}.extxyz") as temporary:
        write(temporary, _atoms(job), format="extxyz")
    return []


def write_database(jobs: Sequence[Job], out: Path) -> None:
    """Write all structures as one database of ASE, `structures.db`."""
    from ase.db import connect

    with connect(out / DATABASE_FILE, type="db", append=False) as database:
        for job in jobs:
            database.write(_atoms(job), structure_id=job.id, role=job.role, data={"provenance": job.provenance})


def _atoms(job: Job) -> Any:
    from matgen.structures.folder import bare_atoms

    atoms = bare_atoms(job.structure)
    moments = job.moments()
    if moments is not None:
        atoms.set_initial_magnetic_moments(moments)
    return atoms


STRUCTURE_WRITERS: dict[str, Writer] = {"cif": _write_cif, "poscar": _write_poscar, "extxyz": _write_extxyz}
"""Formats that hold a structure and no calculation, with a folder for each job."""


def format_names() -> tuple[str, ...]:
    """All that `--format` takes."""
    return (*CODES, *STRUCTURE_WRITERS, DATABASE)


def require_format(name: str) -> None:
    """Refuse an unknown format.

    Raises:
        OptionError: it is none of `format_names`.
    """
    if name not in format_names():
        raise unknown_name("format", name, format_names())


def writer_of(name: str) -> Writer:
    """What writes the folder of a job in a format, of a code or of structures."""
    return CODES[name].write if name in CODES else STRUCTURE_WRITERS[name]
