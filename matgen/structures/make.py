"""From a table of candidates to a folder of relaxed structures with energies: `matgen structure`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.errors import (
    DataError,
    MatgenError,
    OptionError,
    first_line,
    require_above_zero,
)
from matgen.io.files import atomic_write, file_sha256, locked, refuse_to_overwrite, write_json
from matgen.io.parquet import write_parquet
from matgen.runtime.progress import Progress, ProgressFactory, silent
from matgen.structures.assemble import MadeStructures, assemble, summary_of
from matgen.structures.databases import require_source, templates_from
from matgen.structures.doping import Doping, DopingSettings, Host, find_host, propose_doped, read_dopings, read_host
from matgen.structures.energies import mp2020_phases
from matgen.structures.finish import Finish, finished
from matgen.structures.folder import (
    CANDIDATES,
    TEMPLATES,
    structure_id,
    write_table,
)
from matgen.structures.minima import with_phonons
from matgen.structures.parts import PARTS, begin, finished_in, part_path, plan_path, publish, require_same, rows_of
from matgen.structures.phase_energies import PhaseEnergies
from matgen.structures.phonons import require_phonopy
from matgen.structures.potentials.registry import present_name, shared_potential
from matgen.structures.propose import Proposal, ProposalSettings, Proposer
from matgen.structures.proposed import digest_of_files, proposed_in
from matgen.structures.relax import Relaxed, RelaxSettings, relax
from matgen.structures.relaxed_hull import RelaxedHull
from matgen.structures.templates import (
    TemplateLibrary,
    bundled_templates,
    digest_of,
    ratio,
    templates_in,
)
from matgen.structures.workers import run_tasks

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from matgen.structures.potentials.interface import Potential


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
        finish: which of the relaxed structures a second potential relaxes further, None for none.
        relaxed_hull: whether distances to a hull of phases relaxed by the same potential are given beside those to the
            hull of labels.
        phonons: of the first this many candidates, the lowest structure gets phonons, and is followed down where it is
            no minimum.
        doping: how supercells of doped compositions are made (rows with the columns `host`, `site` and `dopant`).
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
    finish: Finish | None = None
    relaxed_hull: bool = False
    phonons: int = 0
    doping: DopingSettings = field(default_factory=DopingSettings)

    @classmethod
    def quick(cls, seed: int = 0, workers: int = 1, finish: Finish | None = None) -> StructurePlan:
        """Three structures of each composition, of at most 24 atoms: seconds to a minute each."""
        return cls(ProposalSettings(per_formula=3, max_atoms=24, seed=seed), workers=workers, finish=finish)

    def __post_init__(self) -> None:
        require_above_zero(self, "workers")
        if self.only_own_templates and self.templates is None and not self.templates_from:
            raise OptionError("only_own_templates needs a folder of templates, or a database to take them from")
        if self.phonons < 0:
            raise OptionError(f"phonons is {self.phonons}, it must be 0 (none) or more")
        if self.phonons and self.potential is None:
            raise OptionError("phonons need a potential: structures that are not relaxed are no minima")
        for source in self.templates_from:
            require_source(source)
        if self.potential is not None:
            object.__setattr__(self, "potential", present_name(self.potential))
        elif self.finish is not None:
            raise OptionError(f"{self.finish.potential} finishes what another potential relaxed: leave out the finish")
        if self.finish is not None and self.finish.potential == self.potential:
            raise OptionError(f"{self.potential} cannot finish its own structures: choose another potential, or none")
        if self.relaxed_hull and self.potential is None:
            raise OptionError("a hull of relaxed phases needs a potential")

    def content(self) -> dict[str, Any]:
        """What the result depends on, as JSON."""
        content = asdict(replace(self, workers=1, scheduler=None))
        del content["workers"], content["scheduler"], content["doping"]  # without doped rows it changes nothing
        return content | {
            "templates": None if self.templates is None else str(self.templates.resolve()),
            "leave_out": list(self.leave_out), "templates_from": list(self.templates_from),
            "proposals": content["proposals"] | {"space_groups": list(self.proposals.space_groups)},
        }  # fmt: skip

    def in_words(self) -> str:
        """By which potentials structures are relaxed."""
        if self.potential is None:
            return "not relaxed"
        if self.finish is None:
            return f"relaxed by {self.potential}"
        of = f" of the first {self.finish.top}" if self.finish.top else ""
        return f"relaxed by {self.potential}, the lowest {self.finish.lowest}{of} further by {self.finish.potential}"

    def potentials(self) -> list[Potential]:
        """The potential that relaxes all, and the one that finishes, with their weights; empty where none relaxes."""
        names = [self.potential, None if self.finish is None else self.finish.potential]
        return [shared_potential(name) for name in names if name is not None]


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
        resume: resume what `out` holds of the same plan and candidates.
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
    if plan.proposals.folder:
        for reason in proposed_in(plan.proposals.folder, plan.proposals.max_atoms)[1]:
            tell(f"not proposed: {reason}")
    content = plan.content() | {"formulas": formulas, "templates_digest": None if own is None else digest_of(own)}
    if plan.proposals.folder:
        content["proposals_digest"] = digest_of_files(plan.proposals.folder)
    dopings = read_dopings(candidates, column)
    content |= _doping_content(plan.doping, dopings)
    resume = resume and plan_path(out).exists()
    if resume:
        require_same(out, content)
    else:
        refuse_to_overwrite(out, force=force)
    potentials = plan.potentials()
    if plan.phonons:
        require_phonopy()
    if not resume:
        begin(out, content, _fetched(plan, parsed.batch, tell))
    elif (finished := finished_in(out)) is not None:
        return finished
    for row in parsed.bad:
        write_json(part_path(out, row.row + 1), [_failed(None, f"the formula cannot be read: {row.reason}")])
    reduced = dict(zip(parsed.rows.tolist(), parsed.batch.formulas().tolist(), strict=True))
    waiting = [rank for rank in range(1, len(formulas) + 1) if not part_path(out, rank).exists()]
    library = _library_key(plan, out, content["templates_digest"])
    with progress(len(formulas), "structure", "compositions", done=len(formulas) - len(waiting)) as count:
        _make_parts(out, [(rank, reduced[rank - 1], plan, library, dopings.get(rank)) for rank in waiting], count)
    rows = [row for rank in range(1, len(formulas) + 1) for row in rows_of(out, rank)]
    hulls = _relaxed_hulls(plan, potentials, library, progress) if plan.relaxed_hull else {}
    made = assemble(candidates, rows, potentials, out / PARTS, hulls)
    with atomic_write(out / PARTS / CANDIDATES) as temporary:
        write_parquet(made.candidates, temporary)
    write_table(out / PARTS, made.frame, content | summary_of(made, potentials))
    publish(out)
    return made


def _relaxed_hulls(
    plan: StructurePlan, potentials: Sequence[Potential], library: _LibraryKey, progress: ProgressFactory
) -> dict[str, RelaxedHull]:
    """Hulls of phases relaxed by each potential, from the structures that candidates are made of too.

    The second potential goes on from the structures of the first, as with candidates.
    """
    start: TemplateLibrary | PhaseEnergies = _proposer(plan.proposals, library).library
    hulls = {}
    for potential in potentials:
        start = PhaseEnergies(potential.name, start, workers=plan.workers, scheduler=plan.scheduler,
                              progress=progress)  # fmt: skip
        hulls[potential.name] = RelaxedHull(mp2020_phases(), start.formation, start.names)
    return hulls


def _make_parts(out: Path, tasks: Sequence[_Task], count: Progress) -> None:
    """Carry out the tasks of a run, each into its own file; a composition that fails gets a row with the reason."""
    if not tasks:
        return
    plan = tasks[0][2]
    for place, outcome in run_tasks(_make_one, tasks, workers=plan.workers, scheduler=plan.scheduler):
        rank, formula = tasks[place][:2]
        if isinstance(outcome, Exception):
            outcome = [_failed(formula, _reason(outcome, formula))]
        write_json(part_path(out, rank), outcome)
        count.update()


def _fetched(plan: StructurePlan, batch: CompositionBatch, tell: Callable[[str], None]) -> TemplateLibrary | None:
    """Templates of the compositions' anonymous formulas from the databases of a plan, None without such."""
    library = TemplateLibrary([])
    ratios = {ratio(counts[counts > 0].tolist()) for counts in np.where(batch.elements > 0, batch.counts, 0)}
    for source in plan.templates_from:
        fetched = templates_from(source, ratios, max_atoms=plan.proposals.max_atoms)
        tell(f"{len(fetched):,} templates of {source}")
        library += fetched
    if plan.only_own_templates and plan.templates is None and not len(library):
        raise DataError(f"{', '.join(plan.templates_from)} has no template for these compositions")
    return library if len(library) else None


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


