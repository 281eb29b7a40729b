"""Candidates with structures in one report: compositions judged by `evaluate`, structures by stability and novelty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.evaluation import Report, evaluate
from matgen.evaluation.candidate_table import judged_as_ours
from matgen.evaluation.page.structures import StructureSection
from matgen.runtime.progress import ProgressFactory, silent
from matgen.structures.judge import JudgedStructures, judge_structures, relaxed_candidates
from matgen.structures.picture import scene
from matgen.structures.templates import templates_in


def evaluate_structures(
    folder: Path | str,
    reference: str | Sequence[str] = "hybrid",
    *,
    reference_structures: Path | str | None = None,
    out: Path | str | None = None,
    force: bool = False,
    progress: ProgressFactory = silent,
    **options: Any,
) -> Report:
    """Judge the compositions and the structures of a folder.

    Args:
        folder: that `matgen structure` wrote.
        reference: as `evaluate` takes it.
        reference_structures: a folder of CIF or POSCAR files; then the novelty of crystals is reported too.
        out: folder for the report.
        force: replace a report that is there.
        progress: as `evaluate` takes it.
        options: as `evaluate` takes them.

    Raises:
        DataError: no such folder, or its structures were not relaxed.
        MatgenError: as `evaluate` raises.
    """
    candidates, _ = relaxed_candidates(folder)
    crystals = None if reference_structures is None else templates_in(reference_structures)[0]
    report = evaluate(candidates, reference, out=out, force=force, progress=progress, **options)
    novel = judged_as_ours(report.frame)["novel"].to_numpy(dtype=bool)
    judged = judge_structures(folder, novel, reference_structures=crystals)
    return report.with_structures(section(judged, candidates))


def section(judged: JudgedStructures, candidates: pd.DataFrame) -> StructureSection:
    """What a report shows of judged structures, beside what was predicted of the candidates in the same order."""
    frame = judged.frame
    predicted = [name for name in ("energy_above_hull", "formation_energy") if name in candidates]
    frame = frame.assign(**{name: candidates[name].to_numpy() for name in predicted})
    return StructureSection(
        judged.content, frame, {id: scene(structure) for id, structure in judged.structures.items()}
    )
