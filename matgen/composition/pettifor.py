"""How alike elements are: their places on the modified Pettifor scale.

The scale puts elements beside one another that replace each other in crystals: it is the order of the elements that
agrees best with the substitutions found in the Inorganic Crystal Structure Database (H. Glawe, A. Sanna, E. K. U. Gross
and M. A. L. Marques, New J. Phys. 18, 093011, 2016; after D. G. Pettifor, Solid State Commun. 51, 31, 1984). Checked
against the table `mod_petti` of ElementEmbeddings 0.8.0 (MIT).
"""

from __future__ import annotations

import numpy as np

from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS

_SCALE = """
He Ne Ar Kr Xe Rn Fr Cs Rb K Na Li Ra Ba Sr Ca Eu Yb Lu Tm Y Er Ho Dy Tb Gd Sm Pm Nd Pr Ce La Ac Th Pa U Np Pu Am Cm Bk
Cf Es Fm Md No Lr Sc Zr Hf Ti Ta Nb V Cr Mo W Re Tc Os Ru Ir Rh Pt Pd Au Ag Cu Ni Co Fe Mn Mg Zn Cd Hg Be Al Ga In Tl Pb
Sn Ge Si B C N P As Sb Bi Po Te Se S O At I Br Cl F H
"""

MODIFIED_PETTIFOR: tuple[str, ...] = tuple(_SCALE.split())
"""The 103 elements from helium to hydrogen, alike ones beside one another."""


def _places() -> np.ndarray:
    places = np.full(N_ELEMENTS + 1, np.nan)
    for place, symbol in enumerate(MODIFIED_PETTIFOR):
        places[ATOMIC_NUMBER[symbol]] = place
    return places


PETTIFOR_PLACE: np.ndarray = _places()
"""Place of each element on the scale, 0 (He) to 102 (H), float64 `(119,)`; NaN of what lies beyond lawrencium."""
