"""From a potential's total energies to formation energies and distances to a hull whose labels mean the same.

CHGNet learned total energies with the Materials Project's corrections of 2020 (MP2020: A. Wang et al., Sci.
Rep. 11, 15496, 2021). The bundled labels of the Materials Project are older and carry its first corrections (L. Wang,
T. Maxisch, G. Ceder, Phys. Rev. B 73, 195107, 2006; A. Jain et al., Phys. Rev. B 84, 045115, 2011). Both schemes add
so many electronvolts an atom of each anion, and of some transition metals in oxides and fluorides; their difference
turns the old labels into new ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS, PYMATGEN_ELECTRONEGATIVITY, SYMBOLS
from matgen.datasets.labels import labeled_phases
from matgen.hull import CompetingPhases
from matgen.validity import ValidityRules
from matgen.validity.explaining import explain

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from matgen.structures.potentials.interface import Potential

_PEROXIDES = {f"{metal}2O2" for metal in ("Li", "Na", "K", "Rb", "Cs")} | {
    f"{metal}O2" for metal in ("Be", "Mg", "Ca", "Sr", "Ba")
}
_SUPEROXIDES = {f"{metal}O2" for metal in ("Li", "Na", "K", "Rb", "Cs")}

LEGACY_ANIONS = {"O": -0.70229, "S": -0.66346}
"""Corrections of the first scheme, eV an atom of the anion (`MPCompatibility.yaml` of pymatgen)."""

ANIONS = ("O", "F", "Cl", "Br", "I", "S", "Se", "Te", "N", "P", "As", "Sb", "C", "Si", "Ge", "B", "H")
"""Elements whose compounds stand as classes of their own in tables of errors."""

LEGACY_GASES = {"N": (-8.3365, -7.95247), "F": (-1.9115, -1.42055), "Cl": (-1.8485, -1.25385), "H": (-3.3927, -3.23974)}
"""The first scheme moves these elements instead of their compounds: calculated (PBE) and fitted energy, eV/atom.

All their compounds feel it, whether the element is an anion in them or not."""


_Tables = tuple[dict[str, float], dict[str, float], dict[str, float]]


@lru_cache(maxsize=2)
def _scheme_of_pymatgen(name: str) -> dict[str, Any]:
    """A file of corrections that comes with pymatgen."""
    from importlib.resources import files

    from ruamel.yaml import YAML

    text = files("pymatgen.analysis.compatibility").joinpath(f"{name}.yaml").read_text()
    return dict(YAML(typ="safe").load(text))


@lru_cache(maxsize=1)
def _schemes() -> tuple[_Tables, _Tables]:
    """New and old corrections, eV an atom: of an anion, of a metal in an oxide or fluoride, of a gas's element."""
    new = _scheme_of_pymatgen("MP2020Compatibility")["Corrections"]
    old = _scheme_of_pymatgen("MPCompatibility")
    anions = {name: value for name, value in new["CompositionCorrections"].items() if name in ATOMIC_NUMBER}
    anions["O"] = new["CompositionCorrections"]["oxide"]
    metals = new["GGAUMixingCorrections"]["O"]
    metals_before = {symbol: old["Advanced"]["UCorrections"]["O"][symbol] for symbol in metals}
    gases = {symbol: calculated - fitted for symbol, (calculated, fitted) in LEGACY_GASES.items()}
    return (anions, metals, {}), (LEGACY_ANIONS, metals_before, gases)


def mp2020_minus_legacy(batch: CompositionBatch) -> np.ndarray:
    """What turns formation energies with the Materials Project's first corrections into such with those of 2020.

    An element counts as anion where its oxidation state is negative, or, where no assignment is neutral, where it is
    the most electronegative one. Pymatgen's own processing differs in two ways: it knows peroxides, superoxides and
    ozonides, here taken as oxides (of peroxides the difference is below 0.01 eV/atom); and its guess of oxidation
    states fails more often, as for MoOCl5 (3 % of the Materials Project's compositions are shifted otherwise).

    Args:
        batch: `n` compositions.

    Returns:
        float64 `(n,)`, eV/atom, to be added to the old ones.
    """
    new, old = _schemes()
    return _correction(batch, new) - _correction(batch, old)


