"""What formation energies and decompositions refer to: elements, and the phases that a candidate could fall into."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from matgen.composition import CompositionBatch
from matgen.dft.settings import Job
from matgen.errors import StructureError
from matgen.structures.energies import element_energies, mp2020_phases
from matgen.structures.folder import safe_name
from matgen.structures.potentials import load_potential
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

_MOMENTS = {"Cr": 1.0, "Mn": 2.0, "Fe": 2.3, "Co": 1.7, "Ni": 0.7, "O": 1.0, "Gd": 7.0, "Eu": 7.0}
"""Initial moments of elements that are magnetic, Bohr magnetons; O2 is a triplet."""


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


@lru_cache(maxsize=128)
def _element_job(symbol: str) -> Job:
    from pymatgen.io.ase import AseAtomsAdaptor

    known = _structures(symbol)
    small = [(source, structure) for source, structure in known if len(structure) <= MOST_ATOMS]
    if not small:
        raise StructureError(f"no structure of {symbol} with at most {MOST_ATOMS} atoms")
    potential = load_potential("chgnet")
    if symbol not in potential.elements:
        raise StructureError(f"{symbol} is unknown to CHGNet, by which references are chosen")
    found = potential.evaluate([AseAtomsAdaptor.get_atoms(structure, msonable=False) for _, structure in known])
    energy = {id(structure): entry.energy / len(structure) for entry, (_, structure) in zip(found, known, strict=True)}
    # Those of the delta test and the Materials Project are ground states by PBE; others may be of high pressure, or of
    # a few sites of a crystal, for which CHGNet was not made.
    sound = [structure for source, structure in known if _trusted(source)]
    if sound:
        lowest = min(sound, key=lambda structure: energy[id(structure)])
        ground, volume = energy[id(lowest)], lowest.volume / len(lowest)
    elif symbol in element_energies():
        ground, volume = element_energies()[symbol], None
    else:
        raise StructureError(f"the ground state of {symbol} is not known")
    offset = {id(structure): energy[id(structure)] - ground for _, structure in small}
    near = [
        (source, structure)
        for source, structure in small
        if _trusted(source)
        or (
            abs(offset[id(structure)]) <= LARGEST_OFFSET
            and (volume is None or abs(structure.volume / len(structure) / volume - 1) <= LARGEST_DEVIATION)
        )
    ]
    near.sort(key=lambda pair: (not _trusted(pair[0]), _trusted(pair[0]) and pair[0] != DELTA, offset[id(pair[1])]))
    chosen = next((pair for pair in near if offset[id(pair[1])] <= LARGEST_OFFSET), None)
    if chosen is None:
        raise StructureError(f"no structure of {symbol} with at most {MOST_ATOMS} atoms is like its ground state: "
                             f"the nearest differs by {min(map(abs, offset.values())):.2f} eV/atom")  # fmt: skip
    source, structure = chosen
    if symbol in _MOMENTS and "magmom" not in structure.site_properties:
        structure.add_site_property("magmom", [_MOMENTS[symbol]] * len(structure))
    told = {"source": source, "offset": round(max(offset[id(structure)], 0.0), 4)}
    return Job(f"element-{symbol}", structure, "element", told)


def _trusted(source: str) -> bool:
    return source == DELTA or source.startswith("mp:")


def _structures(symbol: str) -> list[tuple[str, Structure]]:
    """Sources and primitive structures of an element."""
    from ase.collections import dcdft
    from pymatgen.io.ase import AseAtomsAdaptor

    found = []
    if symbol in dcdft.names:
        atoms = dcdft[symbol]
        moments = atoms.get_initial_magnetic_moments()
        structure = AseAtomsAdaptor.get_structure(atoms)
        for name in list(structure.site_properties):
            structure.remove_site_property(name)
        if np.abs(moments).max() > 0:
            structure.add_site_property("magmom", moments.tolist())
        found.append((DELTA, structure.get_primitive_structure(use_site_props=True)))
    found += [(template.id, template.structure()) for template in bundled_templates().templates
              if set(template.species) == {symbol}]  # fmt: skip
    return found


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
    proposer = Proposer(ProposalSettings(per_formula=3, max_atoms=max_atoms, symmetric=0))
    potential = load_potential("chgnet")
    jobs, lacking = [], {}
    for number, formula in enumerate(names, start=1):
        try:
            proposals = proposer.propose(formula)
        except StructureError as error:
            lacking[formula] = str(error).removeprefix(f"{formula}: ")
            continue
        results = relax([proposal.structure for proposal in proposals], potential, RelaxSettings())
        ended = [(result.energy, number) for number, result in enumerate(results) if not result.reason]
        if not ended:
            lacking[formula] = results[0].reason
            continue
        energy, best = min(ended)
        provenance = proposals[best].provenance() | {"energy_chgnet": energy}
        jobs.append(
            Job(f"competing-{number:04d}-{safe_name(formula)}", results[best].structure, "competing", provenance)
        )
    return jobs, lacking


def elements_of(jobs: Sequence[Job]) -> list[str]:
    """Symbols of all elements of some jobs that have an energy in the Materials Project."""
    return sorted({site.specie.symbol for job in jobs for site in job.structure} & element_energies().keys())
