"""Results of a folder of calculations as one table with formation energies: `matgen dft collect`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.dft.codes import CODES
from matgen.dft.lowest_order import lowest_orders
from matgen.dft.settings import read_manifest
from matgen.dft.status import is_claimed, ran_elsewhere, read_status, status_of_outputs
from matgen.errors import DataError
from matgen.hull import CompetingPhases
from matgen.structures.energies import mp2020_correction


def collect(folder: Path | str) -> pd.DataFrame:
    """What came out of each structure's calculations, and formation energies from elements calculated the same way.

    Results of runs elsewhere, such as of the SLURM script, are read from their outputs.

    Args:
        folder: that `matgen export` wrote.

    Returns:
        A row for each structure, of its lowest magnetic order (see `lowest_orders`, also for `magnetic_order` and
        `energy_per_atom_dft_fm`, `_afm` ...): `structure_id`, `formula`, `role`, `state` (`done`, `failed`, `waiting`),
        `reason`,
        `energy_per_atom_dft` (eV/atom), `formation_energy_dft` (eV/atom; NaN where an element is
        missing, `reason` says which),
        `energy_above_hull_dft` (eV/atom; of candidates exported with `--competing`, where every competing phase of
        their elements has an energy; NaN otherwise, `reason` says which lacks; candidates compete with each other too),
        `decomposition_dft` (the phases of that hull that it is set against, with their shares of the atoms),
        `hubbard_u` (eV; such energies cannot be set against elements),
        `max_force_dft` (eV/angstrom), `volume_per_atom_dft` (angstrom^3), `magnetic_moment_dft` (Bohr magnetons of the
        cell), `seconds_dft`, and what the structure's provenance says of energies; of a potential's formation energies
        also without the Materials Project's corrections of 2020 (`_uncorrected`), to be set beside plain PBE, and
        `energy_above_hull_<potential>_uncorrected`, its distance to the hull of the same phases by these energies.

    Raises:
        DataError: no such folder, or its inputs are of no code that matgen reads.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest["format"] not in CODES:
        raise DataError(f"{folder} holds {manifest['format']} files, nothing that a code has calculated")
    rows = [_row(folder / job["id"], job, manifest["format"]) for job in manifest["jobs"]]
    rows = lowest_orders(rows, manifest["jobs"])
    elements = {row["formula_counts"][0][0]: row["energy_per_atom_dft"] for row in rows
                if row["role"] == "element" and row["state"] == "done"}  # fmt: skip
    for row in rows:
        row["formation_energy_dft"] = _formation_energy(row, elements)
        del row["formula_counts"]
    frame = pd.DataFrame(rows)
    types = [job.get("oxide_type") for job in manifest["jobs"] if not job.get("order_of")]  # of exports of 0.2, none
    correction = mp2020_correction(CompositionBatch.from_formulas(frame["formula"]), types)
    for name in [str(name) for name in frame if str(name).startswith("formation_energy_")]:
        if name == "formation_energy_dft":
            continue
        frame[f"{name}_uncorrected"] = frame[name] - correction
    _add_energy_above_hull(frame, manifest)
    first = ["structure_id", "formula", "role", "state", "reason", "energy_per_atom_dft", "formation_energy_dft",
             "energy_above_hull_dft", "decomposition_dft"]  # fmt: skip
    return frame[first + [name for name in frame if name not in first]]


def _row(folder: Path, job: dict[str, Any], engine: str) -> dict[str, Any]:
    from pymatgen.core import Composition

    status = read_status(folder)
    if is_claimed(folder):
        status = {"state": "waiting", "reason": "it is running"}
    elif ran_elsewhere(folder, engine):
        status = status_of_outputs(folder, engine, job["formula"])
    result = status.get("result") or {}
    n = result.get("n_atoms") or float("nan")
    provenance = job.get("provenance", {})
    carried = {name: value for name, value in provenance.items() if name.startswith(("energy", "formation_energy"))}
    done = status["state"] == "done"
    return {
        "structure_id": job["id"],
        "formula": job["formula"],
        "role": job["role"],
        "state": status["state"],
        "reason": "" if done else str(status.get("reason", "not run")),
        "energy_per_atom_dft": result["energy"] / n if done else float("nan"),
        "max_force_dft": result.get("max_force"),
        "volume_per_atom_dft": result["volume"] / n if result else float("nan"),
        "magnetic_moment_dft": result.get("magnetic_moment"),
        "seconds_dft": status.get("seconds"),
        "reference_offset": provenance.get("offset"),
        "hubbard_u": ", ".join(f"{symbol} {value:g}" for symbol, value in job.get("hubbard_u", {}).items()),
        "formula_counts": [(element.symbol, amount) for element, amount in Composition(job["formula"]).items()],
        **carried,
    }


