"""Inputs of Quantum ESPRESSO's pw.x, and what its outputs say."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from matgen.dft.magnetism import hubbard_u, merge_moments
from matgen.dft.pseudopotentials import Pseudopotential, read_family
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import DataError, OptionError, StructureError, first_line
from matgen.io.files import write_text

INPUT, OUTPUT = "pw.in", "pw.out"
RYDBERG = 13.605693122994
"""eV (CODATA 2018)."""
USUAL_VALENCE = 10.0
"""Electrons, where a pseudopotential does not say how many it describes."""
SYSTEM_FAMILY = Path("/usr/share/espresso/pseudo")
"""Where Debian keeps the few that come with Quantum ESPRESSO."""


TO_FETCH, FETCHED = "pseudopotentials.txt", "../pseudo"
"""List of files that an input names and that are not here, and the folder to put them into, from the input's own."""
NOT_HERE = (
    "no pseudopotentials are here: pw.in names those of PseudoDojo (nc-sr-05, PBE, standard; www.pseudo-dojo.org) that "
    f"{TO_FETCH} lists, to be put into the folder pseudo beside the calculations, with a cutoff of 100 Ry"
)
_DOJO_CUTOFF = 100.0
"""Ry; ample for norm-conserving pseudopotentials whose own hints are not at hand."""


def family_folder(settings: DFTSettings) -> Path | None:
    """The folder of pseudopotentials: as set, else `ESPRESSO_PSEUDO`, else the system's; None where there is none.

    Raises:
        OptionError: the one that is set is missing.
    """
    named = settings.pseudopotentials or os.environ.get("ESPRESSO_PSEUDO")
    if named and not Path(named).is_dir():
        raise OptionError(f"no pseudopotentials at {named}: give --pseudopotentials FOLDER (SSSP or PseudoDojo)")
    folder = Path(named) if named else SYSTEM_FAMILY
    return folder.resolve() if folder.is_dir() else None


def _pseudopotentials(settings: DFTSettings, symbols: Iterable[str]) -> tuple[str, dict[str, Pseudopotential]]:
    """The folder as inputs name it, and the family; without one, PseudoDojo's files, to be fetched."""
    folder = family_folder(settings)
    if folder is not None:
        return str(folder), _family(folder)
    # Norm-conserving, so that the density needs four times the cutoff.
    return FETCHED, {
        symbol: Pseudopotential(f"{symbol}.upf", _DOJO_CUTOFF, 4 * _DOJO_CUTOFF, True) for symbol in symbols
    }


@lru_cache(maxsize=4)
def _family(folder: Path) -> dict[str, Pseudopotential]:
    return read_family(folder)


def known_elements(settings: DFTSettings) -> frozenset[str]:
    """Elements with a pseudopotential in the family.

    Raises:
        OptionError: there is no family, or the one that is set is missing.
    """
    folder = family_folder(settings)
    if folder is None:
        raise OptionError("pw.x needs pseudopotentials: give --pseudopotentials FOLDER (SSSP or PseudoDojo)")
    return frozenset(_family(folder))


def with_common_cutoffs(jobs: Sequence[Job], settings: DFTSettings) -> DFTSettings:
    """Settings with cut-offs that suit all elements of some jobs: energies of different ones could not be subtracted.

    Raises:
        OptionError: the family that is set is missing.
    """
    symbols = {site.specie.symbol for job in jobs for site in job.structure}
    _, family = _pseudopotentials(settings, symbols)
    chosen = [family[symbol] for symbol in symbols & family.keys()]
    if not chosen:
        return settings
    cutoff = settings.cutoff or RYDBERG * max(entry.cutoff for entry in chosen)
    ratio = max(entry.density_cutoff / entry.cutoff for entry in chosen)
    return replace(settings, common_cutoffs=(cutoff, cutoff * ratio))


