from __future__ import annotations

import numpy as np

from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS, SYMBOLS
from matgen.composition.pettifor import MODIFIED_PETTIFOR, PETTIFOR_PLACE


def test_every_element_up_to_lawrencium_has_one_place() -> None:
    assert sorted(MODIFIED_PETTIFOR, key=ATOMIC_NUMBER.__getitem__) == SYMBOLS[1:104].tolist()
    assert sorted(PETTIFOR_PLACE[1:104].tolist()) == list(range(103))
    assert (
        np.isnan(PETTIFOR_PLACE[104:]).all() and len(PETTIFOR_PLACE) == N_ELEMENTS + 1 and np.isnan(PETTIFOR_PLACE[0])
    )


def test_places_that_the_publication_states() -> None:
    """The scale begins with helium, ends with hydrogen, and keeps rare earths, halogens and chalcogens together."""
    place = {symbol: PETTIFOR_PLACE[z] for symbol, z in ATOMIC_NUMBER.items()}
    assert place["He"] == 0 and place["H"] == 102 and place["F"] == 101
    for family in (
        "Cs Rb K Na Li",
        "Ba Sr Ca Eu Yb",
        "La Ce Pr Nd Pm Sm Gd Tb Dy Ho Er Y Tm Lu",
        "Po Te Se S O",
        "I Br Cl F",
    ):
        places = np.sort([place[symbol] for symbol in family.split()])
        assert places[-1] - places[0] <= len(places), family
