"""The calculations of a campaign: structures of candidates and of competing phases, references of elements, inputs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.dft.campaign.plan import CampaignPlan
from matgen.dft.campaign.source import LEFT_OUT, Source, with_reasons
from matgen.dft.export import Exported, export, jobs_of
from matgen.dft.references import element_jobs, elements_of
from matgen.dft.settings import MANIFEST, Job
from matgen.errors import StructureError
from matgen.runtime.progress import ProgressFactory
from matgen.structures.finish import Finish
from matgen.structures.folder import safe_name
from matgen.structures.make import make_structures
from matgen.structures.parts import PARTS, rows_of
from matgen.structures.plan import StructurePlan
from matgen.structures.propose import ProposalSettings

STRUCTURES, COMPETING, CALCULATIONS = "structures", "competing", "dft"
"""Folders of a campaign."""


def structure_plan(plan: CampaignPlan, workers: int) -> StructurePlan:
    """How structures of candidates are made."""
    proposals = ProposalSettings(per_formula=plan.per_formula, max_atoms=plan.max_atoms)
    finish = None if plan.finish is None else Finish(plan.finish)
    return StructurePlan(proposals, potential=plan.potential, workers=workers, finish=finish)


def competing_plan(plan: CampaignPlan, potential: str, finish: Finish | None, workers: int) -> StructurePlan:
    """How structures of competing phases are made: from known crystals only, the best of three."""
    proposals = ProposalSettings(per_formula=3, max_atoms=2 * plan.max_atoms, symmetric=0)
    finish = None if finish is None else replace(finish, top=0)
    return StructurePlan(proposals, potential=potential, workers=workers, finish=finish)


def candidates_with_structures(
    source: Source, plan: CampaignPlan, left_out: Mapping[str, str], out: Path, workers: int,
    progress: ProgressFactory, tell: Callable[[str], None],
) -> pd.DataFrame:  # fmt: skip
    """A row for each candidate with its structure's columns, `structure_id` and the reason if it is left out.

    Structures that an earlier call made are taken as they are.

    Raises:
        StructureError: no structure at all could be made.
    """
    frame = with_reasons(source.frame, left_out)
    if source.folder is not None:
        return frame
    wanted = frame[frame[LEFT_OUT] == ""]
    made = make_structures(wanted.drop(columns=LEFT_OUT), "formula", out / STRUCTURES, structure_plan(plan, workers),
                           resume=True, progress=progress, tell=tell)  # fmt: skip
    told = made.candidates.set_index(wanted.index)
    without = told["structure_id"].isna()
    told[LEFT_OUT] = [f"no structure: {reason}" if lacks else ""
                      for reason, lacks in zip(told["structure_reason"], without, strict=True)]  # fmt: skip
    others = frame[frame[LEFT_OUT] != ""]
    return pd.concat([told, others]).sort_index()


def competing_phases(
    formulas: Sequence[str], source: Source, plan: CampaignPlan, out: Path, workers: int, progress: ProgressFactory
) -> tuple[list[Job], dict[str, str]]:
    """Competing phases as jobs, each in its lowest structure, and why others have none.

    Args:
        formulas: of the phases.
        source: candidates, which are relaxed by the same potentials.
        plan: of the campaign.
        out: folder of the campaign; the structures are kept in `COMPETING`.
        workers: processes that relax.
        progress: counts the phases.
    """
    if not formulas:
        return [], {}
    folder, table = out / COMPETING, pd.DataFrame({"formula": list(formulas)})
    try:
        how = competing_plan(plan, *source.relaxation(plan), workers)
        made = make_structures(table, "formula", folder, how, resume=True, progress=progress)
    except StructureError:  # none has a structure; the rows of each say why
        if not (folder / PARTS).exists():
            raise
        return [], {name: str(rows_of(folder, rank)[0]["reason"]) for rank, name in enumerate(formulas, start=1)}
    without = made.candidates[made.candidates["structure_id"].isna()]
    lacking = dict(zip(without["formula"].astype(str), without["structure_reason"].astype(str), strict=True))
    jobs = [
        Job(f"competing-{job.provenance['rank']:04d}-{safe_name(job.formula)}", job.structure, "competing",
            job.provenance)
        for job in jobs_of(folder)
    ]  # fmt: skip
    return jobs, lacking


def candidate_jobs(source: Source, candidates: pd.DataFrame, out: Path) -> list[Job]:
    """Jobs of the candidates that are calculated."""
    wanted = set(candidates.loc[candidates[LEFT_OUT] == "", "structure_id"])
    jobs = jobs_of(source.folder or out / STRUCTURES)
    return [job for job in jobs if job.id in wanted]


def write_inputs(
    jobs: Sequence[Job], phases: Sequence[Job], lacking: Mapping[str, str], plan: CampaignPlan, out: Path,
    progress: ProgressFactory,
) -> Exported:  # fmt: skip
    """Inputs of candidates, phases and the elements of both.

    Raises:
        StructureError: no candidate's inputs could be written.
    """
    elements, _ = element_jobs(elements_of([*jobs, *phases]))  # candidates without a reference are left out before
    shutil.rmtree(out / CALCULATIONS, ignore_errors=True)  # of a call that was killed while it wrote
    for left in out.glob(f".{CALCULATIONS}.*"):
        shutil.rmtree(left, ignore_errors=True)
    return export([*jobs, *phases, *elements], out / CALCULATIONS, plan.engine, plan.settings,
                  lacking_phases=lacking, progress=progress)  # fmt: skip


def inputs_are_there(out: Path) -> bool:
    """Whether an earlier call wrote all inputs."""
    return (out / CALCULATIONS / MANIFEST).is_file()


def sizes(jobs: Sequence[Mapping[str, Any]]) -> str:
    """How many calculations there are, in words: `9 calculations, 31 atoms: 2 candidates, 4 elements, ...`."""
    roles = [str(job["role"]) for job in jobs if not job.get("order_of")]
    parts = [f"{roles.count(role):,} {name}" for role, name in
             (("candidate", "candidates"), ("element", "elements"), ("competing", "competing phases"))]  # fmt: skip
    orders = len(jobs) - len(roles)
    parts += [f"{orders:,} more magnetic orders"] * bool(orders)
    atoms = sum(int(job["n_atoms"]) for job in jobs)
    return f"{len(jobs):,} calculations, {atoms:,} atoms: {', '.join(parts)}"
