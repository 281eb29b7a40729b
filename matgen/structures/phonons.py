"""Whether a relaxed structure is a minimum of its potential: phonons from finite displacements, by phonopy.

Atoms of a supercell are displaced one at a time, as few as symmetry allows (K. Parlinski, Z. Q. Li and Y. Kawazoe,
Phys. Rev. Lett. 78, 4063, 1997; A. Togo, J. Phys. Soc. Jpn. 92, 012001, 2023). Only waves that fit in the supercell are
looked at: of those the frequencies are exact, at all others they would be interpolated. The long-range dipoles of
insulators, which split longitudinal from transverse modes near Gamma, are left out: they only raise the former.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matgen.errors import MissingDependencyError, OptionError, StructureError, first_line, require_above_zero
from matgen.structures.folder import bare_atoms
from matgen.structures.phonon_cells import fractions_of, smallest_cell_of, standard_primitive, supercell_vectors
from matgen.structures.potentials.interface import Evaluation, Potential
from matgen.structures.relax import RelaxSettings, relax

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

_ACCEPTED = 5.0  # times the threshold: forces that a relaxation which ran out of steps may leave
_ROUNDS = 3  # of relaxing and putting the atoms back on their symmetry
_ATOMS_AT_ONCE = 256  # atoms evaluated together: a supercell fills the processor's cache by itself
_SAME = 1e-3  # THz; modes closer than this are the same by symmetry, and the wave that is simplest to write is named


@dataclass(frozen=True)
class PhononSettings:
    """How phonons are calculated.

    Attributes:
        max_force: eV/angstrom, to which the structure is relaxed first.
        max_steps: of that relaxation at most.
        shortest: angstrom, of a vector of the supercell at least, if `max_atoms` allows.
        max_atoms: of the supercell at most.
        displacement: of an atom, angstrom. Long enough that forces in single precision do not matter.
        tolerance: THz; a structure is stable where no frequency is below minus this.
    """

    max_force: float = 0.001
    max_steps: int = 500
    shortest: float = 8.0
    max_atoms: int = 200
    displacement: float = 0.03
    tolerance: float = 0.3

    def __post_init__(self) -> None:
        require_above_zero(self, "max_force", "max_steps", "shortest", "max_atoms", "displacement")
        if self.tolerance < 0:
            raise OptionError(f"tolerance is {self.tolerance}, it must be 0 or more")


@dataclass(frozen=True)
class SoftMode:
    """The lowest mode of an unstable structure.

    Attributes:
        structure: the smallest supercell in which its wave fits, undisplaced.
        displacements: `(n, 3)`, of its atoms; the longest has length 1.
    """

    structure: Structure
    displacements: NDArray[np.float64]


@dataclass(frozen=True)
class Phonons:
    """Phonons of one structure at the waves that fit in its supercell.

    Attributes:
        structure: the primitive cell of `n` atoms that they are of, relaxed, with site property `magmom` where the
            potential gives moments.
        energy: eV/atom by the potential.
        max_force: largest force on an atom, eV/angstrom.
        steps: of the relaxation that came before.
        supercell: its vectors in those of the primitive cell, rows of integers `(3, 3)`.
        displacements: number of supercells that forces were calculated of.
        waves: `(w, 3)`, in the reciprocal vectors of the primitive cell, Gamma first.
        frequencies: `(w, 3n)`, THz, imaginary ones as negative, ascending; NaN for the three acoustic modes at Gamma,
            which come last there.
        lowest_frequency: THz, the lowest of all.
        lowest_frequency_at: `(3,)`, its wave; where several are equal by symmetry, the simplest.
        stable: whether it is not below minus the tolerance.
        soft_mode: its mode, None where the structure is stable.
    """

    structure: Structure
    energy: float
    max_force: float
    steps: int
    supercell: NDArray[np.int64]
    displacements: int
    waves: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    lowest_frequency: float
    lowest_frequency_at: NDArray[np.float64]
    stable: bool
    soft_mode: SoftMode | None


def require_phonopy() -> None:
    """Raise a `MissingDependencyError` where phonopy is not installed."""
    try:
        import phonopy  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("phonons need phonopy: pip install 'matgen[structures]'") from error


def phonons(structure: Structure, potential: Potential, settings: PhononSettings | None = None) -> Phonons:
    """Relax a structure tightly within its symmetry and calculate its phonons.

    Args:
        structure: a relaxed structure.
        potential: what gives the forces.
        settings: how.

    Raises:
        StructureError: the relaxation failed or left forces above 5 times its threshold, a supercell got no forces, or
            its supercell is one atom.
        MissingDependencyError: phonopy is not installed.
    """
    require_phonopy()
    settings = settings or PhononSettings()
    primitive, evaluation, steps = relaxed_within_symmetry(structure, potential, settings)
    force = _largest_force(evaluation)
    phonon = _force_constants(primitive, potential, settings)
    waves, frequencies = _at_commensurate_waves(phonon)
    if not np.isfinite(frequencies).any():
        raise StructureError("one atom in its supercell has no phonons: allow more atoms (max_atoms)")
    lowest = float(np.nanmin(frequencies))
    at = min(waves[np.nanmin(frequencies, axis=1, initial=np.inf) < lowest + _SAME], key=_simplicity)
    if evaluation.magnetic_moments is not None:
        primitive.add_site_property("magmom", [round(float(m), 4) for m in evaluation.magnetic_moments])
    stable = lowest >= -settings.tolerance
    return Phonons(
        structure=primitive,
        energy=evaluation.energy / len(primitive),
        max_force=force,
        steps=steps,
        supercell=np.asarray(phonon.supercell_matrix).T,
        displacements=len(phonon.supercells_with_displacements),
        waves=waves,
        frequencies=frequencies,
        lowest_frequency=lowest,
        lowest_frequency_at=at,
        stable=stable,
        soft_mode=None if stable else _soft_mode(phonon, at),
    )


def relaxed_within_symmetry(
    structure: Structure, potential: Potential, settings: PhononSettings
) -> tuple[Structure, Evaluation, int]:
    """The relaxed primitive cell, exactly symmetric, with its energy and forces, and the steps that it took.

    Rounding lets a long relaxation drift off the symmetry by less than its tolerance; where putting the atoms back
    leaves forces, it goes on from there.

    Args:
        structure: a relaxed structure.
        potential: what gives the forces.
        settings: `max_force` in eV/angstrom and `max_steps` of all rounds together.

    Raises:
        StructureError: the relaxation failed or left forces above 5 times its threshold.
    """
    primitive, steps = standard_primitive(structure), 0
    for _ in range(_ROUNDS):
        (relaxed,) = relax([primitive], potential, RelaxSettings(settings.max_force, settings.max_steps - steps))
        if relaxed.reason:
            raise StructureError(f"the relaxation before its phonons failed: {relaxed.reason}")
        steps += relaxed.steps
        primitive = standard_primitive(relaxed.structure)
        (evaluation,) = potential.evaluate([bare_atoms(primitive)])
        force = _largest_force(evaluation)
        if force <= _ACCEPTED * settings.max_force:
            return primitive, evaluation, steps
        if steps >= settings.max_steps:
            break
    raise StructureError(f"forces are still {force:.3f} eV/angstrom after {steps} steps before its phonons")


def _largest_force(evaluation: Evaluation) -> float:
    """In eV/angstrom, of all atoms."""
    return float(np.linalg.norm(evaluation.forces, axis=1).max())


def _force_constants(primitive: Structure, potential: Potential, settings: PhononSettings) -> Any:
    """A `phonopy.Phonopy` of a primitive cell with its force constants."""
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        numbers=primitive.atomic_numbers, cell=primitive.lattice.matrix, scaled_positions=primitive.frac_coords
    )
    matrix = supercell_vectors(primitive, shortest=settings.shortest, max_atoms=settings.max_atoms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the supercell has fewer symmetries: more displacements, the same answer
        # phonopy's matrices have vectors as columns. The waves are those of this primitive cell, not one of phonopy's.
        phonon = Phonopy(cell, supercell_matrix=matrix.T, primitive_matrix="P", symprec=1e-4)
    phonon.generate_displacements(distance=settings.displacement)
    supercells = [phonon.supercell, *phonon.supercells_with_displacements]
    evaluations = _evaluated([_ase(supercell) for supercell in supercells], potential)
    forces = np.array([evaluation.forces for evaluation in evaluations])  # (1 + displacements, atoms, 3)
    if not np.isfinite(forces).all():
        raise StructureError("the potential gave no number for a displaced supercell")
    phonon.forces = forces[1:] - forces[0]  # what is left of forces without a displacement is no answer to one
    phonon.produce_force_constants(calculate_full_force_constants=False, show_drift=False)
    phonon.symmetrize_force_constants(show_drift=False)  # no force where all atoms move alike (acoustic sum rule)
    return phonon


def _evaluated(crystals: Sequence[Atoms], potential: Potential) -> Iterator[Evaluation]:
    at_once = max(_ATOMS_AT_ONCE // len(crystals[0]), 1)
    for begin in range(0, len(crystals), at_once):
        try:
            yield from potential.evaluate(list(crystals[begin : begin + at_once]))
        except Exception as error:
            raise StructureError(f"the potential failed for a supercell: {first_line(error)}") from error


def _at_commensurate_waves(phonon: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Waves that fit in the supercell `(w, 3)` and their frequencies `(w, 3n)`, THz."""
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    waves = get_commensurate_points(phonon.supercell_matrix)
    waves = waves - np.rint(waves - 1e-6)  # within (-1/2, 1/2]
    waves = waves[np.lexsort((*waves.T, np.linalg.norm(waves, axis=1)))]  # Gamma, of length 0, first
    matrix = phonon.dynamical_matrix
    n = 3 * len(phonon.primitive)
    frequencies = np.full((len(waves), n), np.nan)
    for place, wave in enumerate(waves):
        matrix.run(wave)
        dynamical = matrix.dynamical_matrix  # (3n, 3n), hermitian
        if place == 0:  # among the motions that leave the center of mass where it is: the acoustic modes are left out
            internal = _internal_motions(phonon.primitive.masses)
            dynamical = internal.T @ dynamical.real @ internal
        values = np.linalg.eigvalsh(dynamical)
        frequencies[place, : len(values)] = np.sign(values) * np.sqrt(np.abs(values)) * phonon.unit_conversion_factor
    return waves, frequencies


