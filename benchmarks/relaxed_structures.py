"""Known compounds from others' structures, relaxed: whether the lowest proposal is the structure the compound has.

Run by `python -m benchmarks.structures --relaxed`. The lowest distinct crystals of each compound are relaxed further by
a second potential, as `matgen structure` does. Each relaxation is kept in a folder, by template and elements, so that a
run that was interrupted goes on, and a change of the ranking relaxes only what is newly proposed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from benchmarks.known_structures import Known
from matgen.errors import StructureError
from matgen.io.files import read_json, write_json
from matgen.structures.finish import Finish, finished
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import load_potential
from matgen.structures.propose import MATCHER, Proposal, ProposalSettings, Proposer
from matgen.structures.relax import Relaxed, RelaxSettings, relax
from matgen.structures.templates import TemplateLibrary

PER_FORMULA = 5
RELAXATION = RelaxSettings(max_force=0.05, max_steps=300)


def own_structures(entry: Known, library: TemplateLibrary) -> list[Structure]:
    """The structures that a compound has at ambient conditions."""
    return [
        template.structure()
        for template in library.templates
        if template.formula == entry.formula and " ".join(template.prototype.split("_")[1:3]) in entry.cells
    ]


def key_of(proposal: Proposal) -> str:
    """What a relaxation is kept under: template, elements and cell."""
    mapping = " ".join(f"{old}>{new}" for old, new in sorted(proposal.mapping.items()))
    volume = f"{proposal.structure.volume:.3f} {len(proposal.structure)}"
    return hashlib.sha256(f"{proposal.template} {mapping} {volume}".encode()).hexdigest()[:16]


def proposals_of(entry: Known, library: TemplateLibrary, max_atoms: int) -> list[Proposal]:
    """Proposals without the compound's own structures."""
    settings = ProposalSettings(per_formula=PER_FORMULA, max_atoms=max_atoms, symmetric=0)
    try:
        return Proposer(settings, library.without([entry.formula])).propose(entry.formula)
    except StructureError:
        return []


def relaxed_row(entry: Known, library: TemplateLibrary, potential: Potential, finish: Finish | None, folder: Path,
                max_atoms: int) -> dict[str, Any]:  # fmt: skip
    """What came of one compound; new relaxations are added to its files."""
    proposals = proposals_of(entry, library, max_atoms)
    path = folder / f"{entry.formula}.json"
    kept: dict[str, Any] = read_json(path) if path.is_file() else {}
    missing = [proposal for proposal in proposals if key_of(proposal) not in kept]
    for proposal, one in zip(missing, relax([p.structure for p in missing], potential, RELAXATION), strict=True):
        kept[key_of(proposal)] = {
            "template": proposal.template, "origin": proposal.origin, "energy": None if one.reason else one.energy,
            "steps": one.steps, "relaxed": one.converged, "reason": one.reason, "structure": one.structure.as_dict(),
        }  # fmt: skip
    if missing:
        write_json(path, kept)
    keys = [key_of(proposal) for proposal in proposals]
    results = [kept[key] for key in keys]
    own = own_structures(entry, library)
    row = {"formula": entry.formula, "name": entry.name, "structure_type": entry.structure_type} | _judged(results, own)
    if finish is None:
        return row
    further = _finished_results(keys, results, finish, potential, folder / finish.potential / path.name)
    return row | {"finished": _judged(further, own)}


def _finished_results(keys: list[str], results: list[dict[str, Any]], finish: Finish, first: Potential, path: Path
                      ) -> list[dict[str, Any]]:  # fmt: skip
    """The lowest distinct crystals as a second potential relaxed them; kept with the keys of all that were screened."""
    kept: dict[str, Any] = read_json(path) if path.is_file() else {}
    if kept.get("screened") != sorted(keys):
        screened = [
            Relaxed(Structure.from_dict(one["structure"]), np.nan if one["energy"] is None else one["energy"], 0.0,
                    one["steps"], one["relaxed"], one["reason"])
            for one in results
        ]  # fmt: skip
        done = finished(screened, finish, RELAXATION, first)
        kept = {"screened": sorted(keys), "results": [
            {"template": results[place]["template"], "energy": None if one.reason else one.energy, "steps": one.steps,
             "relaxed": one.converged, "reason": one.reason, "structure": one.structure.as_dict()}
            for place, (one, _) in done.items()
        ]}  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, kept)
    return list(kept["results"])


def _judged(results: list[dict[str, Any]], own: list[Structure]) -> dict[str, Any]:
    matcher = StructureMatcher(**MATCHER, primitive_cell=True, scale=True, attempt_supercell=False)
    sound = sorted((one for one in results if one["energy"] is not None), key=lambda one: one["energy"])
    place, above = None, None
    for number, one in enumerate(sound, start=1):
        structure = Structure.from_dict(one["structure"])
        if any(matcher.fit(structure, known) for known in own):
            place, above = number, 1000 * (one["energy"] - sound[0]["energy"])
            break
    return {
        "proposals": len(results), "failed": len(results) - len(sound), "place_by_energy": place,
        "above_lowest_mev": None if above is None else round(above, 2),
        "lowest": sound[0]["template"] if sound else None,
    }  # fmt: skip


def rows_until(named: list[Known], library: TemplateLibrary, potential: Potential, finish: Finish | None,
               folder: Path, *, max_atoms: int, minutes: float) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Rows of the compounds, small cells first, as many as the time allows; those relaxed before take little of it."""
    end = time.monotonic() + 60 * minutes
    sizes = {entry.formula: min((len(own) for own in own_structures(entry, library)), default=0) for entry in named}
    for entry in sorted(named, key=lambda entry: (sizes[entry.formula], entry.formula)):
        if time.monotonic() > end:
            return
        yield relaxed_row(entry, library, potential, finish, folder, max_atoms)


def relaxed_result(named: list[Known], library: TemplateLibrary, folder: Path, *, potential: str, finish: str,
                   max_atoms: int, minutes: float) -> dict[str, Any]:  # fmt: skip
    """How many compounds have their own structure lowest, and within 10 meV/atom of the lowest.

    Args:
        named: the compounds.
        library: templates that structures are proposed from.
        folder: keeps each relaxation.
        potential: that relaxes all proposals.
        finish: potential that relaxes the lowest further; `none` for none.
        max_atoms: of a cell.
        minutes: after which no other compound is begun.
    """
    loaded = load_potential(potential)
    further = None if finish == "none" else Finish(finish)
    folder = folder / potential
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in rows_until(named, library, loaded, further, folder, max_atoms=max_atoms, minutes=minutes):
        rows.append(row)
        print(row, flush=True)
    content = {
        "potential": potential, "potential_version": loaded.version, "per_formula": PER_FORMULA,
        "max_atoms": max_atoms, "named_compounds": len(named), "compounds_done": len(rows),
        "structures": sum(row["proposals"] for row in rows), "failed": sum(row["failed"] for row in rows),
        **_counts(rows), "compounds": rows,
    }  # fmt: skip
    if further is not None:
        own = [row["finished"] for row in rows]
        content["finished"] = {"potential": further.potential, "lowest_of_each": further.lowest, **_counts(own)}
    return content


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Of how many compounds the own structure is the lowest, near the lowest, and there at all."""
    return {
        "lowest": sum(row["place_by_energy"] == 1 for row in rows),
        "within_10_mev_of_lowest": sum(
            row["above_lowest_mev"] is not None and row["above_lowest_mev"] <= 10 for row in rows
        ),
        "among_relaxed": sum(row["place_by_energy"] is not None for row in rows),
    }