def _doping_content(settings: DopingSettings, dopings: dict[int, Doping]) -> dict[str, Any]:
    """What the result depends on besides the plan where compositions are doped, as JSON; empty without such.

    Raises:
        DataError: the host's file is not usable.
        OptionError: there are options for doped compositions alone and none is doped.
    """
    if not dopings:
        if settings.host is not None or settings.compensate:
            raise OptionError("host and compensate are for doped compositions, and the table has none: it needs the "
                              "columns host, site and dopant, as matgen tinker --dope writes them")  # fmt: skip
        return {}
    content = asdict(settings) | {"rows": {str(rank): str(doping) for rank, doping in dopings.items()}}
    if settings.host is not None:
        read_host(settings.host, [doping.host for doping in dopings.values()])
        content["host"] = {"file": str(settings.host.resolve()), "sha256": file_sha256(settings.host)}
    return {"doping": content}


@lru_cache(maxsize=8)
def _host(formula: str, plan: StructurePlan, key: _LibraryKey, sha256: str | None) -> Host:
    """The structure of a host, relaxed; kept by each worker. `sha256` is of the user's file."""
    potential = None if plan.potential is None else shared_potential(plan.potential)
    return find_host(formula, _proposer(plan.proposals, key), plan.doping, potential, plan.relaxation)