def write(job: Job, folder: Path, settings: DFTSettings) -> list[str]:
    """Write `pw.in`, and where no pseudopotentials are here, which files to fetch.

    Returns:
        warnings, such as of cut-offs that no one states.

    Raises:
        StructureError: the family lacks an element.
        OptionError: the family that is set is missing.
    """
    from ase.calculators.calculator import kptdensity2monkhorstpack
    from ase.io.espresso import write_espresso_in

    from matgen.structures.folder import bare_atoms

    symbols = sorted({site.specie.symbol for site in job.structure})
    place, family = _pseudopotentials(settings, symbols)
    missing = [symbol for symbol in symbols if symbol not in family]
    if missing:
        raise StructureError(f"no pseudopotential of {', '.join(missing)} in {place}")
    chosen = {symbol: family[symbol] for symbol in symbols}
    if settings.common_cutoffs is None:
        settings = with_common_cutoffs([job], settings)
    assert settings.common_cutoffs is not None
    cutoff, density_cutoff = (value / RYDBERG for value in settings.common_cutoffs)
    atoms = bare_atoms(job.structure)
    moments, remarks = job.initial_moments()
    if moments is not None:
        # ASE writes a species for each element and moment, and pw.x stops above 10.
        moments = merge_moments(list(atoms.symbols), moments)
        # As shares of the valence electrons, which pw.x up to 7.2 wants and later ones understand.
        atoms.set_initial_magnetic_moments(
            [round(max(-1.0, min(1.0, moment / (chosen[symbol].valence or USUAL_VALENCE))), 4)
             for moment, symbol in zip(moments, atoms.symbols, strict=True)]
        )  # fmt: skip
    data: dict[str, Any] = {
        "control": {"calculation": "vc-relax" if settings.calculation == "relax" else "scf", "prefix": "matgen",
                    "pseudo_dir": place, "outdir": "work", "tprnfor": True, "tstress": True},
        "system": {"ecutwfc": round(cutoff, 3), "ecutrho": round(density_cutoff, 3), "occupations": "smearing",
                   "smearing": "gaussian", "degauss": round(settings.smearing / RYDBERG, 6)},
        "electrons": {"conv_thr": 1e-8 * len(atoms), "mixing_beta": 0.4, "electron_maxstep": 200},
    }  # fmt: skip
    mesh = kptdensity2monkhorstpack(atoms, settings.kpoint_density, even=False)
    files = {symbol: entry.file for symbol, entry in chosen.items()}
    text = _as_text(write_espresso_in, atoms, data, files, mesh)
    remarks += [f"{entry.file} states no cut-off: {entry.cutoff:g} Ry taken" for entry in chosen.values()
               if not entry.stated and settings.cutoff is None]  # fmt: skip
    values = hubbard_u(job.structure) if settings.hubbard_u else {}
    if values:
        data["system"] |= {"lda_plus_u": True} | {
            f"Hubbard_U({number})": values[label.rstrip("0123456789")]
            for number, label in enumerate(_labels(text), start=1)
            if label.rstrip("0123456789") in values
        }
        text = _as_text(write_espresso_in, atoms, data, files, mesh)
        remarks.append("U is written as Quantum ESPRESSO up to 7.0 reads it")
    write_text(folder / INPUT, text)
    if place == FETCHED:
        write_text(folder / TO_FETCH, "".join(f"{file}\n" for file in files.values()))
        remarks.append(NOT_HERE)
    return remarks


def _as_text(writer: Any, atoms: Any, data: dict[str, Any], files: dict[str, str], mesh: Any) -> str:
    import io

    stream = io.StringIO()
    writer(stream, atoms, input_data=data, pseudopotentials=files, kpts=tuple(int(n) for n in mesh))
    return stream.getvalue()


def _labels(text: str) -> list[str]:
    """Labels of the atomic species in the order of an input."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("ATOMIC_SPECIES"):
            break
    labels = []
    for line in lines:
        if not line.strip():
            break
        labels.append(line.split()[0])
    return labels


def parse(folder: Path) -> dict[str, Any]:
    """What pw.x left: energy, forces, volume, convergence.

    Raises:
        DataError: nothing whole is there, or electrons did not converge, after which pw.x states no energy; the
            message says what pw.x complained of.
    """
    from ase.io import read

    path = folder / OUTPUT
    text = path.read_text(errors="replace") if path.exists() else ""
    if "JOB DONE" not in text:
        raise DataError(f"pw.x did not end well{_complaint(text)}")
    if "convergence NOT achieved" in text:
        raise DataError("it did not converge")
    relaxes = "BFGS Geometry Optimization" in text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = read(path, format="espresso-out", index=-1)
        energy = float(atoms.get_potential_energy(force_consistent=False))
        largest = float((atoms.get_forces() ** 2).sum(axis=1).max() ** 0.5)
    except Exception as error:
        raise DataError(f"{path} is not whole: {first_line(error)}") from error
    moments = [line for line in text.splitlines() if "total magnetization" in line]
    return {"energy": energy, "n_atoms": len(atoms), "max_force": largest, "volume": float(atoms.get_volume()),
            "magnetic_moment": float(moments[-1].split("=")[1].split()[0]) if moments else 0.0,
            "converged": "Maximum CPU time exceeded" not in text and (not relaxes or "bfgs converged in" in text),
            "structure": {"symbols": list(atoms.symbols), "cell": atoms.cell.array.tolist(),
                          "scaled_positions": atoms.get_scaled_positions().tolist()}}  # fmt: skip


def _complaint(text: str) -> str:
    """What stands between the lines of percent signs, or the last line."""
    lines = text.splitlines()
    marks = [number for number, line in enumerate(lines) if line.strip().startswith("%%%")]
    if len(marks) >= 2:
        return ": " + " ".join(" ".join(lines[marks[0] + 1 : marks[1]]).split())[:200]
    last = [line.strip() for line in lines if line.strip()]
    return f": {last[-1][:160]}" if last else ": it wrote nothing"
