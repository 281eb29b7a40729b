"""From a table of candidates to a folder of relaxed structures with energies: `matgen structure`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.errors import (
    DataError,
    MatgenError,
    OptionError,
    StructureError,
    first_line,
    require_above_zero,
    unknown_name,
)
from matgen.io.files import atomic_write, locked, move_up, read_json, refuse_to_overwrite, write_checksummed, write_json
from matgen.io.parquet import read_parquet, write_parquet
from matgen.runtime.progress import ProgressFactory, silent
from matgen.structures.energies import formation_energies, hull_energies, mp2020_correction
from matgen.structures.folder import (
    ALL_CRYSTALS,
    CANDIDATES,
    CRYSTALS,
    PLAN,
    TABLE,
    TEMPLATES,
    read_plan,
    read_structures,
    structure_id,
    with_present_names,
    write_crystals,
    write_table,
)
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import POTENTIALS, shared_potential
from matgen.structures.propose import ProposalSettings, Proposer, same_crystals
from matgen.structures.relax import RelaxSettings, relax
from matgen.structures.templates import (
    TemplateLibrary,
    bundled_templates,
    digest_of,
    ratio,
    require_source,
    save_templates,
    templates_from,
    templates_in,
)
from matgen.structures.workers import run_tasks

PARTS = "parts"
"""Folder in the output of what is not complete yet."""

RESULT = (TABLE, CANDIDATES, ALL_CRYSTALS, CRYSTALS, TEMPLATES, PLAN)
"""What a result consists of; the plan says that the others are there."""


@dataclass(frozen=True)
class StructurePlan:
    """How structures of candidates are made.

    Attributes:
        proposals: how structures are proposed.
        relaxation: how they are relaxed.
        potential: name of a potential, or None to leave the proposals as they are.
        templates: a folder of a user's structures, which go beside the bundled ones.
        only_own_templates: leave the bundled ones out.
        leave_out: formulas whose own structures are not taken as templates.
        workers: processes on this machine.
        scheduler: address of a Dask scheduler instead.
        templates_from: databases that more templates are fetched from before the work, each `materials-project` or an
            OPTIMADE address; they are kept in the output folder.
    """

    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    relaxation: RelaxSettings = field(default_factory=RelaxSettings)
    potential: str | None = "chgnet"
    templates: Path | None = None
    only_own_templates: bool = False
    leave_out: tuple[str, ...] = ()
    workers: int = 1
    scheduler: str | None = None
    templates_from: tuple[str, ...] = ()

    @classmethod
    def quick(cls, seed: int = 0, workers: int = 1) -> StructurePlan:
        """Three structures of each composition, of at most 24 atoms: seconds to a minute each."""
        return cls(ProposalSettings(per_formula=3, max_atoms=24, seed=seed), workers=workers)

    def __post_init__(self) -> None:
        require_above_zero(self, "workers")
        if self.only_own_templates and self.templates is None and not self.templates_from:
            raise OptionError("only_own_templates needs a folder of templates, or a database to take them from")
        for source in self.templates_from:
            require_source(source)
        if self.potential is not None and self.potential not in POTENTIALS:
            raise unknown_name("potential", self.potential, POTENTIALS)

    def content(self) -> dict[str, Any]:
        """What the result depends on, as JSON."""
        told = asdict(replace(self, workers=1, scheduler=None))
        del told["workers"], told["scheduler"]
        return told | {
            "templates": None if self.templates is None else str(self.templates.resolve()),
            "leave_out": list(self.leave_out), "templates_from": list(self.templates_from),
        }  # fmt: skip


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


@locked("out")
def make_structures(
    candidates: pd.DataFrame,
    column: str,
    out: Path | str,
    plan: StructurePlan | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    progress: ProgressFactory = silent,
    tell: Callable[[str], None] | None = None,
) -> MadeStructures:
    """Propose and relax structures for the formulas of a table, into a folder.

    Each composition's result is written to `parts/` as it comes, so that an interrupted run goes on with `resume`.
    Nothing in `out` is touched before templates and potential are at hand.

    Args:
        candidates: `n` rows, those to look at first first.
        column: of formulas.
        out: folder for `structures.parquet`, `candidates.parquet`, `cif/`, `structures.extxyz`, `structures.json`, and
            `fetched_templates/` where some were fetched.
        plan: how.
        resume: go on with what `out` holds of the same plan and candidates.
        force: replace what `out` holds.
        progress: counts the compositions.
        tell: called with remarks on templates.

    Raises:
        DataError: no formula can be read, no templates can be had, or what is resumed was made otherwise.
        OutputError: `out` holds something and neither `resume` nor `force` is on.
        StructureError: no structure at all could be made.
    """
    plan = plan or StructurePlan()
    tell = tell or (lambda _: None)
    out = Path(out)
    formulas = ["" if pd.isna(text) else str(text) for text in candidates[column]]
    parsed = parse_some(candidates[column])
    own = None
    if plan.templates is not None:
        own, bad = templates_in(plan.templates)
        for reason in bad:
            tell(f"no template: {reason}")
    told = plan.content() | {"formulas": formulas, "templates_digest": None if own is None else digest_of(own)}
    resume = resume and _plan_of(out).exists()
    if resume:
        _require_same(out, told)
    else:
        refuse_to_overwrite(out, force=force)
    potential = None if plan.potential is None else shared_potential(plan.potential)
    if not resume:
        _begin(out, told, _fetched(plan, parsed.batch, tell))
    elif (finished := _finished(out)) is not None:
        return finished
    reduced = dict(zip(parsed.rows.tolist(), parsed.batch.formulas().tolist(), strict=True))
    for row in parsed.bad:
        write_json(_part(out, row.row + 1), [_failed(None, f"the formula cannot be read: {row.reason}")])
    library = _library_key(plan, out, told["templates_digest"])
    waiting = [rank for rank in range(1, len(formulas) + 1) if not _part(out, rank).exists()]
    tasks = [(rank, reduced[rank - 1], plan, library) for rank in waiting]
    with progress(len(formulas), "structure", "compositions", done=len(formulas) - len(waiting)) as count:
        for place, outcome in run_tasks(_make_one, tasks, workers=plan.workers, scheduler=plan.scheduler):
            rank, formula = tasks[place][:2]
            if isinstance(outcome, Exception):
                outcome = [_failed(formula, _reason(outcome, formula))]
            write_json(_part(out, rank), outcome)
            count.update()
    rows = [row for rank in range(1, len(formulas) + 1) for row in _rows(out, rank)]
    made = _assemble(candidates, rows, potential, out / PARTS)
    with atomic_write(out / PARTS / CANDIDATES) as temporary:
        write_parquet(made.candidates, temporary)
    write_table(out / PARTS, made.frame, told | _summary(made, potential))
    _publish(out)
    return made


def _require_same(out: Path, told: dict[str, Any]) -> None:
    """Raise a `DataError` where a folder was begun otherwise."""
    before = read_plan(_plan_of(out).parent)
    differ = sorted(name for name, value in told.items() if before.get(name) != value)
    if differ:
        raise DataError(f"{out} was begun with other {', '.join(differ)}: repeat them, or choose another --out")


def _begin(out: Path, told: dict[str, Any], fetched: TemplateLibrary | None) -> None:
    """A folder of parts with the templates that were fetched and, last, the plan; an earlier result stays for now."""
    if (out / PARTS).exists():
        shutil.rmtree(out / PARTS)
    (out / PARTS).mkdir(parents=True)
    if fetched is not None:
        save_templates(out / PARTS / TEMPLATES, fetched)
    write_checksummed(out / PARTS / PLAN, told)


def _plan_of(out: Path) -> Path:
    """The plan of a run that goes on, or else of the one that has ended."""
    return out / PARTS / PLAN if (out / PARTS / PLAN).exists() else out / PLAN


def _publish(out: Path) -> None:
    """Put what was made in the place of an earlier result, and remove the parts."""
    if not read_plan(out / PARTS)["templates_from"] and (out / TEMPLATES).exists():
        shutil.rmtree(out / TEMPLATES)
    move_up(out / PARTS, out, RESULT)
    shutil.rmtree(out / PARTS)


def _finished(out: Path) -> MadeStructures | None:
    """What a folder holds where its run had come to its end, None where it had not."""
    if (out / PARTS / PLAN).exists():
        if "failures" not in read_plan(out / PARTS):
            return None
        _publish(out)  # killed while it was at that
    shutil.rmtree(out / PARTS, ignore_errors=True)
    failures = read_plan(out)["failures"]
    frame, _ = read_structures(out)
    try:
        return MadeStructures(frame, read_parquet(out / CANDIDATES), failures)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {out / CANDIDATES}: {first_line(error)}") from error


def _fetched(plan: StructurePlan, batch: CompositionBatch, tell: Callable[[str], None]) -> TemplateLibrary | None:
    """Templates of the compositions' anonymous formulas from the databases of a plan, None without such."""
    library = TemplateLibrary([])
    ratios = {ratio(counts[counts > 0].tolist()) for counts in np.where(batch.elements > 0, batch.counts, 0)}
    for source in plan.templates_from:
        found = templates_from(source, ratios, max_atoms=plan.proposals.max_atoms)
        tell(f"{len(found):,} templates of {source}")
        library += found
    if plan.only_own_templates and plan.templates is None and not len(library):
        raise DataError(f"{', '.join(plan.templates_from)} has no template for these compositions")
    return library if len(library) else None


