"""Candidates with structures: how many are stable, by the potential that screened them, by a second one and by both.

Each novel composition gets structures as `matgen structure` makes them; its energy by a potential is that of its lowest
structure by that potential. What is known or has no structure counts against the share of the draws. What came of a
composition is kept in a folder, whoever asks for it, so that an interrupted run goes on, and a composition that two
models draw or two rankings hold is relaxed once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, first_occurrence
from matgen.composition.keys import KeySet
from matgen.evaluation.metrics import wilson
from matgen.hull.limits import METASTABLE
from matgen.io.files import read_json, write_json
from matgen.runtime.progress import TerminalProgress
from matgen.runtime.workers import run_tasks
from matgen.structures.assemble import assemble
from matgen.structures.energies import missing_energies
from matgen.structures.finish import Finish
from matgen.structures.folder import safe_name
from matgen.structures.judge import IMPLAUSIBLE
from matgen.structures.plan import StructurePlan
from matgen.structures.potentials.registry import column_suffix
from matgen.structures.propose import ProposalSettings
from matgen.structures.relax import RelaxSettings
from matgen.structures.task import Task, failed_row, library_key, make_one, reason_of

SCREENING, FINISHING = "chgnet", "7net-l3i5"
PLAN = StructurePlan(ProposalSettings(per_formula=5, max_atoms=24), RelaxSettings(max_steps=200), SCREENING,
                     finish=Finish(FINISHING, lowest=2))  # fmt: skip

FAR_OFF = 0.2
"""eV/atom: a predicted distance to the hull that differs by more from the relaxed one is far off."""


def plan_digest(plan: StructurePlan) -> str:
    """A short hash of how structures are made, and of the versions of the potentials."""
    content = [plan.content(), [potential.version for potential in plan.potentials()]]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def structure_rows(
    formulas: Sequence[str], plan: StructurePlan, folder: Path, workers: int = 1
) -> list[dict[str, Any]]:
    """The structures of some compositions, as `assemble` takes them; those that are not in the folder are made.

    Args:
        formulas: distinct and reduced.
        plan: how.
        folder: keeps a file for each composition.
        workers: processes.
    """
    digest = plan_digest(plan)
    paths = [folder / "compositions" / f"{safe_name(formula)}-{digest}.json" for formula in formulas]
    waiting = [place for place, path in enumerate(paths) if not path.is_file()]
    library = library_key(plan, folder, "")
    tasks: list[Task] = [(1, formulas[place], plan, library, None) for place in waiting]
    (folder / "compositions").mkdir(parents=True, exist_ok=True)
    done = len(formulas) - len(waiting)
    with TerminalProgress()(len(formulas), "structures", "compositions", done=done) as count:
        for number, outcome in run_tasks(make_one, tasks, workers=workers):
            formula = tasks[number][1]
            if isinstance(outcome, Exception):
                outcome = [failed_row(formula, reason_of(outcome, formula))]
            write_json(paths[waiting[number]], outcome)
            count.update()
    return [row | {"rank": rank} for rank, path in enumerate(paths, start=1) for row in read_json(path)]


def distances(formulas: Sequence[str], plan: StructurePlan, folder: Path, crystals: Path, workers: int = 1
              ) -> dict[str, np.ndarray]:  # fmt: skip
    """Energy above the hull of labels of each composition by each potential of a plan, float64 `(n,)`, eV/atom.

    Args:
        formulas: `n`, distinct and reduced.
        plan: how structures are made.
        folder: keeps what was relaxed.
        crystals: folder for the crystals.
        workers: processes.

    Returns:
        by potential, NaN where it has no structure; a potential that finishes has none where it failed for all.
    """
    rows, potentials = structure_rows(formulas, plan, folder, workers), plan.potentials()
    nothing = {potential.name: np.full(len(formulas), np.nan) for potential in potentials}
    if not any(row["structure"] for row in rows):
        return nothing
    frame = assemble(pd.DataFrame({"formula": list(formulas)}), rows, potentials, crystals).frame
    lowest = frame.groupby("rank").min(numeric_only=True).reindex(range(1, len(formulas) + 1))
    return {name: lowest[f"energy_above_hull_{column_suffix(name)}"].to_numpy(np.float64) for name in nothing}


def within(above: Mapping[str, np.ndarray], draws: int | None = None) -> dict[str, dict[str, Any]]:
    """How many are at most 0.1 and at most 0 eV/atom above the hull by each potential and by all; with intervals.

    Args:
        above: energies above the hull by each potential, float64 `(n,)`, NaN where there is none.
        draws: what the compositions were chosen from as novel; then their share has an interval too, `of_draws`.
    """
    content = {}
    for name, values in {**above, "all": np.max(list(above.values()), axis=0)}.items():
        plausible = np.min(list(above.values()), axis=0) >= IMPLAUSIBLE if name == "all" else values >= IMPLAUSIBLE
        counts = {"metastable": int((plausible & (values <= METASTABLE)).sum()),
                  "stable": int((plausible & (values <= 0)).sum())}  # fmt: skip
        content[name] = {key: {"count": count, "interval": _interval(count, len(values))}
                         | ({} if draws is None else {"of_draws": _interval(count, draws)})
                         for key, count in counts.items()}  # fmt: skip
    return content


def _interval(count: int, n: int) -> list[float]:
    return [round(end, 4) for end in wilson(count, n)]


def far_off(above: Mapping[str, np.ndarray], said: np.ndarray) -> dict[str, dict[str, Any]]:
    """Shares of compositions whose predicted distance to the hull is far from the relaxed one, by each potential.

    Args:
        above: relaxed energies above the hull by potential, float64 `(n,)`, eV/atom.
        said: predicted ones, float64 `(n,)`.

    Returns:
        of each `n` with both, `off`, and `too_low`, predicted too far down: what a reward on predictions would find.
    """
    content = {}
    for name, values in above.items():
        difference = (said - values)[np.isfinite(said) & np.isfinite(values)]
        n = len(difference)
        counts = {"off": int((np.abs(difference) > FAR_OFF).sum()), "too_low": int((difference < -FAR_OFF).sum())}
        content[name] = {"n": n, **{key: {"count": count, "interval": _interval(count, n)}
                                    for key, count in counts.items()}}  # fmt: skip
    return content


def novel_of(batch: CompositionBatch, known: KeySet) -> CompositionBatch:
    """Distinct compositions that are not known, in order."""
    keys = batch.keys()
    first = first_occurrence(keys) == np.arange(len(batch)) if len(batch) else np.zeros(0, dtype=bool)
    return batch[np.flatnonzero(first & ~known.contains(keys))]


def judged(
    batch: CompositionBatch,
    draws: int,
    known: KeySet,
    predicted: Callable[[CompositionBatch], np.ndarray],
    folder: Path,
    crystals: Path,
    *,
    plan: StructurePlan = PLAN,
    workers: int = 1,
) -> dict[str, Any]:
    """What the novel ones of some candidates are worth.

    Args:
        batch: the `m` candidates that can be read.
        draws: how many there are, readable or not.
        known: keys of what is not novel.
        predicted: from a batch to predicted energies above the hull, float64 `(n,)`.
        folder: keeps what was relaxed.
        crystals: folder for the crystals.
        plan: how structures are made.
        workers: processes.
    """
    novel = novel_of(batch, known)
    formulas = novel.formulas().tolist()
    above = distances(formulas, plan, folder, crystals, workers) if formulas else {}
    versions = {potential.name: potential.version for potential in plan.potentials()}
    finished = 0 if plan.finish is None else plan.finish.lowest
    content = {
        "n": draws, "novel": len(novel), "chemical_systems": len(set(batch.chemical_systems().tolist())),
        "potential_versions": versions,
        "settings": {"per_formula": plan.proposals.per_formula, "max_atoms": plan.proposals.max_atoms,
                     "max_steps": plan.relaxation.max_steps, "finished": finished},
    }  # fmt: skip
    if not formulas:
        return content | {"with_distance": 0, "without_hull": 0, "by": {}, "far_off": {}, "rows": []}
    said = predicted(novel)
    number = partial(_rounded, values=above | {"predicted": said})
    return content | {
        "with_distance": int(np.isfinite(above[SCREENING]).sum()),
        "without_hull": sum(reason != "" for reason in missing_energies(novel)),  # such as those of Yb
        "by": within(above, draws), "far_off": far_off(above, said),
        "rows": [{"formula": formula, **number(place)} for place, formula in enumerate(formulas)],
    }  # fmt: skip


def _rounded(place: int, values: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    return {name: None if np.isnan(of[place]) else round(float(of[place]), 4) for name, of in values.items()}
