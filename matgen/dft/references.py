"""What formation energies and decompositions refer to: elements, and the phases that a candidate could fall into."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

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

MOST_ATOMS = 4
"""Atoms of an element's reference cell, so that it costs no more than a candidate."""

LARGEST_OFFSET = 0.05
"""eV/atom by CHGNet that a small reference may lie above the element's ground state."""

_MOMENTS = {"Cr": 1.0, "Mn": 2.0, "Fe": 2.3, "Co": 1.7, "Ni": 0.7, "O": 1.0, "Gd": 7.0, "Eu": 7.0}
"""Initial moments of elements that are magnetic, Bohr magnetons; O2 is a triplet."""


def element_jobs(symbols: Sequence[str]) -> tuple[list[Job], dict[str, str]]:
    """A reference of each element, of at most `MOST_ATOMS` atoms.

    Structures of the delta test for codes (K. Lejaeghere et al., Science 351, aad3000, 2016), as ASE carries them, and
    the bundled ones are asked in turn: the one of lowest energy by CHGNet is taken, as it is tabulated, if that is at
    most `LARGEST_OFFSET` above the ground state's. The job's provenance says how far (`offset`).

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

    small = _small_structures(symbol)
    if not small:
        raise StructureError(f"no structure of {symbol} with at most {MOST_ATOMS} atoms")
    potential = load_potential("chgnet")
    if symbol not in potential.elements:
        raise StructureError(f"{symbol} is unknown to CHGNet, by which references are chosen")
    found = potential.evaluate([AseAtomsAdaptor.get_atoms(structure, msonable=False) for _, structure in small])
    energies = [entry.energy / len(structure) for entry, (_, structure) in zip(found, small, strict=True)]
    best = int(np.argmin(energies))
    ground = [template.structure() for template in bundled_templates().templates
              if template.id.startswith("mp:") and set(template.species) == {symbol}]  # fmt: skip
    offset = 0.0
    if ground:
        known = potential.evaluate([AseAtomsAdaptor.get_atoms(ground[0], msonable=False)])[0].energy / len(ground[0])
        offset = energies[best] - known
    if offset > LARGEST_OFFSET:
        raise StructureError(f"every structure of {symbol} with at most {MOST_ATOMS} atoms lies {offset:.2f} eV/atom "
                             f"or more above its ground state")  # fmt: skip
    source, structure = small[best]
    if symbol in _MOMENTS and "magmom" not in structure.site_properties:
        structure.add_site_property("magmom", [_MOMENTS[symbol]] * len(structure))
    return Job(f"element-{symbol}", structure, "element", {"source": source, "offset": round(max(offset, 0.0), 4)})


def _small_structures(symbol: str):  # type: ignore[no-untyped-def]
    """Sources and primitive structures of an element with few atoms."""
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
        structure = structure.get_primitive_structure(use_site_props=True)
        found.append(("delta test, ASE", structure))
    found += [(template.id, template.structure()) for template in bundled_templates().templates
              if set(template.species) == {symbol}]  # fmt: skip
    return [(source, structure) for source, structure in found if len(structure) <= MOST_ATOMS]


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
    for formula in names:
        try:
            proposals = proposer.propose(formula)
        except StructureError as error:
            lacking[formula] = str(error)
            continue
        results = relax([proposal.structure for proposal in proposals], potential, RelaxSettings())
        ended = [(result.energy, number) for number, result in enumerate(results) if not result.reason]
        if not ended:
            lacking[formula] = results[0].reason
            continue
        energy, best = min(ended)
        provenance = proposals[best].provenance() | {"energy_chgnet": energy}
        jobs.append(Job(f"competing-{safe_name(formula)}", results[best].structure, "competing", provenance))
    return jobs, lacking


def elements_of(jobs: Sequence[Job]) -> list[str]:
    """Symbols of all elements of some jobs that have an energy in the Materials Project."""
    return sorted({site.specie.symbol for job in jobs for site in job.structure} & element_energies().keys())