def _proposals(formula: str, plan: StructurePlan, library: _LibraryKey, doping: Doping | None) -> Sequence[Proposal]:
    """What a composition might look like: supercells of its host where it is doped."""
    if doping is None:
        return _proposer(plan.proposals, library).propose(formula)
    file = plan.doping.host
    host = _host(doping.host, plan, library, None if file is None else file_sha256(file))
    return propose_doped(doping, host, plan.doping, plan.proposals.per_formula)


_Task = tuple[int, str, StructurePlan, _LibraryKey, Doping | None]
"""Rank and reduced formula of a composition, how its structures are made, from which templates, and how it is doped."""


def _make_one(task: _Task) -> list[dict[str, Any]]:
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
    results = relax([proposal.structure for proposal in proposals], shared_potential(plan.potential), plan.relaxation)
    structures = []
    for row, result in zip(rows, results, strict=True):
        row |= _in_columns(result) | {"energy": result.energy, "reason": result.reason}
        structures.append(result.structure)
    if finish:
        assert plan.finish is not None
        further = finished(results, plan.finish, plan.relaxation, shared_potential(plan.potential))
        for place, (result, energy) in further.items():
            row = rows[place]
            row["finish_reason"] = result.reason
            if not result.reason:  # else the first potential's geometry stays
                row |= _in_columns(result, steps_before=row["relax_steps"])
                row |= {"energy": energy, "energy_finished": result.energy}
                structures[place] = result.structure
    return structures


def _in_columns(result: Relaxed, steps_before: int = 0) -> dict[str, Any]:
    return {"max_force": result.max_force, "relax_steps": steps_before + result.steps, "relaxed": result.converged}


def _phonon_potentials(plan: StructurePlan, rank: int) -> tuple[Potential, Potential | None]:
    """What phonons of a composition are by: the potential that finished it and the first, or the first alone."""
    assert plan.potential is not None
    first = shared_potential(plan.potential)
    if plan.finish is None or not plan.finish.takes(rank):
        return first, None
    return shared_potential(plan.finish.potential), first


def _reason(error: Exception, formula: str) -> str:
    text = str(error) if isinstance(error, MatgenError) else f"{type(error).__name__}: {first_line(error)}"
    return text.removeprefix(f"{formula}: ")


def _failed(formula: str | None, reason: str) -> dict[str, Any]:
    return {"formula": formula, "structure_id": None, "reason": reason, "structure": None}
