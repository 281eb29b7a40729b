"""Wyckoff positions of the space groups, and every way to close a formula on them: counted exactly, drawn by weight.

A cell holds some atoms of each element. They stand on Wyckoff positions, whose orbits have a multiplicity: a position
without free coordinates holds one orbit at most, of one element; one with free coordinates holds any number of orbits
of any element. A closing is a multiset of positions for each element whose multiplicities sum to its atoms. Positions
are told apart by their letters, so closings that only differ by the choice of origin are counted each.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen.errors import OptionError

LETTERS = "abcdefghijklmnopqrstuvwxyzA"
N_SPACE_GROUPS = 230

Placement = tuple[tuple[tuple[str, int], ...], ...]
"""For each element the letters of its positions with the number of orbits on each."""


@dataclass(frozen=True, eq=False)
class Position:
    """A Wyckoff position, in the standard setting of the International Tables.

    Attributes:
        letter: its letter.
        multiplicity: points of an orbit in the conventional cell.
        atoms: points of an orbit in the primitive cell.
        symmetry: point group of its sites, such as `4/mmm`.
        freedom: number of free coordinates, 0 to 3.
        rotations: of the orbit's points, each acts on the free point `(x, y, z)`, `(multiplicity, 3, 3)`.
        translations: of the orbit's points, conventional fractional coordinates, `(multiplicity, 3)`.
    """

    letter: str
    multiplicity: int
    atoms: int
    symmetry: str
    freedom: int
    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """A space group's positions, the special ones first, and its centering.

    Attributes:
        number: in the International Tables.
        positions: by letter.
        centering: translations of the conventional cell, `(c, 3)`, the zero vector first.
    """

    number: int
    positions: tuple[Position, ...]
    centering: NDArray[np.float64]


_POINT_GROUPS = {
    "1": "1:1", "-1": "1:1 -1:1", "2": "1:1 2:1", "m": "-2:1 1:1", "2/m": "-1:1 -2:1 1:1 2:1", "222": "1:1 2:3",
    "mm2": "-2:2 1:1 2:1", "mmm": "-1:1 -2:3 1:1 2:3", "4": "1:1 2:1 4:2", "-4": "-4:2 1:1 2:1",
    "4/m": "-1:1 -2:1 -4:2 1:1 2:1 4:2", "422": "1:1 2:5 4:2", "4mm": "-2:4 1:1 2:1 4:2", "-42m": "-2:2 -4:2 1:1 2:3",
    "4/mmm": "-1:1 -2:5 -4:2 1:1 2:5 4:2", "3": "1:1 3:2", "-3": "-1:1 -3:2 1:1 3:2", "32": "1:1 2:3 3:2",
    "3m": "-2:3 1:1 3:2", "-3m": "-1:1 -2:3 -3:2 1:1 2:3 3:2", "6": "1:1 2:1 3:2 6:2", "-6": "-2:1 -6:2 1:1 3:2",
    "6/m": "-1:1 -2:1 -3:2 -6:2 1:1 2:1 3:2 6:2", "622": "1:1 2:7 3:2 6:2", "6mm": "-2:6 1:1 2:1 3:2 6:2",
    "-62m": "-2:4 -6:2 1:1 2:3 3:2", "6/mmm": "-1:1 -2:7 -3:2 -6:2 1:1 2:7 3:2 6:2", "23": "1:1 2:3 3:8",
    "m-3": "-1:1 -2:3 -3:8 1:1 2:3 3:8", "432": "1:1 2:9 3:8 4:6", "-43m": "-2:6 -4:6 1:1 2:3 3:8",
    "m-3m": "-1:1 -2:9 -3:8 -4:6 1:1 2:9 3:8 4:6",
}  # fmt: skip
"""The 32 crystallographic point groups by how many rotations of each order they have; a sign is an inversion."""

_BY_ORDERS = {frozenset(text.split()): name for name, text in _POINT_GROUPS.items()}
_ORDER_OF_TRACE = {3: 1, -1: 2, 0: 3, 1: 4, 2: 6}  # of a proper rotation


def parse_operation(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation `(3, 3)` and translation `(3,)` of an operation such as `-y, x-y, z+1/2`."""
    rotation, translation = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(text.replace(" ", "").split(",")):
        for sign, number, variable in re.findall(r"([+-]?)(\d+/\d+|\d*\.?\d+)?\*?([xyz]?)", part):
            if not number and not variable:
                continue
            above, _, below = (number or "1").partition("/")
            value = float(above) / float(below or 1) * (-1 if sign == "-" else 1)
            if variable:
                rotation[row, "xyz".index(variable)] += value
            else:
                translation[row] += value
    return rotation, translation


