"""Templates fetched from the Materials Project or a database that speaks OPTIMADE."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from matgen.errors import DataError, MissingDependencyError, OptionError, first_line
from matgen.structures.templates import TemplateLibrary, template_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

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
        library = templates_of_materials_project([anonymous(counts) for counts in wanted], max_atoms=max_atoms)
    else:
        library = templates_of_optimade([anonymous(counts[::-1]) for counts in wanted], url=source, max_atoms=max_atoms)
    return TemplateLibrary(template for template in library.templates if template.n_atoms <= max_atoms)


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
            entries = client.materials.summary.search(
                formula=list(anonymous_formulas), energy_above_hull=(0, 1e-6), num_sites=(1, max_atoms), fields=fields
            )
    except Exception as error:
        raise DataError(f"the Materials Project did not answer: {first_line(error)}") from error
    return _sound(((str(entry.material_id), entry.structure) for entry in entries), "Materials Project")


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

    crystals: list[tuple[str, Structure]] = []
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
            crystals += [(str(entry["id"]), structure) for entry in entries if (structure := _of_optimade(entry))]
        except Exception as error:  # of requests, or of an answer in another form
            raise DataError(f"{url} did not answer as an OPTIMADE database does: {first_line(error)}") from error
    return _sound(crystals, "OPTIMADE")


def _of_optimade(entry: dict[str, Any]) -> Structure | None:
    """The structure of an entry, None where it has none, or a disordered one."""
    from pymatgen.core import Structure

    attributes = entry["attributes"]
    try:
        kinds = {kind["name"]: kind for kind in attributes["species"]}
        if any(min(kind["concentration"]) < 1 for kind in kinds.values()):
            return None
        symbols = [kinds[name]["chemical_symbols"][0] for name in attributes["species_at_sites"]]
        return Structure(
            attributes["lattice_vectors"], symbols, attributes["cartesian_site_positions"], coords_are_cartesian=True
        )
    except (KeyError, TypeError, ValueError):  # a molecule, or a vacancy
        return None


def _sound(structures: Iterable[tuple[str, Structure]], source: str) -> TemplateLibrary:
    """A library of those of a database's structures that can serve: disordered ones cannot."""
    kept = []
    for id, structure in structures:
        with contextlib.suppress(DataError):
            kept.append(template_of(structure, id=id, source=source))
    return TemplateLibrary(kept)
