"""From a table of candidates to a folder of relaxed structures with energies: `matgen structure`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.datasets.formula_notes import with_formula_notes
from matgen.errors import (
    DataError,
    OptionError,
)
from matgen.io.files import atomic_write, file_sha256, locked, refuse_to_overwrite, write_json
from matgen.io.parquet import write_parquet
from matgen.runtime.progress import Progress, ProgressFactory, silent
from matgen.runtime.workers import run_tasks
from matgen.structures.assemble import MadeStructures, assemble, summary_of
from matgen.structures.databases import templates_from
from matgen.structures.doping import Doping, DopingSettings, read_dopings, read_host
from matgen.structures.energies import mp2020_phases
from matgen.structures.folder import (
    CANDIDATES,
    write_table,
)
from matgen.structures.parts import PARTS, begin, finished_in, part_path, plan_path, publish, require_same, rows_of
from matgen.structures.phase_energies import PhaseEnergies
from matgen.structures.phonons import require_phonopy
from matgen.structures.plan import StructurePlan
from matgen.structures.proposed import digest_of_files, proposed_in
from matgen.structures.relaxed_hull import RelaxedHull
from matgen.structures.task import LibraryKey, Task, failed_row, library_key, make_one, proposer_of, reason_of
from matgen.structures.templates import (
    TemplateLibrary,
    digest_of,
    ratio,
    templates_in,
)

if TYPE_CHECKING:
    from matgen.structures.potentials.interface import Potential


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
        write_json(part_path(out, row.row + 1), [failed_row(None, f"the formula cannot be read: {row.reason}")])
    reduced = dict(zip(parsed.rows.tolist(), parsed.batch.formulas().tolist(), strict=True))
    waiting = [rank for rank in range(1, len(formulas) + 1) if not part_path(out, rank).exists()]
    library = library_key(plan, out, content["templates_digest"])
    with progress(len(formulas), "structure", "compositions", done=len(formulas) - len(waiting)) as count:
        _make_parts(out, [(rank, reduced[rank - 1], plan, library, dopings.get(rank)) for rank in waiting], count)
    rows = [row for rank in range(1, len(formulas) + 1) for row in rows_of(out, rank)]
    hulls = _relaxed_hulls(plan, potentials, library, progress) if plan.relaxed_hull else {}
    made = assemble(with_formula_notes(candidates, parsed), rows, potentials, out / PARTS, hulls)
    with atomic_write(out / PARTS / CANDIDATES) as temporary:
        write_parquet(made.candidates, temporary)
    write_table(out / PARTS, made.frame, content | summary_of(made, potentials))
    publish(out)
    return made


def _relaxed_hulls(
    plan: StructurePlan, potentials: Sequence[Potential], library: LibraryKey, progress: ProgressFactory
) -> dict[str, RelaxedHull]:
    """Hulls of phases relaxed by each potential, from the structures that candidates are made of too.

    The second potential goes on from the structures of the first, as with candidates.
    """
    start: TemplateLibrary | PhaseEnergies = proposer_of(plan.proposals, library).library
    hulls = {}
    for potential in potentials:
        start = PhaseEnergies(potential.name, start, workers=plan.workers, scheduler=plan.scheduler,
                              progress=progress)  # fmt: skip
        hulls[potential.name] = RelaxedHull(mp2020_phases(), start.formation, start.names)
    return hulls


def _make_parts(out: Path, tasks: Sequence[Task], count: Progress) -> None:
    """Carry out the tasks of a run, each into its own file; a composition that fails gets a row with the reason."""
    if not tasks:
        return
    plan = tasks[0][2]
    for place, outcome in run_tasks(make_one, tasks, workers=plan.workers, scheduler=plan.scheduler):
        rank, formula = tasks[place][:2]
        if isinstance(outcome, Exception):
            outcome = [failed_row(formula, reason_of(outcome, formula))]
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
