"""The table of candidates and the summary, from invented calculations."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from matgen.dft.campaign.plan import CampaignPlan
from matgen.dft.campaign.results import potentials, results, summary, time_left
from matgen.dft.campaign.source import LEFT_OUT
from matgen.io.files import write_json

NAN = float("nan")
CANDIDATES = pd.DataFrame(
    {
        "formula": ["A", "B", "C", "D", "E"],
        "reason": ["mine"] * 5,
        "energy_above_hull": [0.1, 0.2, 0.3, 0.4, 0.5],
        "structure_id": ["1", "2", "3", "4", None],
        "energy_per_atom_chgnet": [-1.0, -2.0, -3.0, -4.0, NAN],
        "energy_above_hull_chgnet": [0.3, 0.2, 0.1, 0.0, NAN],
        "formation_energy": [-1.0, -1.0, -1.0, -1.0, -1.0],
        LEFT_OUT: ["", "", "", "", "no structure: none"],
    }
)
CALCULATIONS = pd.DataFrame(
    {
        "structure_id": ["1", "2", "3", "element-X"],
        "role": ["candidate", "candidate", "candidate", "element"],
        "state": ["done", "failed", "done", "done"],
        "reason": ["", "no room", "no reference", ""],
        "energy_above_hull_dft": [0.05, NAN, NAN, NAN],
        "formation_energy_dft": [-1.5, NAN, NAN, 0.0],
        "decomposition_dft": ["1.00 X", "", "", ""],
        "energy_per_atom_dft": [-5.0, NAN, -6.0, -3.0],
        "energy_per_atom_chgnet": [9.0, 9.0, 9.0, NAN],
        "formation_energy_chgnet_uncorrected": [-1.25, NAN, NAN, NAN],
        "magnetic_order": ["ferromagnetic", "", "", ""],
        "seconds_dft": [1800.0, 900.0, 900.0, None],
    }
)


def test_the_table_of_candidates() -> None:
    frame = results(CANDIDATES, CALCULATIONS)
    # By DFT's distance, then by the potential's; what is left out last.
    assert frame["formula"].to_list() == ["A", "D", "C", "B", "E"]
    assert frame["state_dft"].to_list() == ["done", "left out", "done", "failed", "left out"]
    reasons = ["", "no input could be written", "no reference", "no room", "no structure: none"]
    assert frame["reason_dft"].to_list() == reasons
    assert frame["reason"].to_list() == ["mine"] * 5  # the user's own column
    assert frame["energy_per_atom_chgnet"].to_list()[:2] == [-1.0, -4.0]  # not what the calculations carry
    assert frame["magnetic_order"].iloc[0] == "ferromagnetic"
    assert LEFT_OUT not in frame and potentials(frame) == ["chgnet"]


def test_the_summary() -> None:
    content = summary(
        results(CANDIDATES, CALCULATIONS), CALCULATIONS, CampaignPlan("gpaw"), {}, {"done": 3, "failed": 1}, 2
    )
    assert content["calculations"] == {"done": 3, "failed": 1, "waiting": 0}
    counts = [content[name] for name in ("candidates", "left_out", "done", "failed", "waiting")]
    assert counts == [5, 2, 2, 1, 0]
    assert (content["with_formation_energy"], content["with_energy_above_hull"]) == (1, 1)
    assert (content["stable"], content["within_0.1"]) == (0, 1)
    assert (content["hours"], content["core_hours"]) == (1.0, 2.0)
    assert content["mean_absolute_difference"] == {
        "formation_energy_chgnet_uncorrected": {"n": 1, "mae": 0.25},
        "formation_energy": {"n": 1, "mae": 0.5},
    }


@pytest.mark.parametrize(
    ("n_done", "workers", "text"),
    [(4, 1, ""), (5, 1, "; left: roughly 70 s to 2 min"), (5, 2, "; left: roughly 35 s to 70 s"), (9, 1, "")],
)
def test_how_long_it_takes_is_told_from_what_is_done(n_done: int, workers: int, text: str, tmp_path: Path) -> None:
    jobs = [{"id": f"job{i}", "n_atoms": 1 if i < 8 else 2} for i in range(9)]
    for i in range(n_done):  # 5, 10, 15, 20, 25 s: the middle half from 10 to 20; left: 3 of cost 1 and one of cost 4
        status = {"state": "done", "seconds": 5.0 * (i + 1)}
        result = {"energy": -1.0, "max_force": 0.0, "volume": 9.0, "n_atoms": 1, "converged": True}
        write_json(tmp_path / f"job{i}" / "status.json", status | {"result": result})
    assert time_left(tmp_path, jobs, workers) == text
