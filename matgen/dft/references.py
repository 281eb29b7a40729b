"""What formation energies and decompositions refer to: elements, and the phases that a candidate could fall into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.dft.settings import Job
from matgen.errors import StructureError
from matgen.structures.energies import element_energies, mp2020_phases
from matgen.structures.folder import bare_atoms, safe_name
from matgen.structures.potentials.registry import shared_potential
from matgen.structures.propose import ProposalSettings, Proposer
from matgen.structures.relax import RelaxSettings, relax
from matgen.structures.templates import bundled_templates

if TYPE_CHECKING:
    from pymatgen.core import Structure

DELTA = "delta test, ASE"

MOST_ATOMS = 4
"""Atoms of an element's reference cell, so that it costs no more than a candidate."""

LARGEST_OFFSET = 0.05
"""eV/atom by CHGNet that a small reference may lie above the element's ground state."""

LARGEST_DEVIATION = 0.35
"""Of the volume of an atom from the ground state's, where a structure is of neither the delta test nor the Project."""

_MOMENTS = {"Gd": 7.0, "Eu": 7.0}
"""Initial moments of magnetic elements that the delta test lacks, Bohr magnetons; others have its own, with signs."""


def element_jobs(symbols: Sequence[str]) -> tuple[list[Job], dict[str, str]]:
    """A reference of each element, of at most `MOST_ATOMS` atoms.

    Taken, as it is tabulated, is that of the delta test for codes (K. Lejaeghere et al., Science 351, aad3000, 2016;
    PBE's own volumes), as ASE carries it, else the Materials Project's, else, of the other bundled ones with a density
    like the ground state's, the lowest by CHGNet; each only if CHGNet has it at most `LARGEST_OFFSET` above the ground
    state. The job's provenance says how far (`offset`). Oxygen and other gases are molecular crystals.

    Args:
        symbols: of elements.

    Returns:
        the jobs, and why other elements have none.
    """
    jobs, lacking = [], {}
    for symbol in sorted(set(symbols)):
        try:
            jobs.append(_element_job(symbol))
        except StructureError as error:
            lacking[symbol] = str(error)
    return jobs, lacking


@dataclass(frozen=True)
class _Known:
    """A structure of an element.

    Attributes:
        source: `DELTA`, or the id of a bundled one.
        structure: its primitive cell.
        energy: by CHGNet, eV/atom.
    """

    source: str
    structure: Structure
    energy: float

    @property
    def rank(self) -> int:
        """0 of the delta test, 1 of the Materials Project: ground states by PBE; 2 of others.

        Others may be of high pressure, or of a few sites of a crystal, for which CHGNet was not made.
        """
        return 0 if self.source == DELTA else 1 if self.source.startswith("mp:") else 2

    @property
    def volume(self) -> float:
        """Of an atom, angstrom^3."""
        return float(self.structure.volume / len(self.structure))


@lru_cache(maxsize=128)
def _element_job(symbol: str) -> Job:
    structures = _structures(symbol)
    if all(len(structure) > MOST_ATOMS for _, structure in structures):
        raise StructureError(f"no structure of {symbol} with at most {MOST_ATOMS} atoms")
    potential = shared_potential("chgnet")
    if symbol not in potential.elements:
        raise StructureError(f"{symbol} is unknown to CHGNet, by which references are chosen")
    evaluations = potential.evaluate([bare_atoms(structure) for _, structure in structures])
    known = [
        _Known(source, structure, entry.energy / len(structure))
        for entry, (source, structure) in zip(evaluations, structures, strict=True)
    ]
    ground, volume = _ground_state(symbol, known)
    small = [one for one in known if len(one.structure) <= MOST_ATOMS]
    usable = [
        one for one in small
        if one.energy - ground <= LARGEST_OFFSET and (one.rank < 2 or _alike(one, ground, volume))
    ]  # fmt: skip
    if not usable:
        nearest = min(abs(one.energy - ground) for one in small)
        raise StructureError(f"no structure of {symbol} with at most {MOST_ATOMS} atoms is like its ground state: "
                             f"the nearest differs by {nearest:.2f} eV/atom")  # fmt: skip
    chosen = min(usable, key=lambda one: (one.rank, one.energy))
    structure = chosen.structure
    if symbol in _MOMENTS and "magmom" not in structure.site_properties:
        structure.add_site_property("magmom", [_MOMENTS[symbol]] * len(structure))
    provenance = {"source": chosen.source, "offset": round(max(chosen.energy - ground, 0.0), 4)}
    return Job(f"element-{symbol}", structure, "element", provenance)


