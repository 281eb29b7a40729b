"""Known crystal structures from which others are made: bundled, a user's, the Materials Project's."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.errors import DataError, first_line
from matgen.io.files import write_text
from matgen.io.parquet import read_parquet
from matgen.io.places import data_folder

if TYPE_CHECKING:
    from pymatgen.core import Structure

SUFFIXES = (".cif", ".vasp", ".poscar", ".json")
"""Files of a user's folder that are read, beside POSCAR and CONTCAR by name."""

LEAST_SPACE, MOST_SPACE = 1.0, 10_000.0
"""Cubic angstrom an atom between which a cell can be a crystal's; hydrogen in metals takes 2, caesium 110."""


@dataclass(frozen=True, eq=False)
class Template:
    """A crystal structure whose sites other elements can take.

    Attributes:
        id: where it comes from, such as `aflow:AB_cF8_225_a_b`, `amcsd:1234` or a file's name.
        name: of the mineral or structure type; may be empty.
        source: `AFLOW`, `AMCSD`, `Materials Project`, `OPTIMADE` or `file`.
        prototype: AFLOW's label of the prototype (stoichiometry, Pearson symbol, space group, Wyckoff letters).
        formula: reduced formula of the compound that it is the structure of.
        space_group: number in the International Tables.
        species: symbols of the sites.
        lattice: cell vectors as rows, `(3, 3)`, angstrom.
        positions: fractional coordinates, `(n, 3)`.
    """

    id: str
    name: str
    source: str
    prototype: str
    formula: str
    space_group: int
    species: tuple[str, ...]
    lattice: np.ndarray
    positions: np.ndarray

    @property
    def n_atoms(self) -> int:
        """Atoms of the primitive cell."""
        return len(self.species)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Atoms of each element in the primitive cell."""
        symbols, counts = np.unique(self.species, return_counts=True)
        return dict(zip(symbols.tolist(), counts.tolist(), strict=True))

    def structure(self) -> Structure:
        """The compound's own structure."""
        from pymatgen.core import Structure

        return Structure(self.lattice, list(self.species), self.positions)


class TemplateLibrary:
    """Templates, found by their stoichiometry."""

    def __init__(self, templates: Iterable[Template]) -> None:
        self.templates = list(templates)
        self._by_ratio: dict[tuple[int, ...], list[Template]] = {}
        for template in self.templates:
            self._by_ratio.setdefault(ratio(template.counts.values()), []).append(template)

    def __len__(self) -> int:
        return len(self.templates)

    def __add__(self, other: TemplateLibrary) -> TemplateLibrary:
        return TemplateLibrary([*self.templates, *other.templates])

    def matching(self, counts: Iterable[int], max_atoms: int | None = None) -> list[Template]:
        """The templates whose anonymous formula a composition has.

        Args:
            counts: atoms of each element in a formula.
            max_atoms: of the primitive cell at most.
        """
        templates = self._by_ratio.get(ratio(counts), [])
        return templates if max_atoms is None else [template for template in templates if template.n_atoms <= max_atoms]

    def without(self, formulas: Iterable[str]) -> TemplateLibrary:
        """The library without the structures of some compounds; their prototypes stay where others have them too.

        Args:
            formulas: reduced formulas.
        """
        left_out = set(formulas)
        return TemplateLibrary(template for template in self.templates if template.formula not in left_out)