def _point_group(operations: Iterable[str]) -> str:
    """Symbol of a point group, from its operations."""
    orders: Counter[int] = Counter()
    for text in operations:
        rotation = np.rint(parse_operation(text)[0])
        proper = round(float(np.linalg.det(rotation)))
        orders[proper * _ORDER_OF_TRACE[round(float(np.trace(rotation))) * proper]] += 1
    return _BY_ORDERS[frozenset(f"{order}:{count}" for order, count in orders.items())]


@lru_cache(maxsize=1)
def _tables() -> tuple[list[Any], list[Any]]:
    """Points of every position of every space group, and the symmetries of their sites, as pyxtal's files list them."""
    from importlib.resources import files

    import pandas as pd

    folder = files("pyxtal").joinpath("database")
    tables = []
    for name in ("wyckoff_list.csv", "wyckoff_symmetry.csv"):
        with folder.joinpath(name).open() as stream:
            tables.append(pd.read_csv(stream)["0"].tolist())
    return tables[0], tables[1]


@lru_cache(maxsize=N_SPACE_GROUPS)
def space_group(number: int) -> SpaceGroup:
    """A space group in its standard setting (unique axis b, hexagonal axes, second origin).

    Raises:
        OptionError: there is none of that number.
    """
    if not 1 <= number <= N_SPACE_GROUPS:
        raise OptionError(f"there is no space group {number}: they are numbered from 1 to {N_SPACE_GROUPS}")
    points, symmetries = (ast.literal_eval(table[number]) for table in _tables())
    general = [parse_operation(text) for text in points[0]]
    centering = np.array([shift % 1 for rotation, shift in general if np.array_equal(rotation, np.eye(3))])
    positions = []
    for place, (orbit, symmetry) in enumerate(zip(points, symmetries, strict=True)):
        parsed = [parse_operation(text) for text in orbit]
        positions.append(
            Position(
                LETTERS[len(points) - 1 - place], len(orbit), len(orbit) // len(centering), _point_group(symmetry[0]),
                int(np.linalg.matrix_rank(parsed[0][0])), np.array([rotation for rotation, _ in parsed]),
                np.array([shift for _, shift in parsed]),
            )
        )  # fmt: skip
    return SpaceGroup(number, tuple(reversed(positions)), centering)


