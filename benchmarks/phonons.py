"""Phonons of known compounds by potentials: false alarms among stable crystals, and known instabilities found.

The compounds were chosen before anything was measured. Stable ones are made, are ground states or long-lived phases at
room temperature, and have no soft mode in published calculations by density functional theory; rutile is stable by
experiment, while PBE makes it soft. Unstable ones have imaginary modes in published calculations at 0 K. How far the
lowest frequency depends on the displacement (0.01 and 0.05 angstrom beside the default) says what the tolerance is for.
Seconds are of one core (OMP_NUM_THREADS=1), as other work may run beside.

python -m benchmarks.phonons [--potentials chgnet 7net-l3i5] [--verdicts] [--anew]
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from benchmarks.record import RESULTS, continued, write_result
from matgen.errors import StructureError
from matgen.structures.minima import follow
from matgen.structures.phonon_cells import wave_text
from matgen.structures.phonons import Phonons, PhononSettings, phonons
from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import shared_potential

Sites = dict[str, list[list[float]]]
HALF, QUARTER = [0.5] * 3, [0.25] * 3
DISPLACEMENTS = (0.01, 0.05)  # angstrom
TOLERANCE = PhononSettings().tolerance  # THz


def cubic(group: str, edge: float, sites: Sites) -> Structure:
    return crystal(group, Lattice.cubic(edge), sites)


def crystal(group: str, lattice: Lattice, sites: Sites) -> Structure:
    """A crystal from one position of each orbit; Fd-3m has its origin at -43m."""
    species = [symbol for symbol, places in sites.items() for _ in places]
    return Structure.from_spacegroup(group, lattice, species, [place for places in sites.values() for place in places])


def salt(edge: float, cation: str, anion: str) -> Structure:
    return cubic("Fm-3m", edge, {cation: [[0, 0, 0]], anion: [HALF]})


def sphalerite(edge: float, cation: str, anion: str) -> Structure:
    return cubic("F-43m", edge, {cation: [[0, 0, 0]], anion: [QUARTER]})


def wurtzite(a: float, c: float, cation: str, anion: str) -> Structure:
    return crystal("P6_3mc", Lattice.hexagonal(a, c), {cation: [[1 / 3, 2 / 3, 0]], anion: [[1 / 3, 2 / 3, 0.382]]})


def perovskite(edge: float, a: str, b: str, x: str) -> Structure:
    return cubic("Pm-3m", edge, {a: [[0, 0, 0]], b: [HALF], x: [[0.5, 0.5, 0]]})


STABLE: dict[str, Structure] = {
    "MgO": salt(4.21, "Mg", "O"),
    "NaCl": salt(5.64, "Na", "Cl"),
    "LiF": salt(4.03, "Li", "F"),
    "KBr": salt(6.60, "K", "Br"),
    "CsCl": cubic("Pm-3m", 4.12, {"Cs": [[0, 0, 0]], "Cl": [HALF]}),
    "CaF2": cubic("Fm-3m", 5.46, {"Ca": [[0, 0, 0]], "F": [QUARTER]}),
    "Mg2Si": cubic("Fm-3m", 6.35, {"Si": [[0, 0, 0]], "Mg": [QUARTER]}),
    "Si": cubic("Fd-3m", 5.43, {"Si": [[0, 0, 0]]}),
    "GaAs": sphalerite(5.65, "Ga", "As"),
    "ZnS": sphalerite(5.41, "Zn", "S"),
    "BN (cubic)": sphalerite(3.615, "B", "N"),
    "AlN": wurtzite(3.11, 4.98, "Al", "N"),
    "ZnO": wurtzite(3.25, 5.21, "Zn", "O"),
    "Al2O3": crystal("R-3c", Lattice.hexagonal(4.76, 12.99), {"Al": [[0, 0, 0.352]], "O": [[0.306, 0, 0.25]]}),
    "TiO2 (rutile)": crystal("P4_2/mnm", Lattice.tetragonal(4.59, 2.96), {"Ti": [[0, 0, 0]], "O": [[0.305, 0.305, 0]]}),
    "SiO2 (alpha-quartz)": crystal("P3_221", Lattice.hexagonal(4.913, 5.405),
                                   {"Si": [[0.4697, 0, 2 / 3]], "O": [[0.4135, 0.2669, 0.7858]]}),
    "MgAl2O4": cubic("Fd-3m", 8.08, {"Mg": [[0, 0, 0]], "Al": [[0.625] * 3], "O": [[0.3874] * 3]}),
    "Mg2SiO4": crystal("Pnma", Lattice.orthorhombic(10.20, 5.98, 4.76), {
        "Mg": [[0, 0, 0], [0.2774, 0.25, 0.9915]], "Si": [[0.0940, 0.25, 0.4262]],
        "O": [[0.0913, 0.25, 0.7657], [0.4474, 0.25, 0.2215], [0.1628, 0.0331, 0.2777]]}),
    "CaTiO3 (Pnma)": crystal("Pnma", Lattice.orthorhombic(5.44, 7.64, 5.38), {
        "Ca": [[0.035, 0.25, 0.993]], "Ti": [[0, 0, 0.5]], "O": [[0.484, 0.25, 0.071], [0.289, 0.037, 0.711]]}),
    "Cu": cubic("Fm-3m", 3.61, {"Cu": [[0, 0, 0]]}),
    "W": cubic("Im-3m", 3.165, {"W": [[0, 0, 0]]}),
    "NiAl": cubic("Pm-3m", 2.88, {"Ni": [[0, 0, 0]], "Al": [HALF]}),
}  # fmt: skip
"""Lattice parameters and positions of room temperature, to two or three digits: they are relaxed anyway."""

UNSTABLE: dict[str, Structure] = {
    "BaTiO3 (cubic)": perovskite(4.00, "Ba", "Ti", "O"),
    "KNbO3 (cubic)": perovskite(4.02, "K", "Nb", "O"),
    "SrTiO3 (cubic)": perovskite(3.905, "Sr", "Ti", "O"),
    "CsPbI3 (cubic)": perovskite(6.29, "Cs", "Pb", "I"),
    "ZrO2 (cubic)": cubic("Fm-3m", 5.09, {"Zr": [[0, 0, 0]], "O": [QUARTER]}),
    "Zr (bcc)": cubic("Im-3m", 3.57, {"Zr": [[0, 0, 0]]}),
    "W (fcc)": cubic("Fm-3m", 4.02, {"W": [[0, 0, 0]]}),
}


def measured(structure: Structure, potential: Potential) -> tuple[dict[str, Any], Phonons | None]:
    """A row of the phonons of a structure; seconds are of one core."""
    began = time.process_time()
    try:
        found = phonons(structure, potential)
    except StructureError as error:
        return {"reason": str(error), "seconds": round(time.process_time() - began, 2)}, None
    return {
        "dynamically_stable": found.stable,
        "lowest_frequency": round(found.lowest_frequency, 3),
        "lowest_frequency_at": wave_text(found.lowest_frequency_at),
        "highest_frequency": round(float(np.nanmax(found.frequencies)), 2),
        "space_group": space_group(found.structure),
        "atoms": len(found.structure) * round(abs(np.linalg.det(found.supercell))),
        "shortest": round(float(np.linalg.norm(found.supercell @ found.structure.lattice.matrix, axis=1).min()), 2),
        "displacements": found.displacements,
        "steps": found.steps,
        "seconds": round(time.process_time() - began, 2),
    }, found


def space_group(structure: Structure) -> str:
    return str(SpacegroupAnalyzer(structure, symprec=0.01).get_space_group_symbol())


def by_other_displacements(structure: Structure, potential: Potential) -> dict[str, float]:
    """Lowest frequencies of a known stable compound by other displacements, THz."""
    return {
        str(length): round(phonons(structure, potential, PhononSettings(displacement=length)).lowest_frequency, 3)
        for length in DISPLACEMENTS
    }


def with_what_follows(structure: Structure, potential: Potential) -> dict[str, Any]:
    """A row of a crystal; if it is unstable, also where its lowest mode leads."""
    row, found = measured(structure, potential)
    if found is None or found.stable:
        return row
    began = time.process_time()
    down = follow(found, potential)
    row["followed"] = None
    if down is not None:
        again, _ = measured(down.structure, potential)
        row["followed"] = {"gain_mev": round(1000 * (found.energy - down.energy), 2), **again}
    row["seconds_following"] = round(time.process_time() - began, 2)
    return row


def summary(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    stable = [rows[name] for name in STABLE if name in rows]
    unstable = [rows[name] for name in UNSTABLE if name in rows]
    spreads = [max(abs(row["lowest_frequency"] - other) for other in row["lowest_by_displacement"].values())
               for row in stable if "lowest_by_displacement" in row]  # fmt: skip
    return {
        "stable": len(stable),
        "false_alarms": [name for name in STABLE if rows.get(name, {}).get("dynamically_stable") is False],
        "without_verdict": [name for name, row in rows.items() if "reason" in row],
        "unstable": len(unstable),
        "detected": [name for name in UNSTABLE if rows.get(name, {}).get("dynamically_stable") is False],
        "followed_lower": [name for name in UNSTABLE if rows.get(name, {}).get("followed")],
        "followed_to_stable": [name for name in UNSTABLE
                               if (rows.get(name, {}).get("followed") or {}).get("dynamically_stable")],
        "with_other_displacements": len(spreads),
        "false_alarms_by_displacement": {
            str(length): [name for name in STABLE if by_displacement(rows.get(name, {}), str(length)) < -TOLERANCE]
            for length in DISPLACEMENTS
        },
        "largest_change_by_displacement": round(max(spreads, default=0.0), 3),
        "seconds": round(sum(row["seconds"] + row.get("seconds_following", 0) for row in rows.values()), 1),
    }  # fmt: skip


def by_displacement(row: dict[str, Any], length: str) -> float:
    """The lowest frequency by another displacement, THz; without limit where there is none."""
    return float(row.get("lowest_by_displacement", {}).get(length, np.inf))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--potentials", nargs="+", default=["chgnet"])
    parser.add_argument("--only", nargs="+", help="compounds, such as MgO")
    parser.add_argument("--verdicts", action="store_true", help="leave out other displacements")
    parser.add_argument("--anew", action="store_true", help="measure again what is there")
    arguments = parser.parse_args()
    content = continued("phonons", RESULTS, anew=arguments.anew, settings=asdict(PhononSettings()))
    potentials: dict[str, Any] = content.setdefault("potentials", {})
    for name in arguments.potentials:
        potentials.setdefault(name, {"version": shared_potential(name).version, "compounds": {}})
    passes = (False,) if arguments.verdicts else (False, True)
    # Verdicts by all potentials first, then what other displacements change.
    for displaced, name, compound in itertools.product(passes, arguments.potentials, {**STABLE, **UNSTABLE}):
        rows = potentials[name]["compounds"]
        if arguments.only and compound not in arguments.only:
            continue
        if not displaced and compound not in rows:
            structure = {**STABLE, **UNSTABLE}[compound]
            rows[compound] = with_what_follows(structure, shared_potential(name))
        elif displaced and compound in STABLE and not {"reason", "lowest_by_displacement"} & rows[compound].keys():
            rows[compound]["lowest_by_displacement"] = by_other_displacements(STABLE[compound], shared_potential(name))
        else:
            continue
        potentials[name]["summary"] = summary(rows)
        write_result("phonons", content)  # so that an interrupted run goes on
        print(name, compound, rows[compound], flush=True)
    for name in arguments.potentials:
        print(name, f"tolerance {TOLERANCE} THz", potentials[name]["summary"])


if __name__ == "__main__":
    main()
