"""The structures of one composition: proposed, relaxed, finished by a second potential, with phonons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import MatgenError, first_line
from matgen.io.files import file_sha256
from matgen.structures.doping import Doping, Host, find_host, propose_doped
from matgen.structures.finish import finished
from matgen.structures.folder import TEMPLATES, structure_id
from matgen.structures.minima import with_phonons
from matgen.structures.parts import PARTS
from matgen.structures.plan import StructurePlan
from matgen.structures.potentials.registry import shared_potential
from matgen.structures.propose import Proposal, ProposalSettings, Proposer
from matgen.structures.relax import Relaxed, relax
from matgen.structures.templates import TemplateLibrary, bundled_templates, digest_of, templates_in

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from matgen.structures.potentials.interface import Potential


@dataclass(frozen=True)
class LibraryKey:
    """Which templates a worker takes; with the digests of the folders, since a worker outlives a run."""

    folders: tuple[tuple[Path, str], ...]
    bundled: bool
    leave_out: tuple[str, ...]


def library_key(plan: StructurePlan, out: Path, digest: str) -> LibraryKey:
    """The templates of a plan.

    Args:
        plan: how structures are made.
        out: folder of the run, which may hold fetched templates.
        digest: of the user's own templates.
    """
    folders = [] if plan.templates is None else [(plan.templates.resolve(), digest)]
    fetched = (out / PARTS / TEMPLATES).resolve()
    if fetched.exists():
        folders.append((fetched, digest_of(templates_in(fetched)[0])))
    return LibraryKey(tuple(folders), not plan.only_own_templates, plan.leave_out)


@lru_cache(maxsize=4)
def proposer_of(settings: ProposalSettings, key: LibraryKey) -> Proposer:
    """The proposer of a plan; kept by each worker."""
    library = TemplateLibrary([])
    for folder, _ in key.folders:
        library += templates_in(folder)[0]
    if key.bundled:
        library += bundled_templates()
    return Proposer(settings, library.without(key.leave_out) if key.leave_out else library)


@lru_cache(maxsize=8)
def _host(formula: str, plan: StructurePlan, key: LibraryKey, sha256: str | None) -> Host:
    """The structure of a host, relaxed; kept by each worker. `sha256` is of the user's file."""
    return find_host(formula, proposer_of(plan.proposals, key), plan.doping, plan.potentials(), plan.relaxation)


def _proposals(formula: str, plan: StructurePlan, library: LibraryKey, doping: Doping | None) -> Sequence[Proposal]:
    """What a composition might look like: supercells of its host where it is doped."""
    if doping is None:
        return proposer_of(plan.proposals, library).propose(formula)
    file = plan.doping.host
    host = _host(doping.host, plan, library, None if file is None else file_sha256(file))
    return propose_doped(doping, host, plan.doping, plan.proposals.per_formula)


Task = tuple[int, str, StructurePlan, LibraryKey, Doping | None]
"""Rank and reduced formula of a composition, how its structures are made, from which templates, and how it is doped."""


def make_one(task: Task) -> list[dict[str, Any]]:
    """The structures of one composition as rows; the work of one task."""
    rank, formula, plan, library, doping = task
    proposals = _proposals(formula, plan, library, doping)
    rows = [proposal.provenance() | {"structure_id": structure_id(rank, formula, number), "reason": ""}
            for number, proposal in enumerate(proposals, start=1)]  # fmt: skip
    structures = [proposal.structure for proposal in proposals]
    if plan.potential is not None:
        structures = _relaxed(rows, proposals, plan, finish=plan.finish is not None and plan.finish.takes(rank))
    for row, structure in zip(rows, structures, strict=True):
        row["structure"] = None if row["reason"] else structure.as_dict()
    if plan.potential is not None and rank <= plan.phonons:
        rows = with_phonons(rows, rank, formula, *_phonon_potentials(plan, rank))
    return rows


def _relaxed(rows: list[dict[str, Any]], proposals: Sequence[Proposal], plan: StructurePlan, *,
             finish: bool) -> list[Structure]:  # fmt: skip
    """Relax the proposals of one composition, finish the lowest, and say so in their rows."""
    assert plan.potential is not None
    results = relax([proposal.structure for proposal in proposals], shared_potential(plan.potential), plan.relaxation,
                    race=plan.race(finish=finish))  # fmt: skip
    structures = []
    for row, result in zip(rows, results, strict=True):
        row |= _in_columns(result) | {"energy": result.energy, "reason": result.reason}
        structures.append(result.structure)
    if finish:
        assert plan.finish is not None
        further = finished(results, plan.finish, plan.relaxation, shared_potential(plan.potential),
                           race=plan.race(finish=False))  # fmt: skip
        for place, (result, energy) in further.items():
            row = rows[place]
            row["finish_reason"] = result.reason
            if not result.reason:  # else the first potential's geometry stays
                row |= _in_columns(result, steps_before=row["relax_steps"])
                row |= {"energy": energy, "energy_finished": result.energy}
                structures[place] = result.structure
    return structures


def _in_columns(result: Relaxed, steps_before: int = 0) -> dict[str, Any]:
    return {"max_force": result.max_force, "relax_steps": steps_before + result.steps, "relaxed": result.converged,
            "stopped_early": result.stopped_early}  # fmt: skip


def _phonon_potentials(plan: StructurePlan, rank: int) -> tuple[Potential, Potential | None]:
    """What phonons of a composition are by: the potential that finished it and the first, or the first alone."""
    assert plan.potential is not None
    first = shared_potential(plan.potential)
    if plan.finish is None or not plan.finish.takes(rank):
        return first, None
    return shared_potential(plan.finish.potential), first


def reason_of(error: Exception, formula: str) -> str:
    """Why a composition failed, without its formula."""
    text = str(error) if isinstance(error, MatgenError) else f"{type(error).__name__}: {first_line(error)}"
    return text.removeprefix(f"{formula}: ")


def failed_row(formula: str | None, reason: str) -> dict[str, Any]:
    """The row of a composition without a structure."""
    return {"formula": formula, "structure_id": None, "reason": reason, "structure": None}
