"""Verdicts that tables of the docs draw from figures: LIFT's claims, and a DFT campaign."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import campaign
from benchmarks.tables import dft, lift_claims


def fits(kind: str, template: str, accuracies: list[float]) -> list[dict]:
    return [
        {"kind": kind, "template": template, "table": "iris", "seed": seed, "accuracy": accuracy}
        for seed, accuracy in enumerate(accuracies)
    ]


def judged(named: list[float], others: list[float]) -> tuple[str, str]:
    content = {"lift_pretrained": {"fits": fits("head", "named", named) + fits("head", "x1", others)}}
    return lift_claims.names(content)


def test_a_difference_counts_where_its_interval_excludes_zero() -> None:
    named, others = [0.90, 0.94, 0.95, 0.97], [0.80, 0.85, 0.83, 0.86]
    verdict, figure = judged(named, others)
    gains = 100 * (np.array(named) - others)
    half = 1.959964 * gains.std(ddof=1) / 2
    assert verdict == lift_claims.YES
    assert f"{gains.mean():+.1f} ({gains.mean() - half:+.1f} to {gains.mean() + half:+.1f}) points, 4 pairs" in figure
    assert judged([0.9, 0.8], [0.7, 0.9])[0] == lift_claims.PARTLY
    assert judged([0.7, 0.8], [0.8, 0.9])[0] == lift_claims.NO
    assert judged([0.9], [0.8]) == ("not measured", "-")


def test_a_gain_below_the_spread_over_seeds_is_partly_one() -> None:
    extras = {"pretext": {"rows": 10, "0 pretext tasks": {"mean": 0.8, "std": 0.01}}}
    verdicts = []
    for mean, std in ((0.9, 0.02), (0.85, 0.06), (0.7, 0.01)):
        extras["pretext"]["2 pretext tasks"] = {"mean": mean, "std": std}
        verdicts.append(lift_claims.two_stage({"lift_extras": extras})[0])
    assert verdicts == [lift_claims.YES, lift_claims.PARTLY, lift_claims.NO]


ROWS = [
    {"formula": "KLiF2", "energy_above_hull_dft": 0.15, "energy_above_hull_chgnet": 0.05, "energy_above_hull": 0.0},
    {"formula": "KLiCl2", "energy_above_hull_dft": 0.05, "energy_above_hull_chgnet": 0.09, "energy_above_hull": 0.02},
    {"formula": "K3LiO2", "energy_above_hull_dft": None, "reason_dft": "not run", "energy_above_hull_chgnet": 0.0},
]


def test_judges_are_held_against_what_dft_places() -> None:
    verdicts = campaign.verdicts(ROWS)
    assert verdicts["energy_above_hull_dft"]["within_0.1"] == 1
    chgnet = verdicts["energy_above_hull_chgnet"]
    assert (chgnet["n"], chgnet["within_0.1"], chgnet["within_0.1_by_both"], chgnet["stable"]) == (2, 2, 1, 0)
    assert chgnet["mean_absolute_difference"] == pytest.approx((0.10 + 0.04) / 2)
    assert "CHGNet 0.070 eV/atom, 2 called near, 1 of them rightly" in dft.judges({"verdicts": verdicts})


def test_a_campaign_is_listed_from_the_lowest_with_reasons_last() -> None:
    rows = list(dft.campaign({"candidates": ROWS}))
    assert [row["formula"] for row in rows] == ["KLiCl2", "KLiF2", "K3LiO2"]
    assert [row["dft"] for row in rows] == ["0.050", "0.150", "not run"]


def test_a_hull_of_wrong_structures_gives_a_lower_bound_that_judges_nobody() -> None:
    competing = pd.DataFrame(
        {
            "formula": ["SrZnO2", "SrO", "KCl"],
            "energy_above_hull_chgnet": [0.096, 0.051, 0.02],
            "energy_above_hull_7net_l3i5": [0.09, 0.012, None],
        }
    )
    too_high = campaign.structures_too_high(competing)
    assert too_high == ["SrZnO2"]  # an error of one potential alone is not the structure's
    for column in ("decomposition", "decomposition_dft"):
        rows = [row | {column: "0.67 SrZnO2 + 0.33 SrO"} for row in ROWS[:1]] + ROWS[1:]
        marked = campaign.with_lower_bounds(rows, too_high)
        assert [row["hull_too_high"] for row in marked] == [["SrZnO2"], [], []]
    assert campaign.verdicts(marked)["energy_above_hull_dft"]["n"] == 1
    assert [row["dft"] for row in dft.campaign({"candidates": marked})][1] == "at least 0.150 (SrZnO2)"
