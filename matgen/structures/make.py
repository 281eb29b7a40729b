"""From a table of candidates to a folder of relaxed structures with energies: `matgen structure`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition import CompositionBatch
from matgen.errors import DataError, MatgenError, OptionError, StructureError, first_line, require_above_zero
from matgen.files import read_json, refuse_to_overwrite, whole_file, write_json
from matgen.structures.energies import formation_energies, mp2020_phases
from matgen.structures.folder import CANDIDATES, PLAN, read_plan, structure_id, write_crystals, write_table
from matgen.structures.potentials import POTENTIALS, Potential, load_potential
from matgen.structures.propose import ProposalSettings, Proposer
from matgen.structures.relax import RelaxSettings, relax
from matgen.structures.templates import TemplateLibrary, bundled_templates, templates_in
from matgen.structures.workers import run_tasks

if TYPE_CHECKING:
    from matgen.progress import Progress

PARTS = "parts"


@dataclass(frozen=True)
class StructurePlan:
    """How structures of candidates are made.

    Attributes:
        proposals: how structures are proposed.
        relaxation: how they are relaxed.
        potential: name of a potential, or None to leave the proposals as they are.
        templates: a folder of a user's structures, which go beside the bundled ones.
        only_own_templates: take those of the folder alone.
        leave_out: formulas whose own structures are not taken as templates.
        workers: processes on this machine.
        scheduler: address of a Dask scheduler instead.
    """

    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    relaxation: RelaxSettings = field(default_factory=RelaxSettings)
    potential: str | None = "chgnet"
    templates: Path | None = None
    only_own_templates: bool = False
    leave_out: tuple[str, ...] = ()
    workers: int = 1
    scheduler: str | None = None

    def __post_init__(self) -> None:
        require_above_zero(self, "workers")
        if self.only_own_templates and self.templates is None:
            raise OptionError("only_own_templates needs a folder of templates")
        if self.potential is not None and self.potential not in POTENTIALS:
            load_potential(self.potential)  # says which names are known

    def content(self) -> dict[str, Any]:
        """What the result depends on, as JSON."""
        told = asdict(replace(self, workers=1, scheduler=None))
        del told["workers"], told["scheduler"]
        return told | {"templates": None if self.templates is None else str(self.templates.resolve()),
                       "leave_out": list(self.leave_out)}  # fmt: skip


@dataclass(frozen=True)
class MadeStructures:
    """What came of it.

    Attributes:
        frame: a row for each structure, and for each composition without one; see `README.md`.
        candidates: the candidates' rows with the columns of their lowest structure.
        failures: reason to how many structures or compositions.
    """

    frame: pd.DataFrame
    candidates: pd.DataFrame
    failures: dict[str, int]


def make_structures(
    candidates: pd.DataFrame,
    column: str,
    out: Path | str,
    plan: StructurePlan | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> MadeStructures:
    """Propose and relax structures for the formulas of a table, into a folder.

    Each composition's result is written to `parts/` as it comes, so that an interrupted run goes on with `resume`.

    Args:
        candidates: `n` rows, those to look at first first.
        column: of formulas.
        out: folder for `structures.parquet`, `candidates.parquet`, `cif/`, `structures.extxyz`, `structures.json`.
        plan: how.
        resume: go on with what `out` holds of the same plan and candidates.
        force: replace what `out` holds.
        progress: advanced for each composition.

    Raises:
        DataError: no formula can be read, or what is resumed was made otherwise.
        OutputError: `out` holds something and neither `resume` nor `force` is on.
        StructureError: no structure at all could be made.
    """
    plan = plan or StructurePlan()
    out = Path(out)
    formulas = [str(text) for text in candidates[column]]
    told = plan.content() | {"formulas": formulas}
    _prepare(out, told, resume=resume, force=force)
    potential = None if plan.potential is None else load_potential(plan.potential)
    _library(plan.templates, plan.only_own_templates, plan.leave_out)  # complains of a bad folder before any work
    waiting = [rank for rank in range(1, len(formulas) + 1) if not _part(out, rank).exists()]
    if progress:
        progress.start(len(formulas), len(formulas) - len(waiting))
    tasks = [(rank, formulas[rank - 1], plan) for rank in waiting]
    for place, outcome in run_tasks(_make_one, tasks, workers=plan.workers, scheduler=plan.scheduler):
        rank, formula, _ = tasks[place]
        if isinstance(outcome, Exception):
            outcome = [_failed(formula, _reason(outcome))]
        write_json(_part(out, rank), outcome)
        if progress:
            progress.advance()
    if progress:
        progress.close()
    rows = [row for rank in range(1, len(formulas) + 1) for row in _rows(out, rank)]
    made = _assemble(candidates, rows, potential, out)
    write_table(out, made.frame, told | _summary(made, potential))
    with whole_file(out / CANDIDATES) as temporary:
        made.candidates.to_parquet(temporary, index=False)
    shutil.rmtree(out / PARTS)
    return made


def _prepare(out: Path, told: dict[str, Any], *, resume: bool, force: bool) -> None:
    """An empty folder, or one to go on with."""
    if resume and (out / PLAN).exists():
        before = read_plan(out)
        differ = sorted(name for name, value in told.items() if before.get(name) != value)
        if differ:
            raise DataError(f"{out} was begun with other {', '.join(differ)}: repeat them, or choose another --out")
    else:
        refuse_to_overwrite(out, force=force)
        if force:
            for name in (PARTS, "cif"):
                shutil.rmtree(out / name, ignore_errors=True)
    (out / PARTS).mkdir(parents=True, exist_ok=True)
    write_json(out / PLAN, told)


def _part(out: Path, rank: int) -> Path:
    return out / PARTS / f"{rank:06d}.json"


def _rows(out: Path, rank: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_json(_part(out, rank))
    return [row | {"rank": rank} for row in rows]


@lru_cache(maxsize=4)
def _library(folder: Path | None, alone: bool, leave_out: tuple[str, ...]) -> TemplateLibrary:
    """The templates of a plan; kept by each worker."""
    own = None if folder is None else templates_in(folder)[0]
    library = own if own is not None and alone else bundled_templates() if own is None else own + bundled_templates()
    return library.without(leave_out) if leave_out else library


@lru_cache(maxsize=4)
def _proposer(settings: ProposalSettings, folder: Path | None, alone: bool, leave_out: tuple[str, ...]) -> Proposer:
    return Proposer(settings, _library(folder, alone, leave_out))


@lru_cache(maxsize=2)
def _potential(name: str) -> Potential:
    return load_potential(name)


def _make_one(task: tuple[int, str, StructurePlan]) -> list[dict[str, Any]]:
    """The structures of one composition as rows; the work of one task."""
    rank, formula, plan = task
    proposer = _proposer(plan.proposals, plan.templates, plan.only_own_templates, plan.leave_out)
    proposals = proposer.propose(formula)
    rows = []
    relaxed: Sequence[Any] = [None] * len(proposals)
    if plan.potential is not None:
        relaxed = relax([proposal.structure for proposal in proposals], _potential(plan.potential), plan.relaxation)
    for number, (proposal, result) in enumerate(zip(proposals, relaxed, strict=True), start=1):
        row = proposal.provenance() | {"structure_id": structure_id(rank, formula, number), "reason": ""}
        structure = proposal.structure
        if result is not None:
            structure = result.structure
            row |= {"energy": result.energy, "max_force": result.max_force, "relax_steps": result.steps,
                    "relaxed": result.converged, "reason": result.reason}  # fmt: skip
        row["structure"] = None if row["reason"] else structure.as_dict()
        rows.append(row)
    return rows


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, MatgenError) else f"{type(error).__name__}: {first_line(error)}"


def _failed(formula: str, reason: str) -> dict[str, Any]:
    return {"formula": formula, "structure_id": None, "reason": reason, "structure": None}


def _assemble(candidates: pd.DataFrame, rows: list[dict[str, Any]], potential: Potential | None,
              out: Path) -> MadeStructures:  # fmt: skip
    """Tables of structures and candidates, energies and crystals; duplicates after relaxation are marked."""
    from pymatgen.core import Structure

    structures = {row["structure_id"]: Structure.from_dict(row["structure"]) for row in rows if row["structure"]}
    if not structures:
        raise StructureError(
            f"no structure could be made of {len(candidates):,} compositions; the first: {rows[0]['reason']}"
        )
    frame = pd.DataFrame([{key: value for key, value in row.items() if key != "structure"} for row in rows])
    frame = frame[["structure_id", "rank", *(name for name in frame if name not in ("structure_id", "rank"))]]
    frame = pd.concat([frame, _described(frame["structure_id"], structures)], axis=1)
    if potential is not None:
        frame = _with_energies(frame, potential)
        ordering = ["rank", f"energy_{potential.name}"]
        frame = frame.sort_values(ordering, kind="stable", na_position="last", ignore_index=True)
    frame["duplicate_of"] = _duplicates(frame, structures)
    names = ["formula"]
    if potential is not None:
        names += [f"{column}_{potential.name}" for column in ENERGY_COLUMNS]
    sound = frame[frame["reason"] == ""]
    told: list[dict[str, Any]] = sound[names].to_dict("records")  # type: ignore[assignment]
    write_crystals(out, [(str(id), structures[id], said) for id, said in zip(sound["structure_id"], told, strict=True)])
    table = _joined(candidates, frame)
    failures = frame.loc[frame["reason"] != "", "reason"].str.replace(r"^[^:]*: ", "", regex=True).value_counts()
    return MadeStructures(frame, table, {str(reason): int(count) for reason, count in failures.items()})


def _joined(candidates: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The candidates with the columns of their lowest structure, or why they have none (`structure_reason`)."""
    frame = frame.assign(failed=frame["reason"] != "").sort_values(["rank", "failed"], kind="stable")
    lowest = frame.drop_duplicates("rank").set_index("rank").drop(columns=["formula", "failed", "duplicate_of"])
    lowest.loc[lowest["reason"] != "", "structure_id"] = None
    lowest = lowest.rename(columns={"reason": "structure_reason"})
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