def _ground_state(symbol: str, known: Sequence[_Known]) -> tuple[float, float | None]:
    """Energy by CHGNet, eV/atom, and the volume of an atom, angstrom^3, None where no structure of it is at hand."""
    trusted = [one for one in known if one.rank < 2]
    if trusted:
        lowest = min(trusted, key=lambda one: one.energy)
        return lowest.energy, lowest.volume
    if symbol in element_energies():
        return element_energies()[symbol], None
    raise StructureError(f"the ground state of {symbol} is not known")


def _alike(one: _Known, energy: float, volume: float | None) -> bool:
    """Whether a structure is like the ground state in energy and density."""
    dense = volume is None or abs(one.volume / volume - 1) <= LARGEST_DEVIATION
    return abs(one.energy - energy) <= LARGEST_OFFSET and dense


def _structures(symbol: str) -> list[tuple[str, Structure]]:
    """Sources and primitive structures of an element."""
    from ase.collections import dcdft
    from pymatgen.io.ase import AseAtomsAdaptor

    structures = []
    if symbol in dcdft.names:
        atoms = dcdft[symbol]
        moments = atoms.get_initial_magnetic_moments()
        structure = AseAtomsAdaptor.get_structure(atoms)
        for name in list(structure.site_properties):
            structure.remove_site_property(name)
        if np.abs(moments).max() > 0:
            structure.add_site_property("magmom", moments.tolist())
        structures.append((DELTA, structure.get_primitive_structure(use_site_props=True)))
    structures += [(template.id, template.structure()) for template in bundled_templates().templates
              if set(template.species) == {symbol}]  # fmt: skip
    return structures


def competing_jobs(formulas: Sequence[str], *, max_atoms: int = 24) -> tuple[list[Job], dict[str, str]]:
    """The compounds that some candidates would decompose into, by the hull of known phases, each in its best structure.

    Structures are proposed from the bundled ones and relaxed by CHGNet, as those of candidates are.

    Args:
        formulas: of the candidates.
        max_atoms: of a primitive cell at most.

    Returns:
        the jobs, and why other phases have none. Elements are left out: see `element_jobs`.
    """
    batch = CompositionBatch.from_formulas(list(formulas))
    phases = mp2020_phases()
    products = phases.decompose(batch).product
    rows = np.unique(products[products >= 0])
    names = [] if not len(rows) else phases.batch[rows].formulas().tolist()
    proposer = Proposer(ProposalSettings(per_formula=3, max_atoms=max_atoms, symmetric=0, ordered=0))
    potential = shared_potential("chgnet")
    jobs, lacking = [], {}
    for number, formula in enumerate(names, start=1):
        try:
            proposals = proposer.propose(formula)
        except StructureError as error:
            lacking[formula] = str(error).removeprefix(f"{formula}: ")
            continue
        results = relax([proposal.structure for proposal in proposals], potential, RelaxSettings())
        ended = [(result.energy, place) for place, result in enumerate(results) if not result.reason]
        if not ended:
            lacking[formula] = results[0].reason
            continue
        energy, best = min(ended)
        provenance = proposals[best].provenance() | {"energy_per_atom_chgnet": energy}
        jobs.append(
            Job(f"competing-{number:04d}-{safe_name(formula)}", results[best].structure, "competing", provenance)
        )
    return jobs, lacking


def elements_of(jobs: Sequence[Job]) -> list[str]:
    """Symbols of all elements of some jobs that have an energy in the Materials Project."""
    return sorted({site.specie.symbol for job in jobs for site in job.structure} & element_energies().keys())
