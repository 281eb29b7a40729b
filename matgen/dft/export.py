"""From a folder of structures to a folder of calculations: `matgen export`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matgen.dft.codes import CODES
from matgen.dft.formats import (
    DATABASE,
    DATABASE_FILE,
    WITHOUT_MOMENTS,
    require_format,
    write_database,
    writer_of,
)
from matgen.dft.magnetic_orders import with_magnetic_orders
from matgen.dft.magnetism import hubbard_u
from matgen.dft.settings import MANIFEST, DFTSettings, Job, read_manifest, require_sound_ids
from matgen.dft.status import is_claimed
from matgen.errors import MatgenError, OptionError, OutputError, StructureError, first_line
from matgen.io.files import locked, refuse_to_overwrite
from matgen.io.folders import write_description
from matgen.runtime.progress import ProgressFactory, silent
from matgen.structures.energies import oxide_type
from matgen.structures.folder import read_structures

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        jobs: those whose inputs are there.
        failed: id to reason of the others.
        remarks: id to warnings.
    """

    jobs: list[Job]
    failed: dict[str, str]
    remarks: dict[str, list[str]]


def jobs_of(folder: Path | str, *, top: int | None = None, every: bool = False) -> list[Job]:
    """Candidates of a folder of structures as jobs: of each composition the lowest structure, or all of them.

    Args:
        folder: that `matgen structure` wrote.
        top: so many compositions, in the order of the candidates.
        every: all structures, those that relaxed into an earlier one left out.

    Raises:
        OptionError: `top` is below 1.
        DataError: it is no such folder.
        StructureError: it holds no structure.
    """
    if top is not None and top < 1:
        raise OptionError(f"top is {top}, it must be at least 1")
    frame, structures = read_structures(folder)
    frame = frame[frame["structure_id"].isin(list(structures))]
    frame = frame[frame["duplicate_of"].isna()] if every else frame.drop_duplicates("rank")
    if top is not None:
        frame = frame[frame["rank"].isin(sorted(frame["rank"].unique())[:top])]
    if frame.empty:
        raise StructureError(f"{folder} holds no structure to export")
    return [Job(row["structure_id"], structures[row["structure_id"]], "candidate", _provenance(row))
            for _, row in frame.iterrows()]  # fmt: skip


def _provenance(row: pd.Series) -> dict[str, Any]:
    """The row as JSON, without what is missing."""
    import pandas as pd

    content = {}
    for name, value in row.items():
        if value is None or pd.isna(value):
            continue
        content[str(name)] = value.item() if hasattr(value, "item") else value
    return content


@locked("out")
def export(
    jobs: Sequence[Job],
    out: Path | str,
    format: str,
    settings: DFTSettings | None = None,
    *,
    lacking_phases: Mapping[str, str] | None = None,
    scheduler_template: Path | None = None,
    flow: bool = False,
    force: bool = False,
    progress: ProgressFactory = silent,
) -> Exported:
    """Write the inputs of jobs, a manifest, a SLURM array script and on request a flow of atomate2.

    Candidates and competing phases with magnetic atoms are also written with antiferromagnetic orders
    (`settings.magnetic_orders`), except in formats that hold no moments.

    Args:
        jobs: what to calculate; their ids must differ.
        out: folder; each job has its own in it.
        format: one of `matgen.dft.formats.format_names`.
        settings: of the calculations.
        lacking_phases: competing phases without a structure, with the reason, as `competing_jobs` gives them; None
            where `jobs` are not all that competes, so that results have no energy above the hull.
        scheduler_template: a Jinja template instead of the bundled SLURM script.
        flow: write `flow.json` for jobflow (of VASP, by atomate2) too.
        force: replace an earlier export in `out`, its results too; nothing is lost where the new one fails.
        progress: counts the jobs written.

    Raises:
        OptionError: an unknown format, a flow that atomate2 has not, no pseudopotentials, or a bad template.
        DataError: the template cannot be read, or ids cannot be folders.
        OutputError: `out` holds something and `force` is off.
        StructureError: no candidate's inputs could be written.
    """
    settings = settings or DFTSettings()
    out = Path(out)
    require_exportable(out, format, settings, scheduler_template=scheduler_template, flow=flow, force=force)
    remarks: dict[str, list[str]] = {}
    if format not in WITHOUT_MOMENTS:
        jobs, remarks = with_magnetic_orders(jobs, settings.magnetic_orders)
    require_sound_ids([job.id for job in jobs])
    out.parent.mkdir(parents=True, exist_ok=True)
    # All is written beside `out` first: what ends badly leaves what was there.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as stage:
        exported = _write_all(
            jobs, remarks, Path(stage), format, settings, scheduler_template, flow, progress, lacking_phases
        )
        if force:
            _clear(out)
        foreign = [path.name for path in Path(stage).iterdir() if path.is_dir() and (out / path.name).exists()]
        if foreign:
            raise OutputError(f"{out} holds {foreign[0]}, which no export wrote: choose another --out")
        out.mkdir(exist_ok=True)
        for path in sorted(Path(stage).iterdir()):
            os.replace(path, out / path.name)
    return exported


