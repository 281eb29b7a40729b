"""Scripts for GPAW, which runs as a program of its own: matgen imports none of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.dft.complaints import complaint
from matgen.dft.magnetism import hubbard_u
from matgen.dft.settings import RESULT, STDERR, DFTSettings, Job
from matgen.errors import DataError, first_line
from matgen.io.files import atomic_write, read_json, write_text

if TYPE_CHECKING:
    from jinja2 import Environment

_WITH_SETUP = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Ru
Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Rn
"""
SETUPS = frozenset(_WITH_SETUP.split())
"""Elements with a PBE setup in GPAW's setups 0.9.20000, which Debian and many clusters have: no lanthanides."""


def known_elements(settings: DFTSettings) -> frozenset[str]:
    """Elements with a PBE setup: `SETUPS`, and those of newer setups in the folders of `GPAW_SETUP_PATH`."""
    folders = [Path(text) for text in os.environ.get("GPAW_SETUP_PATH", "").split(os.pathsep) if text]
    return SETUPS | {path.name.split(".")[0] for folder in folders for path in folder.glob("*.PBE*")}


SCRIPT, STRUCTURE, LOG = "run.py", "structure.extxyz", "gpaw.txt"
DEFAULT_CUTOFF = 500.0
"""eV; GPAW's own setups are converged to some meV/atom in energy differences there."""


def templates() -> Environment:
    """The bundled templates of scripts."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("matgen.dft", "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )


def write(job: Job, folder: Path, settings: DFTSettings) -> list[str]:
    """Write the structure and a script that leaves `result.json`; returns what is to be said of its moments."""
    from ase.io import write as write_atoms

    from matgen.structures.folder import bare_atoms

    with atomic_write(folder / STRUCTURE) as temporary:
        write_atoms(temporary, bare_atoms(job.structure), format="extxyz")
    values = hubbard_u(job.structure) if settings.hubbard_u else {}
    moments, remarks = job.initial_moments()
    script = (
        templates()
        .get_template("gpaw_run.py.jinja")
        .render(
            name=job.id,
            structure=STRUCTURE,
            log=LOG,
            result=RESULT,
            cutoff=settings.cutoff or DEFAULT_CUTOFF,
            kpoint_density=settings.kpoint_density,
            smearing=settings.smearing,
            moments=moments,
            setups={symbol: f":d,{value:g}" for symbol, value in values.items()},
            relax=settings.calculation == "relax",
        )
    )
    write_text(folder / SCRIPT, script)
    lacking = sorted({site.specie.symbol for site in job.structure} - SETUPS)
    if lacking:
        remarks = [*remarks, f"GPAW's setups 0.9.20000 have none of {', '.join(lacking)}: it stops without newer ones"]
    return remarks


def parse(folder: Path) -> dict[str, Any]:
    """What GPAW left: energy, forces, stress, moment, volume, convergence.

    Raises:
        DataError: nothing whole is there; the message says what it complained of.
    """
    if not (folder / RESULT).exists():
        raise DataError(f"GPAW left no result{complaint([folder / STDERR, folder / LOG])}")
    try:
        content = read_json(folder / RESULT)
        return {"energy": float(content["energy"]), "n_atoms": int(content["n_atoms"]),
                "max_force": float(content["max_force"]), "volume": float(content["volume"]),
                "magnetic_moment": float(content["magnetic_moment"]), "converged": bool(content["converged"]),
                "structure": content["structure"]}  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / RESULT} is not whole: {first_line(error)}") from error
