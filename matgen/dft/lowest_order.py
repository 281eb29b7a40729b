"""The lowest of the magnetic orders of each structure, whose energy counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_OF_THE_ORDER = (
    "energy_per_atom_dft", "max_force_dft", "volume_per_atom_dft", "magnetic_moment_dft", "magnetic_order",
)  # fmt: skip
"""Columns that a structure has of its lowest order."""


def lowest_orders(rows: Sequence[Mapping[str, Any]], jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each structure, of the magnetic order with the lowest energy per atom.

    Args:
        rows: of calculations: `structure_id`, `state`, `reason`, `energy_per_atom_dft` (eV/atom), `seconds_dft` ...
        jobs: of the manifest, in the same order.

    Returns:
        The rows of structures with `magnetic_order` (in which the calculation begins: `magnetic_moment_dft` tells where
        it ended) and, where there are several orders, the energy of each (`energy_per_atom_dft_fm`, `..._afm`,
        `..._afm2`; NaN where it is not done) and their `seconds_dft` together. A structure waits for all of its orders;
        where some failed, the lowest of the others counts, and `reason` names those.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row, job in zip(rows, jobs, strict=True):
        order = {"magnetic_order": job.get("magnetic_order", "")}  # of exports of 0.2, none
        groups.setdefault(str(job.get("order_of") or job["id"]), []).append({**row, **order})
    return [group[0] if len(group) == 1 else _merged(structure, group) for structure, group in groups.items()]


def _merged(structure: str, orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
    own = next((order for order in orders if order["structure_id"] == structure), orders[0])
    done = [order for order in orders if order["state"] == "done"]
    waiting = [order for order in orders if order["state"] == "waiting"]
    failed = [order for order in orders if order["state"] == "failed"]
    merged = {**own, "structure_id": structure}
    if waiting:
        merged |= {"state": "waiting", "reason": _reasons(waiting, structure), "energy_per_atom_dft": float("nan")}
    elif done:
        lowest = min(done, key=lambda order: float(order["energy_per_atom_dft"]))
        merged |= {"state": "done", "reason": _reasons(failed, "")}
        merged |= {name: lowest[name] for name in _OF_THE_ORDER}
    seconds = [order["seconds_dft"] for order in orders if order["seconds_dft"] is not None]
    merged["seconds_dft"] = sum(seconds) if seconds else None
    for order in orders:
        suffix = order["structure_id"].removeprefix(structure).removeprefix("-") or "fm"
        merged[f"energy_per_atom_dft_{suffix}"] = order["energy_per_atom_dft"]
    return merged


def _reasons(orders: Sequence[Mapping[str, Any]], structure: str) -> str:
    """The reasons of some orders, with the ids of those that are not the structure's own."""
    return "; ".join(
        order["reason"] if order["structure_id"] == structure else f"{order['structure_id']}: {order['reason']}"
        for order in orders
    )