def ratio(counts: Iterable[int]) -> tuple[int, ...]:
    """What an anonymous formula says: atoms of each element, divided by their greatest common divisor, ascending."""
    numbers = np.array(sorted(counts), dtype=np.int64)
    return tuple((numbers // np.gcd.reduce(numbers)).tolist())


@lru_cache(maxsize=1)
def bundled_templates() -> TemplateLibrary:
    """The bundled structures; `data/README.md` says where they come from.

    Raises:
        DataError: the table is missing or damaged.
    """
    path = data_folder() / "prototypes.parquet"
    try:
        return _library_of(read_parquet(path))
    except (OSError, ValueError, KeyError) as error:  # a column or a coordinate may be missing
        raise DataError(f"cannot read the bundled structures {path}: {first_line(error)}") from error


def _library_of(frame: pd.DataFrame) -> TemplateLibrary:
    columns = ("id", "name", "source", "prototype", "formula", "space_group", "species", "lattice", "positions")
    return TemplateLibrary(
        Template(row[0], row[1], row[2], row[3], row[4], int(row[5]), tuple(row[6]), row[7].reshape(3, 3).astype(float),
                 row[8].reshape(len(row[6]), 3).astype(float))
        for row in frame[list(columns)].itertuples(index=False, name=None)
    )  # fmt: skip


def template_of(structure: Structure, *, id: str, name: str = "", source: str = "file") -> Template:
    """A structure as a template, in its primitive standard cell.

    Raises:
        DataError: it is disordered, its cell is no crystal's, or it has no symmetry that spglib finds.
    """
    from pymatgen.analysis.prototypes import get_protostructure_label
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    if not structure.is_ordered:
        raise DataError(f"{id}: some sites are partly occupied; a template needs one element on each site")
    space = structure.volume / len(structure)
    if not LEAST_SPACE <= space <= MOST_SPACE:  # spglib ends the process at some cells without a volume
        raise DataError(f"{id}: {space:.3g} cubic angstrom an atom is no crystal's")
    bare = structure.copy().remove_oxidation_states()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            analyzer = SpacegroupAnalyzer(bare, symprec=0.05)
            primitive = analyzer.get_primitive_standard_structure()
            label = get_protostructure_label(primitive, "spglib", raise_errors=True, init_symprec=0.05)
        except Exception as error:
            raise DataError(f"{id}: no symmetry found, so it is not a sound crystal: {first_line(error)}") from error
    return Template(
        id, name, source, str(label).split(":")[0], primitive.composition.reduced_formula,
        analyzer.get_space_group_number(), tuple(site.specie.symbol for site in primitive),
        np.array(primitive.lattice.matrix), np.array(primitive.frac_coords),
    )  # fmt: skip


def templates_in(folder: Path | str) -> tuple[TemplateLibrary, list[str]]:
    """Templates from a folder of CIF, POSCAR or pymatgen's JSON files, and why some files gave none.

    Raises:
        DataError: it is no folder, or none of its files can be read.
    """
    from pymatgen.core import Structure

    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of structures")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES or
                   path.name.upper().startswith(("POSCAR", "CONTCAR")))  # fmt: skip
    templates, bad = [], []
    for path in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                structure = Structure.from_file(path)
            templates.append(template_of(structure, id=path.name))
        except DataError as error:
            bad.append(str(error))
        except Exception as error:
            bad.append(f"{path.name}: {first_line(error)}")
    if not templates:
        reason = bad[0] if bad else f"it holds no {', '.join(SUFFIXES)} or POSCAR file"
        raise DataError(f"no template in {folder}: {reason}")
    return TemplateLibrary(templates), bad


def save_templates(folder: Path, library: TemplateLibrary) -> None:
    """Write each template's own structure as a CIF that `templates_in` reads."""
    from pymatgen.io.cif import CifWriter

    for template in library.templates:
        name = re.sub(r"[^A-Za-z0-9]+", "-", f"{template.source} {template.id}").strip("-")
        write_text(folder / f"{name}.cif", str(CifWriter(template.structure())))


def digest_of(library: TemplateLibrary) -> str:
    """A digest of a library's content, by which a run that goes on knows that nothing was exchanged."""
    digest = hashlib.sha256()
    for template in library.templates:
        digest.update(repr((template.id, template.species)).encode())
        digest.update(template.lattice.tobytes() + template.positions.tobytes())
    return digest.hexdigest()
