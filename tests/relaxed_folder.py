"""A folder of relaxed structures for the tests of what comes after it: made once a session."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

ROWS = ["NaCl", "KMgF3", "NaCl", "not a formula", "Li2KNaO2"]
"""Known, known, known again, unreadable, in no reference."""


@pytest.fixture(scope="session")
def relaxed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `matgen structure` makes of `ROWS`, two structures a composition."""
    from matgen.structures.make import make_structures
    from matgen.structures.plan import StructurePlan
    from matgen.structures.propose import ProposalSettings
    from matgen.structures.relax import RelaxSettings

    folder = tmp_path_factory.mktemp("relaxed") / "structures"
    frame = pd.DataFrame({"formula": ROWS, "energy_above_hull": [0.0, 0.01, 0.0, None, 0.02]})
    plan = StructurePlan(ProposalSettings(per_formula=2, max_atoms=12, symmetric=1), RelaxSettings(max_steps=80))
    make_structures(frame, "formula", folder, plan)
    return folder