def oxide_type(structure: Structure) -> str:
    """What an oxide's oxygen is, by the O-O and O-H distances of a structure, as the corrections of 2020 tell it.

    Returns:
        `oxide`, `hydroxide`, `peroxide`, `superoxide` or `ozonide`; `None` as text without such oxygen.
    """
    from pymatgen.analysis.structure_analyzer import oxide_type as by_distances

    return str(by_distances(structure, 1.05))


def oxide_types_by_formula(formulas: Iterable[str]) -> list[str]:
    """`oxide_type` where there is no structure: by pymatgen's formulas of alkali and alkaline earth metals, else oxide.

    These are the formulas that MaterialsProject2020Compatibility falls back on. BaO2 could be something else than a
    peroxide, and a peroxide that is none of them is taken as an oxide.
    """
    return ["peroxide" if name in _PEROXIDES else "superoxide" if name in _SUPEROXIDES else "oxide"
            for name in formulas]  # fmt: skip


def mp2020_correction(batch: CompositionBatch, oxide_types: Sequence[str | None] | None = None) -> np.ndarray:
    """What the Materials Project's corrections of 2020 add to uncorrected formation energies.

    Transition metals in oxides and fluorides are taken as calculated with U, as they are there. Anions as in
    `mp2020_minus_legacy`, but for the oxygen of peroxides and superoxides.

    Args:
        batch: `n` compositions.
        oxide_types: of each, by its structure (`oxide_type`); None, or None of one, takes `oxide_types_by_formula`.

    Returns:
        float64 `(n,)`, eV/atom.
    """
    by_formula = oxide_types_by_formula(batch.formulas().tolist())
    types = by_formula if oxide_types is None else [
        other if known is None else known for known, other in zip(oxide_types, by_formula, strict=True)
    ]  # fmt: skip
    of_oxygen = _scheme_of_pymatgen("MP2020Compatibility")["Corrections"]["CompositionCorrections"]
    return _correction(batch, _schemes()[0], np.array([of_oxygen.get(name, of_oxygen["oxide"]) for name in types]))


def _correction(batch: CompositionBatch, tables: _Tables, of_oxygen: np.ndarray | None = None) -> np.ndarray:
    """Corrections, eV/atom; `of_oxygen`, float64 `(n,)`, eV an atom of oxygen as an anion, replaces that of oxides."""
    of_anion, of_metal, of_gas = (_by_number(table) for table in tables)
    is_anion = anion_mask(batch)
    counts = np.where(batch.elements > 0, batch.counts, 0)
    if of_oxygen is not None:
        oxygen = (batch.elements == ATOMIC_NUMBER["O"]) & is_anion
        other = ((of_oxygen - of_anion[ATOMIC_NUMBER["O"]])[:, None] * oxygen * counts).sum(axis=1)
    else:
        other = np.zeros(len(batch))
    total = other + ((of_anion[batch.elements] * is_anion + of_gas[batch.elements]) * counts).sum(axis=1)
    hard = np.isin(batch.elements, [ATOMIC_NUMBER["O"], ATOMIC_NUMBER["F"]]) & is_anion
    total += (of_metal[batch.elements] * counts).sum(axis=1) * hard.any(axis=1)
    compound = batch.n_elements > 1
    return np.asarray(np.where(compound, total / np.maximum(counts.sum(axis=1), 1), 0.0))


def _by_number(table: dict[str, float]) -> np.ndarray:
    values = np.zeros(N_ELEMENTS + 1)
    for symbol, value in table.items():
        values[ATOMIC_NUMBER[symbol]] = value
    return values


def anion_mask(batch: CompositionBatch) -> np.ndarray:
    """Which elements of each composition are anions, bool `(n, k)` as `batch.elements`."""
    explanation = explain(batch, ValidityRules(mixed_valence=False))
    negative = np.zeros((len(batch), N_ELEMENTS + 1), dtype=bool)
    below = explanation.ions.state < 0
    negative[explanation.ions.row[below], explanation.ions.element[below]] = True
    chi = np.where(batch.elements > 0, PYMATGEN_ELECTRONEGATIVITY[batch.elements], -1.0)
    chi = np.nan_to_num(chi, nan=-1.0)
    rows = np.arange(len(batch))
    most = np.zeros_like(batch.elements, dtype=bool)
    most[rows, chi.argmax(axis=1)] = True
    by_state = negative[rows[:, None], batch.elements]
    known = explanation.validity.charge_neutral & by_state.any(axis=1)
    return np.asarray(np.where(known[:, None], by_state, most) & (batch.elements > 0))


