"""What a campaign has found: the table of candidates, the table of calculations, and the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.dft.campaign.page import html
from matgen.dft.campaign.plan import CampaignPlan
from matgen.dft.campaign.source import LEFT_OUT
from matgen.dft.codes import CODES
from matgen.dft.collect import collect
from matgen.dft.run_order import cost
from matgen.dft.settings import read_manifest
from matgen.dft.status import read_status
from matgen.hull.limits import METASTABLE
from matgen.io.files import atomic_write, write_json, write_text
from matgen.io.outputs import write_with_metadata

RESULTS, CALCULATIONS, REPORT = "results.csv", "calculations.csv", "report"

_FROM_COLLECT = (
    "state", "reason", "energy_above_hull_dft", "formation_energy_dft", "decomposition_dft", "energy_per_atom_dft",
    "max_force_dft", "volume_per_atom_dft", "magnetic_moment_dft", "magnetic_order", "seconds_dft",
)  # fmt: skip
"""Columns of `collect` that candidates get, where they are there."""

_RENAMED = {"state": "state_dft", "reason": "reason_dft"}
"""The input may have a `reason` of its own."""

_FEWEST_FOR_AN_ESTIMATE = 5


def potentials(frame: pd.DataFrame) -> list[str]:
    """Names of the potentials that a table has energies of, such as `chgnet`."""
    names = [str(name).removeprefix("energy_per_atom_") for name in frame if str(name).startswith("energy_per_atom_")]
    return [name for name in names if name != "dft" and f"energy_above_hull_{name}" in frame]


def results(candidates: pd.DataFrame, calculations: pd.DataFrame) -> pd.DataFrame:
    """The candidates with what DFT says of them, those lowest above the hull first.

    Args:
        candidates: a row for each, with `formula`, `structure_id` (missing where there is none) and `LEFT_OUT`.
        calculations: as `collect` gives them.

    Returns:
        The rows with the columns of `collect` that end in `_dft`, with `state_dft` (`done`, `failed`, `waiting`,
        `left out`) and `reason_dft`, and the potentials' formation energies without corrections. Those without a
        distance to the hull come behind the others, in the order of a potential's distance to the hull of labels.
    """
    taken = [name for name in _FROM_COLLECT if name in calculations]
    taken += [str(name) for name in calculations if str(name).endswith("_uncorrected")]
    own = calculations[calculations["role"] == "candidate"].set_index("structure_id")[taken].rename(columns=_RENAMED)
    own = own[[name for name in own if name in _RENAMED.values() or name not in candidates]]
    frame = candidates.drop(columns=[name for name in own if name in candidates])
    frame = frame.join(own, on="structure_id") if "structure_id" in frame else frame.reindex(columns=[*frame, *own])
    excluded = frame[LEFT_OUT].ne("")
    frame["state_dft"] = frame["state_dft"].mask(excluded | frame["state_dft"].isna(), "left out")
    unwritten = frame["reason_dft"].isna().map({True: "no input could be written", False: ""})
    frame["reason_dft"] = frame[LEFT_OUT].where(excluded, frame["reason_dft"].fillna(unwritten))
    frame = frame.drop(columns=LEFT_OUT)
    above = [f"energy_above_hull_{name}" for name in ("dft", *potentials(frame))]
    order = frame.assign(excluded=excluded).sort_values(["excluded", *above], kind="stable", na_position="last").index
    frame = frame.loc[order].reset_index(drop=True)
    first = ["formula", "state_dft", "reason_dft", "energy_above_hull_dft", "formation_energy_dft", "decomposition_dft"]
    return frame[first + [name for name in frame if name not in first]]


def summary(
    frame: pd.DataFrame,
    calculations: pd.DataFrame,
    plan: CampaignPlan,
    lacking_phases: Mapping[str, str],
    states: Mapping[str, int],
    cores: int | None,
) -> dict[str, Any]:
    """Counts and settings, as `report.json` has them.

    Args:
        frame: as `results` gives it.
        calculations: as `collect` gives them.
        plan: of the campaign.
        lacking_phases: competing phases without a structure, with the reason.
        states: how many calculations are `done`, `failed` and `waiting`, each magnetic order by itself.
        cores: that a calculation ran on, None where that is not known.
    """
    above = frame["energy_above_hull_dft"]
    hours = float(pd.to_numeric(calculations["seconds_dft"]).sum()) / 3600
    code = CODES[plan.engine]
    return {
        "candidates": len(frame),
        "left_out": int((frame["state_dft"] == "left out").sum()),
        "done": int((frame["state_dft"] == "done").sum()),
        "failed": int((frame["state_dft"] == "failed").sum()),
        "waiting": int((frame["state_dft"] == "waiting").sum()),
        "with_formation_energy": int(frame["formation_energy_dft"].notna().sum()),
        "with_energy_above_hull": int(above.notna().sum()),
        "stable": int((above <= 0).sum()),
        "within_0.1": int((above <= METASTABLE).sum()),
        "calculations": {state: states.get(state, 0) for state in ("done", "failed", "waiting")},
        "hours": round(hours, 3),
        "core_hours": None if cores is None else round(hours * cores, 3),
        "mean_absolute_difference": _differences(frame),
        "lacking_phases": dict(lacking_phases),
        "protocol": {"code": code.title, "functional": "PBE", **plan.content(),
                     "versions": {"matgen": version("matgen")}},
    }  # fmt: skip


def _differences(frame: pd.DataFrame) -> dict[str, dict[str, float | int]]:
    """Mean absolute differences of formation energies from DFT's, eV/atom, of potentials and of the predictor."""
    found = {}
    names = [f"formation_energy_{name}_uncorrected" for name in potentials(frame)] + ["formation_energy"]
    for name in names:
        if name in frame:
            values = pd.to_numeric(frame[name], errors="coerce")
            apart = (values - frame["formation_energy_dft"]).abs().dropna()
            if len(apart):
                found[name] = {"n": len(apart), "mae": round(float(apart.mean()), 4)}
    return found


