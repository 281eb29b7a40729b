"""Crystals on given Wyckoff positions: free coordinates and cell by a few steps of soft-sphere repulsion.

Ions of like charge are larger spheres to one another than ions of opposite charge, so that cations end up among anions.
The volume is held at its predicted value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from matgen.structures.reasons import Ion
from matgen.structures.wyckoff import Placement, SpaceGroup

if TYPE_CHECKING:
    from pymatgen.core import Structure

LIKE_CATIONS = 1.41
"""Distance of two cations in mean distances of them to the anions: the square root of 2, as in rock salt."""
SOFTNESS = 1.2
"""Diameters of the spheres in distances of contact; above 1, since the cell then has one best packing and not many."""
CLOSEST = 0.72
"""Share of the distance of contact below which two atoms are too close."""
_STEPS = 50
_IMAGES = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)], dtype=float)


def contacts(ions: Sequence[Ion]) -> NDArray[np.float64]:
    """Distances of contact of each two elements, angstrom, `(k, k)`.

    The sum of their radii; between cations `LIKE_CATIONS` times the mean distance to the anions, if there are any.
    """
    anions = [ion.radius for ion in ions if ion.state and ion.state < 0]
    anion = float(np.mean(anions)) if anions else 0.0
    table = np.empty((len(ions), len(ions)))
    for i, a in enumerate(ions):
        for j, b in enumerate(ions):
            table[i, j] = a.radius + b.radius
            if anions and (a.state or 0) > 0 and (b.state or 0) > 0:
                table[i, j] = LIKE_CATIONS * (anion + 0.5 * (a.radius + b.radius))
    return table


@dataclass(frozen=True, eq=False)
class Orbits:
    """The atoms of a primitive cell as linear functions of the free coordinates, `n` atoms of `f` coordinates.

    Attributes:
        elements: which element each atom is, `(n,)`.
        slopes: `(n, 3, f)`, and `offsets`, `(n, 3)`: conventional fractional coordinates are `slopes @ free + offsets`.
        primitive: primitive cell vectors in terms of the conventional ones, as rows, `(3, 3)`.
        number: of the space group.
    """

    elements: NDArray[np.int64]
    slopes: NDArray[np.float64]
    offsets: NDArray[np.float64]
    primitive: NDArray[np.float64]
    number: int

    @property
    def n_free(self) -> int:
        """Free coordinates, three of each orbit; those that do not move it count too."""
        return int(self.slopes.shape[2])


def primitive_vectors(centering: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shortest basis of the lattice that centering translations and unit vectors span, as rows, `(3, 3)`."""
    shifts = [shift + image for shift in centering for image in _IMAGES]
    vectors = sorted((v for v in shifts if np.abs(v).sum() > 1e-6), key=lambda v: (round(float(v @ v), 6), *(-v)))
    wanted = 1 / len(centering)
    for i, a in enumerate(vectors):
        for j in range(i + 1, len(vectors)):
            for c in vectors[j + 1 :]:
                basis = np.array([a, vectors[j], c])
                volume = float(np.linalg.det(basis))
                if abs(abs(volume) - wanted) < 1e-6:
                    return basis if volume > 0 else -basis
    raise ValueError(f"{centering.tolist()} are no centering translations")


def orbits_on(group: SpaceGroup, placement: Placement) -> Orbits:
    """The atoms of a closing in the primitive cell."""
    by_letter = {position.letter: position for position in group.positions}
    primitive = primitive_vectors(group.centering)
    inverse = np.linalg.inv(primitive)
    placed = [(element, by_letter[letter]) for element, of_one in enumerate(placement)
              for letter, n in of_one for _ in range(n)]  # fmt: skip
    probe = np.array([0.1234567, 0.2718282, 0.4142136])
    elements, slopes, offsets = [], [], []
    for orbit, (element, position) in enumerate(placed):
        seen: list[NDArray[np.float64]] = []
        for rotation, shift in zip(position.rotations, position.translations, strict=True):
            point = (rotation @ probe + shift) @ inverse
            if any(np.abs((point - other + 0.5) % 1 - 0.5).max() < 1e-5 for other in seen):
                continue
            seen.append(point)
            slope = np.zeros((3, 3 * len(placed)))
            slope[:, 3 * orbit : 3 * orbit + 3] = rotation
            elements.append(element)
            slopes.append(slope)
            offsets.append(shift)
    return Orbits(np.array(elements), np.array(slopes), np.array(offsets), primitive, group.number)


