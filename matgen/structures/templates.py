"""Known crystal structures from which others are made: bundled, a user's, the Materials Project's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.datasets.storage import data_folder
from matgen.errors import DataError, MissingDependencyError, OptionError, first_line
from matgen.io.files import write_text
from matgen.io.parquet import read_parquet

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
        found = self._by_ratio.get(ratio(counts), [])
        return found if max_atoms is None else [template for template in found if template.n_atoms <= max_atoms]

    def without(self, formulas: Iterable[str]) -> TemplateLibrary:
        """The library without the structures of some compounds; their prototypes stay where others have them too.

        Args:
            formulas: reduced formulas.
        """
        left_out = set(formulas)
        return TemplateLibrary(template for template in self.templates if template.formula not in left_out)


def ratio(counts: Iterable[int]) -> tuple[int, ...]:
    """What an anonymous formula says: atoms of each element, divided by their greatest common divisor, ascending."""
    found = np.array(sorted(counts), dtype=np.int64)
    return tuple((found // np.gcd.reduce(found)).tolist())


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


MATERIALS_PROJECT = "materials-project"
"""What stands for the Materials Project where databases of templates are named; others by their OPTIMADE address."""

_MOST = 100  # structures of an anonymous formula taken from an OPTIMADE database
_PATIENCE = 30  # seconds


def templates_from(source: str, ratios: Iterable[tuple[int, ...]], *, max_atoms: int) -> TemplateLibrary:
    """Templates of some anonymous formulas from a database: today's structures, fetched now.

    Args:
        source: `materials-project`, or the address of a database that speaks OPTIMADE.
        ratios: the anonymous formulas, as `ratio` gives them.
        max_atoms: of the primitive cell at most.

    Raises:
        OptionError: it is neither.
        DataError: no key, no connection, or a refusal.
        MissingDependencyError: the Materials Project's client is not installed.
    """
    require_source(source)
    wanted = sorted(set(ratios))
    if source == MATERIALS_PROJECT:
        found = templates_of_materials_project([anonymous(counts) for counts in wanted], max_atoms=max_atoms)
    else:
        found = templates_of_optimade([anonymous(counts[::-1]) for counts in wanted], url=source, max_atoms=max_atoms)
    return TemplateLibrary(template for template in found.templates if template.n_atoms <= max_atoms)


def require_source(source: str) -> None:
    """Raise an `OptionError` unless it names a database that templates can be fetched from."""
    if source != MATERIALS_PROJECT and not source.startswith(("https://", "http://")):
        raise OptionError(
            f"unknown source of templates {source!r}: {MATERIALS_PROJECT} or an OPTIMADE address, https://..."
        )


def anonymous(counts: Iterable[int]) -> str:
    """An anonymous formula such as `ABC3`, letters in the order of the counts."""
    return "".join(
        f"{letter}{count if count > 1 else ''}" for letter, count in zip(ascii_uppercase, counts, strict=False)
    )


def templates_of_materials_project(anonymous_formulas: Sequence[str], *, max_atoms: int) -> TemplateLibrary:
    """Templates from today's Materials Project, the stable entries of some anonymous formulas.

    Needs `pip install matgen[online]` and `MP_API_KEY`.

    Args:
        anonymous_formulas: such as `ABC3`, counts ascending.
        max_atoms: of a cell at most.

    Raises:
        DataError: no key, no connection, or a refusal.
        MissingDependencyError: its client is not installed.
    """
    if not os.environ.get("MP_API_KEY"):
        raise DataError("set MP_API_KEY to a key of materialsproject.org to take templates from there")
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise MissingDependencyError(
            "templates of the Materials Project need its client: pip install mp-api"
        ) from error
    fields = ["material_id", "structure", "formula_pretty"]
    try:
        with MPRester(mute_progress_bars=True) as client:
            found = client.materials.summary.search(
                formula=list(anonymous_formulas), energy_above_hull=(0, 1e-6), num_sites=(1, max_atoms), fields=fields
            )
    except Exception as error:
        raise DataError(f"the Materials Project did not answer: {first_line(error)}") from error
    return _sound(((str(entry.material_id), entry.structure) for entry in found), "Materials Project")


def templates_of_optimade(anonymous_formulas: Sequence[str], *, url: str, max_atoms: int) -> TemplateLibrary:
    """Templates from a database that speaks OPTIMADE, of each anonymous formula the first 100 at most.

    Args:
        anonymous_formulas: such as `A3BC`, counts descending, as OPTIMADE has them.
        url: of the database, such as `https://optimade.materialsproject.org`.
        max_atoms: of a cell at most.

    Raises:
        DataError: no connection, a refusal, or an answer that is not OPTIMADE's.
    """
    import requests

    found: list[tuple[str, Structure]] = []
    fields = "lattice_vectors,cartesian_site_positions,species,species_at_sites"
    for formula in anonymous_formulas:
        query = f'chemical_formula_anonymous="{formula}" AND nsites<={max_atoms}'
        try:
            answer = requests.get(
                f"{url.rstrip('/')}/v1/structures", timeout=_PATIENCE,
                params={"filter": query, "page_limit": str(_MOST), "response_fields": fields},
            )  # fmt: skip
            answer.raise_for_status()
            entries = answer.json()["data"]
            found += [(str(entry["id"]), structure) for entry in entries if (structure := _of_optimade(entry))]
        except Exception as error:  # of requests, or of an answer in another form
            raise DataError(f"{url} did not answer as an OPTIMADE database does: {first_line(error)}") from error
    return _sound(found, "OPTIMADE")


def _of_optimade(entry: dict[str, Any]) -> Structure | None:
    """The structure of an entry, None where it has none, or a disordered one."""
    from pymatgen.core import Structure

    told = entry["attributes"]
    try:
        kinds = {kind["name"]: kind for kind in told["species"]}
        if any(min(kind["concentration"]) < 1 for kind in kinds.values()):
            return None
        symbols = [kinds[name]["chemical_symbols"][0] for name in told["species_at_sites"]]
        return Structure(told["lattice_vectors"], symbols, told["cartesian_site_positions"], coords_are_cartesian=True)
    except (KeyError, TypeError, ValueError):  # a molecule, or a vacancy
        return None


def _sound(structures: Iterable[tuple[str, Structure]], source: str) -> TemplateLibrary:
    """A library of those of a database's structures that can serve: disordered ones cannot."""
    kept = []
    for id, structure in structures:
        with contextlib.suppress(DataError):
            kept.append(template_of(structure, id=id, source=source))
    return TemplateLibrary(kept)


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
