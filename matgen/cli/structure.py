"""matgen structure: crystal structures for compositions, relaxed by a universal potential."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.cli.beginning import claim_output, require_input, shown
from matgen.cli.options import column_option
from matgen.cli.parser import Parser, one_of
from matgen.cli.shared import bars, common_options, path, say, verb
from matgen.errors import OptionError
from matgen.structures.potentials.registry import FINISHING, POTENTIALS, column_suffix

if TYPE_CHECKING:
    import pandas as pd

    from matgen.structures.assemble import MadeStructures
    from matgen.structures.finish import Finish
    from matgen.structures.plan import StructurePlan


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "structure",
        run,
        "propose crystal structures for compositions and relax them with a universal potential",
        "matgen structure ranked.csv --top 20 --out structures/",
        "matgen structure ranked.csv --top 20 --workers 4 --resume --out structures/",
        "matgen structure tinker.csv --top 5 --compensate --out doped/",
        begin=begin,
    )
    parser.add_argument(
        "candidates",
        type=path,
        help="table of formulas, best first (CSV, Excel, Parquet, JSON, text ...), a folder of them, or - for "
        "standard input",
    )
    column_option(parser)
    parser.group("which compositions").add_argument(
        "--top", type=int, default=20, metavar="N", help="number of rows to take from the top (default: 20; 0: all)"
    )
    proposals = parser.group("proposals")
    proposals.add_argument(
        "--per-formula", type=int, default=5, metavar="N", help="structures per composition (default: 5)"
    )
    proposals.add_argument(
        "--max-atoms",
        type=int,
        metavar="N",
        help="largest number of atoms in a primitive cell (default: 40; in supercells of doped formulas: 60)",
    )
    proposals.add_argument(
        "--templates", type=path, metavar="FOLDER", help="your CIF or POSCAR files, used as additional templates"
    )
    proposals.add_argument("--templates-from", action="append", default=[], metavar="SOURCE",
                        help="more templates: materials-project (needs MP_API_KEY), or the https:// address of an "
                        "OPTIMADE database; may be repeated")  # fmt: skip
    proposals.add_argument("--only-own-templates", action="store_true", help="do not use the bundled templates")
    proposals.add_argument("--symmetric", type=int, default=2, metavar="N",
                        help="structures on Wyckoff positions, if templates give fewer "
                        "(default: 2; 0: none)")  # fmt: skip
    proposals.add_argument("--no-templates", action="store_true", help="use structures on Wyckoff positions only")
    proposals.add_argument("--space-group", action="append", default=[], metavar="N",
                        help="allow only this space group, or a range such as 195..230, for templates and symmetric "
                        "structures; may be repeated")  # fmt: skip
    proposals.add_argument("--proposals", type=path, metavar="FOLDER",
                        help="CIF, POSCAR or extxyz files of other programs (CrystaLLM, Chemeleon, MatterGen ...), "
                        "used for compositions of their reduced formula, beyond --per-formula")  # fmt: skip
    doped = parser.add_argument_group("doped formulas, such as those of matgen tinker --dope")
    doped.add_argument("--host", type=path, metavar="FILE", help="structure of the host (default: bundled or proposed)")
    doped.add_argument("--compensate", action="store_true", help="add vacancies that compensate the dopants' charge")
    relaxation_options(parser)
    finish_options(parser)
    relaxation = parser.group("relaxation")
    relaxation.add_argument("--hull", choices=("labels", "relaxed"), default="labels",
                        help="relaxed: also the energy above a hull of phases that the potential itself relaxed, where "
                        "their structures are known (default: labels, those of the Materials Project)")  # fmt: skip
    relaxation.add_argument("--phonons", type=int, default=0, metavar="N",
                        help="phonons of the lowest structure of the first N compositions; one that is unstable is "
                        "followed to a lower one (default: 0, none)")  # fmt: skip
    relaxation.add_argument("--no-relax", action="store_true", help="do not relax the proposed structures")
    parser.group("output").add_argument("--resume", action="store_true", help="resume the run in --out")
    common_options(parser, out="structures")
    parser.common("--top", "--per-formula", "--potential", "--workers", "--out", "--resume")


def relaxation_options(parser: Parser) -> None:
    """How structures are relaxed, and where."""
    relaxation = parser.group("relaxation")
    relaxation.add_argument("--potential", default="chgnet", metavar="NAME",
                        help=f"{one_of(POTENTIALS)} (default: chgnet)")  # fmt: skip
    relaxation.add_argument(
        "--max-force",
        type=float,
        default=0.05,
        metavar="F",
        help="largest force after relaxation, in eV/angstrom (default: 0.05)",
    )
    relaxation.add_argument(
        "--max-steps", type=int, default=300, metavar="N", help="most steps of a relaxation (default: 300)"
    )
    relaxation.add_argument("--relax-all", action="store_true",
                        help="relax all structures of a composition to the end (default: stop those that are clearly "
                        "not its lowest)")  # fmt: skip
    computation = parser.group("computation")
    computation.add_argument("--workers", type=int, metavar="N", help="number of processes (default: one per core)")
    computation.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler, such as tcp://host:8786")


def finish_options(parser: Parser) -> None:
    """Which structures a second potential relaxes further."""
    relaxation = parser.group("relaxation")
    relaxation.add_argument("--finish", metavar="NAME",
                        help="potential that relaxes the lowest structures further, or none "
                        f"(default: {FINISHING} if sevenn is installed)")  # fmt: skip
    relaxation.add_argument("--finish-lowest", type=int, metavar="N",
                        help="structures per composition that it relaxes (default: 2)")  # fmt: skip
    relaxation.add_argument("--finish-top", type=int, metavar="N",
                        help="only those of the first N compositions (default: 0, all)")  # fmt: skip


def _finish(arguments: argparse.Namespace, out: Path) -> Finish | None:
    """As asked for, as in the run that is resumed, or by default where that is installed."""
    from matgen.structures.finish import Finish
    from matgen.structures.folder import read_plan
    from matgen.structures.parts import plan_path

    asked = (arguments.finish, arguments.finish_lowest, arguments.finish_top)
    if arguments.resume and asked == (None, None, None) and plan_path(out).exists():
        recorded = read_plan(plan_path(out).parent).get("finish")  # none in a folder of an earlier version
        return None if recorded is None else Finish(**recorded)
    lowest, top = 2 if asked[1] is None else asked[1], asked[2] or 0
    if arguments.no_relax or arguments.finish == "none":
        return None
    if arguments.finish is not None:
        return Finish(arguments.finish, lowest, top)
    if arguments.potential == FINISHING:
        return None  # it relaxes all
    finish = Finish.if_installed(lowest, top)
    if finish is None:
        say(arguments, "no second potential relaxes the lowest structures further: sevenn is missing, "
            "pip install 'matgen[structures]'")  # fmt: skip
    return finish


def plan_of(arguments: argparse.Namespace, out: Path) -> StructurePlan:
    """How to make structures, as the options say.

    Args:
        arguments: with the options of the verb.
        out: the folder, of which a run that is resumed says what finishes.

    Raises:
        OptionError: a value out of range, or options that contradict each other.
    """
    from matgen.runtime.cores import available_cores
    from matgen.structures.doping import DopingSettings
    from matgen.structures.plan import StructurePlan
    from matgen.structures.propose import ProposalSettings
    from matgen.structures.relax import RelaxSettings
    from matgen.structures.wyckoff import parse_space_groups

    _check_values(arguments)
    symmetric = arguments.per_formula if arguments.no_templates else arguments.symmetric
    given = {} if arguments.max_atoms is None else {"max_atoms": arguments.max_atoms}
    return StructurePlan(
        ProposalSettings(
            arguments.per_formula,
            space_groups=parse_space_groups(arguments.space_group),
            folder="" if arguments.proposals is None else str(arguments.proposals.resolve()),
            symmetric=symmetric,
            templates=not arguments.no_templates,
            seed=arguments.seed,
            **given,
        ),
        RelaxSettings(arguments.max_force, arguments.max_steps),
        None if arguments.no_relax else arguments.potential,
        arguments.templates,
        arguments.only_own_templates,
        workers=arguments.workers or available_cores(),
        scheduler=arguments.scheduler,
        templates_from=tuple(arguments.templates_from),
        finish=_finish(arguments, out),
        relaxed_hull=arguments.hull == "relaxed",
        phonons=arguments.phonons,
        doping=DopingSettings(compensate=arguments.compensate, host=arguments.host, **given),
        relax_all=arguments.relax_all,
    )


def _check_values(arguments: argparse.Namespace) -> None:
    if arguments.top < 0:
        raise OptionError(f"--top is {arguments.top}, it must be 0 (all rows) or more")
    if arguments.workers is not None and arguments.workers < 1:
        raise OptionError(f"--workers is {arguments.workers}, it must be at least 1")
    if arguments.phonons < 0:
        raise OptionError(f"--phonons is {arguments.phonons}, it must be 0 (none) or more")
    if arguments.phonons and arguments.no_relax:
        raise OptionError("--phonons needs relaxed structures: drop --no-relax")
    if arguments.no_templates and arguments.symmetric == 0:
        raise OptionError("--no-templates and --symmetric 0 leave nothing to propose: drop one of them")
    if arguments.no_relax and arguments.hull == "relaxed":
        raise OptionError("--hull relaxed needs relaxed structures: drop --no-relax")


def begin(arguments: argparse.Namespace) -> str:
    """Find the table and what is named besides, and where the structures go."""
    _check_values(arguments)
    table = require_input(arguments.candidates)
    for named in (arguments.templates, arguments.proposals, arguments.host):
        if named is not None:
            require_input(named)
    resume = arguments.resume
    arguments.out = claim_output(arguments.out, "structures", force=arguments.force, resume=resume)
    which = f"the first {arguments.top:,} of {table}" if arguments.top else table
    how = "not relaxed" if arguments.no_relax else f"relaxed by {arguments.potential}"
    return f"structures of {which}, {how}, into {shown(arguments.out)}/"


def run(arguments: argparse.Namespace) -> None:
    """Make structures and say what came of it."""
    from matgen.datasets import read_formula_table

    out = folder_of(arguments)
    plan = plan_of(arguments, out)
    frame, column = read_formula_table(arguments.candidates, arguments.column)
    say(arguments, in_words(make(arguments, frame, column, out, plan), plan))


def folder_of(arguments: argparse.Namespace) -> Path:
    """The folder that is written: the named one, that of a run to resume, or the next free one."""
    from matgen.io.files import next_free

    return arguments.out or (Path("structures") if arguments.resume else next_free(Path("structures")))


def make(arguments: argparse.Namespace, frame: pd.DataFrame, column: str, out: Path,
         plan: StructurePlan) -> MadeStructures:  # fmt: skip
    """Make structures of the first rows of a table, and say what is being done."""
    from matgen.structures.make import make_structures

    if arguments.top:
        frame = frame.head(arguments.top)
    say(
        arguments,
        f"structures of {len(frame):,} compositions of {arguments.candidates}, {plan.in_words()}",
    )
    return make_structures(frame, column, out, plan, resume=arguments.resume, force=arguments.force,
                           progress=bars(arguments), tell=lambda text: say(arguments, text))  # fmt: skip


def in_words(made: MadeStructures, plan: StructurePlan) -> str:
    """What came of it, in a line."""
    have, sound = int(made.candidates["structure_id"].notna().sum()), int((made.frame["reason"] == "").sum())
    text = f"{sound:,} structures of {have:,} of {len(made.candidates):,} compositions"
    if plan.potential is not None:
        text += "; at most 0.1 eV/atom above the hull: " + _within(made, plan)
    if "dynamically_stable" in made.candidates:
        verdicts = made.candidates["dynamically_stable"].dropna().astype(bool)
        text += f"; dynamically stable: {int(verdicts.sum()):,} of {len(verdicts):,} with phonons"
    failed = sum(made.failures.values())
    if failed:
        reason, count = next(iter(made.failures.items()))
        text += f"; {failed:,} failed (column reason), most often ({count:,}): {reason}"
    return text


def _within(made: MadeStructures, plan: StructurePlan) -> str:
    """How many compositions are within 0.1 eV/atom of the hull, by each potential."""
    names = [plan.potential or "", *([] if plan.finish is None else [plan.finish.potential])]
    within = [made.candidates[f"energy_above_hull_{column_suffix(name)}"] <= 0.1 for name in names]
    if len(names) == 1:
        return f"{int(within[0].sum()):,}"
    each = ", ".join(f"{int(found.sum()):,} by {name}" for name, found in zip(names, within, strict=True))
    text = f"{each}, {int((within[0] & within[1]).sum()):,} by both"
    disagree = int(made.candidates["potentials_disagree"].sum())
    return text + (f"; they disagree about {disagree:,} (column potentials_disagree)" if disagree else "")
