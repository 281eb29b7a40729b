"""Relaxation of atoms and cells by a universal potential: many crystals in lockstep, each by ASE's FIRE.

FIRE, for its steadiness: started from templates, quasi-Newton steps need half the evaluations but end in other minima.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from matgen.errors import first_line, require_above_zero
from matgen.runtime.progress import Progress, ProgressFactory, silent
from matgen.structures.potentials.interface import Evaluation, Potential

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

_ATOMS_AT_ONCE = 64  # atoms evaluated together; larger batches leave the processor's cache and gain nothing
_CLOSEST = 0.5  # angstrom; nearer atoms overlap whatever they are
_LARGEST_FORCE = 1e4  # eV/angstrom; beyond it the potential knows nothing
_VOLUME_RATIO = 4.0  # a cell that grows or shrinks by more has come apart or collapsed


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
    """

    structure: Structure
    energy: float
    max_force: float
    steps: int
    converged: bool
    reason: str = ""


def relax(
    structures: Iterable[Structure],
    potential: Potential,
    settings: RelaxSettings | None = None,
    *,
    progress: ProgressFactory = silent,
) -> list[Relaxed]:
    """Relax structures; one that fails is recorded and the others go on.

    Args:
        structures: what to start from.
        potential: what gives energies, forces and stresses.
        settings: how.
        progress: counts the structures relaxed.
    """
    settings = settings or RelaxSettings()
    waiting = list(structures)
    results: list[Relaxed | None] = [None] * len(waiting)
    queue = iter(enumerate(waiting))
    active: list[_Path] = []
    # Every round evaluates all active structures together and moves each by one step; whatever ends makes room.
    with progress(len(waiting), "relax", "structures") as count:
        while True:
            active += _admitted(queue, active, potential, settings, results, count)
            if not active:
                return [result for result in results if result is not None]
            for path, evaluation in zip(active, _evaluate(potential, active), strict=True):
                path.advance(evaluation)
                if path.ended:
                    results[path.place] = path.result()
                    count.update()
            active = [path for path in active if not path.ended]


def _admitted(queue: Iterator[tuple[int, Structure]], active: Sequence[_Path], potential: Potential,
              settings: RelaxSettings, results: list[Relaxed | None],
              count: Progress) -> list[_Path]:  # fmt: skip
    """Paths of waiting structures that fit beside the active ones; those that cannot start are recorded."""
    # In atoms, not structures: the cost of an evaluation goes with them. One that is larger than the room goes in too.
    room = max(_ATOMS_AT_ONCE - sum(len(path.atoms) for path in active), 0)
    admitted: list[_Path] = []
    while room > 0 and (taken := next(queue, None)) is not None:
        place, structure = taken
        reason = unfit(structure, potential.elements)
        if reason:
            results[place] = Relaxed(structure, float("nan"), float("nan"), 0, False, reason)
            count.update()
            continue
        admitted.append(_Path(place, structure, settings))
        room -= len(structure)
    return admitted


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


def _evaluate(potential: Potential, paths: Sequence[_Path]) -> list[Evaluation | Exception]:
    """Evaluations of the paths' present atoms; where the potential fails for the batch, of each alone."""
    atoms = [path.atoms for path in paths]
    try:
        return list(potential.evaluate(atoms))
    except Exception as error:
        if len(paths) == 1:
            return [error]
    return [_evaluate(potential, [path])[0] for path in paths]


class _CellFilter(FrechetCellFilter):
    """ASE's filter, asked once for the forces at each place: the optimizer and the test of its end both ask."""

    known: Any = None

    def get_forces(self, **kwargs: Any) -> NDArray[np.float64]:
        """Forces on atoms and cell, `(n + 3, 3)`."""
        if self.known is None:
            self.known = super().get_forces(**kwargs)
        return np.asarray(self.known)

    def set_positions(self, positions: Any, **kwargs: Any) -> None:
        """Move atoms and cell."""
        self.known = None
        super().set_positions(positions, **kwargs)


class _Path:
    """One structure on its way down."""

    def __init__(self, place: int, structure: Structure, settings: RelaxSettings) -> None:
        from pymatgen.io.ase import AseAtomsAdaptor

        self.place, self.start, self.settings = place, structure, settings
        self.atoms: Atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
        self.volume = self.atoms.get_volume()
        self.optimizer = FIRE(_CellFilter(self.atoms) if settings.cell else self.atoms, logfile=None)
        self.steps, self.ended, self.converged, self.reason = 0, False, False, ""
        self.evaluation: Evaluation | None = None

    def advance(self, evaluation: Evaluation | Exception) -> None:
        """Take the evaluation of the present positions, and a step unless it is the last."""
        self.reason = self._failure(evaluation)
        if self.reason:
            self.ended = True
            return
        assert isinstance(evaluation, Evaluation)
        self.evaluation = evaluation
        # Remembers the results of these positions; ASE refuses to take them for those of any others.
        self.atoms.calc = SinglePointCalculator(
            self.atoms,
            energy=evaluation.energy,
            forces=evaluation.forces,
            stress=full_3x3_to_voigt_6_stress(evaluation.stress),
        )
        optimizer = self.optimizer
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # logm's accuracy, of steps that are not last
            try:
                # eV/angstrom; where the cell relaxes, also its three rows, which ASE divides by the number of atoms.
                gradient = optimizer.optimizable.get_gradient()
                self.converged = bool(optimizer.optimizable.gradient_norm(gradient) < self.settings.max_force)
                self.ended = self.converged or self.steps == self.settings.max_steps
                if not self.ended:
                    optimizer.step()
                    self.steps += 1
            except Exception as error:  # a cell without volume
                self.ended, self.reason = True, f"the optimizer failed: {first_line(error)}"

    def _failure(self, evaluation: Evaluation | Exception) -> str:
        if isinstance(evaluation, Exception):
            return f"the potential failed: {first_line(evaluation)}"
        if not (
            np.isfinite(evaluation.energy)
            and np.isfinite(evaluation.forces).all()
            and np.isfinite(evaluation.stress).all()
        ):
            return "the potential gave no number"
        force = float(np.abs(evaluation.forces).max())
        if force > _LARGEST_FORCE:
            return f"a force of {force:.0f} eV/angstrom: atoms are too close"
        ratio = self.atoms.get_volume() / self.volume  # to that at the start
        if not 1 / _VOLUME_RATIO < ratio < _VOLUME_RATIO:
            return f"the cell's volume went to {ratio:.2f} times what it was"
        return ""

    def result(self) -> Relaxed:
        """How it ended."""
        from pymatgen.io.ase import AseAtomsAdaptor

        if self.reason or self.evaluation is None:
            return Relaxed(self.start, float("nan"), float("nan"), self.steps, False, self.reason)
        plain = self.atoms.copy()
        plain.calc = None
        structure = AseAtomsAdaptor.get_structure(plain)
        if self.evaluation.magnetic_moments is not None:
            structure.add_site_property("magmom", [round(float(m), 4) for m in self.evaluation.magnetic_moments])
        force = float(np.linalg.norm(self.evaluation.forces, axis=1).max())
        return Relaxed(structure, self.evaluation.energy / len(self.atoms), force, self.steps, self.converged)
