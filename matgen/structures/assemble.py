"""Tables of structures and candidates from what was made of each composition: energies, symmetry, duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    corrected_formation_energies,
    hull_energies,
    missing_energies,
    oxide_type,
)
from matgen.structures.finish import agreement
from matgen.structures.folder import with_present_names, write_crystals
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import POTENTIALS, column_suffix
from matgen.structures.propose import same_crystals
from matgen.structures.relaxed_hull import RelaxedHull, with_relaxed_hull
from matgen.structures.symmetry import space_group_number

if TYPE_CHECKING:
    from pymatgen.core import Structure

ENERGY_COLUMNS = ("energy_per_atom", "formation_energy", "energy_above_hull")
"""What a potential says of a structure, eV/atom; its name is appended."""

_ENERGIES = ("energy", "energy_finished")
"""In the rows of structures: the energy by the potential that relaxed all, and by the one that finished."""


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


def assemble(candidates: pd.DataFrame, rows: list[dict[str, Any]], potentials: Sequence[Potential],
             out: Path, hulls: Mapping[str, RelaxedHull] | None = None) -> MadeStructures:  # fmt: skip
    """Tables of structures and candidates, energies and crystals; duplicates after relaxation are marked.

    Args:
        candidates: the table that structures were made for.
        rows: of structures, by rank.
        potentials: the one that relaxed all, and the one that finished some; empty where none relaxed.
        out: folder for the crystals.
        hulls: of phases relaxed by each potential, by its name, beside that of labels.

    Raises:
        StructureError: there is no structure.
    """
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
    frame = _with_energies(frame, potentials, structures)
    for name, hull in (hulls or {}).items():
        frame = with_relaxed_hull(frame, column_suffix(name), hull)
    frame = with_dopant_energies(frame, [column_suffix(potential.name) for potential in potentials])
    frame["duplicate_of"] = same_crystals(frame["rank"], frame["structure_id"], structures)
    names = ["formula", *energy_columns(potentials)]
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
    # Of a former run, even by a potential that took no part in this one: those energies are of other structures.
    earlier = [name for name in candidates if name in lowest or name in _energies_of(POTENTIALS)]
    rows = candidates.drop(columns=earlier).reset_index(drop=True)
    return pd.concat([rows, lowest.reindex(range(1, len(candidates) + 1)).reset_index(drop=True)], axis=1)


def _described(names: pd.Series, structures: dict[str, Any]) -> pd.DataFrame:
    """Space group, number of atoms and volume of each structure."""
    described: list[dict[str, float | None]] = []
    for name in names:
        structure = structures.get(name)
        if structure is None:
            described.append({"space_group": None, "n_atoms": None, "volume_per_atom": None})
            continue
        described.append({"space_group": space_group_number(structure), "n_atoms": len(structure),
                          "volume_per_atom": round(structure.volume / len(structure), 4)})  # fmt: skip
    return pd.DataFrame(described).astype({"space_group": "Int64", "n_atoms": "Int64", "volume_per_atom": "float64"})


def energy_columns(potentials: Sequence[Potential]) -> list[str]:
    """Names of the columns with what potentials say."""
    return _energies_of([potential.name for potential in potentials])


def _energies_of(names: Iterable[str]) -> list[str]:
    return [f"{column}_{column_suffix(name)}" for name in names for column in ENERGY_COLUMNS]


def _with_energies(frame: pd.DataFrame, potentials: Sequence[Potential],
                   structures: Mapping[str, Structure]) -> pd.DataFrame:  # fmt: skip
    """The energies by each potential under its name, the lowest structure of each composition first.

    Lowest: by the potential that finished some, those before all others, whose energies are of the first potential.
    """
    if not potentials:
        return frame
    by_potential = [frame[name] if name in frame else pd.Series(np.nan, frame.index) for name in _ENERGIES]
    frame = frame.drop(columns=[name for name in _ENERGIES if name in frame])
    frame["energy_reason"] = _energy_reasons(frame, by_potential[0])
    ordering: list[str] = []
    for potential, energy in zip(potentials, by_potential, strict=False):
        frame = _with_energies_by(frame, energy.to_numpy(dtype=float), potential, structures)
        ordering.insert(0, f"energy_per_atom_{column_suffix(potential.name)}")
    if len(potentials) == 2:
        frame = agreement(frame, *(potential.name for potential in potentials))
        if "finish_reason" not in frame:
            frame["finish_reason"] = None
    return frame.sort_values(["rank", *ordering], kind="stable", na_position="last", ignore_index=True)


def _energy_reasons(frame: pd.DataFrame, energy: pd.Series) -> np.ndarray:
    """Why the formation energy or the distance to the hull of a relaxed structure is missing, else empty text."""
    reasons = np.full(len(frame), "", dtype=object)
    rows = np.flatnonzero(frame["structure_id"].notna() & energy.notna())
    if len(rows):
        reasons[rows] = missing_energies(CompositionBatch.from_formulas(frame["formula"].iloc[rows]))
    return reasons


def _with_energies_by(frame: pd.DataFrame, energy: np.ndarray, potential: Potential,
                      structures: Mapping[str, Structure]) -> pd.DataFrame:  # fmt: skip
    """The potential's energies under its own name, formation energies, and distances to the hull of known phases."""
    rows = np.flatnonzero(frame["structure_id"].notna() & np.isfinite(energy))
    formation, above = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    if len(rows):
        batch = CompositionBatch.from_formulas(frame["formula"].iloc[rows])
        ids = frame["structure_id"].iloc[rows]
        types = None if potential.corrected else [oxide_type(structures[id]) for id in ids]
        formation[rows] = corrected_formation_energies(batch, energy[rows], potential, types)
        above[rows] = formation[rows] - hull_energies(batch)
    return frame.assign(**dict(zip(energy_columns([potential]), (energy, formation, above), strict=True)))


def summary_of(made: MadeStructures, potentials: Sequence[Potential]) -> dict[str, Any]:
    """What the plan's file says beside the plan."""
    frame = made.frame
    return {
        "structures": int(frame["structure_id"].notna().sum()),
        "compositions": len(made.candidates),
        "compositions_with_structure": int(made.candidates["structure_id"].notna().sum()),
        "failures": made.failures,
        "potential_version": potentials[0].version if potentials else None,
        "finish_version": potentials[1].version if len(potentials) == 2 else None,
        "hull": "mp2020" if potentials else None,
        "versions": {name: version(name) for name in ("matgen", "pymatgen-core", "ase", "torch")},
    }
