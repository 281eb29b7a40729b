"""matgen export: inputs for density-functional codes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matgen.cli.beginning import claim_output, require_folder, require_input, shown
from matgen.cli.parser import Parser, one_of
from matgen.cli.shared import bars, common_options, path, say, verb
from matgen.dft.codes import CODES
from matgen.dft.formats import WITHOUT_MOMENTS, format_names, require_format
from matgen.dft.settings import DFTSettings
from matgen.errors import OptionError


def add(verbs: Any) -> None:
    """Add the verb's parser."""
    parser = verb(
        verbs,
        "export",
        run,
        f"write inputs for {one_of(code.title for code in CODES.values())}, or plain structure files",
        "matgen export structures/ --format gpaw --element-references --out dft/",
        "matgen export structures/ --format vasp --top 10 --out dft/",
        begin=begin,
    )
    parser.add_argument("structures", type=path, help="folder that `matgen structure` wrote")
    output = parser.group("output")
    output.add_argument("--format", default="vasp", metavar="NAME",
                        help=f"{one_of(format_names())} (default: vasp)")  # fmt: skip
    which = parser.group("which calculations")
    which.add_argument("--top", type=int, metavar="N", help="only the first N compositions")
    which.add_argument(
        "--all", action="store_true", help="every structure, not only the lowest-energy one of each composition"
    )
    which.add_argument(
        "--element-references", action="store_true", help="also export the elements that formation energies refer to"
    )
    parser.rename("--elements", "--element-references")
    which.add_argument(
        "--competing", action="store_true", help="also export the phases that the candidates could decompose into"
    )
    calculation_options(parser)
    calculation = parser.group("calculation")
    calculation.add_argument(
        "--hubbard-u", action="store_true", help="GPAW and Quantum ESPRESSO: apply U as in the VASP input sets"
    )
    which.add_argument(
        "--magnetic-orders",
        type=int,
        metavar="N",
        help="calculations of each structure with magnetic atoms: the ferromagnetic one, and antiferromagnetic ones as "
        "<id>-afm, <id>-afm2 ... (default: 2; 1 is ferromagnetic only)",
    )
    calculation.add_argument(
        "--input-set", default="mp", metavar="NAME", help="VASP input set: mp or matpes (default: mp)"
    )
    output.add_argument(
        "--scheduler-template",
        type=path,
        metavar="FILE",
        help="Jinja template of the job script, instead of the SLURM one",
    )
    output.add_argument("--flow", action="store_true", help="also write an atomate2 flow as JSON (VASP)")
    common_options(parser, out="dft", seed=False)
    parser.common("--format", "--top", "--element-references", "--competing", "--pseudopotentials", "--out")


def calculation_options(parser: Parser) -> None:
    """How structures are calculated, whether or not the inputs are run at once."""
    calculation = parser.group("calculation")
    calculation.add_argument(
        "--calculation", default="static", metavar="KIND", help="static or relax (default: static)"
    )
    calculation.add_argument(
        "--cutoff",
        type=float,
        metavar="EV",
        help="plane-wave cutoff (default: that of the code or of the pseudopotentials)",
    )
    calculation.add_argument("--kpoint-density", type=float, default=5.0, metavar="D",
                        help="k-points per inverse angstrom (default: 5; VASP input sets have their own)")  # fmt: skip
    calculation.add_argument(
        "--pseudopotentials",
        type=path,
        metavar="FOLDER",
        help="folder of UPF files for Quantum ESPRESSO, such as SSSP or PseudoDojo (default: $ESPRESSO_PSEUDO)",
    )


def begin(arguments: argparse.Namespace) -> str:
    """Find the structures, and where the inputs go."""
    require_format(arguments.format)
    structures = require_folder(arguments.structures, "structures.json", "matgen structure")
    for named in (arguments.scheduler_template, arguments.pseudopotentials):
        if named is not None:
            require_input(named)
    arguments.out = claim_output(arguments.out, "dft", force=arguments.force)
    return f"inputs for {arguments.format} of {structures} into {shown(arguments.out)}/"


