"""Random crystals with symmetry, for compositions that no known structure fits."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from matgen.errors import StructureError
from matgen.structures.volume import composition_volume

if TYPE_CHECKING:
    from pymatgen.core import Structure

_ATTEMPTS = 60  # space groups drawn for one structure at most
MULTIPLES = (1, 2, 3, 4)
"""Formula units in a primitive cell."""


@lru_cache(maxsize=1)
def space_group_frequencies() -> np.ndarray:
    """How often the Materials Project has each space group, float64 `(230,)`, sums to one; as pyxtal's table counts."""
    from importlib.resources import files

    import pandas as pd

    with files("pyxtal").joinpath("database/spg_num_wps_mp.csv").open() as stream:
        table = pd.read_csv(stream, usecols=["spg", "count"])
    counts = table.groupby("spg")["count"].sum().reindex(range(1, 231), fill_value=0).to_numpy(dtype=float)
    return np.asarray(counts / counts.sum())


def symmetric_structures(
    counts: dict[str, int], n: int, *, max_atoms: int, seed: int = 0
) -> list[tuple[Structure, int]]:
    """Random structures of a composition, each with its space group drawn by its frequency in the Materials Project.

    Args:
        counts: atoms of each element in a formula unit.
        n: how many.
        max_atoms: of a primitive cell at most.
        seed: the same seed gives the same structures.

    Returns:
        structures in their primitive cells at a predicted volume, each with the number of its space group.

    Raises:
        StructureError: one formula unit has too many atoms, or no space group drawn could hold the composition.
    """
    from pyxtal import pyxtal
    from pyxtal.msg import Comp_CompatibilityError

    size = sum(counts.values())
    multiples = [multiple for multiple in MULTIPLES if multiple * size <= max_atoms]
    if not multiples:
        raise StructureError(f"its {size} atoms are more than the {max_atoms} a random structure may have")
    generator = np.random.default_rng(
        [seed, *(sum(map(ord, symbol)) * 1000 + count for symbol, count in counts.items())]
    )
    made: list[tuple[Structure, int]] = []
    for _ in range(_ATTEMPTS * n):
        group = int(generator.choice(230, p=space_group_frequencies())) + 1
        multiple = int(generator.choice(multiples))
        crystal = pyxtal()
        atoms = [count * multiple for count in counts.values()]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                crystal.from_random(3, group, list(counts), atoms, random_state=generator, max_count=4)
        except (Comp_CompatibilityError, RuntimeError, ValueError):
            continue
        if not crystal.valid:
            continue
        structure = crystal.to_pymatgen().get_primitive_structure()
        if len(structure) > max_atoms:
            continue
        units = len(structure) / size
        structure.scale_lattice(composition_volume(counts) * units)
        made.append((structure, group))
        if len(made) == n:
            return made
    if not made:
        raise StructureError(f"no space group drawn in {_ATTEMPTS * n} attempts could hold its {size} atoms")
    return made
