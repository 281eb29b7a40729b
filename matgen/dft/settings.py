"""What a calculation is asked for, and the jobs of a folder of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.dft.magnetism import DEFAULT_MOMENTS, default_moments, order_name
from matgen.errors import DataError, OptionError, require_above_zero, unknown_name
from matgen.io.folders import changed_files, read_description

if TYPE_CHECKING:
    from pymatgen.core import Structure

CALCULATIONS = ("static", "relax")
MANIFEST, STATUS, RESULT, STDERR = "manifest.json", "status.json", "result.json", "stderr.txt"


@dataclass(frozen=True)
class DFTSettings:
    """What every calculation of a folder has in common.

    Attributes:
        calculation: `static`, the energy of the structure as it is, or `relax`, of atoms and cell.
        cutoff: of plane waves, eV; None takes the code's or the pseudopotential family's.
        kpoint_density: points times angstrom along each reciprocal vector.
        hubbard_u: whether transition metals in oxides and fluorides get the U of the Materials Project's sets.
        input_set: of VASP, `mp` or `matpes`.
        pseudopotentials: folder of a family, for Quantum ESPRESSO.
        common_cutoffs: of plane waves and of the density, eV; `export` sets them for all calculations of a folder
            (Quantum ESPRESSO).
        smearing: width of the occupations' smearing, eV.
        magnetic_orders: calculations of a structure with magnetic atoms at most, the ferromagnetic one and
            antiferromagnetic ones.
    """

    calculation: str = "static"
    cutoff: float | None = None
    kpoint_density: float = 5.0
    hubbard_u: bool = False
    input_set: str = "mp"
    pseudopotentials: Path | None = None
    smearing: float = 0.05
    common_cutoffs: tuple[float, float] | None = None
    magnetic_orders: int = 2

    def __post_init__(self) -> None:
        numbers = ("kpoint_density", "smearing") + (("cutoff",) if self.cutoff is not None else ())
        require_above_zero(self, *numbers)
        if not all(math.isfinite(getattr(self, name)) for name in numbers):
            raise OptionError(f"{', '.join(numbers)} must be finite")
        if self.calculation not in CALCULATIONS:
            raise unknown_name("calculation", self.calculation, CALCULATIONS)
        if self.input_set not in ("mp", "matpes"):
            raise unknown_name("input set", self.input_set, ("mp", "matpes"))
        if self.magnetic_orders < 1:
            raise OptionError(f"magnetic_orders is {self.magnetic_orders}, it must be at least 1")

    def content(self) -> dict[str, Any]:
        """As JSON."""
        content = asdict(self)
        return content | {"pseudopotentials": None if self.pseudopotentials is None else str(self.pseudopotentials)}


@dataclass(frozen=True)
class Job:
    """One calculation.

    Attributes:
        id: its name and that of its folder.
        structure: what is calculated, with site property `magmom` where moments are known.
        role: `candidate`, `element` (a reference of formation energies) or `competing` (a phase that a candidate could
            decompose into).
        provenance: where the structure comes from, as JSON.
        order_of: id of the job of whose structure this is another magnetic order; None for the job itself.
    """

    id: str
    structure: Structure
    role: str
    provenance: dict[str, Any] = field(default_factory=dict)
    order_of: str | None = None

    @property
    def formula(self) -> str:
        """Reduced formula."""
        return str(self.structure.composition.reduced_formula)

    def moments(self) -> list[float] | None:
        """Initial magnetic moments, Bohr magnetons; None where nothing is magnetic."""
        moments = self.structure.site_properties.get("magmom")
        if moments is None or max(abs(float(m)) for m in moments) < 0.1:
            return None
        return [round(float(m), 3) for m in moments]

    def initial_moments(self) -> tuple[list[float] | None, list[str]]:
        """What a calculation begins with, and what is to be said of it.

        Without predicted moments, those of pymatgen's sets, so that a compound of magnetic elements is not calculated
        as if it were non-magnetic. Reference structures of elements have the moments that they need.
        """
        moments = self.moments()
        if moments is not None or self.role == "element":
            return moments, []
        moments = default_moments(self.structure)
        return moments, [] if moments is None else [DEFAULT_MOMENTS]

    @property
    def magnetic_order(self) -> str:
        """That of the initial moments: `nonmagnetic`, `ferromagnetic`, `antiferromagnetic` or `ferrimagnetic`."""
        return order_name(self.initial_moments()[0])


def require_sound_ids(ids: Sequence[str]) -> None:
    """Refuse ids that cannot all be folders side by side on any system.

    Raises:
        DataError: one holds other signs than letters, digits, `+`, `-`, `_` and dots, or two are the same.
    """
    unsafe = [name for name in ids if not re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*", name)]
    if unsafe:
        raise DataError(f"{unsafe[0]!r} cannot be the name of a folder")
    twice = [name for name, count in Counter(name.casefold() for name in ids).items() if count > 1]
    if twice:
        raise DataError(f"two calculations have the name {twice[0]!r}")


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of a folder of calculations.

    Raises:
        DataError: it is missing, damaged, or not of `matgen export`.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder} holds no {MANIFEST}: give a folder that `matgen export` wrote")
    content = read_description(folder, MANIFEST)
    try:
        jobs = [(job["id"], job["formula"], job["role"]) for job in content["jobs"]]
        content["format"], content["settings"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / MANIFEST} is not what `matgen export` writes: no {error}") from error
    try:
        require_sound_ids([str(id) for id, _, _ in jobs])
    except DataError as error:
        raise DataError(f"{folder / MANIFEST}: {error}") from error
    return content


def changed_inputs(folder: Path | str) -> list[str]:
    """Files of a folder of calculations that are not as `matgen export` wrote them, by their paths in it.

    To edit an input is a user's right, so that nothing refuses such a folder; the commands name the files.
    """
    folder = Path(folder)
    return list(changed_files(folder, read_manifest(folder)))
