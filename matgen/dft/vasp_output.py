"""What VASP left in a folder."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

from matgen.dft.complaints import complaint
from matgen.dft.settings import STDERR
from matgen.errors import DataError, first_line


def parse(folder: Path) -> dict[str, Any]:
    """Energy, forces, volume and convergence from `vasprun.xml`.

    Raises:
        DataError: it is missing or cut short.
    """
    import numpy as np
    from pymatgen.io.vasp import Vasprun

    path = next((folder / name for name in ("vasprun.xml", "vasprun.xml.gz") if (folder / name).exists()), None)
    if path is None:
        raise DataError(f"VASP left no vasprun.xml{complaint([folder / 'vasp.out', folder / STDERR])}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
        structure = run.final_structure
        forces = np.asarray(run.ionic_steps[-1]["forces"], dtype=float)
        if not math.isfinite(run.final_energy):
            raise ValueError("no energy")
    except Exception as error:
        reason = complaint([folder / "vasp.out", folder / STDERR]) or f": {first_line(error)}"
        raise DataError(f"{path} is not whole{reason}") from error
    return {"energy": float(run.final_energy), "n_atoms": len(structure),
            "max_force": float(np.linalg.norm(forces, axis=1).max()), "volume": float(structure.volume),
            "magnetic_moment": _moment(folder), "converged": bool(run.converged),
            "structure": {"symbols": [site.specie.symbol for site in structure],
                          "cell": structure.lattice.matrix.tolist(),
                          "scaled_positions": structure.frac_coords.tolist()}}  # fmt: skip


def _moment(folder: Path) -> float | None:
    """Of the cell, from the last line of `OSZICAR` that has one; None where nothing says."""
    path = folder / "OSZICAR"
    moments = re.findall(r"mag=\s*(-?[\d.]+(?:E[+-]\d+)?)", path.read_text(errors="replace")) if path.exists() else []
    return float(moments[-1]) if moments else None
