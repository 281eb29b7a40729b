"""Antiferromagnetic orders to start calculations from, ranked without a calculation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matgen.dft.magnetism import NET_SHARE, order_name
from matgen.dft.settings import Job
from matgen.dft.sign_patterns import (
    distinct_patterns,
    distinct_supercells,
    lattice_permutations,
    symmetry_of,
    unchanged_by,
)
from matgen.structures.symmetry import site_permutations

if TYPE_CHECKING:
    from pymatgen.core import Structure

LEAST_MOMENT = 0.5
"""Bohr magnetons from which an atom has a moment of its own; smaller ones follow their neighbors."""

MOST_SITES = 16
"""Magnetic atoms of a cell up to which all signs are enumerated."""

MOST_ORDERS = 100
"""Orders that are kept of a cell; of 16 atoms without symmetry there are 32,767."""

MOST_SITES_TO_DOUBLE, MOST_ATOMS_OF_DOUBLE = 4, 48
"""Magnetic atoms of a cell that is doubled, and atoms of the double."""

HANDICAP = 0.05
"""Share of all coupling by which a double cell, or a net moment, must be better."""

_BOND, _BOND_SPREAD = 3.6, 1.25
"""Angstrom, and times the shortest bond of an atom: up to there a nonmetal is bound to a magnetic atom."""

_DIRECT, _RANGE, _DECAY = 0.1, 3.0, 0.5
"""Direct coupling of the nearest magnetic atoms, as a share of a straight bridge's; its range and decay, angstrom."""


@dataclass(frozen=True)
class MagneticOrder:
    """A collinear order.

    Attributes:
        structure: the cell, a multiple of the crystal's, with moments (Bohr magnetons) as site property `magmom`.
        cell: `(3, 3)` rows, the multiple; the structure's own vectors are reduced ones of the same lattice.
        name: `antiferromagnetic` or `ferrimagnetic`.
        antiparallel: couplings that the order satisfies minus those that it does not, as a share of all: 1 where all
            coupled moments are opposite, -1 where they are parallel.
    """

    structure: Structure
    cell: NDArray[np.intp]
    name: str
    antiparallel: float

    @property
    def rank(self) -> tuple[float, int]:
        """Orders to be tried first come first."""
        larger = round(abs(float(np.linalg.det(self.cell)))) > 1
        handicap = HANDICAP * larger + HANDICAP * (self.name != "antiferromagnetic")
        return round(handicap - self.antiparallel, 6), len(self.structure)


def magnetic_sites(structure: Structure, moments: Sequence[float]) -> list[int]:
    """Indices of the atoms whose moments can point either way.

    Those of at least `LEAST_MOMENT` of 3d metals, lanthanides and actinides; where there are none, of other transition
    metals; where there are none either, of any element. The moments of rhodium in FeRh or of oxygen in an oxide are
    induced by their neighbors and vanish where these cancel.

    Args:
        structure: the crystal.
        moments: of its atoms, Bohr magnetons.
    """
    ranks = [_rank(site.specie) if abs(moment) >= LEAST_MOMENT else 9
             for site, moment in zip(structure, moments, strict=True)]  # fmt: skip
    lowest = min(ranks, default=9)
    return [index for index, rank in enumerate(ranks) if rank == lowest < 9]


def _rank(element: Any) -> int:
    if element.is_lanthanoid or element.is_actinoid or (element.is_transition_metal and element.row == 4):
        return 0
    return 1 if element.is_transition_metal else 2