def write_results(
    out: Path, folder: Path, candidates: pd.DataFrame, plan: CampaignPlan, cores: int | None = 1
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Write `results.csv`, `calculations.csv` and the report of what is there, and return table and summary.

    Args:
        out: folder of the campaign.
        folder: of its calculations.
        candidates: as `results` takes them.
        plan: of the campaign.
        cores: that a calculation runs on, None where that is not known.
    """
    calculations = collect(folder)
    manifest = read_manifest(folder)
    sizes = {job["id"]: job["n_atoms"] for job in manifest["jobs"]}
    calculations.insert(3, "n_atoms", calculations["structure_id"].map(sizes))
    frame = results(candidates, calculations)
    states = Counter(read_status(folder / job["id"])["state"] for job in manifest["jobs"])
    content = summary(frame, calculations, plan, manifest.get("lacking_phases") or {}, states, cores)
    write_with_metadata(out / RESULTS, frame, content)
    with atomic_write(out / CALCULATIONS) as temporary:
        calculations.to_csv(temporary, index=False)
    write_text(out / REPORT / "index.html", html(content, frame, calculations, potentials(frame)))
    write_json(out / REPORT / "report.json", content)
    return frame, content


def time_left(folder: Path, jobs: Sequence[Mapping[str, Any]], workers: int) -> str:
    """How long the calculations that wait may take, in words; empty where too few are done to tell.

    The range is that of the middle half of the times that were taken for the same cost (`cost`).
    """
    status = {job["id"]: read_status(folder / job["id"]) for job in jobs}
    rates = [status[job["id"]]["seconds"] / cost(job) for job in jobs if "seconds" in status[job["id"]]
             and status[job["id"]]["state"] == "done"]  # fmt: skip
    waiting = sum(cost(job) for job in jobs if status[job["id"]]["state"] == "waiting")
    if len(rates) < _FEWEST_FOR_AN_ESTIMATE or not waiting:
        return ""
    low, high = (waiting * float(np.quantile(rates, share)) / workers for share in (0.25, 0.75))
    return f"; left: roughly {_duration(low)} to {_duration(high)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