def anion_class(batch: CompositionBatch) -> np.ndarray:
    """The symbol of each composition's most electronegative anion, object `(n,)`.

    `none` where that is none of `ANIONS`: in alloys and intermetallics.
    """
    chi = np.where(anion_mask(batch), np.nan_to_num(PYMATGEN_ELECTRONEGATIVITY[batch.elements], nan=-1.0), -2.0)
    symbols = SYMBOLS[batch.elements[np.arange(len(batch)), chi.argmax(axis=1)]]
    return np.asarray(np.where(np.isin(symbols, ANIONS), symbols, "none"), dtype=object)


@lru_cache(maxsize=1)
def mp2020_phases() -> CompetingPhases:
    """The bundled labels of the Materials Project, with its corrections of 2020."""
    old = labeled_phases("mp")
    energy = old.energy + mp2020_minus_legacy(old.batch)
    return CompetingPhases(old.batch, energy, "mp2020", np.flatnonzero(old.knows)[1:])


def hull_energies(batch: CompositionBatch) -> np.ndarray:
    """The energy of the convex hull of known phases at some compositions, a known composition's own phase among them.

    `CompetingPhases.decompose` leaves the own one out; here a structure of a known composition is to be set against it.

    Args:
        batch: `n` compositions.

    Returns:
        float64 `(n,)`, formation energies with the corrections of 2020, eV/atom; NaN with an element of which no
        compound is labeled (see `missing_energies`).
    """
    phases = mp2020_phases()
    row = phases.rows_of(batch)
    own = np.where(row >= 0, phases.energy[row], np.inf)
    return np.minimum(phases.decompose(batch).energy, own)


def missing_energies(batch: CompositionBatch) -> list[str]:
    """Why compositions have no formation energy, or no distance to the hull; empty text where they have both."""
    with_energy = np.zeros(N_ELEMENTS + 1, dtype=bool)
    with_energy[[0, *(ATOMIC_NUMBER[symbol] for symbol in element_energies())]] = True
    unknown = mp2020_phases().lacking(batch)
    reasons = []
    for i, row in enumerate(batch.elements):
        alone = row[~with_energy[row]]
        if len(alone):
            reasons.append(f"the Materials Project's energy of {', '.join(SYMBOLS[alone])} is not known")
        elif i in unknown:
            reasons.append(f"no compound of {unknown[i]} is on the hull (mp2020)")
        else:
            reasons.append("")
    return reasons


@lru_cache(maxsize=1)
def element_energies() -> dict[str, float]:
    """Energies of the elements' ground states in the Materials Project (PBE), eV/atom, by symbol.

    The potentials learned to give these; their own errors for the elements are left out of formation energies so.
    """
    from importlib.resources import files

    content = json.loads(files("matgen.structures").joinpath("element_energies.json").read_text(encoding="utf-8"))
    return {str(symbol): float(energy) for symbol, energy in content["energies"].items()}


def formation_energies(batch: CompositionBatch, energy: np.ndarray) -> np.ndarray:
    """Formation energies from total energies.

    Args:
        batch: `n` compositions.
        energy: float64 `(n,)`, total energies that refer to the Materials Project's, eV/atom.

    Returns:
        float64 `(n,)`, eV/atom; NaN with an element whose energy is not known.
    """
    of_element = np.full(N_ELEMENTS + 1, np.nan)
    of_element[0] = 0.0
    for symbol, value in element_energies().items():
        of_element[ATOMIC_NUMBER[symbol]] = value
    counts = np.where(batch.elements > 0, batch.counts, 0)
    return np.asarray(energy - (of_element[batch.elements] * counts).sum(axis=1) / counts.sum(axis=1))


def corrected_formation_energies(
    batch: CompositionBatch, energy: np.ndarray, potential: Potential, oxide_types: Sequence[str | None] | None = None
) -> np.ndarray:
    """Formation energies with the corrections of 2020, which some potentials learned and others need added.

    Args:
        batch: `n` compositions.
        energy: float64 `(n,)`, of the potential, eV/atom.
        potential: says whether its energies carry the corrections.
        oxide_types: as `mp2020_correction` takes them.

    Returns:
        float64 `(n,)`, eV/atom; NaN with an element whose energy is not known.
    """
    formation = formation_energies(batch, energy)
    return formation if potential.corrected else formation + mp2020_correction(batch, oxide_types)