def couplings(structure: Structure, sites: Sequence[int]) -> NDArray[np.float64]:
    """Strengths `(n, n)` by which pairs of magnetic atoms and their images want opposite moments, no unit.

    A pair couples by the square of the cosine of the angle at each nonmetal that both are bound to (superexchange is
    strongest along straight bridges and weak at right angles: J. B. Goodenough, Phys. Rev. 100, 564, 1955;
    J. Kanamori, J. Phys. Chem. Solids 10, 87, 1959), and by a tenth of that directly where it is nearest, which decides
    where there are no bridges, as in metals. Sums over all pairs; those of an atom with its own images are on the
    diagonal.

    Args:
        structure: the crystal.
        sites: indices of the `n` magnetic atoms.
    """
    place = {site: number for number, site in enumerate(sites)}
    strengths = np.zeros((len(sites), len(sites)))
    for bonds in _bonds_of_nonmetals(structure, place).values():
        number, vectors = [n for n, _ in bonds], np.array([vector for _, vector in bonds])
        cosines = vectors @ vectors.T
        for one in range(len(bonds)):
            for other in range(one):
                strengths[number[one], number[other]] += cosines[one, other] ** 2
    magnetic = structure.copy()
    magnetic.remove_sites([index for index in range(len(structure)) if index not in place])
    shortest = _shortest(magnetic)
    centers, points, _, distances = magnetic.get_neighbor_list(shortest + _RANGE)
    direct = 0.5 * _DIRECT * np.exp(-(distances - shortest) / _DECAY)  # each pair is listed from both ends
    np.add.at(strengths, (centers, points), direct)
    return strengths


def _bonds_of_nonmetals(
    structure: Structure, place: dict[int, int]
) -> dict[int, list[tuple[int, NDArray[np.float64]]]]:
    """Nonmetal to the magnetic atoms bound to it: their numbers and the unit vectors towards them."""
    centers, points, images, distances = structure.get_neighbor_list(_BOND)
    nonmetal = np.array([not site.specie.is_metal and index not in place for index, site in enumerate(structure)])
    shortest: dict[int, float] = {}
    pairs = zip(centers.tolist(), points.tolist(), images, distances.tolist(), strict=True)
    links = [(c, p, image, d) for c, p, image, d in pairs if c in place and nonmetal[p]]
    for center, _, _, distance in links:
        shortest[center] = min(distance, shortest.get(center, distance))
    bonds: dict[int, list[tuple[int, NDArray[np.float64]]]] = {}
    matrix, at = structure.lattice.matrix, structure.cart_coords
    for center, point, image, distance in links:
        if distance <= _BOND_SPREAD * shortest[center]:
            towards = at[center] - at[point] - image @ matrix
            bonds.setdefault(point, []).append((place[center], towards / distance))
    return bonds


def _shortest(structure: Structure) -> float:
    """The shortest distance of two atoms, angstrom, images included."""
    matrix = structure.distance_matrix + np.diag(
        [min(structure.lattice.get_lll_reduced_lattice().abc)] * len(structure)
    )
    return float(matrix.min())


def antiferromagnetic_orders(
    structure: Structure, moments: Sequence[float], *, multiples: Sequence[int] = (1, 2)
) -> list[MagneticOrder]:
    """Collinear orders with opposite moments that symmetry does not relate, those to be tried first coming first.

    Signs are those of `magnetic_sites`; all other moments become 0. The rank is a rule, not an energy: most of the
    coupling of `couplings` satisfied, in the crystal's own cell and without a net moment unless another order is better
    by `HANDICAP`. Larger cells are enumerated for few magnetic atoms (`MOST_SITES_TO_DOUBLE`), since a cell with one of
    them has no other way; of their orders those are kept that come before all of the crystal's own cell. The rule knows
    neither ferromagnetic superexchange nor orbitals that point at each other: of LaMnO3 it ranks the G-type order
    before the A-type one, of Cr2O3 hematite's order before its own.

    Args:
        structure: the crystal.
        moments: magnitudes for its atoms, Bohr magnetons.
        multiples: orders of the cells.

    Returns:
        none where no atom is magnetic, or more than `MOST_SITES` are.
    """
    magnetic = magnetic_sites(structure, moments)
    if not 1 <= len(magnetic) <= MOST_SITES:
        return []
    sized = structure.copy()
    signed = set(magnetic)
    sized.add_site_property("magmom", [abs(float(m)) if i in signed else 0.0 for i, m in enumerate(moments)])
    orders: list[MagneticOrder] = []
    for multiple in sorted(multiples):
        if multiple > 1 and (len(magnetic) > MOST_SITES_TO_DOUBLE or multiple * len(structure) > MOST_ATOMS_OF_DOUBLE):
            continue
        best = min((order.rank for order in orders), default=None)
        for cell in distinct_supercells(structure, multiple):
            orders += [order for order in _orders_of_cell(sized, cell) if best is None or order.rank < best]
    return sorted(orders, key=lambda order: order.rank)


