"""Candidates with structures in one report: compositions judged by `evaluate`, structures by stability and novelty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.evaluation import Report, evaluate
from matgen.evaluation.candidate_table import judged_as_ours
from matgen.evaluation.page.card import Crystal, distance_columns
from matgen.evaluation.page.structures import StructureSection
from matgen.runtime.progress import ProgressFactory, silent
from matgen.structures.folder import read_structures
from matgen.structures.judge import JudgedStructures, judge_structures, relaxed_candidates
from matgen.structures.picture import scene, shown_cell, space_group_symbol
from matgen.structures.templates import templates_in

if TYPE_CHECKING:
    from pymatgen.core import Structure


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
    return StructureSection(judged.content, frame, _crystals(frame, judged.structures))


def crystals_in(folder: Path | str) -> dict[str, Crystal]:
    """The lowest relaxed structure of each composition of a folder, by reduced formula, as cards show it.

    Args:
        folder: that `matgen structure` wrote.

    Raises:
        DataError: no such folder, its structures were not relaxed, or a file of it is damaged.
    """
    candidates, _ = relaxed_candidates(folder)
    _, structures = read_structures(folder)
    by_id = _crystals(candidates, structures)
    formulas = dict(zip(candidates["structure_id"], candidates["formula"].astype(str), strict=True))
    reduced = CompositionBatch.from_formulas([formulas[id] for id in by_id]).formulas().tolist() if by_id else []
    return dict(zip(reduced, by_id.values(), strict=True))


def _crystals(frame: pd.DataFrame, structures: Mapping[str, Structure]) -> dict[str, Crystal]:
    """The structures of a table's rows by id; rows without one are left out."""
    rows = frame[frame["structure_id"].isin(list(structures))].to_dict("records")
    return {row["structure_id"]: crystal_of(structures[row["structure_id"]], row) for row in rows}


def crystal_of(structure: Structure, row: Mapping[Any, Any]) -> Crystal:
    """A structure as cards show it, its files in the conventional cell.

    Args:
        structure: as it was relaxed.
        row: of `structures.parquet` or of a folder's candidates: `structure_id`, `space_group`, `origin`, `template`,
            and potentials' `energy_above_hull_<potential>`, eV/atom.
    """
    cell = shown_cell(structure)
    asked = {name: by for name, by in distance_columns(map(str, row)).items() if by != "predicted"}
    return Crystal(
        id=str(row["structure_id"]),
        scene=scene(structure),
        words=_in_words(row, len(structure)),
        cif=cell.to(fmt="cif"),
        poscar=cell.to(fmt="poscar"),
        energies={by: float(row[name]) for name, by in asked.items() if pd.notna(row[name])},
    )


def _in_words(row: Mapping[Any, Any], n_atoms: int) -> str:
    """Space group, size and origin of a structure."""
    made = {"template": "template", "followed": "followed down from"}.get(str(row.get("origin")), "random,")
    number = row.get("space_group")
    words = "" if number is None or pd.isna(number) else f"{space_group_symbol(int(number))} ({int(number)}), "
    return f"{words}{n_atoms} atoms in the primitive cell; {made} {row.get('template')}"
