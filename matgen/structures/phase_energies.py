"""Energies of known compounds by a potential, from their own known structures; kept in the user's cache.

A compound's energy is the lowest of its relaxed polymorphs. It does not depend on who asks, so each is relaxed once for
each potential, its version, and the structures and settings that it is relaxed from.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError, OutputError, first_line, require_above_zero
from matgen.io.files import read_checksummed, write_checksummed
from matgen.runtime.cache import cache_folder
from matgen.runtime.progress import ProgressFactory, silent
from matgen.runtime.workers import run_tasks
from matgen.structures.energies import corrected_formation_energies, oxide_type
from matgen.structures.folder import safe_name, without_moments
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import shared_potential
from matgen.structures.propose import is_new
from matgen.structures.relax import Relaxed, RelaxSettings, relax
from matgen.structures.templates import TemplateLibrary

if TYPE_CHECKING:
    from pymatgen.core import Structure

GROUND_STATE = "mp:"
"""Start of the id of bundled structures that are an element's ground state by PBE.

Other structures of elements may be of high pressure, or of a few sites of a crystal, and are not taken."""

_TOGETHER = 8
"""Compounds that one task relaxes."""

Known = tuple[str, "Structure"]
"""Where a structure comes from, and the structure."""


@dataclass(frozen=True)
class PhaseSettings:
    """How the energies of known compounds are found.

    Attributes:
        per_formula: polymorphs of a compound that are relaxed, the smallest cells.
        max_atoms: atoms of a primitive cell at most.
        relaxation: how they are relaxed.
    """

    per_formula: int = 3
    max_atoms: int = 24
    relaxation: RelaxSettings = field(default_factory=RelaxSettings)

    def __post_init__(self) -> None:
        require_above_zero(self, "per_formula", "max_atoms")


@dataclass(frozen=True)
class PhaseEnergy:
    """What a potential says of a compound.

    Attributes:
        formula: reduced formula, of an element its symbol.
        energy: of its lowest structure, eV/atom; None where none could be relaxed.
        template: id of the structure that it is of.
        structure: that structure, relaxed: `species`, `lattice` (3, 3), angstrom, and fractional `positions` (n, 3).
        oxide_type: what its oxygen is (`matgen.structures.energies.oxide_type`).
        reason: why there is no energy; empty where there is one.
    """

    formula: str
    energy: float | None
    template: str
    structure: dict[str, Any] | None
    oxide_type: str
    reason: str = ""

    def crystal(self) -> Structure:
        """The relaxed structure; only where there is an energy."""
        from pymatgen.core import Structure

        assert self.structure is not None
        return Structure(self.structure["lattice"], self.structure["species"], self.structure["positions"])


class PhaseEnergies:
    """Energies of compounds by one potential, each found once.

    Files of the cache are written whole, so that several processes may use it; a cache that cannot be written is done
    without.

    Args:
        potential: name of the potential.
        start: known structures; or the energies by another potential, whose relaxed structures are relaxed further.
        settings: how.
        workers: processes on this machine.
        scheduler: address of a Dask scheduler instead.
        progress: counts the compounds that are relaxed.
    """

    def __init__(
        self,
        potential: str,
        start: TemplateLibrary | PhaseEnergies,
        settings: PhaseSettings | None = None,
        *,
        workers: int = 1,
        scheduler: str | None = None,
        progress: ProgressFactory = silent,
    ) -> None:
        self.name, self.settings = potential, settings or PhaseSettings()
        self._workers, self._scheduler, self._progress = workers, scheduler, progress
        self._start = start if isinstance(start, PhaseEnergies) else own_structures(start, self.settings)
        self._known: dict[str, PhaseEnergy] = {}

    @property
    def potential(self) -> Potential:
        """Whose energies they are."""
        return shared_potential(self.name)

    @property
    def names(self) -> frozenset[str]:
        """Formulas of compounds, and symbols of elements, whose structures are at hand."""
        return self._start.names if isinstance(self._start, PhaseEnergies) else frozenset(self._start)

    def of(self, names: Sequence[str]) -> list[PhaseEnergy]:
        """The energies of some of `names`, from the cache or, the first time, by relaxing their structures."""
        new = [name for name in dict.fromkeys(names) if name not in self._known]
        paths, tasks = [], []
        for name, structures in zip(new, self._structures(new), strict=True):
            path = _path(name, structures, self.potential, self.settings)
            try:
                self._known[name] = PhaseEnergy(**read_checksummed(path)["phase"])
            except (DataError, TypeError, KeyError):  # not there, damaged, or of another version
                paths.append(path)
                tasks.append((name, structures, self.name, self.settings))
        if tasks:
            self._relax(tasks, paths)
        return [self._known[name] for name in names]

    def formation(self, names: Sequence[str]) -> np.ndarray:
        """Formation energies with the corrections of 2020 of some of `names`, float64 `(n,)`, eV/atom.

        NaN where no structure could be relaxed, or with an element whose energy is not known.
        """
        if not len(names):
            return np.zeros(0)
        phases = self.of(names)
        energy = np.array([np.nan if phase.energy is None else phase.energy for phase in phases])
        batch = CompositionBatch.from_formulas(list(names))
        return corrected_formation_energies(batch, energy, self.potential, [phase.oxide_type for phase in phases])

    def _structures(self, names: Sequence[str]) -> list[list[Known]]:
        """What the compounds are relaxed from; nothing where the other potential has nothing."""
        if isinstance(self._start, PhaseEnergies):
            return [[(phase.template, phase.crystal())] if phase.structure else [] for phase in self._start.of(names)]
        return [self._start[name] for name in names]

    def _relax(self, tasks: Sequence[_Task], paths: Sequence[Path]) -> None:
        """Carry out tasks and keep what comes of them; what could not be relaxed is kept too."""
        # Several compounds are relaxed in lockstep, which a potential evaluates faster than one after another.
        starts = range(0, len(tasks), _TOGETHER)
        chunks = [tasks[start : start + _TOGETHER] for start in starts]
        with self._progress(len(tasks), f"hull by {self.name}", "phases") as count:
            for place, outcome in run_tasks(_relaxed, chunks, workers=self._workers, scheduler=self._scheduler):
                chunk = chunks[place]
                if isinstance(outcome, Exception):  # may go well the next time
                    reason = first_line(outcome)
                    self._known |= {name: PhaseEnergy(name, None, "", None, "None", reason) for name, *_ in chunk}
                else:
                    for phase, path in zip(outcome, paths[starts[place] :], strict=False):
                        self._known[phase.formula] = phase
                        content = {"phase": asdict(phase), "potential": self.name, "version": self.potential.version}
                        with contextlib.suppress(OutputError):
                            write_checksummed(path, content)
                count.update(len(chunk))


def own_structures(library: TemplateLibrary, settings: PhaseSettings) -> dict[str, list[Known]]:
    """Structures of compounds themselves by formula, small cells first; of elements, by symbol, their ground states."""
    own: dict[str, list[Known]] = {}
    for template in sorted(library.templates, key=lambda template: (template.n_atoms, template.id)):
        if template.n_atoms > settings.max_atoms:
            continue
        if len(template.counts) > 1:
            own.setdefault(template.formula, []).append((template.id, template.structure()))
        elif template.id.startswith(GROUND_STATE):
            own.setdefault(template.species[0], []).append((template.id, template.structure()))
    return own


_Task = tuple[str, list[Known], str, PhaseSettings]
"""A compound, its structures, the name of a potential, and how to relax."""


def _path(name: str, structures: Sequence[Known], potential: Potential, settings: PhaseSettings) -> Path:
    """Where a compound's energy is kept; a digest stands for the structures and the settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for id, structure in structures:
        digest.update(repr((id, [site.specie.symbol for site in structure])).encode())
        digest.update(np.round(structure.lattice.matrix, 6).tobytes() + np.round(structure.frac_coords, 6).tobytes())
    version = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in potential.version)
    folder = cache_folder() / "phases" / f"{potential.name}-{version}"
    return folder / f"{safe_name(name)}-{digest.hexdigest()[:16]}.json"


