from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from matgen.composition.batch import CompositionBatch
from matgen.structures import assemble
from matgen.structures.energies import mp2020_correction


def test_energies_of_potentials_without_corrections_get_them_added() -> None:
    frame = pd.DataFrame({"rank": [1, 2, 3], "structure_id": ["a", "b", None], "formula": ["MgO", "NiAl", None],
                          "energy": [-6.0, -4.9, np.nan]})  # fmt: skip
    structures = {
        "a": Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5] * 3]),
        "b": Structure(Lattice.cubic(2.9), ["Ni", "Al"], [[0, 0, 0], [0.5] * 3]),
    }
    plain, corrected = (
        assemble._with_energies(frame, [SimpleNamespace(name="p", corrected=corrected)], structures)
        for corrected in (False, True)
    )
    assert plain["energy_reason"].tolist() == ["", "", ""]
    batch = CompositionBatch.from_formulas(["MgO", "NiAl"])
    difference = (plain["formation_energy_p"] - corrected["formation_energy_p"]).to_numpy()
    assert difference[:2] == pytest.approx(mp2020_correction(batch)) and difference[0] < -0.3 and difference[1] == 0
    assert (plain["energy_above_hull_p"] - corrected["energy_above_hull_p"])[:2].tolist() == pytest.approx(
        difference[:2]
    )
    assert plain["energy_per_atom_p"].tolist()[:2] == [-6.0, -4.9] and np.isnan(difference[2])
