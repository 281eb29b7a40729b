"""Near-duplicates against a loop over pymatgen's periodic table."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pymatgen.core import Composition, Element

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.composition.keys import KeySet
from matgen.evaluation.neighbors import NEIGHBORS, near_duplicates, swapped

pytestmark = pytest.mark.filterwarnings("ignore:No Pauling electronegativity")


def expected_neighbors(symbol: str) -> list[str]:
    """Above, then below, by pymatgen's rows and groups; f elements have the partner 32 places on."""
    element = Element(symbol)
    z = element.Z
    if 57 <= z <= 71:
        return [Element.from_Z(z + 32).symbol]
    if 89 <= z <= 103:
        return [Element.from_Z(z - 32).symbol]
    found = []
    for row in (element.row - 1, element.row + 1):
        found += [
            other.symbol
            for other in Element
            if not other.is_lanthanoid
            and not other.is_actinoid
            and other.symbol not in ("D", "T")
            and other.group == element.group
            and other.row == row
        ]
    return found


def test_neighbors_are_pymatgens() -> None:
    for z in range(1, 119):
        symbols = [str(SYMBOLS[other]) for other in NEIGHBORS[z] if other]
        assert symbols == expected_neighbors(str(SYMBOLS[z])), SYMBOLS[z]
    assert not NEIGHBORS[0].any()


def random_formulas(n: int) -> list[str]:
    rng = random.Random(11)
    symbols = [str(symbol) for symbol in SYMBOLS[1:]]
    return [
        "".join(f"{symbol}{rng.randint(1, 9)}" for symbol in rng.sample(symbols, rng.randint(1, 7))) for _ in range(n)
    ]


def loop(formula: str) -> list[Composition]:
    """One swap at a time; the order is that of matgen's elements, above before below."""
    amounts = Composition(formula).reduced_composition.get_el_amt_dict()
    batch = CompositionBatch.from_formulas([formula])
    made = []
    for z in batch.elements[0]:
        for neighbor in expected_neighbors(str(SYMBOLS[z])):
            if neighbor not in amounts:
                other = {neighbor if symbol == SYMBOLS[z] else symbol: count for symbol, count in amounts.items()}
                made.append(Composition(other))
    return made


def test_swaps_match_a_loop() -> None:
    formulas = [*random_formulas(400), "SrTiO3", "NaCl", "Tc", "CeThO4", "LiNaK"]
    batch = CompositionBatch.from_formulas(formulas)
    found = swapped(batch)
    assert (np.diff(found.rows) >= 0).all()
    written = found.batch.formulas()
    for row, formula in enumerate(formulas):
        wanted = [composition.reduced_formula for composition in loop(formula)]
        assert written[found.rows == row].tolist() == wanted, formula
    # Canonical form: what the swap made has the key that parsing it gives.
    assert (CompositionBatch.from_formulas(written).keys() == found.batch.keys()).all()


def test_near_duplicates_are_the_first_known_swap() -> None:
    formulas = random_formulas(300)
    known = ["BaTiO3", "NaCl", "SrZrO3"]
    rng = random.Random(0)
    known += [c.reduced_formula for f in formulas[::2] if (made := loop(f)) for c in [rng.choice(made)]]
    keys = KeySet(CompositionBatch.from_formulas(known).keys())
    reduced = {Composition(f).reduced_composition for f in known}
    wide = "".join(str(symbol) for symbol in SYMBOLS[1:15])  # H to Si; Ge for Si is known
    known_wide = wide.removesuffix("Si") + "Ge"
    formulas[7] = wide
    known.append(known_wide)
    keys = KeySet(CompositionBatch.from_formulas(known).keys())
    reduced.add(Composition(known_wide).reduced_composition)
    formulas += ["SrTiO3", "NaBr", "MgO", "Tc"]
    found = near_duplicates(CompositionBatch.from_formulas(formulas), keys.contains)
    for formula, answer in zip(formulas, found, strict=True):
        wanted = [c for c in loop(formula) if c.reduced_composition in reduced]
        assert answer == (wanted[0].reduced_formula if wanted else None)
    assert found[-4:].tolist() == ["BaTiO3", "NaCl", None, None]
    assert near_duplicates(CompositionBatch.from_formulas(formulas)[:0], keys.contains).tolist() == []
