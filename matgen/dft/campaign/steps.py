"""A campaign step by step; every step leaves its outputs, by which the next call knows that it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.dft.campaign import inputs
from matgen.dft.campaign.plan import CampaignPlan, begin, read_begun
from matgen.dft.campaign.results import time_left, write_results
from matgen.dft.campaign.source import LEFT_OUT, Source, competing_formulas, left_out, read_source
from matgen.dft.codes import CODES
from matgen.dft.export import Exported, jobs_of
from matgen.dft.magnetic_orders import with_magnetic_orders
from matgen.dft.references import element_jobs, elements_of
from matgen.dft.run import RunSettings, RunSummary, command_of, run_folder
from matgen.dft.run_order import needs
from matgen.dft.settings import Job, read_manifest
from matgen.dft.status import read_status
from matgen.errors import OptionError, StructureError
from matgen.io.files import lock
from matgen.runtime.progress import ProgressFactory, silent
from matgen.structures.folder import is_structure_folder
from matgen.structures.propose import Proposer

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Campaign:
    """What came of a campaign so far.

    Attributes:
        frame: a row for each candidate, as in `results.csv`.
        content: of `report/report.json`.
        summary: how its calculations stand.
    """

    frame: pd.DataFrame
    content: dict[str, Any]
    summary: RunSummary


def run_campaign(
    candidates: Path | str,
    out: Path | str,
    plan: CampaignPlan,
    running: RunSettings | None = None,
    *,
    column: str | None = None,
    hours: float | None = None,
    tell: Tell = lambda text: None,
    progress: ProgressFactory = silent,
) -> Campaign:
    """Structures, references, inputs, calculations and a report of candidates; said again, it goes on where it stopped.

    Writes `campaign.json`, `structures/` (unless they are given), `competing/`, `dft/`, `results.csv`,
    `calculations.csv` and `report/` (`index.html`, `report.json`). The last three are written anew whenever a candidate
    is done, so that they always tell how the campaign stands.

    Args:
        candidates: a table with formulas, best first, or a folder that `matgen structure` wrote.
        out: folder for everything.
        plan: what is calculated, and how; that of a campaign which goes on must be the same.
        running: how calculations are run; this may change from call to call.
        column: of formulas in the table.
        hours: of this call; then what runs is stopped, to be run again by the next call.
        tell: called with a sentence on each step.
        progress: counts what the steps do.

    Raises:
        OptionError: options that make no sense.
        DataError: the candidates cannot be read, or the campaign was begun with other ones or other options.
        OutputError: `out` holds something else, or another call is at it.
        MissingDependencyError: the engine, or what makes structures, is not installed.
        StructureError: no candidate can be calculated.
    """
    began, running = time.time(), running or RunSettings()
    if hours is not None:
        if not hours > 0:
            raise OptionError(f"hours is {hours}, it must be above 0")
        running = replace(running, until=began + hours * 3600)
    out, candidates = Path(out), Path(candidates)
    command_of(CODES[plan.engine], running)
    source = read_source(candidates, column, plan)
    with lock(out):
        return _Steps(source, out, plan, running, tell, progress).run()


def dry_run(candidates: Path | str, out: Path | str, plan: CampaignPlan, *, column: str | None = None) -> list[str]:
    """What `run_campaign` would calculate, in lines; nothing is written.

    Atoms of structures that are not there yet are those of the first proposal of each composition.

    Args:
        candidates: as `run_campaign` takes them.
        out: folder of the campaign.
        plan: what is calculated.
        column: of formulas in the table.

    Raises:
        MatgenError: as `run_campaign` raises before it begins.
    """
    out = Path(out)
    source = read_source(Path(candidates), column, plan)
    begun = read_begun(out, plan, source.content())
    if begun is not None and inputs.inputs_are_there(out):
        manifest = read_manifest(out / inputs.CALCULATIONS)
        done = sum(read_status(out / inputs.CALCULATIONS / job["id"])["state"] == "done" for job in manifest["jobs"])
        return [*_left_out_lines(begun["left_out"]), f"{inputs.sizes(manifest['jobs'])}; {done:,} of them done"]
    reasons = left_out(source, plan) if begun is None else begun["left_out"]
    wanted = [formula for formula in source.formulas if formula not in reasons]
    phases = competing_formulas(wanted) if begun is None else begun["competing"]
    jobs, lacking = _proposed(source, wanted, phases, plan)
    lines = _left_out_lines(reasons) + [f"no structure of {name}: {reason}" for name, reason in lacking.items()]
    return [*lines, f"about {inputs.sizes(jobs)}"]


class _Steps:
    """The steps of one call, each announced."""

    def __init__(
        self, source: Source, out: Path, plan: CampaignPlan, running: RunSettings, tell: Tell, progress: ProgressFactory
    ) -> None:
        self.source, self.out, self.plan, self.running = source, out, plan, running
        self.tell, self.progress = tell, progress
        self.folder = out / inputs.CALCULATIONS

    def run(self) -> Campaign:
        """All steps; where the run is interrupted, the report of what is done is written first."""
        competing = self._begun()
        candidates = self._structures()
        if inputs.inputs_are_there(self.out):
            self.tell("2/4 references and inputs: there from an earlier call")
        else:
            self._inputs(candidates, competing)
        try:
            summary = self._calculations(candidates)
        except KeyboardInterrupt:
            self._report(candidates)
            raise
        self.tell(f"4/4 report: {self.out}/report/index.html, {self.out}/results.csv")
        frame, content = self._report(candidates)
        return Campaign(frame, content, summary)

    def _begun(self) -> list[str]:
        """Formulas of the competing phases; what is left out is said, and kept for later calls."""
        begun = read_begun(self.out, self.plan, self.source.content())
        if begun is not None:
            self.left_out: dict[str, str] = begun["left_out"]
            return list(begun["competing"])
        self.tell(f"campaign of {len(self.source.frame):,} candidates by {CODES[self.plan.engine].title} "
                  f"({self.plan.settings.calculation}), into {self.out}/")  # fmt: skip
        self.left_out = left_out(self.source, self.plan)
        for line in _left_out_lines(self.left_out):
            self.tell(line)
        wanted = [formula for formula in self.source.formulas if formula not in self.left_out]
        if not wanted:
            first, reason = next(iter(self.left_out.items()))
            raise StructureError(f"no candidate can be calculated; {first}: {reason}")
        competing = competing_formulas(wanted)
        begin(self.out, self.plan, self.source.content(), self.left_out, competing)
        return competing

    def _structures(self) -> pd.DataFrame:
        """The candidates with their structures."""
        n = len(self.source.frame) - len(self.left_out)
        if self.source.folder is not None:
            self.tell(f"1/4 structures: {n:,} of {self.source.folder}")
        elif self._made(inputs.STRUCTURES):
            self.tell("1/4 structures: there from an earlier call")
        else:
            how = inputs.structure_plan(self.plan, 1).in_words()
            self.tell(f"1/4 structures: of {n:,} compositions, of at most {self.plan.max_atoms} atoms, {how}")
        frame = inputs.candidates_with_structures(
            self.source, self.plan, self.left_out, self.out, self.running.workers, self.progress, self.tell
        )
        if not inputs.inputs_are_there(self.out):
            without = frame[~frame["formula"].isin(list(self.left_out)) & (frame[LEFT_OUT] != "")]
            for formula, reason in zip(without["formula"], without[LEFT_OUT], strict=True):
                self.tell(f"left out {formula}: {reason}")
        return frame

    def _inputs(self, candidates: pd.DataFrame, competing: list[str]) -> None:
        """Structures of competing phases, and inputs of everything."""
        made = " (structures there from an earlier call)" * self._made(inputs.COMPETING)
        self.tell(f"2/4 references and inputs: {len(competing):,} competing phases{made}")
        phases, lacking = inputs.competing_phases(
            competing, self.source, self.plan, self.out, self.running.workers, self.progress
        )
        jobs = inputs.candidate_jobs(self.source, candidates, self.out)
        exported = inputs.write_inputs(jobs, phases, lacking, self.plan, self.out, self.progress)
        self._say_lacking(exported, lacking)

    def _say_lacking(self, exported: Exported, lacking: dict[str, str]) -> None:
        for name, reason in lacking.items():
            self.tell(f"no structure of the competing phase {name}: {reason}")
        if lacking:
            self.tell("note: candidates that compete with these get a formation energy, but no distance to the hull")
        for id, reason in exported.failed.items():
            self.tell(f"left out {id}: {reason}")
        remarks: dict[str, int] = {}
        for texts in exported.remarks.values():
            for text in texts:
                remarks[text] = remarks.get(text, 0) + 1
        for text, count in remarks.items():
            self.tell(f"note ({count:,} calculations): {text}")

    def _calculations(self, candidates: pd.DataFrame) -> RunSummary:
        """Run what is not done; the report is written anew whenever a candidate is complete."""
        jobs = {job["id"]: job for job in read_manifest(self.folder)["jobs"]}
        needed = needs(list(jobs.values()))
        states = {id: read_status(self.folder / id)["state"] for id in jobs}
        done = sum(state == "done" for state in states.values())
        left = time_left(self.folder, list(jobs.values()), self.running.workers)
        self.tell(f"3/4 calculations: {inputs.sizes(list(jobs.values()))}; {done:,} done before, "
                  f"{self.running.workers:,} at once{left}")  # fmt: skip

        def ended(id: str) -> None:
            status = read_status(self.folder / id)
            states[id] = status["state"]
            if status["state"] == "waiting":  # another call's, or the time is up
                return
            after = sum(state != "waiting" for state in states.values())
            left = time_left(self.folder, list(jobs.values()), self.running.workers)
            how = "done" if status["state"] == "done" else f"failed ({status.get('reason', '')})"
            seconds = f", {status['seconds']:,.0f} s" if "seconds" in status else ""
            self.tell(f"  {after:,}/{len(jobs):,} {id}: {how}{seconds}{left}")
            complete = [candidate for candidate, ids in needed.items() if id in (candidate, *ids)
                        and all(states[one] != "waiting" for one in (candidate, *ids))]  # fmt: skip
            if complete:
                self._report(candidates)

        return run_folder(self.folder, self.plan.engine, self.running, ended=ended)

    def _report(self, candidates: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
        cores = 1 if self.running.command is None else None  # a command may start any number of processes
        return write_results(self.out, self.folder, candidates, self.plan, cores)

    def _made(self, name: str) -> bool:
        return is_structure_folder(self.out / name)


def _left_out_lines(reasons: dict[str, str]) -> list[str]:
    return [f"left out {formula}: {reason}" for formula, reason in reasons.items()]


def _proposed(
    source: Source, wanted: list[str], phases: list[str], plan: CampaignPlan
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What would be calculated, from first proposals where structures are to be made; and what has no structure.

    Returns:
        `role`, `n_atoms` and `order_of` of each calculation, and formula to reason.
    """
    given = {job.formula: job.structure for job in jobs_of(source.folder)} if source.folder is not None else {}
    jobs, lacking = [], {}
    for role, formulas, how in (
        ("candidate", wanted, inputs.structure_plan(plan, 1)),
        ("competing", phases, inputs.competing_plan(plan, plan.potential, None, 1)),
    ):
        proposer = Proposer(how.proposals)
        for number, formula in enumerate(formulas):
            known = given.get(formula) if role == "candidate" else None
            try:
                structure = known or proposer.propose(formula)[0].structure
            except StructureError as error:
                lacking[formula] = str(error).removeprefix(f"{formula}: ")
            else:
                jobs.append(Job(f"{role}-{number}", structure, role))
    elements, _ = element_jobs(elements_of(jobs))
    every, _ = with_magnetic_orders([*jobs, *elements], plan.settings.magnetic_orders)
    return [{"role": job.role, "n_atoms": len(job.structure), "order_of": job.order_of} for job in every], lacking
