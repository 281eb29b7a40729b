from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.phase_diagram import PhaseDiagram
from pymatgen.core import Composition, Element
from pymatgen.entries.computed_entries import ComputedEntry

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.structures.dopant_energies import potential_limits, with_dopant_energies
from matgen.structures.energies import formation_energies, hull_energies, mp2020_correction, mp2020_phases

CASES = [
    ("SrTiO3", "Sr", "La", {}),
    ("SrTiO3", "Ti", "La", {}),
    ("SrTiO3", "Ti", "Nb", {}),
    ("SrTiO3", "Sr", "Ca", {}),
    ("GaN", "Ga", "In", {}),
    ("MgO", "Mg", "Li", {}),
    ("ZrO2", "Zr", "Y", {"O": -0.5}),
]


def diagram(host: str, dopant: str, line: list[Composition]) -> tuple[PhaseDiagram, ComputedEntry]:
    """Pymatgen's phase diagram of the labels, without phases on the line from host to dopant, host on the hull."""
    known = mp2020_phases()
    symbols = sorted({str(element) for element in Composition(host)} | {dopant})
    rows = known.phases_within(tuple(sorted(ATOMIC_NUMBER[symbol] for symbol in symbols)))
    own = float(hull_energies(CompositionBatch.from_formulas([host]))[0])
    entries = [ComputedEntry(symbol, 0.0) for symbol in symbols]
    for formula, energy in zip(known.batch[rows].formulas(), known.energy[rows], strict=True):
        composition = Composition(formula)
        if composition.reduced_formula != Composition(host).reduced_formula and not any(
            composition.reduced_composition == other for other in line
        ):
            entries.append(ComputedEntry(composition, energy * composition.num_atoms))
    target = ComputedEntry(host, own * Composition(host).num_atoms)
    return PhaseDiagram([*entries, target]), target


def doped_line(host: str, site: str, change: dict[str, float]) -> list[Composition]:
    """Compositions of the host with twelfths to ninety-ninths of a site replaced."""
    line = []
    counts = Composition(host).get_el_amt_dict()
    for below in range(2, 13):
        for above in range(1, below):
            t = counts[site] * above / below
            amounts = {symbol: counts.get(symbol, 0) + t * change.get(symbol, 0) for symbol in {*counts, *change}}
            line.append(
                Composition({symbol: round(n * below * 2) for symbol, n in amounts.items()}).reduced_composition
            )
    return line


@pytest.mark.parametrize(("host", "site", "dopant", "vacancies"), CASES)
def test_limits_are_those_of_the_phase_diagram(host: str, site: str, dopant: str, vacancies: dict[str, float]) -> None:
    change = {site: -1.0, dopant: 1.0, **vacancies}
    phases, target = diagram(host, dopant, doped_line(host, site, change))
    anion = Composition(host).elements[-1]
    corners = phases.getmu_vertices_stability_phase(target.composition, anion, tol_en=1e-4)
    gains = np.array([sum(n * corner[Element(symbol)] for symbol, n in change.items()) for corner in corners])
    of_site = np.array([corner[Element(site)] for corner in corners])
    limits = potential_limits(host, site, tuple(sorted(change.items())))
    assert limits.most == pytest.approx(gains.max(), abs=0.02)
    assert limits.rich == pytest.approx(gains[of_site > of_site.max() - 1e-3].max(), abs=0.02)
    assert limits.most >= limits.rich - 1e-3
    assert limits.phases


@pytest.mark.parametrize(("host", "site", "dopant"), [("SrTiO3", "Sr", "La"), ("MgO", "Mg", "Ca"), ("GaN", "Ga", "In")])
def test_the_lowest_is_the_distance_to_the_hull(host: str, site: str, dopant: str) -> None:
    """By duality: at the most favorable potentials a dopant costs what the cell lies above its competitors."""
    cells, one = 8, Composition(host)
    doped = one * cells - Composition({site: 1}) + Composition({dopant: 1})
    phases, target = diagram(host, dopant, doped_line(host, site, {site: -1.0, dopant: 1.0}))
    energy = -1.5
    above = energy - phases.get_hull_energy(doped) / doped.num_atoms
    assert target in phases.get_decomposition(doped)
    frame = pd.DataFrame([{
        "formula": CompositionBatch.from_formulas([doped.reduced_formula]).formulas()[0], "n_atoms": doped.num_atoms,
        "n_dopants": 1, "n_vacancies": 0, "host_formula": host, "mapping": f"{site}>{dopant}",
        "formation_energy_chgnet": energy, "host_formation_energy_chgnet": target.energy_per_atom,
    }])  # fmt: skip
    (row,) = with_dopant_energies(frame, "chgnet").to_dict("records")
    assert row["dopant_formation_energy_min_chgnet"] == pytest.approx(above * doped.num_atoms, abs=1e-3)
    total = energy * doped.num_atoms - target.energy_per_atom * cells * one.num_atoms
    assert row["dopant_formation_energy_chgnet"] == pytest.approx(total)


def test_frames_without_dopants_stay() -> None:
    frame = pd.DataFrame({"formula": ["NaCl"], "formation_energy_chgnet": [-2.0]})
    assert with_dopant_energies(frame, "chgnet") is frame


def test_elements_without_labels_have_no_limits() -> None:
    limits = potential_limits("SrTiO3", "Sr", (("Ra", 1.0), ("Sr", -1.0)))
    assert np.isnan([limits.most, limits.rich]).all()
    assert limits.phases == ""


def test_corrections_are_those_of_the_table(chgnet: object) -> None:
    from matgen.structures.dopant_energies import formation_energy_by
    from tests.structures.conftest import CRYSTALS

    class Plain:
        corrected = False

    batch = CompositionBatch.from_formulas(["SrTiO3"])
    plain = float(formation_energies(batch, np.array([-7.0]))[0])
    assert formation_energy_by(chgnet, CRYSTALS["perovskite"], -7.0) == pytest.approx(plain)  # type: ignore[arg-type]
    added = float(mp2020_correction(batch)[0])
    assert formation_energy_by(Plain(), CRYSTALS["perovskite"], -7.0) == pytest.approx(plain + added)  # type: ignore[arg-type]
