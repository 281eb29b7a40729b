"""What a campaign is asked for, and the file by which a later call recognizes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matgen.dft.codes import code_named
from matgen.dft.settings import DFTSettings
from matgen.errors import DataError, OptionError, OutputError, require_above_zero
from matgen.io.files import read_checksummed, refuse_to_overwrite, write_checksummed
from matgen.io.parts import begun_otherwise
from matgen.structures.potentials.registry import present_name

PLAN = "campaign.json"

_TOLD = {"formulas": "candidates", "structures": "structures"}
"""What differs that is no option."""


@dataclass(frozen=True)
class CampaignPlan:
    """What is calculated, and how.

    Attributes:
        engine: one of `matgen.dft.codes.CODES`.
        top: rows of the table, or compositions of the folder, from the first one.
        max_atoms: of a candidate's primitive cell at most; competing phases may have twice as many.
        per_formula: structures that are relaxed of each composition; the lowest is calculated.
        potential: by which they are relaxed, and the competing phases too.
        finish: a second potential that relaxes the lowest ones further, None for none.
        settings: of the calculations.
    """

    engine: str
    top: int = 20
    max_atoms: int = 12
    per_formula: int = 5
    potential: str = "chgnet"
    finish: str | None = None
    settings: DFTSettings = field(default_factory=DFTSettings)

    def __post_init__(self) -> None:
        code_named(self.engine)
        require_above_zero(self, "top", "max_atoms", "per_formula")
        for name in ("potential", *["finish"] * (self.finish is not None)):
            object.__setattr__(self, name, present_name(getattr(self, name)))
        if self.settings.hubbard_u:
            raise OptionError("elements have no U, so a campaign with U would give no formation energies")

    def content(self) -> dict[str, Any]:
        """As JSON: the options by their names on the command line."""
        own = {name: getattr(self, name) for name in ("engine", "top", "max_atoms", "per_formula", "potential",
                                                    "finish")}  # fmt: skip

        settings = self.settings.content()
        code_only = {"vasp": ["input_set"], "espresso": ["pseudopotentials"]}.get(self.engine, [])
        return own | {
            name: settings[name] for name in ("calculation", "cutoff", "kpoint_density", "magnetic_orders", *code_only)
        }


def read_begun(out: Path, plan: CampaignPlan, source: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier call of the same campaign wrote down; None where there was none.

    Args:
        out: folder of the campaign.
        plan: of this call.
        source: what this call calculates, as `Source.content` gives it.

    Raises:
        OutputError: the folder holds something else.
        DataError: it was begun with other options or other candidates, or its file is damaged.
    """
    if not (out / PLAN).exists():
        if out.is_dir() and any(out.iterdir()):
            raise OutputError(f"{out} exists and holds no {PLAN}: choose another --out")
        refuse_to_overwrite(out, force=False)
        return None
    begun = read_checksummed(out / PLAN)
    try:
        before = {**begun["plan"], **begun["source"]}
        begun["left_out"], begun["competing"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{out / PLAN} is not what `matgen dft campaign` writes: no {error}") from error
    now = {**plan.content(), **source}
    differ = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if differ:
        if "top" in differ:
            differ = [name for name in differ if name not in source]  # of course
        raise begun_otherwise(out, [_TOLD.get(name, f"--{name.replace('_', '-')}") for name in differ])
    return dict(begun)


def begin(
    out: Path, plan: CampaignPlan, source: Mapping[str, Any], left_out: Mapping[str, str], competing: list[str]
) -> None:
    """Write the file of a campaign.

    Args:
        out: its folder.
        plan: options.
        source: what is calculated.
        left_out: formula to reason, of the candidates that are not.
        competing: formulas of the phases that the others could decompose into.
    """
    content = {"plan": plan.content(), "source": dict(source), "left_out": dict(left_out), "competing": competing}
    write_checksummed(out / PLAN, content)
