"""The folder that `matgen structure` writes: a table, relaxed crystals as CIF and extxyz, and the plan."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, first_line
from matgen.io.files import atomic_write, write_text
from matgen.io.folders import read_description, verify_files, write_description
from matgen.io.parquet import read_parquet, write_parquet

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

TABLE, PLAN, CANDIDATES = "structures.parquet", "structures.json", "candidates.parquet"
CRYSTALS, ALL_CRYSTALS, TEMPLATES = "cif", "structures.extxyz", "fetched_templates"


def safe_name(formula: str) -> str:
    """A formula as part of a file's name on any system: letters and digits, brackets resolved, in matgen's order.

    Raises:
        FormulaError: it cannot be read.
    """
    from matgen.composition.elements import SYMBOLS

    batch = CompositionBatch.from_formulas([formula])
    pairs = zip(batch.elements[0].tolist(), batch.counts[0].tolist(), strict=True)
    return "".join(f"{SYMBOLS[z]}{count if count > 1 else ''}" for z, count in pairs if z)


def structure_id(rank: int, formula: str, number: int) -> str:
    """Name of a structure, unique whatever a file system takes for the same: `0003-SrTiO3-1`.

    Args:
        rank: row of its composition among the candidates, from 1.
        formula: of the composition.
        number: of the structure among those of the composition, from 1.
    """
    return f"{rank:04d}-{safe_name(formula)}-{number}"


def without_moments(structure: Structure) -> Structure:
    """A copy without magnetic moments, which some writers would put where no reader expects them."""
    bare = structure.copy()
    if "magmom" in bare.site_properties:
        bare.remove_site_property("magmom")
    return bare


def bare_atoms(structure: Structure) -> Atoms:
    """The crystal as ASE's atoms, without magnetic moments."""
    from pymatgen.io.ase import AseAtomsAdaptor

    return AseAtomsAdaptor.get_atoms(without_moments(structure), msonable=False)


def cif(structure: Structure) -> str:
    """The crystal as the text of a CIF file, with its symmetry."""
    from pymatgen.io.cif import CifWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(CifWriter(without_moments(structure), symprec=0.01))


def write_crystals(folder: Path, crystals: Sequence[tuple[str, Structure, dict[str, Any]]]) -> None:
    """Write each crystal as `cif/<id>.cif`, and all into `structures.extxyz`.

    Args:
        folder: where.
        crystals: id, structure and what else the extxyz file says of it.
    """
    from ase.io import write

    images = []
    for name, structure, info in crystals:
        moments = structure.site_properties.get("magmom")
        write_text(folder / CRYSTALS / f"{name}.cif", cif(structure))
        atoms = bare_atoms(structure)
        if moments is not None:
            atoms.set_array("magmoms_predicted", pd.Series(moments, dtype=float).to_numpy())
        atoms.info = {"structure_id": name} | {key: value for key, value in info.items() if value is not None}
        images.append(atoms)
    with atomic_write(folder / ALL_CRYSTALS) as temporary:
        write(temporary, images, format="extxyz")


def read_structures(folder: Path | str) -> tuple[pd.DataFrame, dict[str, Structure]]:
    """The table of a folder and its structures by id; those that failed have no structure.

    Raises:
        DataError: it is no folder of `matgen structure`, or a file of it is damaged.
    """
    from ase.io import read
    from pymatgen.io.ase import AseAtomsAdaptor

    folder = Path(folder)
    if not is_structure_folder(folder):
        raise DataError(f"{folder} holds no {TABLE}: give a folder that `matgen structure` wrote")
    if (folder / PLAN).exists():
        verify_files(folder, PLAN, read_plan(folder), "run `matgen structure` again")
    try:
        frame = with_present_names(read_parquet(folder / TABLE))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {folder / TABLE}: {first_line(error)}") from error
    structures = {}
    if (folder / ALL_CRYSTALS).exists():
        try:
            images = [
                (str(atoms.info["structure_id"]), atoms)
                for atoms in read(folder / ALL_CRYSTALS, index=":", format="extxyz")
            ]
        except Exception as error:
            raise DataError(f"cannot read {folder / ALL_CRYSTALS}: {first_line(error)}") from error
        for id, atoms in images:
            structure = AseAtomsAdaptor.get_structure(atoms)
            properties = set(structure.site_properties)
            if "magmoms_predicted" in properties:
                structure.add_site_property(
                    "magmom", [float(m) for m in structure.site_properties["magmoms_predicted"]]
                )
            for name in properties:
                structure.remove_site_property(name)
            structures[id] = structure
    lacking = set(frame.loc[frame["reason"] == "", "structure_id"]) - structures.keys()
    if lacking:
        raise DataError(f"{folder / ALL_CRYSTALS} lacks {min(lacking)}, which {TABLE} has: it may be cut short")
    return frame, structures


def with_present_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with energies a potential gave under `energy_per_atom_<potential>`, which was `energy_<potential>`."""
    formation = [str(name) for name in frame if str(name).startswith("formation_energy_")]
    potentials = [name.removeprefix("formation_energy_") for name in formation]
    former = {f"energy_{name}": f"energy_per_atom_{name}" for name in potentials}
    return frame.rename(columns={old: new for old, new in former.items() if old in frame and new not in frame})


def is_structure_folder(path: Path | str) -> bool:
    """Whether a path is a folder that `matgen structure` wrote."""
    return (Path(path) / TABLE).is_file()


def read_plan(folder: Path | str) -> dict[str, Any]:
    """What is known of how a folder was made.

    Raises:
        DataError: it is missing or damaged.
    """
    return read_description(Path(folder), PLAN)


def write_table(folder: Path, frame: pd.DataFrame, plan: dict[str, Any]) -> None:
    """Write the table and the plan."""
    with atomic_write(folder / TABLE) as temporary:
        write_parquet(frame, temporary)
    crystals = [path.relative_to(folder).as_posix() for part in (CRYSTALS, TEMPLATES)
                for path in sorted((folder / part).glob("*.cif"))]  # fmt: skip
    write_description(folder, PLAN, plan, only=[TABLE, CANDIDATES, ALL_CRYSTALS, *crystals])