def _duplicates(frame: pd.DataFrame, structures: dict[str, Any]) -> list[str | None]:
    """Of each structure the id of an earlier one of its composition that it relaxed into, None where it is its own."""
    from matgen.structures.propose import is_new

    found: list[str | None] = []
    kept: dict[int, list[str]] = {}
    for name, rank in zip(frame["structure_id"], frame["rank"], strict=True):
        earlier = kept.setdefault(int(rank), [])
        same = None
        if name in structures:
            same = next((other for other in earlier if not is_new(structures[name], [structures[other]])), None)
            if same is None:
                earlier.append(name)
        found.append(same)
    return found


ENERGY_COLUMNS = ("energy", "formation_energy", "energy_above_hull")
"""What a potential says of a structure, eV/atom; its name is appended."""


def _with_energies(frame: pd.DataFrame, potential: Potential) -> pd.DataFrame:
    """The potential's energies under its own name, formation energies, and distances to the hull of known phases."""
    rows = np.flatnonzero(frame["structure_id"].notna() & frame["energy"].notna())
    formation, above = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    if len(rows):
        batch = CompositionBatch.from_formulas(frame["formula"].iloc[rows])
        formation[rows] = formation_energies(batch, frame["energy"].to_numpy(dtype=float)[rows])
        above[rows] = formation[rows] - mp2020_phases().decompose(batch).energy
    renamed = frame.rename(columns={"energy": f"energy_{potential.name}"})
    renamed[f"formation_energy_{potential.name}"] = formation
    renamed[f"energy_above_hull_{potential.name}"] = above
    return renamed


def _summary(made: MadeStructures, potential: Potential | None) -> dict[str, Any]:
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
