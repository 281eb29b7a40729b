"""Doped compositions: their host, site and charge, and ordered supercells in which the dopant takes distinct sites."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.composition.elements import SYMBOLS
from matgen.errors import DataError, FormulaError, StructureError, first_line, require_above_zero
from matgen.structures.charges import dopant_charge, doping_kind, vacancies_per_dopant
from matgen.structures.dopant_energies import formation_energy_by
from matgen.structures.folder import without_moments
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import column_suffix
from matgen.structures.propose import Proposal, Proposer
from matgen.structures.relax import RelaxSettings, relax
from matgen.structures.supercells import (
    Placement,
    arrangements,
    degeneracy,
    shortest_vector,
    spread,
    supercell,
)
from matgen.structures.symmetry import site_permutations, symmetry_operations
from matgen.structures.templates import template_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

COLUMNS = ("host", "site", "dopant")
"""Columns of a table that make its rows doped compositions; `matgen tinker --dope` writes them."""

WHOLE = ("n_cells", "n_dopants", "n_vacancies", "arrangements", "degeneracy")
"""Columns of doped structures with whole numbers, missing in other rows."""

_SIZES = 4  # supercell sizes that are compared, the largest that are allowed


@dataclass(frozen=True)
class DopingSettings:
    """How supercells of doped compositions are made.

    Attributes:
        max_atoms: atoms of the host's supercell at most.
        compensate: whether vacancies of the host make up for the dopants' charge.
        host: a file with the structure of the host; None takes the host's own bundled structures, or templates.
    """

    max_atoms: int = 60
    compensate: bool = False
    host: Path | None = None

    def __post_init__(self) -> None:
        require_above_zero(self, "max_atoms")


@dataclass(frozen=True)
class Doping:
    """A doped composition.

    Attributes:
        host: its reduced formula.
        site: symbol of the element that is replaced in part.
        dopant: symbol of the element that takes its place.
        share: of the site's atoms that are replaced, above 0 and below 1.
    """

    host: str
    site: str
    dopant: str
    share: Fraction

    def __str__(self) -> str:
        """In words: `La on 1/8 of Sr in SrTiO3`."""
        return f"{self.dopant} on {self.share} of {self.site} in {self.host}"


def read_dopings(candidates: pd.DataFrame, column: str) -> dict[int, Doping]:
    """The doped compositions of a table with the columns `host`, `site` and `dopant`, by rank from 1.

    Rows without a host, whose formula is the host's or the full replacement's, or cannot be read are none.

    Raises:
        DataError: a formula is not its host with the dopant on a share of the site.
    """
    if not set(COLUMNS) <= set(candidates.columns):
        return {}
    parsed = parse_some(candidates[column])
    dopings = {}
    for place, formula in zip(parsed.rows.tolist(), parsed.batch.formulas().tolist(), strict=True):
        host, site, dopant = (candidates[name].iloc[place] for name in COLUMNS)
        if pd.isna(host) or pd.isna(dopant):
            continue
        try:
            doping = _read(formula, str(host), str(site), str(dopant))
        except FormulaError as error:
            raise DataError(f"row {place + 1}: its host cannot be read: {error}") from error
        if doping is None:
            raise DataError(f"row {place + 1}: {formula} is not {host} with {dopant} on a share of {site}: "
                            "correct the columns host, site and dopant, or leave them out")  # fmt: skip
        if 0 < doping.share < 1:
            dopings[place + 1] = doping
    return dopings


def _read(formula: str, host: str, site: str, dopant: str) -> Doping | None:
    """The doping, its share found from the compositions; None where they do not fit."""
    (host,) = CompositionBatch.from_formulas([host]).formulas().tolist()
    before, after = _fractions(host), _fractions(formula)
    if site not in before:
        return None
    moved = before[site] - after.get(site, Fraction(0))
    expected = dict(before)
    expected[site] -= moved
    expected[dopant] = expected.get(dopant, Fraction(0)) + moved
    if moved < 0 or {name: share for name, share in expected.items() if share} != after:
        return None
    return Doping(host, site, dopant, moved / before[site])


def _fractions(formula: str) -> dict[str, Fraction]:
    """Atomic fractions, exact."""
    batch = CompositionBatch.from_formulas([formula])
    total = int(batch.n_atoms[0])
    return {str(SYMBOLS[z]): Fraction(int(count), total)
            for z, count in zip(batch.elements[0], batch.counts[0], strict=True) if z}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Host:
    """The crystal that is doped.

    Attributes:
        structure: its primitive cell, relaxed where there is a potential.
        template: where it comes from.
        prototype: AFLOW's label of its prototype.
        formation_energies: name of each potential that relaxed it to its formation energy, eV/atom.
    """

    structure: Structure
    template: str
    prototype: str
    formation_energies: dict[str, float]


def read_host(path: Path, formulas: Sequence[str]) -> Proposal:
    """The structure of a host from a file.

    Args:
        path: CIF, POSCAR or pymatgen's JSON.
        formulas: of the hosts of a table, all of which it must be the structure of.

    Raises:
        DataError: it cannot be read, is disordered, or has another composition.
    """
    from pymatgen.core import Structure

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure = Structure.from_file(path)
    except Exception as error:
        raise DataError(f"cannot read the host's structure {path}: {first_line(error)}") from error
    template = template_of(structure, id=path.name)
    (formula,) = CompositionBatch.from_formulas([template.formula]).formulas().tolist()
    if other := sorted(set(formulas) - {formula}):
        raise DataError(f"{path} is {formula}, but the table has the host {other[0]}: give a table of one host")
    return Proposal(formula, template.structure(), "file", template.id, template.prototype, {}, None)


def find_host(formula: str, proposer: Proposer, settings: DopingSettings, potentials: Sequence[Potential],
              relaxation: RelaxSettings) -> Host:  # fmt: skip
    """The structure of a host: a user's, else the lowest of its own in the library, else of those proposed for it.

    Args:
        formula: its reduced formula.
        proposer: with the library.
        settings: with the user's file.
        potentials: the first relaxes all of them and says which is the lowest, the others relax that one further; by
            none the first structure is taken as it is.
        relaxation: how they are relaxed.

    Raises:
        DataError: the user's file is not usable.
        StructureError: there is none, or it cannot be relaxed.
    """
    if settings.host is not None:
        known = [read_host(settings.host, [formula])]
    else:
        own = [template for template in proposer.library.templates if template.formula == formula]
        known = [Proposal(formula, template.structure(), "template", template.id, template.prototype, {}, None)
                 for template in own if template.n_atoms <= settings.max_atoms]  # fmt: skip
        known = known or proposer.propose(formula)
    energies: dict[str, float] = {}
    for potential in potentials:
        results = relax([proposal.structure for proposal in known], potential, relaxation)
        sound = [(result.energy, place) for place, result in enumerate(results) if not result.reason]
        if not sound:
            raise StructureError(f"its host {formula} cannot be relaxed by {potential.name}: {results[0].reason}")
        energy, place = min(sound)
        known = [replace(known[place], structure=without_moments(results[place].structure))]
        energies[potential.name] = formation_energy_by(potential, known[0].structure, energy)
    return Host(known[0].structure, known[0].template, known[0].prototype, energies)


@dataclass(frozen=True)
class DopedProposal(Proposal):
    """A supercell of a host with dopants.

    Attributes:
        details: more columns of it; see `docs/howto/tinker.md`.
    """

    details: dict[str, Any] = field(kw_only=True)

    def provenance(self) -> dict[str, Any]:
        """All but the structure, as columns."""
        return super().provenance() | self.details


@dataclass(frozen=True)
class _Cell:
    """What a supercell holds: how many cells of the host, dopants, and vacancies of which element."""

    n_cells: int
    n_dopants: int
    vacant: str
    n_vacancies: int


def propose_doped(doping: Doping, host: Host, settings: DopingSettings, per_formula: int) -> list[DopedProposal]:
    """Supercells of the host with the dopant on symmetry-distinct sites, the dopants far apart first.

    Of more arrangements than `per_formula` those are taken that spread evenly from far apart to close together, by the
    sum of inverse distances (of vacancies that compensate the charge, with the sign of their charge).

    Raises:
        StructureError: no supercell of at most `settings.max_atoms` holds whole dopants.
    """
    charge = dopant_charge(doping.host, doping.site, doping.dopant)
    structure, cell, remark = _supercell(doping, host.structure, settings, charge)
    operations = symmetry_operations(structure)
    if operations is None:
        raise StructureError("spglib finds no symmetry of the supercell")
    permutations = site_permutations(structure, operations)
    sites = [
        [place for place, site in enumerate(structure) if site.specie.symbol == symbol]
        for symbol in (doping.site, cell.vacant)
    ]
    crowding = _Crowding(structure, cell)
    found = arrangements(permutations, sites, (cell.n_dopants, cell.n_vacancies), crowding)
    common = {
        "doping": doping_kind(charge), "dopant_charge": charge, "compensation": remark,
        "host_formula": doping.host, "n_cells": cell.n_cells, "n_dopants": cell.n_dopants,
        "n_vacancies": cell.n_vacancies,
        "arrangements": len(found.placements) if found.complete else None,
    }  # fmt: skip
    common |= {
        f"host_formation_energy_{column_suffix(name)}": energy for name, energy in host.formation_energies.items()
    }
    proposals = []
    for placement in spread(found.placements, per_formula, crowding):
        doped = _substituted(structure, placement, doping.dopant)
        (formula,) = CompositionBatch.from_formulas([doped.composition.formula.replace(" ", "")]).formulas().tolist()
        details = common | {"degeneracy": degeneracy(permutations, placement),
                            "dopant_distance": round(crowding.closest(placement), 4)}  # fmt: skip
        proposals.append(DopedProposal(formula, doped, "doped", host.template, host.prototype,
                                       {doping.site: doping.dopant}, None, details=details))  # fmt: skip
    return proposals


def _supercell(doping: Doping, structure: Structure, settings: DopingSettings,
               charge: float | None) -> tuple[Structure, _Cell, str]:  # fmt: skip
    """The supercell whose atoms are farthest from their images, the smaller of equal ones; and what compensates it."""
    n_sites = sum(site.specie.symbol == doping.site for site in structure)
    step = (doping.share * n_sites).denominator  # cells with whole dopants
    largest = settings.max_atoms // len(structure)
    if step > largest:
        raise StructureError(f"{doping} takes {step} cells of {len(structure)} atoms: --max-atoms "
                             f"{step * len(structure)} at least")  # fmt: skip
    sizes = range(step, largest + 1, step)
    cells: list[_Cell] = []
    remark = ""
    if settings.compensate:
        cells, remark = _compensated(doping, n_sites, sizes, charge, settings.max_atoms)
    if not cells:
        cells = [_Cell(n, int(doping.share * n_sites * n), "", 0) for n in sizes]
    made = [(supercell(structure, cell.n_cells), cell) for cell in cells[-_SIZES:]]
    best, cell = max(made, key=lambda one: (round(shortest_vector(one[0]), 1), -one[1].n_cells))
    return best, cell, remark


def _compensated(doping: Doping, n_sites: int, sizes: Sequence[int], charge: float | None,
                 max_atoms: int) -> tuple[list[_Cell], str]:  # fmt: skip
    """Supercells with whole vacancies that make up for the dopants' charge, and what was done, in words."""
    if charge is None:
        return [], "none: the charges are not known"
    if charge == 0:
        return [], "none needed"
    for symbol, each in vacancies_per_dopant(doping.host, charge):
        dopants = [(n, int(doping.share * n_sites * n)) for n in sizes]
        cells = [_Cell(n, count, symbol, int(each * count)) for n, count in dopants if (each * count).denominator == 1]
        if cells:
            return cells, f"{symbol} vacancies, {each} for each {doping.dopant}"
    return [], f"none: no whole number of vacancies in at most {max_atoms} atoms"


