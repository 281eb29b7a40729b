"""The array script under bash with a stand-in for srun, templates of a user, and a flow that jobflow reads."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from monty.json import MontyDecoder

from matgen.dft.export import export
from matgen.dft.magnetic_orders import with_magnetic_orders
from matgen.dft.schedule import array_script, write_flow
from matgen.dft.settings import DFTSettings, Job
from matgen.errors import DataError, OptionError

from .conftest import CRYSTALS
from .magnets import MAGNETS

JOBS = [Job(f"000{rank}-{name}-1", CRYSTALS[name], "candidate") for rank, name in enumerate(CRYSTALS, start=1)]


def test_a_task_of_the_array_runs_in_its_own_folder(tmp_path: Path) -> None:
    export(JOBS, "dft", "gpaw")
    subprocess.run(["bash", "-n", "dft/array.slurm"], check=True)
    assert f"#SBATCH --array=1-{len(JOBS)}" in Path("dft/array.slurm").read_text()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text('#!/bin/bash\necho "$PWD: $*"\n[ "${FAILS:-}" ] && exit 3; exit 0\n')
    (programs / "srun").chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(tmp_path / "dft")}
    for task, job in enumerate(JOBS, start=1):
        told = environment | {"SLURM_ARRAY_TASK_ID": str(task)}
        subprocess.run(["bash", tmp_path / "dft/array.slurm"], check=True, env=told, cwd="/")
        assert Path("dft", job.id, "stdout.txt").read_text() == f"{tmp_path}/dft/{job.id}: gpaw python run.py\n"
    assert subprocess.run(["bash", "dft/array.slurm"], env=told | {"FAILS": "1"}).returncode == 3
    beyond = environment | {"SLURM_ARRAY_TASK_ID": str(len(JOBS) + 1)}
    before = sorted(Path("dft").rglob("*"))
    assert subprocess.run(["bash", "dft/array.slurm"], env=beyond).returncode != 0
    assert sorted(Path("dft").rglob("*")) == before


@pytest.mark.parametrize(("format", "command"), [("vasp", "vasp_std"), ("espresso", "pw.x -in pw.in > pw.out")])
def test_scripts_of_the_other_codes(format: str, command: str) -> None:
    text = array_script(format, 7, None)
    assert command in text and "1-7" in text
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_a_users_template() -> None:
    template = Path("mine.jinja")
    template.write_text(
        "#PBS -J 1-{{ n_jobs }}\n{% for i in range(2) %}{{ i }}{% endfor %} {{ format }} {{ command }}\n"
    )
    assert array_script("gpaw", 5, template).startswith("#PBS -J 1-5\n01 gpaw srun gpaw python run.py")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [(b"{{ n_jobs", OptionError, "no usable template"), (b"{{ account }}", OptionError, "'account' is undefined"),
     (b"{{ 1 / 0 }}", OptionError, "division by zero"), (b"\xff\xfe", DataError, "not text"),
     (None, DataError, "cannot read")],
)  # fmt: skip
def test_templates_that_are_none(text: bytes | None, error: type[Exception], message: str) -> None:
    template = Path("mine.jinja")
    if text is not None:
        template.write_bytes(text)
    with pytest.raises(error, match=message):
        export(JOBS, "dft", "gpaw", scheduler_template=template)
    assert not Path("dft").exists()


@pytest.mark.parametrize(
    ("settings", "first"),
    [(DFTSettings("relax"), "MPGGARelaxMaker"), (DFTSettings(), "MPGGAStaticMaker"),
     (DFTSettings(input_set="matpes", cutoff=444.0), "MatPesGGAStaticMaker")],
)  # fmt: skip
@pytest.mark.slow
def test_a_flow_is_what_jobflow_reads(settings: DFTSettings, first: str) -> None:
    write_flow(Path(), JOBS, settings)
    flow = json.loads(Path("flow.json").read_text(), cls=MontyDecoder)
    assert [step.name for step in flow.jobs] == [job.id for job in JOBS]
    for step, job in zip(flow.jobs, JOBS, strict=True):
        while hasattr(step, "jobs"):  # a flow of flows
            assert step.jobs
            step = step.jobs[0]
        assert step.function_args[0].composition == job.structure.composition
        assert step.metadata["structure_id"] == job.id
        assert type(step.maker).__name__ == first
        assert step.maker.input_set_generator.user_incar_settings.get("ENCUT") == settings.cutoff


@pytest.mark.slow
def test_a_flow_keeps_the_signs_of_moments() -> None:
    jobs, _ = with_magnetic_orders([Job("nio", MAGNETS["NiO"], "candidate")], 2)
    write_flow(Path(), jobs, DFTSettings())
    step = json.loads(Path("flow.json").read_text(), cls=MontyDecoder).jobs[1]
    structure = step.function_args[0]
    assert step.name == "nio-afm" and structure.site_properties["magmom"] == [1.7, -1.7, 0.0, 0.0]
    inputs = step.maker.input_set_generator.get_input_set(structure, potcar_spec=True)
    assert inputs.incar["MAGMOM"] == [1.7, -1.7, 0.0, 0.0]


def test_flows_that_atomate2_has_not() -> None:
    with pytest.raises(OptionError, match="no relaxation by the MatPES set"):
        export(JOBS, "dft", "vasp", DFTSettings("relax", input_set="matpes"), flow=True)
    with pytest.raises(OptionError, match="take --format vasp"):
        export(JOBS, "dft", "gpaw", flow=True)
    assert not Path("dft").exists()
