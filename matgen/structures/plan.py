"""How structures of candidates are made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.errors import OptionError, require_above_zero
from matgen.structures.databases import require_source
from matgen.structures.doping import DopingSettings
from matgen.structures.finish import Finish
from matgen.structures.potentials.registry import present_name, shared_potential
from matgen.structures.propose import ProposalSettings
from matgen.structures.relax import Race, RelaxSettings

if TYPE_CHECKING:
    from matgen.structures.potentials.interface import Potential


@dataclass(frozen=True)
class StructurePlan:
    """How structures of candidates are made.

    Attributes:
        proposals: how structures are proposed.
        relaxation: how they are relaxed.
        potential: name of a potential, or None to leave the proposals as they are.
        templates: a folder of a user's structures, which go beside the bundled ones.
        only_own_templates: leave the bundled ones out.
        leave_out: formulas whose own structures are not taken as templates.
        workers: processes on this machine.
        scheduler: address of a Dask scheduler instead.
        templates_from: databases that more templates are fetched from before the work, each `materials-project` or an
            OPTIMADE address; they are kept in the output folder.
        finish: which of the relaxed structures a second potential relaxes further, None for none.
        relaxed_hull: whether distances to a hull of phases relaxed by the same potential are given beside those to the
            hull of labels.
        phonons: of the first this many candidates, the lowest structure gets phonons, and is followed down where it is
            no minimum.
        doping: how supercells of doped compositions are made (rows with the columns `host`, `site` and `dopant`).
        relax_all: relax all structures of a composition to their ends, also those that are clearly not the lowest.
    """

    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    relaxation: RelaxSettings = field(default_factory=RelaxSettings)
    potential: str | None = "chgnet"
    templates: Path | None = None
    only_own_templates: bool = False
    leave_out: tuple[str, ...] = ()
    workers: int = 1
    scheduler: str | None = None
    templates_from: tuple[str, ...] = ()
    finish: Finish | None = None
    relaxed_hull: bool = False
    phonons: int = 0
    doping: DopingSettings = field(default_factory=DopingSettings)
    relax_all: bool = False

    @classmethod
    def quick(cls, seed: int = 0, workers: int = 1, finish: Finish | None = None) -> StructurePlan:
        """Three structures of each composition, of at most 24 atoms: seconds to a minute each."""
        return cls(ProposalSettings(per_formula=3, max_atoms=24, seed=seed), workers=workers, finish=finish)

    def __post_init__(self) -> None:
        require_above_zero(self, "workers")
        if self.only_own_templates and self.templates is None and not self.templates_from:
            raise OptionError("only_own_templates needs a folder of templates, or a database to take them from")
        if self.phonons < 0:
            raise OptionError(f"phonons is {self.phonons}, it must be 0 (none) or more")
        if self.phonons and self.potential is None:
            raise OptionError("phonons need a potential: structures that are not relaxed are no minima")
        for source in self.templates_from:
            require_source(source)
        if self.potential is not None:
            object.__setattr__(self, "potential", present_name(self.potential))
        elif self.finish is not None:
            raise OptionError(f"{self.finish.potential} finishes what another potential relaxed: leave out the finish")
        if self.finish is not None and self.finish.potential == self.potential:
            raise OptionError(f"{self.potential} cannot finish its own structures: choose another potential, or none")
        if self.relaxed_hull and self.potential is None:
            raise OptionError("a hull of relaxed phases needs a potential")

    def content(self) -> dict[str, Any]:
        """What the result depends on, as JSON."""
        content = asdict(replace(self, workers=1, scheduler=None))
        del content["workers"], content["scheduler"], content["doping"]  # without doped rows it changes nothing
        return content | {
            "templates": None if self.templates is None else str(self.templates.resolve()),
            "leave_out": list(self.leave_out), "templates_from": list(self.templates_from),
            "proposals": content["proposals"] | {"space_groups": list(self.proposals.space_groups)},
            "phonons": self.phonons or None,  # as in plans of earlier versions, which say nothing of phonons
            "relax_all": self.relax_all or None,
        }  # fmt: skip

    def race(self, *, finish: bool) -> Race | None:
        """When structures of a composition are stopped for lower ones; None where all are relaxed to their ends.

        Args:
            finish: whether a second potential takes the lowest of them, which then all go to their ends.
        """
        if self.relax_all:
            return None
        return Race(winners=self.finish.lowest if finish and self.finish is not None else 1)

    def in_words(self) -> str:
        """By which potentials structures are relaxed."""
        if self.potential is None:
            return "not relaxed"
        if self.finish is None:
            return f"relaxed by {self.potential}"
        of = f" of the first {self.finish.top}" if self.finish.top else ""
        return f"relaxed by {self.potential}, the lowest {self.finish.lowest}{of} further by {self.finish.potential}"

    def potentials(self) -> list[Potential]:
        """The potential that relaxes all, and the one that finishes, with their weights; empty where none relaxes."""
        names = [self.potential, None if self.finish is None else self.finish.potential]
        return [shared_potential(name) for name in names if name is not None]
