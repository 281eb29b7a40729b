"""The page of a campaign: what it says, hostile text, and campaigns of which nothing is done yet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from matgen.dft.campaign.page import candidate_rows, html
from matgen.dft.campaign.plan import CampaignPlan
from matgen.dft.campaign.results import results, summary

from .test_results import CALCULATIONS, CANDIDATES

HOSTILE = "<script>alert(1)</script>"


def page(
    candidates: pd.DataFrame = CANDIDATES,
    calculations: pd.DataFrame = CALCULATIONS,
    lacking_phases: Mapping[str, str] = MappingProxyType({}),
) -> str:
    calculations = calculations.assign(formula="X", n_atoms=2)
    frame = results(candidates, calculations)
    states = calculations["state"].value_counts().to_dict()
    content = summary(frame, calculations, CampaignPlan("gpaw"), lacking_phases, states, 1)
    return html(content, frame, calculations, ["chgnet"])


def test_what_it_says() -> None:
    text = page(lacking_phases={"Mg149Si": "no template"})
    for said in ("0 of 1 candidates are on or below the hull by DFT", "1 of 1 lie within 0.1 eV/atom", "ferromagnetic",
                 "no structure: none", "no room", "Mg149Si", "1.00 core-hours", "0.250 eV/atom (1 candidates)",
                 "Formation energies against DFT", "3 of 4 calculations are done, 1 failed."):  # fmt: skip
        assert said in text, said
    assert "http" not in text.split("</style>")[1].replace("http://www.w3.org", "")  # nothing is asked of a network


def test_text_is_escaped() -> None:
    text = page(CANDIDATES.assign(formula=HOSTILE), CALCULATIONS.assign(reason=HOSTILE))
    assert HOSTILE not in text and "&lt;script&gt;alert" in text


def test_before_anything_is_done() -> None:
    nothing = float("nan")
    waiting = CALCULATIONS.assign(
        state="waiting", reason="not run", seconds_dft=None, energy_per_atom_dft=nothing, energy_above_hull_dft=nothing,
        formation_energy_dft=nothing,
    )  # fmt: skip
    text = page(calculations=waiting)
    assert "<figure" not in text and "4 still to be run" in text
    assert "None of 5 candidates has an energy above the hull by DFT yet" in text


def test_columns_that_are_there_are_shown() -> None:
    frame = results(CANDIDATES, CALCULATIONS)
    heads, rows = candidate_rows(frame, ["chgnet"])
    assert heads == ["Formula", "Decomposes into", "State", "Magnetic order", "Hull: DFT", "Hull of labels: chgnet",
                     "Hull of labels: predicted", "Formation: DFT", "Formation: chgnet", "Formation: predicted",
                     "Atoms", "Time / min"]  # fmt: skip
    assert rows[0] == ["A", "1.00 X", "done", "ferromagnetic", "0.050", "0.300", "0.100", "-1.500", "-1.250", "-1.000",
                       "-", "30.0"]  # fmt: skip
    without = results(CANDIDATES.drop(columns="energy_above_hull"), CALCULATIONS.drop(columns="magnetic_order"))
    assert "Magnetic order" not in candidate_rows(without, ["chgnet"])[0]
    nothing_magnetic = frame.assign(magnetic_order="nonmagnetic")
    assert "Magnetic order" not in candidate_rows(nothing_magnetic, ["chgnet"])[0]
    assert "Hull of labels: predicted" not in candidate_rows(without, ["chgnet"])[0]