def _internal_motions(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis `(3n, 3n - 3)` of the mass-weighted motions of `n` atoms that are no translation."""
    translations = np.kron(np.sqrt(masses)[:, None], np.eye(3))  # (3n, 3)
    return np.linalg.qr(translations, mode="complete")[0][:, 3:]


def _simplicity(wave: NDArray[np.float64]) -> tuple[Any, ...]:
    """What orders waves: small denominators first, then those written with few signs."""
    parts = fractions_of(wave)
    return max(b for _, b in parts), sum(abs(a) > 0 for a, _ in parts), sum(a < 0 for a, _ in parts), parts


def _soft_mode(phonon: Any, wave: NDArray[np.float64]) -> SoftMode:
    """The lowest mode at a wave, in the smallest cell that it fits in."""
    from pymatgen.core import Structure

    # The first of the ascending frequencies: where a mode is unstable, the acoustic ones at Gamma lie above it.
    modulation = phonon.run_modulations(smallest_cell_of(wave).T, [[wave, 0, 1.0, 0.0]])
    cell, complex_mode = modulation.supercell, modulation.modulations[0]
    # A running wave is two standing ones, its real and imaginary part: the phase that makes the real one largest.
    turned = complex_mode * np.exp(-0.5j * np.angle((complex_mode**2).sum()))
    mode = turned.real  # (atoms, 3)
    structure = Structure(cell.cell, cell.symbols, cell.scaled_positions)
    return SoftMode(structure, mode / np.linalg.norm(mode, axis=1).max())


def _ase(cell: Any) -> Atoms:
    """ASE's atoms of phonopy's."""
    from ase import Atoms

    return Atoms(numbers=cell.numbers, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
