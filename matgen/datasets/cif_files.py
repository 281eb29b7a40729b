"""Chemical formulas of a folder of CIFs, such as an export of the ICSD or the COD, without building structures.

What an entry states as its sum (`_chemical_formula_sum`) is taken, as it holds hydrogen that was not located. Where it
states none, its sites are summed up by pymatgen.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matgen.errors import DataError, first_line

_BLOCK = re.compile(r"^data_(\S*)", re.MULTILINE | re.IGNORECASE)
_SUM = re.compile(
    r"""^[ \t]*_chemical_formula_sum\s+
    (?:'(?P<single>[^\n]*?)'(?=\s|$) | "(?P<double>[^\n]*?)"(?=\s|$) | ;(?P<text>.*?)\n; | (?P<word>[^\s'";]\S*))""",
    re.MULTILINE | re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_SITES = re.compile(r"^\s*_atom_site_fract_x\b", re.MULTILINE | re.IGNORECASE)
_OCCUPANCY = "_atom_site_occupancy"
_UNKNOWN = ("", "?", ".")


@dataclass(frozen=True)
class CifEntry:
    """An entry of a CIF.

    Attributes:
        source: its file within the folder, and its block where the file has several.
        formula: as it is written; "" where there is none.
        reason: why there is none.
        partial: whether sites are partially occupied; None where the entry does not say.
    """

    source: str
    formula: str
    reason: str = ""
    partial: bool | None = None


def cif_paths(folder: Path) -> list[Path]:
    """All CIFs in a folder and its subfolders, sorted.

    Raises:
        DataError: it is no folder, or holds none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() == ".cif" and not path.name.startswith(".")
    )
    if not paths:
        raise DataError(f"{folder} holds no file that ends in .cif")
    return paths


def entries_of_cif(path: Path, name: str) -> Iterator[CifEntry]:
    """The entries of one file, at least one.

    Blocks without a formula and without sites, such as those that describe a publication, are no entries where another
    block of the file is one.

    Args:
        path: the file.
        name: what to call it.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        yield CifEntry(name, "", f"cannot be read: {error.strerror or error}")
        return
    starts = [*_BLOCK.finditer(text)]
    ends = [*(match.start() for match in starts[1:]), len(text)]
    blocks = [(match[1], text[match.start() : end]) for match, end in zip(starts, ends, strict=False)]
    known = [(label, block) for label, block in blocks if _stated(block) or _SITES.search(block)]
    for label, block in known:
        yield _entry(block, f"{name}:{label}" if len(known) > 1 else name)
    if not known:
        yield CifEntry(name, "", "no chemical formula and no sites" if blocks else "no CIF: no data block")


def _stated(block: str) -> str:
    """The sum formula that a block states, "" where it states none."""
    match = _SUM.search(block)
    formula = " ".join(next(group for group in match.groups() if group is not None).split()) if match else ""
    return "" if formula in _UNKNOWN else formula


def _entry(block: str, source: str) -> CifEntry:
    formula = _stated(block)
    if formula and "." not in formula:
        return CifEntry(source, formula, partial=False)  # whatever the sites: these are whole numbers of atoms
    try:
        # Any kind of error may come out of a damaged file, and warnings of what is not asked for here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CifEntry(source, formula or _sum_of_sites(block), partial=_partially_occupied(block))
    except Exception as error:
        if formula:
            return CifEntry(source, formula)
        return CifEntry(source, "", f"no chemical formula, and its sites cannot be read: {first_line(error)}")


def _partially_occupied(block: str) -> bool | None:
    from pymatgen.io.cif import CifBlock, str2float

    occupancies = CifBlock.from_str(block).data.get(_OCCUPANCY)
    if not isinstance(occupancies, list):
        return None
    return any(str2float(text) < 1 for text in occupancies if text not in _UNKNOWN)


def _sum_of_sites(block: str) -> str:
    from pymatgen.io.cif import CifParser

    (structure,) = CifParser(io.StringIO(block), occupancy_tolerance=1.01).parse_structures(primitive=False)
    return str(structure.composition.formula)
