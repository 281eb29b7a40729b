"""Calls that write a folder: the whole pipeline, and crystal structures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.api.arguments import arguments_of, as_asked
from matgen.api.candidates import Candidates, cards_html
from matgen.api.inputs import table_of
from matgen.api.options import DiscoverOptions, StructureOptions
from matgen.cli.shared import bars, say

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd
    from ase import Atoms
    from pymatgen.core import Structure

    from matgen.discovery import Discovery


def discover(n: int = 10_000, **options: Unpack[DiscoverOptions]) -> Discovery:
    """Run the whole pipeline, as `matgen discover` does: sample, predict, evaluate, rank, relax, export.

    Args:
        n: compositions to draw.
        options: of `matgen discover`, for example `contains="Li-O"`, `structures=3`, `out="discovery"`; `quiet=False`
            says what comes next and shows progress.

    Returns:
        The folder, the ranked candidates, the report and the structures.

    Raises:
        OptionError: an unknown option, or a value that makes no sense.
        OutputError: `out` holds a discovery and neither `resume` nor `force` is on.
        MatgenError: as the stages raise; what was finished before stays in the folder.
    """
    from matgen.cli.discover import plan_of
    from matgen.discovery import discover as run
    from matgen.io.files import next_free

    arguments = arguments_of("discover", "discover", DiscoverOptions, options, n=n)
    arguments.model = None if arguments.model is None else str(arguments.model)
    with as_asked(arguments):
        return run(
            plan_of(arguments),
            arguments.out or (Path("discovery") if arguments.resume else next_free(Path("discovery"))),
            resume=arguments.resume,
            force=arguments.force,
            say=lambda text: say(arguments, text),
            progress=bars(arguments),
        )


@dataclass(frozen=True, repr=False)
class Structures:
    """What `make_structures` made.

    Attributes:
        folder: with the tables, `cif/` and `structures.extxyz`; `matgen export` takes it.
        frame: a row for each structure, and for each composition without one; lowest first.
        candidates: the candidates with the columns of their lowest structure.
        failures: reason to how many structures or compositions.
        said: what came of it, in a line.
    """

    folder: Path
    frame: pd.DataFrame
    candidates: Candidates
    failures: dict[str, int]
    said: str

    @cached_property
    def structures(self) -> dict[str, Structure]:
        """The crystals by `structure_id`, as objects of pymatgen."""
        from matgen.structures.folder import read_structures

        return read_structures(self.folder)[1]

    def atoms(self) -> dict[str, Atoms]:
        """The crystals by `structure_id`, as objects of ASE."""
        from matgen.structures.folder import bare_atoms

        return {name: bare_atoms(structure) for name, structure in self.structures.items()}

    def to_frame(self) -> pd.DataFrame:
        """The table of structures."""
        return self.frame

    def __len__(self) -> int:
        return int(self.frame["structure_id"].notna().sum())

    def __repr__(self) -> str:
        return f"Structures({self.said}; in {self.folder}/)"

    def _repr_html_(self) -> str:
        from matgen.errors import DataError
        from matgen.structure_report import crystals_in

        try:
            crystals = crystals_in(self.folder)
        except DataError:  # proposed and not relaxed, or gone
            crystals = {}
        table = self.candidates
        return table._table_html() + cards_html(table.frame, table.column, crystals)


def make_structures(candidates: Any, **options: Unpack[StructureOptions]) -> Structures:
    """Propose crystal structures for compositions and relax them, as `matgen structure` does.

    Args:
        candidates: in any form, see `matgen.api.inputs.table_of`, those to look at first first.
        options: of `matgen structure`, for example `top=5`, `per_formula=2`, `out="structures"`, `resume=True`.

    Raises:
        DataError: no formula can be read, or no templates can be had.
        OptionError: an unknown option, or a value that makes no sense.
        OutputError: `out` holds something and neither `resume` nor `force` is on.
        StructureError: no structure at all could be made.
        MissingDependencyError: the extra `structures` is not installed.
    """
    from matgen.cli.structure import folder_of, in_words, make, plan_of

    arguments = arguments_of("make_structures", "structure", StructureOptions, options, candidates="the candidates")
    with as_asked(arguments):
        out = folder_of(arguments)
        plan = plan_of(arguments, out)
        frame, column = table_of(candidates, arguments.column)
        made = make(arguments, frame, column, out, plan)
    return Structures(out, made.frame, Candidates(made.candidates, column), made.failures, in_words(made, plan))