def run(arguments: argparse.Namespace) -> None:
    """Write inputs and say what a user has to know."""
    from matgen.dft.export import export, jobs_of, require_exportable
    from matgen.io.files import next_free
    from matgen.structures.folder import read_plan

    settings = DFTSettings(
        arguments.calculation,
        arguments.cutoff,
        arguments.kpoint_density,
        arguments.hubbard_u,
        arguments.input_set,
        arguments.pseudopotentials,
        magnetic_orders=_magnetic_orders(arguments),
    )
    out = arguments.out or next_free(Path("dft"))
    require_exportable(out, arguments.format, settings, scheduler_template=arguments.scheduler_template,
                       flow=arguments.flow, force=arguments.force)  # fmt: skip
    jobs = jobs_of(arguments.structures, top=arguments.top, every=arguments.all)
    if read_plan(arguments.structures).get("potential") is None:
        say(arguments, "note: these structures were not relaxed; they are first guesses at predicted volumes")
    references, lacking_phases = _references(arguments, jobs)
    jobs += references
    say(arguments, f"inputs of {len(jobs):,} calculations ({arguments.format}, {settings.calculation})")
    exported = export(
        jobs, out, arguments.format, settings, lacking_phases=lacking_phases,
        scheduler_template=arguments.scheduler_template, flow=arguments.flow, force=arguments.force,
        progress=bars(arguments),
    )  # fmt: skip
    more = sum(job.order_of is not None for job in exported.jobs)
    if more:
        say(
            arguments, f"note: {more:,} more with antiferromagnetic moments (<id>-afm), ranked by a rule, not by energy"
        )
    for text, ids in _grouped(exported.remarks).items():
        say(arguments, f"note ({len(ids):,} calculations): {text}")
    for id, reason in exported.failed.items():
        say(arguments, f"left out {id}: {reason}")
    say(
        arguments,
        f"{len(exported.jobs):,} written, {len(exported.failed):,} left out; {shown(out)}/manifest.json lists them",
    )


def _magnetic_orders(arguments: argparse.Namespace) -> int:
    """Calculations of each magnetic structure.

    Raises:
        OptionError: several are asked for in a format without moments.
    """
    if arguments.format in WITHOUT_MOMENTS and (arguments.magnetic_orders or 1) > 1:
        raise OptionError(f"{arguments.format} files hold no moments: leave out --magnetic-orders")
    return DFTSettings.magnetic_orders if arguments.magnetic_orders is None else int(arguments.magnetic_orders)


def _references(arguments: argparse.Namespace, jobs: list[Any]) -> tuple[list[Any], dict[str, str] | None]:
    """Jobs of competing phases and elements; competing phases without a structure, None where none are asked for."""
    from matgen.dft.references import competing_jobs, element_jobs, elements_of

    phases: list[Any] = []
    elements: list[Any] = []
    lacking_phases: dict[str, str] | None = None
    lacking_elements: dict[str, str] = {}
    if arguments.competing:
        phases, lacking_phases = competing_jobs([job.formula for job in jobs])
    if arguments.element_references:
        elements, lacking_elements = element_jobs(elements_of(jobs + phases))
    for name, reason in ((lacking_phases or {}) | lacking_elements).items():
        say(arguments, f"no reference {name}: {reason}")
    if lacking_phases:
        without = ", ".join(lacking_phases)
        say(arguments, f"note: candidates that compete with {without} will get no energy_above_hull_dft")
    return phases + elements, lacking_phases


def _grouped(remarks: dict[str, list[str]]) -> dict[str, list[str]]:
    """Text of a remark to the ids it is about."""
    grouped: dict[str, list[str]] = {}
    for id, texts in remarks.items():
        for text in texts:
            grouped.setdefault(text, []).append(id)
    return grouped