def conventional_cell(number: int, shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Conventional cell of unit volume of a space group's crystal system, vectors as rows, `(3, 3)`.

    Args:
        number: of the space group.
        shape: logarithms of `b/a` and `c/a` (of the latter alone where `a = b`), and cosines of the free angles;
            `n_shape` of them.
    """
    angles = np.zeros(3)  # cosines of alpha, beta, gamma
    ratios = np.zeros(2)
    if number <= 74:
        ratios = shape[:2]
        if number <= 2:
            angles = shape[2:5]
        elif number <= 15:
            angles[1] = shape[2]
    elif number <= 194:
        ratios = np.array([0.0, shape[0]])
        if number >= 143:
            angles[2] = -0.5
    a, b, c = 1.0, *np.exp(ratios)
    sine = np.sqrt(1 - angles[2] ** 2)
    x, y = angles[1], (angles[0] - angles[1] * angles[2]) / sine
    z = np.sqrt(max(1 - x * x - y * y, 1e-3))
    cell = np.array([[a, 0, 0], [b * angles[2], b * sine, 0], [c * x, c * y, c * z]])
    return np.asarray(cell / np.linalg.det(cell) ** (1 / 3))


def n_shape(number: int) -> int:
    """Free parameters of the shape of a space group's cell."""
    return next(n for limit, n in ((2, 5), (15, 3), (74, 2), (194, 1), (230, 0)) if number <= limit)


class Packing:
    """Overlap of soft spheres as a function of the free coordinates and the shape of the cell.

    Args:
        orbits: the atoms.
        contact: distances of contact of the elements, `(k, k)`, angstrom.
        volume: of the primitive cell, angstrom^3.
    """

    def __init__(self, orbits: Orbits, contact: NDArray[np.float64], volume: float) -> None:
        self.orbits = orbits
        self._edge = (volume / np.linalg.det(orbits.primitive)) ** (1 / 3)
        self._inverse = np.linalg.inv(orbits.primitive)
        self._images = _IMAGES @ orbits.primitive
        self._first, self._second = np.triu_indices(len(orbits.elements))
        self._times = np.where(self._first == self._second, 1.0, 2.0)  # each pair in both orders
        self._diameter = SOFTNESS * contact[orbits.elements[self._first], orbits.elements[self._second]]

    def cell(self, shape: NDArray[np.float64]) -> NDArray[np.float64]:
        """Conventional cell, vectors as rows, angstrom."""
        return conventional_cell(self.orbits.number, shape) * self._edge

    def distances(self, free: NDArray[np.float64], cell: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Differences of each two atoms, `(p, 3)`, in conventional coordinates, and lengths to all images, `(p, 27)`.

        Args:
            free: coordinates, `(f,)`.
            cell: conventional cell, angstrom.
        """
        places = self.orbits.slopes @ free + self.orbits.offsets
        apart = (places[self._first] - places[self._second]) @ self._inverse
        apart = (apart - np.rint(apart)) @ self.orbits.primitive
        vectors = (apart @ cell)[:, None] + (self._images @ cell)[None]
        lengths = np.sqrt(np.einsum("pij,pij->pi", vectors, vectors))
        lengths[self._first == self._second, 13] = np.inf  # an atom and itself
        return apart, vectors, lengths

    def overlap(self, values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Sum over pairs of the squared relative overlap by atom, and its gradient, `(free + shape,)`."""
        n_free, n_atoms = self.orbits.n_free, len(self.orbits.elements)
        free, shape = values[:n_free], values[n_free:]
        cell = self.cell(shape)
        apart, vectors, lengths = self.distances(free, cell)
        pair, image = np.nonzero(lengths < self._diameter[:, None])
        length, diameter = np.maximum(lengths[pair, image], 1e-6), self._diameter[pair]
        inside, times = 1 - length / diameter, self._times[pair] / n_atoms
        energy = float(times @ inside**2)
        force = (-2 * times * inside / (diameter * length))[:, None] * vectors[pair, image]
        on_places = np.zeros((n_atoms, 3))
        np.add.at(on_places, self._first[pair], force)
        np.add.at(on_places, self._second[pair], -force)
        gradient = np.zeros_like(values)
        gradient[:n_free] = np.einsum("ni,nif->f", on_places @ cell.T, self.orbits.slopes)
        on_cell = (apart[pair] + self._images[image]).T @ force
        for place in range(len(shape)):
            step = np.zeros(len(shape))
            step[place] = 1e-5
            gradient[n_free + place] = (on_cell * (self.cell(shape + step) - self.cell(shape - step))).sum() / 2e-5
        return energy, gradient

    def closest(self, values: NDArray[np.float64]) -> float:
        """The smallest distance in distances of contact."""
        n_free = self.orbits.n_free
        lengths = self.distances(values[:n_free], self.cell(values[n_free:]))[2]
        return float((lengths / self._diameter[:, None]).min()) * SOFTNESS


def crystal_on(
    group: SpaceGroup,
    placement: Placement,
    ions: Sequence[Ion],
    volume: float,
    generator: np.random.Generator,
    *,
    tries: int = 2,
) -> tuple[Structure, float] | None:
    """A crystal of a closing, and how much its spheres overlap; None where atoms stay too close.

    Args:
        group: the space group.
        placement: its closing.
        ions: the elements, in the order of the closing.
        volume: of the primitive cell, angstrom^3.
        generator: of the coordinates and the cell to begin with.
        tries: beginnings, of which the best end is kept.
    """
    from pymatgen.core import Structure

    orbits = orbits_on(group, placement)
    packing = Packing(orbits, contacts(ions), volume)
    n_free, shapes = orbits.n_free, n_shape(group.number)
    moving = np.abs(orbits.slopes).sum() > 0 or shapes
    best: tuple[float, NDArray[np.float64]] | None = None
    for _ in range(tries if moving else 1):
        begin = np.r_[generator.random(n_free), _random_shape(group.number, generator)]
        bounds = [(None, None)] * n_free + _bounds(group.number)
        if moving:
            result = minimize(packing.overlap, begin, jac=True, method="L-BFGS-B", bounds=bounds,
                              options={"maxiter": _STEPS})  # fmt: skip
            begin = result.x
        if packing.closest(begin) < CLOSEST:
            continue
        energy = packing.overlap(begin)[0]
        if best is None or energy < best[0]:
            best = (energy, begin)
    if best is None:
        return None
    values = best[1]
    cell = orbits.primitive @ packing.cell(values[n_free:])
    places = (orbits.slopes @ values[:n_free] + orbits.offsets) @ np.linalg.inv(orbits.primitive)
    structure = Structure(cell, [ions[element].symbol for element in orbits.elements], places % 1)
    return structure.get_reduced_structure(), best[0]


def _bounds(number: int) -> list[tuple[float | None, float | None]]:
    lengths: list[tuple[float | None, float | None]] = [(-1.6, 1.6), (-1.6, 1.6)]
    if number <= 2:
        return lengths + [(-0.4, 0.4)] * 3
    if number <= 15:
        return [*lengths, (-0.5, 0.1)]
    return [(-1.2, 2.0)] * n_shape(number) if number > 74 else lengths


def _random_shape(number: int, generator: np.random.Generator) -> NDArray[np.float64]:
    return np.array([generator.uniform(low or 0, high or 0) * 0.6 for low, high in _bounds(number)][: n_shape(number)])
