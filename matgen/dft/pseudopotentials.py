"""Families of pseudopotentials for Quantum ESPRESSO: SSSP, PseudoDojo, or any folder of UPF files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matgen.errors import DataError
from matgen.io.files import read_json

FALLBACK_CUTOFF, FALLBACK_DENSITY_CUTOFF = 60.0, 480.0
"""Ry; where neither the family nor the file says what it needs."""

_SYMBOL = re.compile(r"^([A-Za-z]{1,2})(?=[._-])")
_HARTREE = 2.0  # Ry
_KINDS = {"PAW": 0, "USPP": 1, "US": 1, "NC": 2}  # of several files of an element, the first kind is taken


@dataclass(frozen=True)
class Pseudopotential:
    """One file.

    Attributes:
        file: its name.
        cutoff: of wave functions, Ry.
        density_cutoff: of the charge density, Ry.
        stated: whether the family or the file states the cut-offs.
        valence: electrons that it describes; None where the file does not say.
    """

    file: str
    cutoff: float
    density_cutoff: float
    stated: bool
    valence: float | None = None


def read_family(folder: Path | str) -> dict[str, Pseudopotential]:
    """The pseudopotential of each element of a family, and its cut-offs.

    SSSP's table (`SSSP_*.json`) is taken where it is there; PseudoDojo's hints (`*.djrepo`, the value `high`) beside
    the files; else what the UPF files' heads state. Of several PBE files of an element, projector augmented waves go
    before ultrasoft and norm-conserving ones, and of those of a kind the last by name.

    Args:
        folder: with UPF files.

    Raises:
        DataError: no folder, no pseudopotential of PBE in it, or a table of another functional's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of pseudopotentials")
    for table in sorted(folder.glob("*.json")):
        family = _of_table(folder, read_json(table))
        if family:
            return family
    best: dict[str, tuple[tuple[int, str], Pseudopotential]] = {}
    for path in sorted(folder.iterdir()):
        symbol = _SYMBOL.match(path.name)
        if path.suffix.lower() != ".upf" or symbol is None:
            continue
        read = _of_file(path)
        if read is None:
            continue
        kind, pseudopotential = read
        name = symbol[1].capitalize()
        rank = (-kind, path.name)
        if name not in best or rank > best[name][0]:
            best[name] = rank, pseudopotential
    if not best:
        raise DataError(f"no scalar-relativistic PBE pseudopotential (UPF) in {folder}")
    return {name: pseudopotential for name, (_, pseudopotential) in sorted(best.items())}


def _of_table(folder: Path, content: Any) -> dict[str, Pseudopotential]:
    """A family by SSSP's table, without elements whose files are missing; empty where the JSON is something else."""
    if not isinstance(content, dict):
        return {}
    family = {}
    for symbol, entry in content.items():
        try:
            file, cutoff, density = str(entry["filename"]), float(entry["cutoff_wfc"]), float(entry["cutoff_rho"])
        except (KeyError, TypeError, ValueError):
            return {}
        if (folder / file).is_file():
            head = _head(folder / file)
            functional = _functional(head)
            if functional and not _is_pbe(functional):
                raise DataError(f"{folder} is a family of another functional than PBE: {file} is of {functional}")
            family[symbol] = Pseudopotential(file, cutoff, density, True, _valence(head, _attributes(head)))
    return family


def _of_file(path: Path) -> tuple[int, Pseudopotential] | None:
    """Rank of the kind and the pseudopotential of a UPF file; None where it is not of PBE or fully relativistic."""
    head = _head(path)
    attributes = _attributes(head)
    if not _is_pbe(_functional(head)) or re.search(r"\.rel-", path.name):
        return None
    if attributes.get("relativistic") == "full" or attributes.get("has_so", "").upper() in ("T", "TRUE", ".TRUE."):
        return None
    kind = attributes.get("pseudo_type") or _old_style(head, "Norm - Conserving pseudopotential|Ultrasoft")
    rank = next((value for name, value in _KINDS.items() if kind.startswith(name)), 2)
    cutoff, density = _stated(path, attributes, head)
    valence = _valence(head, attributes)
    if cutoff is None:
        return rank, Pseudopotential(path.name, FALLBACK_CUTOFF, FALLBACK_DENSITY_CUTOFF, False, valence)
    usual = 4.0 if rank == 2 else 8.0  # density cut-offs of norm-conserving and augmented pseudopotentials
    return rank, Pseudopotential(path.name, cutoff, max(density or 0.0, usual * cutoff), True, valence)


def _head(path: Path) -> str:
    return path.read_text(errors="replace")[:40_000]


def _functional(head: str) -> str:
    """What a file says of its functional, such as `PBE` or `SLA PW PSX PSC` (PBEsol); empty where it says nothing."""
    return _attributes(head).get("functional") or _old_style(head, "Exchange-Correlation functional")


def _is_pbe(functional: str) -> bool:
    return re.search(r"\bPBE\b|PBX\s+PBC", functional) is not None


def _attributes(head: str) -> dict[str, str]:
    """Of the element `PP_HEADER`."""
    return dict(re.findall(r'(\w+)\s*=\s*"\s*([^"]*?)\s*"', head[max(head.find("<PP_HEADER"), 0) :][:4_000]))


def _valence(head: str, attributes: dict[str, str]) -> float | None:
    try:
        return float(attributes.get("z_valence") or _old_style(head, "Z valence")) or None
    except ValueError:
        return None


def _old_style(head: str, pattern: str) -> str:
    """The start of the line of an old UPF header that ends in some words."""
    line = re.search(rf"^(.*)(?:{pattern})", head, re.MULTILINE)
    return line[1].strip() if line else ""


def _stated(path: Path, attributes: dict[str, str], head: str) -> tuple[float | None, float | None]:
    """Cut-offs in Ry that a hint beside the file, its header, or its remarks state."""
    hints = path.with_suffix(".djrepo")
    if hints.is_file():
        try:
            return float(read_json(hints)["hints"]["high"]["ecut"]) * _HARTREE, None
        except (DataError, KeyError, TypeError, ValueError):
            pass
    try:
        cutoff = float(attributes.get("wfc_cutoff", 0))
        if cutoff > 0:
            return cutoff, float(attributes.get("rho_cutoff", 0))
    except ValueError:
        pass
    remark = re.search(r"minimum cutoff for wavefunctions:\s*([\d.]+)", head)
    density = re.search(r"minimum cutoff for charge density:\s*([\d.]+)", head)
    return (float(remark[1]), float(density[1]) if density else None) if remark else (None, None)
