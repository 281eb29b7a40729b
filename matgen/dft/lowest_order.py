"""The lowest of the magnetic orders of each structure, whose energy counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def keep_lowest_orders(frame: pd.DataFrame, jobs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Leave formation energies to the lowest order of each structure, and say which that is.

    Args:
        frame: rows of calculations with `structure_id`, `energy_per_atom_dft`, `formation_energy_dft` (eV/atom) and
            `reason`.
        jobs: of the manifest, in the same order.

    Returns:
        The rows with `magnetic_order` (in which a calculation begins: its `magnetic_moment_dft` tells where it ended),
        `order_of` (the structure's id, also of its other orders) and `lowest_order` (id of the order with the lowest
        energy per atom, empty where none is done). Other orders have no formation energy, and their `reason` says by
        how much the lowest is lower.
    """
    ids, energies = list(frame["structure_id"]), frame["energy_per_atom_dft"].to_numpy(dtype=float)
    orders = [str(job.get("magnetic_order", "")) for job in jobs]  # of exports of 0.2, none
    structures = [str(job.get("order_of") or job["id"]) for job in jobs]
    lowest: dict[str, int] = {}
    for row in np.flatnonzero(np.isfinite(energies)).tolist():
        other = lowest.setdefault(structures[row], row)
        if energies[row] < energies[other]:
            lowest[structures[row]] = row
    formation, reasons = frame["formation_energy_dft"].to_numpy(dtype=float, copy=True), list(frame["reason"])
    for row in np.flatnonzero(np.isfinite(energies)).tolist():
        best = lowest[structures[row]]
        if row != best:
            formation[row] = np.nan
            reasons[row] = (f"another magnetic order is lower by {energies[row] - energies[best]:.3f} eV/atom: "
                            f"{ids[best]} ({orders[best]})")  # fmt: skip
    names = [ids[lowest[structure]] if structure in lowest else "" for structure in structures]
    return frame.assign(magnetic_order=orders, order_of=structures, lowest_order=names,
                        formation_energy_dft=formation, reason=reasons)  # fmt: skip