def require_exportable(
    out: Path,
    format: str,
    settings: DFTSettings,
    *,
    scheduler_template: Path | None = None,
    flow: bool = False,
    force: bool = False,
) -> None:
    """Refuse, before any work is done, what `export` could not do; raises as it does."""
    from matgen.dft.schedule import array_script, flow_maker

    require_format(format)
    code = CODES.get(format)
    if flow and not (code and code.has_flow):
        raise OptionError("a flow of atomate2 is of VASP: take --format vasp")
    if flow:
        flow_maker(settings)
    if scheduler_template is not None:
        if code is None:
            raise OptionError(f"{format} files are nothing to run: leave out --scheduler-template")
        array_script(format, 1, scheduler_template)
    if code is not None:
        code.require_usable(settings)
    refuse_to_overwrite(out, force=force)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: choose another --out")
    if force and (out / MANIFEST).exists():
        busy = [job["id"] for job in read_manifest(out)["jobs"] if is_claimed(out / job["id"])]
        if busy:
            raise OutputError(f"a run is at {busy[0]} in {out}: wait for it, or choose another --out")


def _write_all(jobs: Sequence[Job], remarks: dict[str, list[str]], out: Path, format: str, settings: DFTSettings,
               scheduler_template: Path | None, flow: bool, progress: ProgressFactory,
               lacking_phases: Mapping[str, str] | None) -> Exported:  # fmt: skip
    from matgen.dft.schedule import write_array_script, write_flow

    code = CODES.get(format)
    if code is not None:
        settings = code.with_common(jobs, settings)
    if format == DATABASE:
        write_database(jobs, out)
        exported = Exported(list(jobs), {}, {})
    else:
        exported = _write_folders(jobs, out, format, settings, progress)
    for id in remarks.keys() & {job.id for job in exported.jobs}:
        exported.remarks.setdefault(id, []).extend(remarks[id])
    candidates = {job.id for job in jobs if job.role == "candidate"}
    if candidates <= exported.failed.keys():
        reason = next(iter(exported.failed.values()), "there are no structures")
        raise StructureError(f"no input could be written for {len(exported.failed)} structures; the first: {reason}")
    if code is not None:
        write_array_script(out, format, [job.id for job in exported.jobs], scheduler_template)
    if flow:
        write_flow(out, exported.jobs, settings)
    with_u = code is not None and code.applies_hubbard_u(settings)
    write_description(out, MANIFEST, {
        "format": format,
        "settings": settings.content(),
        "jobs": [{"id": job.id, "formula": job.formula, "role": job.role, "n_atoms": len(job.structure),
                  "order_of": job.order_of, "magnetic_order": job.magnetic_order,
                  "hubbard_u": hubbard_u(job.structure) if with_u else {}, "oxide_type": oxide_type(job.structure),
                  "remarks": exported.remarks.get(job.id, []), "provenance": job.provenance} for job in exported.jobs],
        "failed": exported.failed,
        "lacking_phases": _lacking(jobs, exported, lacking_phases),
        "versions": {name: version(name) for name in ("matgen", "pymatgen-core", "ase")},
    })  # fmt: skip
    return exported


def _lacking(
    jobs: Sequence[Job], exported: Exported, lacking_phases: Mapping[str, str] | None
) -> dict[str, str] | None:
    """Competing phases that will have no energy, with the reason; None where competing phases were not asked for."""
    if lacking_phases is None:
        return None
    written = {job.formula for job in exported.jobs}  # in one magnetic order at least
    unwritten = {job.formula: exported.failed[job.id] for job in jobs
                 if job.role == "competing" and job.id in exported.failed and job.formula not in written}  # fmt: skip
    return dict(lacking_phases) | unwritten


OTHER_FILES = (DATABASE_FILE, "flow.json", "array.slurm", "jobs.txt", MANIFEST)


def _clear(out: Path) -> None:
    """Remove what an earlier export wrote; anything else in the folder stays."""
    if (out / MANIFEST).exists():
        for job in read_manifest(out)["jobs"]:
            shutil.rmtree(out / job["id"], ignore_errors=True)
        for name in OTHER_FILES:
            (out / name).unlink(missing_ok=True)


def _write_folders(jobs: Sequence[Job], out: Path, format: str, settings: DFTSettings,
                   progress: ProgressFactory) -> Exported:  # fmt: skip
    exported = Exported([], {}, {})
    with progress(len(jobs), "export", "jobs") as count:
        for job in jobs:
            folder = out / job.id
            folder.mkdir(exist_ok=True)
            try:
                remarks = writer_of(format)(job, folder, settings)
            except OptionError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            except MatgenError as error:
                shutil.rmtree(folder, ignore_errors=True)
                exported.failed[job.id] = str(error)
            except Exception as error:  # a set of inputs that does not know an element
                shutil.rmtree(folder, ignore_errors=True)
                exported.failed[job.id] = f"{type(error).__name__}: {first_line(error)}"
            else:
                exported.jobs.append(job)
                if remarks:
                    exported.remarks[job.id] = remarks
            count.update()
    return exported
