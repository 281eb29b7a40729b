"""Calculations on a cluster: a SLURM array script, and a flow of atomate2 as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matgen.dft.codes import CODES
from matgen.dft.gpaw import templates
from matgen.dft.settings import STDERR, DFTSettings, Job
from matgen.dft.vasp import input_structure
from matgen.errors import DataError, MissingDependencyError, OptionError, first_line
from matgen.io.files import write_text

ARRAY_SCRIPT, JOB_LIST, FLOW = "array.slurm", "jobs.txt", "flow.json"


def write_array_script(out: Path, format: str, ids: Sequence[str], template: Path | None) -> None:
    """Write `jobs.txt`, a folder a line, and `array.slurm`.

    Args:
        out: the folder of the calculations.
        format: of the inputs.
        ids: of the jobs.
        template: a user's Jinja template with `n_jobs`, `job_list`, `command` and `format`, or None.

    Raises:
        DataError: the template cannot be read.
        OptionError: it is not a template, or asks for something else.
    """
    made = array_script(format, len(ids), template)
    write_text(out / JOB_LIST, "\n".join(ids) + "\n")
    write_text(out / ARRAY_SCRIPT, made)


def array_script(format: str, n_jobs: int, template: Path | None) -> str:
    """The script's text; raises as `write_array_script` does."""
    code = CODES[format]
    command = f"srun {' '.join(code.command)} > {code.stdout} 2> {STDERR}"  # what a task runs in its folder
    values = {"n_jobs": n_jobs, "job_list": JOB_LIST, "command": command, "format": format}
    if template is None:
        return templates().get_template("array.slurm.jinja").render(values)
    try:
        text = template.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {template}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{template} is not text in UTF-8") from error
    try:
        return templates().from_string(text).render(values)
    except Exception as error:  # of Jinja, or of what the template does
        raise OptionError(f"{template} is no usable template: {first_line(error)}") from error


def write_flow(out: Path, jobs: Sequence[Job], settings: DFTSettings) -> None:
    """Write a flow of atomate2, one calculation or chain for each job, as `flow.json`.

    Raises:
        MissingDependencyError: atomate2 is not installed.
        OptionError: atomate2 has no such flow.
    """
    maker = flow_maker(settings)  # complains where atomate2 is missing, which brings the others
    from atomate2.vasp.powerups import update_user_incar_settings
    from jobflow import Flow
    from monty.json import MontyEncoder

    made: list[Any] = []
    for job in jobs:
        step = maker.make(input_structure(job))
        if settings.cutoff is not None:
            step = update_user_incar_settings(step, {"ENCUT": settings.cutoff})
        step.name = job.id
        step.update_metadata({"structure_id": job.id, "role": job.role, "formula": job.formula})
        made.append(step)
    write_text(out / FLOW, json.dumps(Flow(made, name="matgen"), cls=MontyEncoder, indent=1) + "\n")


def flow_maker(settings: DFTSettings) -> Any:
    """Atomate2's maker of the same set and kind of calculation; raises as `write_flow` does."""
    try:
        from atomate2.vasp.flows.mp import MPGGADoubleRelaxStaticMaker
        from atomate2.vasp.jobs.matpes import MatPesGGAStaticMaker
        from atomate2.vasp.jobs.mp import MPGGAStaticMaker
    except ImportError as error:
        raise MissingDependencyError("a flow needs atomate2: pip install 'matgen[workflows]'") from error
    if settings.calculation == "relax":
        if settings.input_set == "matpes":
            raise OptionError("atomate2 has no relaxation by the MatPES set: leave out --flow, or take --input-set mp")
        return MPGGADoubleRelaxStaticMaker()
    return MatPesGGAStaticMaker() if settings.input_set == "matpes" else MPGGAStaticMaker()