def _relaxed(tasks: Sequence[_Task]) -> list[PhaseEnergy]:
    """The lowest structure of each compound after relaxation."""
    _, _, potential, settings = tasks[0]
    distinct = [_distinct(structures, settings.per_formula) for _, structures, *_ in tasks]
    given = [structure for taken in distinct for _, structure in taken]
    results = iter(relax(given, shared_potential(potential), settings.relaxation))
    return [
        _lowest(name, taken, [next(results) for _ in taken]) for (name, *_), taken in zip(tasks, distinct, strict=True)
    ]


def _distinct(structures: Sequence[Known], n: int) -> list[Known]:
    """The first `n` structures of which no two are the same crystal."""
    taken: list[Known] = []
    for id, structure in structures:
        if len(taken) == n:
            break
        if is_new(structure, [other for _, other in taken]):
            taken.append((id, structure))
    return taken


def _lowest(name: str, taken: Sequence[Known], results: Sequence[Relaxed]) -> PhaseEnergy:
    """The lowest of a compound's relaxed structures, or why there is none."""
    sound = [(result.energy, place) for place, result in enumerate(results) if not result.reason]
    if not sound:
        reason = results[0].reason if results else "the potential before it could relax no structure of it"
        return PhaseEnergy(name, None, "", None, "None", reason)
    energy, place = min(sound)
    lowest = without_moments(results[place].structure)
    plain = {
        "species": [site.specie.symbol for site in lowest],
        "lattice": lowest.lattice.matrix.tolist(),
        "positions": lowest.frac_coords.tolist(),
    }
    return PhaseEnergy(name, float(energy), taken[place][0], plain, oxide_type(lowest))
