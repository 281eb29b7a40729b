"""The lowest of the magnetic orders of each structure, whose energy counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
        energy per atom of those that have one). Other orders have no formation energy, and their `reason` says by how
        much the lowest is lower.
    """
    frame = frame.copy()
    frame["magnetic_order"] = [job.get("magnetic_order") for job in jobs]  # of exports of 0.2, none
    frame["order_of"] = [job.get("order_of") or job["id"] for job in jobs]
    frame["lowest_order"] = None
    for _, group in frame.groupby("order_of", sort=False):
        energies = group["energy_per_atom_dft"]
        if energies.notna().sum() == 0:
            continue
        lowest = energies.idxmin()
        name, order = frame.loc[lowest, ["structure_id", "magnetic_order"]]
        frame.loc[group.index, "lowest_order"] = name
        for row in group.index[energies.notna()].drop(lowest):
            frame.loc[row, "formation_energy_dft"] = float("nan")
            lower = energies[row] - energies[lowest]
            frame.loc[row, "reason"] = f"another magnetic order is lower by {lower:.3f} eV/atom: {name} ({order})"
    return frame
