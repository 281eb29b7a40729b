"""Formation energies of dopants whose site, solubility or compensation is known, in small supercells by a potential.

Every variant goes through `matgen structure` as a row of a table with host, site and dopant. Of two sites, or two
dopants, the textbook's choice should have the lower formation energy. Each is compared where it forms most easily
(`dopant_formation_energy_min`); sites and vacancies also at the same chemical potentials, those that favor the wrong
one most while the host is stable (the dopant's own cancels). What was measured is kept: an interrupted run goes on.

python -m benchmarks.doping [--potential chgnet] [--only HOST] [--anew]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
from pymatgen.core import Composition

from benchmarks.record import continued, write_result
from matgen.structures.dopant_energies import COLUMNS, potential_limits
from matgen.structures.doping import DopingSettings
from matgen.structures.make import make_structures
from matgen.structures.plan import StructurePlan
from matgen.structures.propose import ProposalSettings
from matgen.structures.relax import RelaxSettings

RELAXATION = RelaxSettings(max_force=0.1, max_steps=200)


@dataclass(frozen=True)
class Variant:
    """A dopant on a site of a host."""

    host: str
    site: str
    dopant: str
    share: str
    compensate: bool = False

    @property
    def name(self) -> str:
        return f"{self.dopant} on {self.site} in {self.host}" + " with vacancies" * self.compensate

    @property
    def formula(self) -> str:
        """The host with the dopant on a share of the site."""
        host, share = Composition(self.host), Fraction(self.share)
        moved = host[self.site] * share.numerator
        counts = {str(element): host[element] * share.denominator for element in host}
        counts[self.site] -= moved
        counts[self.dopant] = counts.get(self.dopant, 0) + moved
        return Composition(counts).reduced_formula


@dataclass(frozen=True)
class Case:
    """What is known: the first variant forms more easily than the second."""

    question: str
    right: Variant
    wrong: Variant
    max_atoms: int
    known: str


def site_case(
    host: str, dopant: str, right: tuple[str, str], wrong: tuple[str, str], max_atoms: int, known: str
) -> Case:
    return Case("site", Variant(host, right[0], dopant, right[1]), Variant(host, wrong[0], dopant, wrong[1]), max_atoms,
                known)  # fmt: skip


def dopant_case(host: str, site: str, share: str, right: str, wrong: str, max_atoms: int, known: str) -> Case:
    return Case("dopant", Variant(host, site, right, share), Variant(host, site, wrong, share), max_atoms, known)


CASES = (
    site_case("SrTiO3", "La", ("Sr", "1/8"), ("Ti", "1/8"), 40, "La3+ is a donor on Sr2+"),
    site_case("SrTiO3", "Nb", ("Ti", "1/8"), ("Sr", "1/8"), 40, "Nb5+ is a donor on Ti4+"),
    site_case("SrTiO3", "Ca", ("Sr", "1/8"), ("Ti", "1/8"), 40, "SrTiO3 and CaTiO3 mix"),
    site_case("LaMnO3", "Sr", ("La", "1/4"), ("Mn", "1/4"), 20, "Sr2+ takes the site of La3+"),
    site_case("MgAl2O4", "Zn", ("Mg", "1/2"), ("Al", "1/4"), 14, "Zn2+ prefers the tetrahedral site"),
    site_case("MgAl2O4", "Cr", ("Al", "1/4"), ("Mg", "1/2"), 14, "Cr3+ prefers the octahedral site"),
    site_case("LiFePO4", "Mn", ("Fe", "1/4"), ("Li", "1/4"), 28, "LiFePO4 and LiMnPO4 mix"),
    site_case("LiNbO3", "Mg", ("Li", "1/4"), ("Nb", "1/4"), 20, "Mg2+ takes the site of Li+"),
    site_case("ZnO", "Al", ("Zn", "1/8"), ("O", "1/8"), 16, "Al3+ is a donor on Zn2+"),
    dopant_case("GaN", "Ga", "1/8", "Al", "In", 32, "AlN mixes with GaN, InN has a miscibility gap"),
    dopant_case("MgO", "Mg", "1/8", "Ni", "Ca", 32, "NiO mixes with MgO, CaO hardly dissolves"),
    dopant_case("ZnO", "Zn", "1/8", "Mg", "Ca", 32, "MgO dissolves in ZnO, CaO hardly"),
    dopant_case("ZnO", "Zn", "1/8", "Mn", "Sr", 32, "MnO dissolves in ZnO, SrO does not"),
    Case("compensation", Variant("ZrO2", "Zr", "Y", "1/4", True), Variant("ZrO2", "Zr", "Y", "1/4"), 24,
         "one oxygen vacancy for two Y3+"),
    Case("compensation", Variant("CeO2", "Ce", "Gd", "1/4", True), Variant("CeO2", "Ce", "Gd", "1/4"), 24,
         "one oxygen vacancy for two Gd3+"),
)  # fmt: skip


def measured(variant: Variant, max_atoms: int, potential: str) -> dict[str, Any]:
    """The lowest of two arrangements of a variant."""
    began = time.perf_counter()
    plan = StructurePlan(ProposalSettings(per_formula=2), RELAXATION, potential,
                         doping=DopingSettings(max_atoms, variant.compensate))  # fmt: skip
    table = pd.DataFrame([{"formula": variant.formula, "host": variant.host, "site": variant.site,
                           "dopant": variant.dopant}])  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        frame = make_structures(table, "formula", Path(folder) / "out", plan).frame
    lowest = frame.iloc[0]
    energies = {name: round(float(lowest[f"{name}_{potential}"]), 4) for name in COLUMNS}
    return {
        "formula": lowest["formula"], "share": variant.share, "template": lowest["template"],
        "n_atoms": int(lowest["n_atoms"]), "n_dopants": int(lowest["n_dopants"]),
        "n_vacancies": int(lowest["n_vacancies"]),
        "arrangements": int(lowest["arrangements"]),
        "doping": lowest["doping"], "dopant_charge": float(lowest["dopant_charge"]),
        "compensation": lowest["compensation"],
        **energies, "competing_phases": lowest["competing_phases"],
        "energy_above_hull": round(float(lowest[f"energy_above_hull_{potential}"]), 4),
        "relaxed": bool(lowest["relaxed"]), "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def judged(case: Case, variants: dict[str, Any]) -> dict[str, Any]:
    right, wrong = variants[case.right.name], variants[case.wrong.name]
    gap = wrong["dopant_formation_energy_min"] - right["dopant_formation_energy_min"]
    elements = wrong["dopant_formation_energy"] - right["dopant_formation_energy"]
    row = {"question": case.question, "known": case.known, "right": case.right.name, "wrong": case.wrong.name,
           "gap": round(gap, 4), "found": gap > 0}  # fmt: skip
    if case.question == "dopant":
        return row
    if case.question == "site":  # the atoms that the wrong variant has more than the right one
        site, more = case.wrong.site, {case.right.site: 1.0, case.wrong.site: -1.0}
    else:
        site, more = "O", {"O": right["n_vacancies"] / right["n_dopants"]}
        row["oxygen_potential_of_equal_energies"] = round(elements / more["O"], 4)
    worst = elements - potential_limits(case.right.host, site, tuple(sorted(more.items()))).most
    return row | {"gap_at_worst_limit": round(worst, 4), "found_at_every_limit": worst > 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--potential", default="chgnet")
    parser.add_argument("--only", metavar="HOST", help="measure the cases of one host")
    parser.add_argument("--anew", action="store_true")
    arguments = parser.parse_args()
    content = continued("doping", anew=arguments.anew, potential=arguments.potential,
                        max_force=RELAXATION.max_force)  # fmt: skip
    variants: dict[str, Any] = content.setdefault("variants", {})
    for case in CASES:
        for variant in (case.right, case.wrong):
            if variant.name not in variants and arguments.only in (None, variant.host):
                variants[variant.name] = measured(variant, case.max_atoms, arguments.potential)
                print(variant.name, variants[variant.name], flush=True)
                write_result("doping", content)
    cases = [judged(case, variants) for case in CASES if {case.right.name, case.wrong.name} <= variants.keys()]
    content |= {"cases": cases, "n_cases": len(cases), "found": sum(case["found"] for case in cases)}
    print(write_result("doping", content), content["found"], len(cases))


if __name__ == "__main__":
    main()
