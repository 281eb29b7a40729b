"""What VASP left in a folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from matgen.errors import DataError, first_line


def parse(folder: Path) -> dict[str, Any]:
    """Energy, forces, volume and convergence from `vasprun.xml`.

    Raises:
        DataError: it is missing or cut short.
    """
    from pymatgen.io.vasp import Vasprun

    path = next((folder / name for name in ("vasprun.xml", "vasprun.xml.gz") if (folder / name).exists()), None)
    if path is None:
        raise DataError("VASP left no vasprun.xml")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
        structure = run.final_structure
        forces = np.asarray(run.ionic_steps[-1]["forces"])
    except Exception as error:
        raise DataError(f"{path} is not whole: {first_line(error)}") from error
    return {"energy": float(run.final_energy), "n_atoms": len(structure),
            "max_force": float(np.linalg.norm(forces, axis=1).max()), "volume": float(structure.volume),
            "magnetic_moment": 0.0, "converged": bool(run.converged),
            "structure": {"symbols": [site.specie.symbol for site in structure],
                          "cell": structure.lattice.matrix.tolist(),
                          "scaled_positions": structure.frac_coords.tolist()}}  # fmt: skip