def _part(out: Path, rank: int) -> Path:
    return out / PARTS / f"{rank:06d}.json"


def _rows(out: Path, rank: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_json(_part(out, rank))
    return [row | {"rank": rank} for row in rows]


@dataclass(frozen=True)
class _LibraryKey:
    """Which templates a worker takes; with the digests of the folders, since a worker outlives a run."""

    folders: tuple[tuple[Path, str], ...]
    bundled: bool
    leave_out: tuple[str, ...]


def _library_key(plan: StructurePlan, out: Path, digest: str) -> _LibraryKey:
    folders = [] if plan.templates is None else [(plan.templates.resolve(), digest)]
    fetched = (out / PARTS / TEMPLATES).resolve()
    if fetched.exists():
        folders.append((fetched, digest_of(templates_in(fetched)[0])))
    return _LibraryKey(tuple(folders), not plan.only_own_templates, plan.leave_out)


@lru_cache(maxsize=4)
def _proposer(settings: ProposalSettings, key: _LibraryKey) -> Proposer:
    """The proposer of a plan; kept by each worker."""
    library = TemplateLibrary([])
    for folder, _ in key.folders:
        library += templates_in(folder)[0]
    if key.bundled:
        library += bundled_templates()
    return Proposer(settings, library.without(key.leave_out) if key.leave_out else library)


def _make_one(task: tuple[int, str, StructurePlan, _LibraryKey]) -> list[dict[str, Any]]:
    """The structures of one composition as rows; the work of one task."""
    rank, formula, plan, library = task
    proposals = _proposer(plan.proposals, library).propose(formula)
    rows = []
    relaxed: Sequence[Any] = [None] * len(proposals)
    if plan.potential is not None:
        proposed = [proposal.structure for proposal in proposals]
        relaxed = relax(proposed, shared_potential(plan.potential), plan.relaxation)
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


def _reason(error: Exception, formula: str) -> str:
    text = str(error) if isinstance(error, MatgenError) else f"{type(error).__name__}: {first_line(error)}"
    return text.removeprefix(f"{formula}: ")


def _failed(formula: str | None, reason: str) -> dict[str, Any]:
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
        ordering = ["rank", f"energy_per_atom_{potential.name}"]
        frame = frame.sort_values(ordering, kind="stable", na_position="last", ignore_index=True)
    frame["duplicate_of"] = same_crystals(frame["rank"], frame["structure_id"], structures)
    names = ["formula"]
    if potential is not None:
        names += [f"{column}_{potential.name}" for column in ENERGY_COLUMNS]
    sound = frame[frame["reason"] == ""]
    told: list[dict[str, Any]] = sound[names].to_dict("records")  # type: ignore[assignment]
    write_crystals(out, [(str(id), structures[id], said) for id, said in zip(sound["structure_id"], told, strict=True)])
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


ENERGY_COLUMNS = ("energy_per_atom", "formation_energy", "energy_above_hull")
"""What a potential says of a structure, eV/atom; its name is appended."""


def _with_energies(frame: pd.DataFrame, potential: Potential) -> pd.DataFrame:
    """The potential's energies under its own name, formation energies, and distances to the hull of known phases."""
    rows = np.flatnonzero(frame["structure_id"].notna() & frame["energy"].notna())
    formation, above = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    if len(rows):
        batch = CompositionBatch.from_formulas(frame["formula"].iloc[rows])
        formation[rows] = formation_energies(batch, frame["energy"].to_numpy(dtype=float)[rows])
        if not potential.corrected:
            formation[rows] += mp2020_correction(batch)
        above[rows] = formation[rows] - hull_energies(batch)
    renamed = frame.drop(columns="energy")
    for column, values in zip(ENERGY_COLUMNS, (frame["energy"], formation, above), strict=True):
        renamed[f"{column}_{potential.name}"] = np.asarray(values, dtype=float)
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
