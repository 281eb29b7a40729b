"""Phonons of the lowest structure of a composition; from one that is no minimum, down along its lowest mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import MatgenError, first_line
from matgen.structures.folder import bare_atoms, structure_id
from matgen.structures.phonon_cells import standard_primitive, wave_text
from matgen.structures.phonons import Phonons, PhononSettings, SoftMode, phonons
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import column_suffix
from matgen.structures.propose import is_new
from matgen.structures.relax import Relaxed, RelaxSettings, relax
from matgen.structures.symmetry import space_group_number

if TYPE_CHECKING:
    from pymatgen.core import Structure

_AMPLITUDES = (0.05, 0.1, 0.2, 0.4)  # angstrom, of the atom that moves most; either way, as modes may be lopsided
_LOWER = 1e-4  # eV/atom; what is gained by less may be rounding or the rest of a relaxation


def follow(unstable: Phonons, potential: Potential, settings: PhononSettings | None = None) -> Relaxed | None:
    """Displace an unstable structure along its lowest mode and relax it: atoms and cell, in the cell the mode needs.

    Args:
        unstable: phonons with a soft mode.
        potential: the same as gave them.
        settings: the same too.

    Returns:
        the structure it ended in, or None where there is no soft mode, the relaxation failed, or it led to nothing that
        is both lower in energy and another crystal.
    """
    settings = settings or PhononSettings()
    if unstable.soft_mode is None:
        return None
    starts = _displaced(unstable.soft_mode)
    energies = [evaluation.energy for evaluation in potential.evaluate([bare_atoms(start) for start in starts])]
    start = starts[int(np.argmin(energies))].get_reduced_structure("LLL")
    (ended,) = relax([start], potential, RelaxSettings(settings.max_force, settings.max_steps))
    lower = not ended.reason and ended.energy < unstable.energy - _LOWER
    return ended if lower and _differ(ended.structure, unstable.structure) else None


def _displaced(mode: SoftMode) -> list[Structure]:
    """The cell of a soft mode, displaced along it by several amplitudes in both directions."""
    starts = []
    for amplitude in (*_AMPLITUDES, *(-amplitude for amplitude in _AMPLITUDES)):
        start = mode.structure.copy()
        for atom, displacement in enumerate(amplitude * mode.displacements):
            start.translate_sites([atom], displacement, frac_coords=False)
        starts.append(start)
    return starts


def _differ(one: Structure, other: Structure) -> bool:
    """Whether two structures of one composition are not the same crystal.

    StructureMatcher's tolerances take small distortions, which are what modes lead to, for none: symmetry tells first.
    """
    return _symmetry(one) != _symmetry(other) or is_new(one, [other])


def _symmetry(structure: Structure) -> tuple[int, int]:
    """Space group and atoms of the primitive cell."""
    primitive = standard_primitive(structure)
    return space_group_number(primitive), len(primitive)


def with_phonons(
    rows: Sequence[dict[str, Any]],
    rank: int,
    formula: str,
    potential: Potential,
    first: Potential | None = None,
    settings: PhononSettings | None = None,
) -> list[dict[str, Any]]:
    """The rows of a composition's structures, the lowest with its phonons; where it is unstable, also what lies below.

    Args:
        rows: as in the parts of `matgen structure`, with `energy` by the potential that relaxed all structures and
            `energy_finished` by one that finished some.
        rank: row of the composition among the candidates, from 1.
        formula: of the composition.
        potential: what relaxed the structures last.
        first: what relaxed them before, None where `potential` is the only one.
        settings: of the phonons.

    Returns:
        the rows, the lowest relaxed further, with `lowest_frequency_<potential>`, `lowest_frequency_at`,
        `dynamically_stable` and `phonon_reason`; and a row of origin `followed`, which has them too.
    """
    from pymatgen.core import Structure

    rows = [dict(row) for row in rows]
    energy = "energy" if first is None else "energy_finished"
    sound = [row for row in rows if row["structure"] and np.isfinite(row.get(energy, np.nan))]
    if not sound:  # nothing was finished: what the first potential says is all there is
        return rows if first is None else with_phonons(rows, rank, formula, first, None, settings)
    lowest = min(sound, key=lambda row: float(row[energy]))
    try:
        found = phonons(Structure.from_dict(lowest["structure"]), potential, settings)
        columns = _columns(found, potential, first, lowest)
    except Exception as error:  # potentials and phonopy fail in ways of their own; the relaxed structure stays
        lowest |= _unknown(potential, error)
        return rows
    lowest |= columns | {"relax_steps": lowest["relax_steps"] + found.steps}
    if found.stable:
        return rows
    try:
        down = follow(found, potential, settings)
        if down is None:
            lowest["phonon_reason"] = "no lower structure found along its lowest mode"
            return rows
        followed = lowest | {
            "structure_id": structure_id(rank, formula, len(rows) + 1), "origin": "followed",
            "template": lowest["structure_id"], "prototype": "", "mapping": "", "template_score": None,
            "max_force": down.max_force, "relax_steps": down.steps, "relaxed": down.converged,
        } | _with_energies(down.structure, down.energy, first, None)  # fmt: skip
    except Exception as error:
        lowest["phonon_reason"] = f"its lowest mode could not be followed: {_why(error)}"
        return rows
    try:
        again = phonons(down.structure, potential, settings)
        columns = _columns(again, potential, first, followed)
        followed |= columns | {"relax_steps": down.steps + again.steps}
    except Exception as error:
        followed |= _unknown(potential, error)
    return [*rows, followed]


def _why(error: Exception) -> str:
    """What a row says of an error."""
    return str(error) if isinstance(error, MatgenError) else f"{type(error).__name__}: {first_line(error)}"


def _unknown(potential: Potential, error: Exception) -> dict[str, Any]:
    """The columns of phonons that could not be had."""
    return {f"lowest_frequency_{column_suffix(potential.name)}": float("nan"), "lowest_frequency_at": None,
            "dynamically_stable": None, "phonon_reason": _why(error)}  # fmt: skip


def _columns(found: Phonons, potential: Potential, first: Potential | None, before: dict[str, Any]) -> dict[str, Any]:
    """What phonons say in the row of their structure."""
    return {
        "max_force": found.max_force,
        "relaxed": True,
        f"lowest_frequency_{column_suffix(potential.name)}": round(found.lowest_frequency, 4),
        "lowest_frequency_at": wave_text(found.lowest_frequency_at),
        "dynamically_stable": found.stable,
        "phonon_reason": "",
    } | _with_energies(found.structure, found.energy, first, before["energy"])


def _with_energies(structure: Structure, energy: float, first: Potential | None,
                   before: float | None) -> dict[str, Any]:  # fmt: skip
    """A structure and its energies, eV/atom: by the potential that relaxed it, and by the first if that is another.

    The first's is the lower of that here and where it had left the structure itself, as it is for finished structures.
    """
    if first is None:
        return {"structure": structure.as_dict(), "energy": energy}
    (evaluation,) = first.evaluate([bare_atoms(structure)])
    of_first = evaluation.energy / len(structure)
    if evaluation.magnetic_moments is not None and "magmom" not in structure.site_properties:
        structure = structure.copy(
            site_properties={"magmom": [round(float(m), 4) for m in evaluation.magnetic_moments]}
        )
    of_first = of_first if before is None else min(before, of_first)
    return {"structure": structure.as_dict(), "energy": of_first, "energy_finished": energy}
