"""Structures that other programs propose, such as CrystaLLM, Chemeleon or MatterGen: read from a folder of files."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from matgen.errors import DataError, first_line
from matgen.structures.templates import LEAST_SPACE, MOST_SPACE, SUFFIXES

if TYPE_CHECKING:
    from pymatgen.core import Structure

FRAMES = (".extxyz", ".xyz")
"""Files that hold any number of structures."""
_CLOSEST = 0.5  # angstrom; nearer atoms are one and the same


@dataclass(frozen=True, eq=False)
class ProposedStructure:
    """A structure from a file.

    Attributes:
        name: of the file below the folder, with the frame's number, from 1, where it holds several.
        formula: reduced formula as pymatgen writes it.
        structure: in its primitive cell.
    """

    name: str
    formula: str
    structure: Structure


def proposed_in(folder: Path | str, max_atoms: int) -> tuple[list[ProposedStructure], list[str]]:
    """Structures of a folder of CIF, POSCAR, JSON (pymatgen's) and extended XYZ files, and why some gave none.

    Args:
        folder: where they are, at any depth.
        max_atoms: of a primitive cell at most.

    Raises:
        DataError: it is no folder, or holds no such file.
    """
    folder = Path(folder)
    files = _files(folder)
    if not files:
        raise DataError(f"no structure in {folder}: it holds no {', '.join((*SUFFIXES, *FRAMES))} or POSCAR file")
    return _read(folder, tuple(files), digest_of_files(folder), max_atoms)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of structures")
    named = ("POSCAR", "CONTCAR")
    return sorted(path for path in folder.rglob("*") if path.is_file() and (
        path.suffix.lower() in (*SUFFIXES, *FRAMES) or path.name.upper().startswith(named)))  # fmt: skip


def digest_of_files(folder: Path | str) -> str:
    """A digest of the names and content of a folder's structure files."""
    digest = hashlib.sha256()
    for path in _files(Path(folder)):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _read(folder: Path, files: tuple[Path, ...], digest: str, max_atoms: int
          ) -> tuple[list[ProposedStructure], list[str]]:  # fmt: skip
    """`digest` tells apart what a folder held at different times."""
    read, bad = [], []
    for path in files:
        name = str(path.relative_to(folder))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frames = list(_frames(path))
        except Exception as error:
            bad.append(f"{name}: {first_line(error)}")
            continue
        for number, structure in enumerate(frames, start=1):
            named = name if len(frames) == 1 else f"{name}:{number}"
            try:
                read.append(_sound(named, structure, max_atoms))
            except DataError as error:
                bad.append(str(error))
    return read, bad


def _frames(path: Path) -> Iterator[Structure]:
    from pymatgen.core import Structure

    if path.suffix.lower() not in FRAMES:
        yield Structure.from_file(path)
        return
    from ase.io import read
    from pymatgen.io.ase import AseAtomsAdaptor

    for atoms in read(path, index=":", format="extxyz"):
        if not atoms.pbc.all():
            raise DataError("it is not periodic in three directions")
        yield AseAtomsAdaptor.get_structure(atoms)


def _sound(name: str, structure: Structure, max_atoms: int) -> ProposedStructure:
    """The structure in its primitive cell.

    Raises:
        DataError: it is disordered, has atoms in one place, too many atoms, or a cell that is no crystal's.
    """
    if not structure.is_ordered:
        raise DataError(f"{name}: some sites are partly occupied")
    structure = structure.copy()
    structure.remove_oxidation_states()
    if not LEAST_SPACE <= structure.volume / len(structure) <= MOST_SPACE:
        raise DataError(f"{name}: {structure.volume / len(structure):.3g} cubic angstrom an atom is no crystal's")
    if not structure.is_valid(tol=_CLOSEST):
        raise DataError(f"{name}: atoms are closer than {_CLOSEST} angstrom")
    primitive = structure.get_primitive_structure(tolerance=0.1)
    if len(primitive) > max_atoms:
        raise DataError(f"{name}: {len(primitive)} atoms are more than the {max_atoms} a primitive cell may have")
    return ProposedStructure(name, primitive.composition.reduced_formula, primitive)
