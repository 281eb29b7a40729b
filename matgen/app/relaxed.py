"""Relaxed structures of formulas, each composition relaxed once and kept."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.app.progress import CancellableProgress
from matgen.app.shared import RELAXING, shared_cache
from matgen.dft.export import jobs_of
from matgen.dft.settings import Job
from matgen.errors import StructureError
from matgen.io.versions import versions

if TYPE_CHECKING:
    from matgen.structures.plan import StructurePlan

_KIND = "structures"


def how_to_relax() -> StructurePlan:
    """As `matgen discover` does: a few proposals, the lowest finished by the second potential where it is installed."""
    from matgen.structures.finish import Finish
    from matgen.structures.plan import StructurePlan

    return StructurePlan.quick(finish=Finish.if_installed())


def kept_structure(formula: str) -> Job | None:
    """The lowest structure of a reduced formula if it was relaxed before, None otherwise."""
    found = shared_cache().get(_KIND, formula, _depends_on(how_to_relax()))
    return None if found is None else _job(found)


def relaxed_structures(formulas: Sequence[str], folder: Path, progress: CancellableProgress) -> list[Job]:
    """The lowest structure of each formula in order; those of which none could be made are left out.

    What was relaxed before is taken as it is. Each result is kept at once, so that a cancelled run loses one at most.

    Args:
        formulas: reduced.
        folder: for files that are made on the way.
        progress: counts the formulas; `cancel` ends the work.

    Raises:
        Cancelled: `progress.cancel` was called.
        StructureError: of no formula a structure could be made.
        MatgenError: as `make_structures` raises.
    """
    plan = how_to_relax()
    depends_on, cache = _depends_on(plan), shared_cache()
    found = {formula: cache.get(_KIND, formula, depends_on) for formula in dict.fromkeys(formulas)}
    missing = [formula for formula, one in found.items() if one is None]
    reason: StructureError | None = None
    if missing:
        with RELAXING.taken(progress):
            done = len(found) - len(missing)
            with progress.stage("Relaxing")(len(found), "structure", "compositions", done=done) as count:
                for formula in missing:
                    progress.label = f"Relaxing {formula}"
                    try:
                        # another page may have waited for the same before
                        found[formula] = cache.get(_KIND, formula, depends_on) or _relax(
                            formula, plan, folder, progress
                        )
                        cache.put(_KIND, formula, depends_on, found[formula])
                    except StructureError as error:
                        reason = error
                    count.update()
    jobs = [_job(one) for one in found.values() if one is not None]
    if reason is not None and not jobs:
        raise reason
    return [dataclasses.replace(job, id=_id(rank, job.id)) for rank, job in enumerate(jobs, 1)]


def _relax(formula: str, plan: StructurePlan, folder: Path, progress: CancellableProgress) -> dict[str, Any]:
    """The lowest structure of a formula and its row of `structures.parquet`, as JSON."""
    from matgen.structures.make import make_structures

    with tempfile.TemporaryDirectory(dir=folder) as own:
        out = Path(own) / "structures"
        make_structures(pd.DataFrame({"formula": [formula]}), "formula", out, plan, progress=progress.unseen)
        job = jobs_of(out)[0]
    return {"id": job.id, "structure": job.structure.as_dict(), "row": job.provenance}


def _job(kept: dict[str, Any]) -> Job:
    from pymatgen.core import Structure

    return Job(kept["id"], Structure.from_dict(kept["structure"]), "candidate", kept["row"])


def _id(rank: int, id: str) -> str:
    """An id of a run of one composition as one of `rank` among several."""
    return f"{rank:04d}-{id.partition('-')[2]}"


def _depends_on(plan: StructurePlan) -> dict[str, Any]:
    """What a structure depends on besides its formula, without loading any potential."""
    from matgen.structures.potentials.registry import POTENTIALS

    names = [plan.potential, None if plan.finish is None else plan.finish.potential]
    packages = [POTENTIALS[name].package for name in names if name is not None]
    return {"plan": plan.content(), "versions": versions(*packages, "pymatgen-core", "ase")}