def _add_energy_above_hull(frame: pd.DataFrame, manifest: dict[str, Any]) -> None:
    """Add `energy_above_hull_dft`: distances of candidates to the hull of competing phases, other candidates, elements.

    `decomposition_dft` names the phases of the hull at their compositions. A potential's distances to the same hull, by
    its own energies without corrections, are added where it has an energy of all these phases.

    A hull that lacks a phase lies too high, and candidates would seem more stable than they are: those that such a
    phase competes with have none, and their `reason` names the phase.
    """
    frame["energy_above_hull_dft"] = np.nan
    frame["decomposition_dft"] = ""
    competing = frame[frame["role"] == "competing"]
    lacking = manifest.get("lacking_phases")
    rows = np.flatnonzero((frame["role"] == "candidate") & frame["formation_energy_dft"].notna())
    if lacking is None:
        if "lacking_phases" not in manifest and len(competing):
            reason = "an earlier version exported this and did not say what phases lack: export again"
            frame.loc[rows, "reason"] = reason
        return
    without_energy = competing["formula"][competing["formation_energy_dft"].isna()]
    lacking = lacking | dict.fromkeys(without_energy, "it has no formation energy")
    lacking_phases = {name: CompositionBatch.from_formulas([name]) for name in lacking}
    every = CompositionBatch.from_formulas(frame["formula"])
    hull = np.flatnonzero(frame["role"].isin(["candidate", "competing"]) & frame["formation_energy_dft"].notna())
    phases, above = _distances(frame["formation_energy_dft"], every, hull, rows)
    decomposition = phases.in_words(phases.decompose(every[rows]), len(rows))
    with_distance = []
    for row, distance, products in zip(rows, above, decomposition, strict=True):
        missing = [name for name, phase in lacking_phases.items() if _competes(phase, every[row : row + 1])]
        if missing:
            frame.loc[row, "reason"] = "no energy above the hull: " + "; ".join(
                f"{name} competes and is lacking ({lacking[name]})" for name in missing
            )
        else:
            frame.loc[row, "energy_above_hull_dft"] = distance
            frame.loc[row, "decomposition_dft"] = products
            with_distance.append(int(row))
    for name in [str(name) for name in frame if str(name).endswith("_uncorrected")]:
        _add_the_same_by_a_potential(frame, name, every, hull, with_distance)


def _distances(
    energies: pd.Series, every: CompositionBatch, hull: np.ndarray, rows: np.ndarray
) -> tuple[CompetingPhases, np.ndarray]:
    """Phases of the hull, and float64 `(n,)`, eV/atom: how far above it `n` rows lie."""
    energy = energies.to_numpy(dtype=float)
    phases = CompetingPhases(every[hull], energy[hull], "dft")
    return phases, energy[rows] - phases.decompose(every[rows]).energy


def _add_the_same_by_a_potential(
    frame: pd.DataFrame, name: str, every: CompositionBatch, hull: np.ndarray, rows: Sequence[int]
) -> None:
    """Add a potential's distances to the hull of the same phases, where it has an energy of all that compete."""
    own = name.replace("formation_energy_", "energy_above_hull_")
    frame[own] = np.nan
    unknown = hull[frame[name].iloc[hull].isna()]
    elements = [set(row) | {0} for row in every.elements.tolist()]
    known = [row for row in rows if not any(elements[other] <= elements[row] for other in unknown)]
    _, above = _distances(frame[name], every, hull, np.array(known, dtype=int))
    frame.loc[known, own] = above


def _competes(phase: CompositionBatch, candidate: CompositionBatch) -> bool:
    """Whether all elements of another phase are among those of a candidate."""
    other = (phase.keys() != candidate.keys()).any()
    return bool(other) and set(phase.elements[0]) <= {0, *candidate.elements[0]}


def _formation_energy(row: dict[str, Any], elements: dict[str, float]) -> float:
    """eV/atom; where an element is missing, the row's reason names it."""
    if row["state"] != "done":
        return float("nan")
    if row["hubbard_u"]:
        row["reason"] = f"calculated with U ({row['hubbard_u']}), which elements have not: no formation energy"
        return float("nan")
    missing = sorted({symbol for symbol, _ in row["formula_counts"]} - elements.keys())
    if missing:
        row["reason"] = f"no reference of {', '.join(missing)} calculated: matgen export --element-references"
        return float("nan")
    total = sum(amount for _, amount in row["formula_counts"])
    return float(
        row["energy_per_atom_dft"] - sum(elements[symbol] * amount for symbol, amount in row["formula_counts"]) / total
    )
