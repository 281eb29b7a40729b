"""Tables of structures and candidates from what was made of each composition: energies, symmetry, duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.errors import StructureError
from matgen.structures.dopant_energies import with_dopant_energies
from matgen.structures.doping import WHOLE
from matgen.structures.energies import (
    formation_energies,
    hull_energies,
    missing_energies,
    mp2020_correction,
    oxide_type,
)
from matgen.structures.folder import with_present_names, write_crystals
from matgen.structures.potentials.interface import Potential
from matgen.structures.propose import same_crystals

if TYPE_CHECKING:
    from pymatgen.core import Structure

ENERGY_COLUMNS = ("energy_per_atom", "formation_energy", "energy_above_hull")
"""What a potential says of a structure, eV/atom; its name is appended."""


@dataclass(frozen=True)
class MadeStructures:
    """What came of it.

    Attributes:
        frame: a row for each structure, and for each composition without one; see `docs/howto/structure.md`.
        candidates: the candidates' rows with the columns of their lowest structure.
        failures: reason to how many structures or compositions.
    """

    frame: pd.DataFrame
    candidates: pd.DataFrame
    failures: dict[str, int]


def assemble(candidates: pd.DataFrame, rows: list[dict[str, Any]], potential: Potential | None,
              out: Path) -> MadeStructures:  # fmt: skip
    """Tables of structures and candidates, energies and crystals; duplicates after relaxation are marked."""
    from pymatgen.core import Structure

    structures = {row["structure_id"]: Structure.from_dict(row["structure"]) for row in rows if row["structure"]}
    if not structures:
        raise StructureError(
            f"no structure could be made of {len(candidates):,} compositions; the first: {rows[0]['reason']}"
        )
    frame = pd.DataFrame([{key: value for key, value in row.items() if key != "structure"} for row in rows])
    frame = frame.astype({name: "Int64" for name in WHOLE if name in frame})
    frame = frame[["structure_id", "rank", *(name for name in frame if name not in ("structure_id", "rank"))]]
    frame = pd.concat([frame, _described(frame["structure_id"], structures)], axis=1)
    if potential is not None:
        frame = with_dopant_energies(_with_energies(frame, potential, structures), [potential.name])
        ordering = ["rank", f"energy_per_atom_{potential.name}"]
        frame = frame.sort_values(ordering, kind="stable", na_position="last", ignore_index=True)
    frame["duplicate_of"] = same_crystals(frame["rank"], frame["structure_id"], structures)
    names = ["formula"]
    if potential is not None:
        names += [f"{column}_{potential.name}" for column in ENERGY_COLUMNS]
    sound = frame[frame["reason"] == ""]
    infos: list[dict[str, Any]] = sound[names].to_dict("records")  # type: ignore[assignment]
    write_crystals(
        out, [(str(id), structures[id], info) for id, info in zip(sound["structure_id"], infos, strict=True)]
    )
    table = _joined(candidates, frame)
    failures = frame.loc[frame["reason"] != "", "reason"].value_counts()
    return MadeStructures(frame, table, {str(reason): int(count) for reason, count in failures.items()})


def _joined(candidates: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The candidates with the columns of their lowest structure, or why they have none (`structure_reason`)."""
    frame = frame.assign(failed=frame["reason"] != "").sort_values(["rank", "failed"], kind="stable")
    lowest = frame.drop_duplicates("rank").set_index("rank").drop(columns=["formula", "failed", "duplicate_of"])
    lowest.loc[lowest["reason"] != "", "structure_id"] = None
    lowest = lowest.rename(columns={"reason": "structure_reason"})
    candidates = with_present_names(candidates)
    earlier = [name for name in lowest.columns if name in candidates]  # of a former run
    rows = candidates.drop(columns=earlier).reset_index(drop=True)
    return pd.concat([rows, lowest.reindex(range(1, len(candidates) + 1)).reset_index(drop=True)], axis=1)


def _described(names: pd.Series, structures: dict[str, Any]) -> pd.DataFrame:
    """Space group, number of atoms and volume of each structure."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    described: list[dict[str, float | None]] = []
    for name in names:
        structure = structures.get(name)
        if structure is None:
            described.append({"space_group": None, "n_atoms": None, "volume_per_atom": None})
            continue
        try:
            group = int(SpacegroupAnalyzer(structure, symprec=0.01).get_space_group_number())
        except Exception:
            group = 1  # spglib gives up on cells that are far from any symmetry
        described.append({"space_group": group, "n_atoms": len(structure),
                          "volume_per_atom": round(structure.volume / len(structure), 4)})  # fmt: skip
    return pd.DataFrame(described).astype({"space_group": "Int64", "n_atoms": "Int64", "volume_per_atom": "float64"})


def _with_energies(frame: pd.DataFrame, potential: Potential, structures: Mapping[str, Structure]) -> pd.DataFrame:
    """The potential's energies under its own name, formation energies, and distances to the hull of known phases.

    `energy_reason` says why one of the latter two is missing.
    """
    reasons = np.full(len(frame), "", dtype=object)
    rows = np.flatnonzero(frame["structure_id"].notna() & frame["energy"].notna())
    formation, above = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    if len(rows):
        batch = CompositionBatch.from_formulas(frame["formula"].iloc[rows])
        formation[rows] = formation_energies(batch, frame["energy"].to_numpy(dtype=float)[rows])
        if not potential.corrected:
            types = [oxide_type(structures[id]) for id in frame["structure_id"].iloc[rows]]
            formation[rows] += mp2020_correction(batch, types)
        above[rows] = formation[rows] - hull_energies(batch)
        reasons[rows] = missing_energies(batch)
    renamed = frame.drop(columns="energy").assign(energy_reason=reasons)
    for column, values in zip(ENERGY_COLUMNS, (frame["energy"], formation, above), strict=True):
        renamed[f"{column}_{potential.name}"] = np.asarray(values, dtype=float)
    return renamed


def summary_of(made: MadeStructures, potential: Potential | None) -> dict[str, Any]:
    """What the plan's file says beside the plan."""
    frame = made.frame
    return {
        "structures": int(frame["structure_id"].notna().sum()),
        "compositions": len(made.candidates),
        "compositions_with_structure": int(made.candidates["structure_id"].notna().sum()),
        "failures": made.failures,
        "potential_version": None if potential is None else potential.version,
        "hull": None if potential is None else "mp2020",
        "versions": {name: version(name) for name in ("matgen", "pymatgen-core", "ase", "torch")},
    }