def _orders_of_cell(sized: Structure, cell: NDArray[np.intp]) -> list[MagneticOrder]:
    """The first `MOST_ORDERS` orders of one supercell that no smaller cell has."""
    structure = sized
    if not np.array_equal(cell, np.eye(3)):
        structure = sized.make_supercell(cell, in_place=False)
    moments = np.array(structure.site_properties["magmom"], dtype=float)
    sites = np.flatnonzero(moments).tolist()
    patterns = distinct_patterns(site_permutations(structure, symmetry_of(structure), sites), len(sites))
    patterns = patterns[~unchanged_by(patterns, lattice_permutations(structure, sites, cell))]
    patterns = patterns[(patterns < 0).any(axis=1)]
    strengths = couplings(structure, sites)
    signs = patterns.astype(float)
    antiparallel = -np.einsum("pi,ij,pj->p", signs, strengths, signs) / strengths.sum()
    net = np.abs(signs @ moments[sites]) / moments.sum() >= NET_SHARE
    first = np.argsort(np.round(HANDICAP * net - antiparallel, 6), kind="stable")[:MOST_ORDERS]
    reduced = structure if structure is sized else structure.get_reduced_structure("niggli")
    orders = []
    for place in first.tolist():
        signed = moments.copy()
        signed[sites] *= signs[place]
        own = reduced.copy()
        own.add_site_property("magmom", signed.tolist())
        orders.append(MagneticOrder(own, cell, order_name(signed.tolist()), float(antiparallel[place])))
    return orders


def with_magnetic_orders(jobs: Sequence[Job], n: int) -> tuple[list[Job], dict[str, list[str]]]:
    """Jobs with antiferromagnetic orders of theirs, each after the ferromagnetic job whose id it extends.

    References of elements have the moments of their ground states, moments that have signs already stay, and what is
    predicted to have none gets no order, though its calculation begins with default moments.

    Args:
        jobs: of which candidates and competing phases get orders.
        n: calculations of a magnetic structure at most: 1 leaves all jobs as they are, 2 adds the first order of
            `antiferromagnetic_orders` (`<id>-afm`), 3 the second one too (`<id>-afm2`) and so on.

    Returns:
        the jobs, and warnings by id.
    """
    every: list[Job] = []
    remarks: dict[str, list[str]] = {}
    for job in jobs:
        every.append(job)
        predicted_none = "magmom" in job.structure.site_properties and job.moments() is None
        moments = job.initial_moments()[0]
        if n < 2 or job.role == "element" or predicted_none or order_name(moments) != "ferromagnetic":
            continue
        assert moments is not None
        magnetic = magnetic_sites(job.structure, moments)
        if len(magnetic) > MOST_SITES:
            remarks[job.id] = [f"more than {MOST_SITES} magnetic atoms: ferromagnetic only"]
        orders = antiferromagnetic_orders(job.structure, moments)
        every += [_job_of(job, order, number) for number, order in enumerate(orders[: n - 1], start=1)]
    return every, remarks


def _job_of(job: Job, order: MagneticOrder, number: int) -> Job:
    provenance = job.provenance | {"cell": order.cell.tolist(), "antiparallel": round(order.antiparallel, 3)}
    suffix = "-afm" if number == 1 else f"-afm{number}"
    return replace(job, id=job.id + suffix, structure=order.structure, provenance=provenance, order_of=job.id)