class Closings:
    """The ways to close a cell's content on the positions of a space group.

    With rates, a closing weighs the product of `rate^n / n!` over its positions and elements, `n` orbits on each: its
    probability, up to a constant of the space group, where orbits fall on positions independently (Poisson). Without
    rates, each weighs 1 and `total` is their number, exactly.

    Args:
        group: the space group.
        atoms: of each element in the primitive cell, `(k,)`.
        rates: expected orbits of each element on each position, `(positions, k)`.

    Attributes:
        total: sum of the weights; a Python integer without rates.
    """

    def __init__(self, group: SpaceGroup, atoms: Sequence[int], rates: NDArray[np.float64] | None = None) -> None:
        self.group, self.atoms = group, tuple(atoms)
        self._rates = None if rates is None else rates.tolist()
        fixed = [place for place, position in enumerate(group.positions) if position.freedom == 0]
        self._free = [place for place, position in enumerate(group.positions) if position.freedom]
        self._fillings = [self._filled(element) for element in range(len(self.atoms))]
        self._fixed = [place for place in fixed if group.positions[place].atoms <= max(self.atoms)]
        self._layers = self._placed()
        self._ends = {used: self._closed(used) for used in self._layers[-1]}
        self.total = sum(self._ends.values())

    def _weight(self, place: int, element: int, n: int) -> Any:
        return 1 if self._rates is None else self._rates[place][element] ** n / factorial(n)

    def _filled(self, element: int) -> list[list[Any]]:
        """Weight to put `r` atoms of an element on the free positions from the `p`-th on, `[p][r]`."""
        size = self.atoms[element]
        tables: list[list[Any]] = [[1] + [0] * size]
        for place in reversed(self._free):
            atoms, later = self.group.positions[place].atoms, tables[-1]
            weights = [self._weight(place, element, n) for n in range(size // atoms + 1)]
            tables.append([sum(weights[n] * later[r - n * atoms] for n in range(r // atoms + 1))
                           for r in range(size + 1)])  # fmt: skip
        return tables[::-1]

    def _placed(self) -> list[dict[tuple[int, ...], Any]]:
        """Weight of every use of the first `p` fixed positions by the atoms of each element that stand there, `[p]`."""
        layers: list[dict[tuple[int, ...], Any]] = [{(0,) * len(self.atoms): 1}]
        for place in self._fixed:
            after = dict(layers[-1])
            for used, weight in layers[-1].items():
                for element, now in self._uses(place, used):
                    after[now] = after.get(now, 0) + weight * self._weight(place, element, 1)
            layers.append(after)
        return layers

    def _uses(self, place: int, used: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
        """Elements that may stand on a fixed position, each with the atoms then used."""
        atoms = self.group.positions[place].atoms
        return [
            (element, (*used[:element], held + atoms, *used[element + 1 :]))
            for element, held in enumerate(used)
            if held + atoms <= self.atoms[element]
        ]

    def _closed(self, used: tuple[int, ...]) -> Any:
        weight = self._layers[-1][used]
        for element, (size, held) in enumerate(zip(self.atoms, used, strict=True)):
            weight = weight * self._fillings[element][0][size - held]
        return weight

    def weight(self, placement: Placement) -> Any:
        """Weight of one closing."""
        places = {position.letter: place for place, position in enumerate(self.group.positions)}
        weight: Any = 1
        for element, of_one in enumerate(placement):
            for letter, n in of_one:
                weight = weight * self._weight(places[letter], element, n)
        return weight

    def sample(self, generator: np.random.Generator) -> Placement:
        """A closing drawn by its weight.

        Raises:
            ValueError: there is none.
        """
        if not self.total:
            raise ValueError(f"space group {self.group.number} cannot hold {self.atoms}")
        held: list[dict[int, int]] = [{} for _ in self.atoms]
        ends = list(self._ends)
        used = end = ends[_choice(generator, [self._ends[used] for used in ends])]
        for place, layer in zip(reversed(self._fixed), reversed(self._layers[:-1]), strict=True):
            before = self._before(place, used, layer)
            chosen = _choice(generator, [weight for *_, weight in before])
            element, used, _ = before[chosen]
            if element is not None:
                held[element][place] = 1
        for element, size in enumerate(self.atoms):
            self._fill(element, size - end[element], held[element], generator)
        letters = [position.letter for position in self.group.positions]
        return tuple(tuple((letters[place], n) for place, n in sorted(of_one.items())) for of_one in held)

    def _before(self, place: int, used: tuple[int, ...], layer: dict[tuple[int, ...], Any]) -> list[tuple[Any, ...]]:
        """From which uses of the earlier fixed positions a use came: by which element, from where, by what weight."""
        atoms = self.group.positions[place].atoms
        before: list[tuple[Any, ...]] = [(None, used, layer.get(used, 0))]
        for element, held in enumerate(used):
            earlier = (*used[:element], held - atoms, *used[element + 1 :])
            if earlier in layer:
                before.append((element, earlier, layer[earlier] * self._weight(place, element, 1)))
        return before

    def _fill(self, element: int, left: int, held: dict[int, int], generator: np.random.Generator) -> None:
        """Draw the orbits of an element on the free positions."""
        for step, place in enumerate(self._free):
            atoms, later = self.group.positions[place].atoms, self._fillings[element][step + 1]
            weights = [self._weight(place, element, n) * later[left - n * atoms] for n in range(left // atoms + 1)]
            n = _choice(generator, weights)
            if n:
                held[place] = n
            left -= n * atoms


def _choice(generator: np.random.Generator, weights: Sequence[Any]) -> int:
    """A place drawn by weights of any size, integers too."""
    largest = max(weights)
    scaled = np.cumsum([float(weight / largest) for weight in weights])
    return int(np.searchsorted(scaled, generator.random() * scaled[-1], side="right"))


def count_closings(number: int, atoms: Sequence[int]) -> int:
    """How many ways a space group has to hold some atoms of each element in its primitive cell, exactly."""
    return int(Closings(space_group(number), atoms).total)


def in_words(group: SpaceGroup, placement: Placement) -> str:
    """A closing such as `space group 62, 4a 4c 8d 4c`: the positions in the order of the elements."""
    multiplicity = {position.letter: position.multiplicity for position in group.positions}
    orbits = [f"{multiplicity[letter]}{letter}" for of_one in placement for letter, n in of_one for _ in range(n)]
    return f"space group {group.number}, {' '.join(orbits)}"


def parse_space_groups(texts: Iterable[str]) -> tuple[int, ...]:
    """Numbers of space groups from texts such as `62` and `195..230`, ascending.

    Raises:
        OptionError: one is neither a number from 1 to 230 nor a range of them.
    """
    numbers: set[int] = set()
    for text in texts:
        found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= N_SPACE_GROUPS:
            raise OptionError(f"{text!r} is no space group: give a number from 1 to {N_SPACE_GROUPS}, "
                              "or a range such as 195..230")  # fmt: skip
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))
