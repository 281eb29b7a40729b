"""Relaxation of atoms and cells by a universal potential: many crystals in lockstep, and races of those of one formula.

In a race of structures of one composition only the lowest counts. At a few numbers of steps each is compared with the
lowest so far; one that is higher by more than it has come down lately is stopped (successive halving, K. Jamieson and
A. Talwalkar, AISTATS 2016, with the number that goes on decided by energies).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from matgen.errors import require_above_zero
from matgen.runtime.progress import Progress, ProgressFactory, silent
from matgen.structures.descent import Descent
from matgen.structures.potentials.interface import Evaluation, Potential

if TYPE_CHECKING:
    from pymatgen.core import Structure

_ATOMS_AT_ONCE = 64  # atoms evaluated together; larger batches leave the processor's cache and gain nothing
_CLOSEST = 0.5  # angstrom; nearer atoms overlap whatever they are


@dataclass(frozen=True)
class RelaxSettings:
    """How structures are relaxed.

    Attributes:
        max_force: largest force on an atom, or on a cell vector per atom, of a relaxed structure, eV/angstrom.
        max_steps: steps at most.
        cell: whether the cell relaxes too.
    """

    max_force: float = 0.05
    max_steps: int = 300
    cell: bool = True

    def __post_init__(self) -> None:
        require_above_zero(self, "max_force", "max_steps")


@dataclass(frozen=True)
class Race:
    """When structures of one composition are stopped for lower ones.

    Attributes:
        winners: how many of the lowest structures are wanted.
        checks: numbers of steps at which those that are still on their way are compared.
        trust: the further way down that a structure is granted, as a share of its way since half the steps.
        margin: eV/atom, granted besides.
    """

    winners: int = 1
    checks: tuple[int, ...] = (6, 12, 24, 48, 96, 192)
    trust: float = 1.0
    margin: float = 0.1

    def __post_init__(self) -> None:
        require_above_zero(self, "winners")


@dataclass(frozen=True)
class Relaxed:
    """What became of one structure.

    Attributes:
        structure: where the relaxation ended, with site property `magmom` where the potential gives moments; the one
            given where it failed.
        energy: eV/atom by the potential; NaN where it failed.
        max_force: largest force on an atom at the end, eV/angstrom.
        steps: taken.
        converged: whether `max_force` was reached within the steps.
        reason: why it failed; empty where it did not.
        stopped_early: whether it was stopped in a race, so that `energy` is more than it would have come down to.
    """

    structure: Structure
    energy: float
    max_force: float
    steps: int
    converged: bool
    reason: str = ""
    stopped_early: bool = False


def relax(
    structures: Iterable[Structure],
    potential: Potential,
    settings: RelaxSettings | None = None,
    *,
    race: Race | None = None,
    progress: ProgressFactory = silent,
) -> list[Relaxed]:
    """Relax structures; one that fails is recorded and the others go on.

    Args:
        structures: what to start from; of one composition in a race.
        potential: what gives energies, forces and stresses.
        settings: how.
        race: when to stop structures for lower ones; None to relax all to their ends.
        progress: counts the structures relaxed.
    """
    settings = settings or RelaxSettings()
    given = list(structures)
    results: dict[int, Relaxed] = {}
    with progress(len(given), "relax", "structures") as count:
        begun = _begun(given, potential, settings, results, count)
        if race is None:
            arrived = _together(begun, potential, settings.max_steps, count)
        else:
            arrived = iter(_raced(list(begun), potential, race, settings.max_steps, count))
        for descent in arrived:
            results[descent.place] = _result(descent)
    return [results[place] for place in range(len(given))]


def _begun(structures: Sequence[Structure], potential: Potential, settings: RelaxSettings,
           results: dict[int, Relaxed], count: Progress) -> Iterator[Descent]:  # fmt: skip
    """Descents of structures that can start; the others are recorded."""
    for place, structure in enumerate(structures):
        reason = unfit(structure, potential.elements)
        if reason:
            results[place] = Relaxed(structure, float("nan"), float("nan"), 0, False, reason)
            count.update()
        else:
            yield Descent(place, structure, settings.max_force, settings.max_steps, cell=settings.cell)


def _raced(descents: Sequence[Descent], potential: Potential, race: Race, max_steps: int,
           count: Progress) -> Sequence[Descent]:  # fmt: skip
    """The structures of one composition, at their ends or stopped."""
    for steps in (*(check for check in race.checks if check < max_steps), max_steps):
        going = [descent for descent in descents if not descent.ended]
        for _ in _together(iter(going), potential, steps, count):
            pass
        lowest = sorted(descent.energies[-1] for descent in descents if not descent.reason)
        if len(lowest) <= race.winners:
            continue
        for descent in descents:
            if not descent.ended and _hopeless(descent, lowest[race.winners - 1], race):
                descent.stop()
                count.update()
    return descents


def _hopeless(descent: Descent, to_beat: float, race: Race) -> bool:
    now = descent.energies[-1]
    lately = max(descent.energies[len(descent.energies) // 2] - now, 0.0)
    return now - race.trust * lately - race.margin > to_beat


def _together(descents: Iterator[Descent], potential: Potential, steps: int, count: Progress) -> Iterator[Descent]:
    """Evaluate and move descents in lockstep up to a number of steps; yields each when it ends or comes there."""
    active: list[Descent] = []
    while True:
        # Every round evaluates all that are active and moves each by one step; whatever ends makes room.
        active += _admitted(descents, sum(len(descent.atoms) for descent in active))
        if not active:
            return
        for descent, evaluation in zip(active, _evaluate(potential, active), strict=True):
            descent.advance(evaluation)
            if descent.ended:
                count.update()
        done = [descent for descent in active if descent.ended or len(descent.energies) > steps]
        active = [descent for descent in active if descent not in done]
        yield from done


def _admitted(descents: Iterator[Descent], atoms: int) -> list[Descent]:
    """Descents that fit beside a number of atoms that are active."""
    # In atoms, not structures: the cost of an evaluation goes with them. One that is larger than the room goes in too.
    room = max(_ATOMS_AT_ONCE - atoms, 0)
    admitted: list[Descent] = []
    while room > 0 and (descent := next(descents, None)) is not None:
        admitted.append(descent)
        room -= len(descent.atoms)
    return admitted


def _evaluate(potential: Potential, descents: Sequence[Descent]) -> list[Evaluation | Exception]:
    """Evaluations of the present atoms; where the potential fails for the batch, of each alone."""
    atoms = [descent.atoms for descent in descents]
    try:
        return list(potential.evaluate(atoms))
    except Exception as error:
        if len(descents) == 1:
            return [error]
    return [_evaluate(potential, [descent])[0] for descent in descents]


def _result(descent: Descent) -> Relaxed:
    if descent.reason or descent.evaluation is None:
        return Relaxed(descent.start, float("nan"), float("nan"), descent.steps, False, descent.reason)
    force = float(np.linalg.norm(descent.evaluation.forces, axis=1).max())
    return Relaxed(descent.structure(), descent.energies[-1], force, descent.steps, descent.converged,
                   stopped_early=descent.stopped_early)  # fmt: skip


def unfit(structure: Structure, elements: frozenset[str]) -> str:
    """Why a structure cannot be relaxed, empty where it can.

    Args:
        structure: what to look at.
        elements: symbols that the potential knows.
    """
    if not structure.is_ordered:
        return "some sites are partly occupied"
    unknown = sorted({site.specie.symbol for site in structure} - elements)
    if unknown:
        return f"the potential does not know {', '.join(unknown)}"
    if not np.isfinite(structure.lattice.matrix).all() or structure.volume < 1e-3:
        return "its cell has no volume"
    if not np.isfinite(structure.frac_coords).all():
        return "some positions are no numbers"
    # Of the reduced lattice: the vectors of a skewed cell may all be long though images of an atom overlap.
    shortest = min(structure.lattice.get_lll_reduced_lattice().abc)
    if shortest < _CLOSEST:
        return f"atoms overlap with their own images: {shortest:.2f} angstrom apart"
    if len(structure) > 1:
        distances = structure.distance_matrix + 1e3 * np.eye(len(structure))  # (n, n), angstrom, itself left out
        if distances.min() < _CLOSEST:
            one, other = (int(place) for place in np.unravel_index(distances.argmin(), distances.shape))
            names = f"{structure[one].specie.symbol}{one + 1} and {structure[other].specie.symbol}{other + 1}"
            return f"atoms {names} overlap: {distances.min():.2f} angstrom apart"
    return ""
