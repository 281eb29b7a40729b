"""Inputs of VASP by pymatgen's sets, and a look ahead at the pseudopotentials they need."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.dft.settings import DFTSettings, Job
from matgen.io.files import write_text

if TYPE_CHECKING:
    from pymatgen.core import Structure

TRAPS = {
    "Yb_2": "Yb_2 gives oxidised ytterbium wrong energies: the Materials Project has used Yb_3 since 2023",
    "W_pv": "W_pv is missing from PBE_54 and PBE_64: take W_sv, as the Materials Project does since 2023",
    "W_sv": "the Materials Project's older energies were calculated with W_pv: do not mix them",
}
"""Pseudopotentials that a user should hear about."""


def input_set(job: Job, settings: DFTSettings) -> Any:
    """Pymatgen's set of inputs for a job: MPRelaxSet, MPStaticSet, MatPESRelaxSet or MatPESStaticSet."""
    from pymatgen.io.vasp import sets

    kind = {
        ("mp", "relax"): sets.MPRelaxSet,
        ("mp", "static"): sets.MPStaticSet,
        ("matpes", "relax"): sets.MatPESRelaxSet,
        ("matpes", "static"): sets.MatPESStaticSet,
    }[settings.input_set, settings.calculation]
    incar = {} if settings.cutoff is None else {"ENCUT": settings.cutoff}
    return kind(input_structure(job), user_incar_settings=incar)


def input_structure(job: Job) -> Structure:
    """A job's structure with its atoms sorted; without moments where all are zero, since the sets know better ones."""
    structure = job.structure.get_sorted_structure()
    if job.moments() is None and "magmom" in structure.site_properties:
        structure.remove_site_property("magmom")
    return structure


def applies_hubbard_u(settings: DFTSettings) -> bool:
    """Whether the set of inputs gives U: the Materials Project's does, MatPES's does not."""
    return settings.input_set == "mp"


def write(job: Job, folder: Path, settings: DFTSettings) -> list[str]:
    """Write INCAR, POSCAR, KPOINTS where the set has them, and POTCAR or, without a licensed one, POTCAR.spec.

    Returns:
        warnings, such as of missing pseudopotentials.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = input_set(job, settings)
        symbols = list(inputs.potcar_symbols)
        missing = missing_potcars(symbols, inputs.potcar_functional)
        write_text(folder / "INCAR", str(inputs.incar))
        write_text(folder / "POSCAR", str(inputs.poscar))
        if inputs.kpoints is not None:
            write_text(folder / "KPOINTS", str(inputs.kpoints))
        if missing:
            write_text(folder / "POTCAR.spec", "\n".join(symbols) + "\n")
        else:
            write_text(folder / "POTCAR", str(inputs.potcar))
    remarks = []
    if missing:
        remarks.append(f"no POTCAR of {', '.join(missing)} ({inputs.potcar_functional}): POTCAR.spec names what to put "
                       f"together{_instead(inputs.potcar_functional)}")  # fmt: skip
    return remarks + [TRAPS[symbol] for symbol in symbols if symbol in TRAPS]


def _instead(functional: str) -> str:
    """What a user has set up where the folder of a functional is missing."""
    folder = potcar_folder(functional)
    if folder is None:
        return "; pymatgen's PMG_VASP_PSP_DIR is not set"
    if folder.is_dir():
        return ""
    there = sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) if folder.parent.is_dir() else []
    return f"; {folder.parent} has no {folder.name}, but {', '.join(there[:6]) or 'nothing'}"


def missing_potcars(symbols: list[str], functional: str) -> list[str]:
    """Those of some pseudopotentials that pymatgen will not find.

    Args:
        symbols: such as `Sr_sv`.
        functional: such as `PBE_54`; its folder is looked for below `PMG_VASP_PSP_DIR`.
    """
    folder = potcar_folder(functional)
    if folder is None:
        return symbols
    names = ("POTCAR.{}", "POTCAR.{}.gz", "{}/POTCAR", "{}/POTCAR.gz")
    return [symbol for symbol in symbols if not any((folder / name.format(symbol)).exists() for name in names)]


def potcar_folder(functional: str) -> Path | None:
    """The folder of a functional's pseudopotentials, None where none is set up."""
    from pymatgen.core import SETTINGS
    from pymatgen.io.vasp.inputs import PotcarSingle

    root = SETTINGS.get("PMG_VASP_PSP_DIR")
    if not root:
        return None
    return Path(root) / PotcarSingle.functional_dir.get(functional, functional)
