"""Element tables against the libraries that they were made from."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
import smact
from pymatgen.core import Element

from matgen.composition import elements as chemistry
from matgen.composition.elements import ATOMIC_NUMBER, ELECTRONEGATIVITY, IS_METAL, N_ELEMENTS, ORDER_RANK, SYMBOLS

# pymatgen says at each look that the heaviest elements and the noble gases have no electronegativity.
pytestmark = pytest.mark.filterwarnings("ignore:No Pauling electronegativity")


def test_symbols_are_pymatgens() -> None:
    assert SYMBOLS.tolist() == ["", *(Element.from_Z(z).symbol for z in range(1, 119))]
    assert len(json.loads(files("matgen.composition").joinpath("elements.json").read_text())["elements"]) == N_ELEMENTS
    assert all(ATOMIC_NUMBER[symbol] == z for z, symbol in enumerate(SYMBOLS) if z)
    assert ATOMIC_NUMBER["D"] == ATOMIC_NUMBER["T"] == 1


@pytest.mark.parametrize("z", range(1, 104))
def test_values_are_smacts(z: int) -> None:
    chi = smact.Element(SYMBOLS[z]).pauling_eneg
    assert (math.isnan(ELECTRONEGATIVITY[z]) and chi is None) or ELECTRONEGATIVITY[z] == chi
    assert IS_METAL[z] == (SYMBOLS[z] in smact.metals)
    assert chemistry.IS_D_BLOCK[z] == (SYMBOLS[z] in smact.d_block)
    electrons = smact.Element(SYMBOLS[z]).num_valence_modified
    assert (math.isnan(chemistry.VALENCE_ELECTRONS[z]) and electrons is None) or (
        chemistry.VALENCE_ELECTRONS[z] == electrons
    )


def test_values_are_pymatgens() -> None:
    expected = [float(Element.from_Z(z).X) for z in range(1, 119)]
    np.testing.assert_array_equal(chemistry.PYMATGEN_ELECTRONEGATIVITY[1:], expected)


def test_metals_beyond_smacts_elements() -> None:
    assert IS_METAL[104:].tolist() == [symbol in smact.metals for symbol in SYMBOLS[104:]]
    assert np.isnan(ELECTRONEGATIVITY[104:]).all()


def test_order_is_by_smacts_electronegativity() -> None:
    def place(z: int) -> tuple[float, int]:
        chi = smact.Element(SYMBOLS[z]).pauling_eneg if z <= 103 else None
        return (math.inf if chi is None else chi, z)

    assert ORDER_RANK[0] == 0
    assert sorted(ORDER_RANK[1:].tolist()) == list(range(1, 119))
    assert np.argsort(ORDER_RANK[1:]).tolist() == [z - 1 for z in sorted(range(1, 119), key=place)]


def test_formula_order_is_pymatgens() -> None:
    def place(z: int) -> tuple[float, str]:
        chi = float(Element.from_Z(z).X)
        return (math.inf if math.isnan(chi) else chi, SYMBOLS[z])

    expected = sorted(range(1, 119), key=place)
    assert (np.argsort(chemistry.FORMULA_RANK[1:]) + 1).tolist() == expected


def test_needs_neither_smact_nor_pymatgen() -> None:
    heavy = ("smact", "pymatgen", "pandas", "torch")
    code = f"import sys, matgen.composition.batch; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