class _Crowding:
    """How close together the substitutions of a supercell are: the sum over pairs of product of charges by distance.

    A dopant counts 1; a vacancy has the opposite charge, so that all add up to nothing.
    """

    def __init__(self, structure: Structure, cell: _Cell) -> None:
        self.distances = np.asarray(structure.distance_matrix)  # (n, n), angstrom, between nearest images
        self.image = shortest_vector(structure)
        self.weights = (1.0, -cell.n_dopants / max(cell.n_vacancies, 1))

    def __call__(self, placement: Placement) -> float:
        places = [site for taken in placement for site in taken]
        weights = np.repeat(self.weights, [len(taken) for taken in placement])
        apart = self.distances[np.ix_(places, places)] + np.where(np.eye(len(places)) > 0, np.inf, 0.0)
        return float((weights[:, None] * weights[None, :] / apart).sum() / 2)

    def closest(self, placement: Placement) -> float:
        """Shortest distance between dopants, images of one among them, angstrom."""
        between = self.distances[np.ix_(placement[0], placement[0])]
        pairs = between[np.triu_indices(len(between), 1)]
        return float(min([self.image, *pairs]))


def _substituted(structure: Structure, placement: Placement, dopant: str) -> Structure:
    """The supercell with dopants on the first sites of a placement, and none on the second."""
    doped = structure.copy()
    for site in placement[0]:
        doped.replace(site, dopant)
    doped.remove_sites(list(placement[1]))
    return doped
