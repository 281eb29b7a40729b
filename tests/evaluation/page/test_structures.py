from __future__ import annotations

import base64
import copy
import hashlib
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from matgen.evaluation import evaluate
from matgen.evaluation.metrics import wilson
from matgen.evaluation.page.card import Crystal
from matgen.evaluation.page.structures import (
    StructureSection,
    anion_rows,
    failure_rows,
    potential_rows,
    sentence,
    share_rows,
)
from matgen.io.files import read_json
from tests.evaluation.standin import Reference

HOSTILE = "</script><script>window.hacked=1</script>"


def section() -> StructureSection:
    """Two structures of three compositions, one with hostile words."""
    frame = pd.DataFrame(
        {
            "formula": ["NaBr", "SrZrO3", "XeAu2"],
            "structure_id": ["0001-NaBr-1", "0002-SrZrO3-1", None],
            "origin": ["template", "symmetric", None],
            "template": [HOSTILE, "space group 12", None],
            "space_group": [225, 12, None],
            "n_atoms": [2, 5, None],
            "formation_energy_chgnet": [-1.9, -3.3, None],
            "energy_above_hull_chgnet": [0.05, -0.2, None],
            "msun": [True, False, False],
        }
    ).astype({"space_group": "Int64", "n_atoms": "Int64"})
    scene = {"elements": {"Na": {"color": "#aa00ff", "radius": 1.0}}, "atoms": [["Na", 0, 0, 0]], "bonds": [],
             "cell": [[3, 0, 0], [0, 3, 0], [0, 0, 3]]}  # fmt: skip
    content = {
        "n": 3, "with_structure": 2, "structures": 4, "counts": {"relaxed": 2, "implausible": 0, "stable": 1,
        "metastable": 2, "sun": 0, "msun": 1},
        "by_anion_class": {"Br": {"n": 1, "stable": 0, "metastable": 1, "known_compounds": 11, "bias": 0.04,
                                  "mae": 0.05},
                           "none": {"n": 1, "stable": 0, "metastable": 0, "known_compounds": 0, "bias": None,
                                    "mae": None}},
        "failures": {"no template": 1},
        "protocol": {"potential": "chgnet", "potential_version": "0.3.0", "hull": "mp2020", "stable": 0.0,
                     "metastable": 0.1, "implausible": -0.5, "matcher": {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0},
                     "novel": "composition"},
    }  # fmt: skip
    crystals = {
        id: Crystal(id, scene, HOSTILE, "data_x", "POSCAR", {"chgnet": energy})
        for id, energy in (("0001-NaBr-1", 0.05), ("0002-SrZrO3-1", -0.2))
    }
    return StructureSection(content, frame, crystals)


def section_of_two() -> StructureSection:
    """The same where a second potential finished the first structure."""
    one = section()
    frame = one.frame.assign(
        formation_energy_7net_l3i5=[-1.75, None, None], energy_above_hull_7net_l3i5=[0.2, None, None],
        potential_spread=[0.15, None, None], potentials_disagree=pd.array([True, None, None], dtype="boolean"),
        msun_7net_l3i5=pd.array([False, None, None], dtype="boolean"),
        msun_both=pd.array([False, None, None], dtype="boolean"),
    )  # fmt: skip
    verdicts = {"implausible": 0, "stable": 0, "metastable": 1, "sun": 0, "msun": 1}
    content = one.content | {
        "by_potential": {"chgnet": {"n": 3, "counts": verdicts},
                         "7net-l3i5": {"n": 1, "counts": verdicts | {"msun": 0}},
                         "both": {"n": 1, "counts": verdicts | {"msun": 0}}},
        "agreement": {"n": 1, "disagree": 1, "median_spread": 0.15},
        "protocol": one.content["protocol"] | {"finish": {"potential": "7net-l3i5", "lowest": 2, "top": 1,
                                                          "version": "0.13.0", "disagree": 0.1}},
    }  # fmt: skip
    return StructureSection(content, frame, one.crystals)


def test_two_potentials_side_by_side(tmp_path: Path) -> None:
    found = section_of_two()
    rows = [dict(zip(found.heads, row, strict=True)) for row in found.rows()]
    assert [row["Formula"] for row in rows] == ["NaBr", "SrZrO3"]  # what was finished comes first
    assert rows[0]["Above the hull, 7net-l3i5"] == "0.200" and rows[0]["Spread"] == "0.150, disagree"
    assert rows[0]["Metastable, unique, novel"] == "by chgnet only" and rows[1]["Metastable, unique, novel"] == "no"
    assert rows[1]["Formation energy, 7net-l3i5"] == rows[1]["Spread"] == "-"
    head, shares = potential_rows(found.content)
    assert head == ["Verdict", "chgnet, of 3", "7net-l3i5, of 1", "both, of 1"]
    assert ["Metastable, unique and novel", "1 (33.3 %)", "0 (0.0 %)", "0 (0.0 %)"] in shares
    assert potential_rows(section().content)[1] == []
    said = sentence(found.content)
    assert "of the lowest 2 of the first 1 compositions, which it relaxed further, of 7net-l3i5 0.13.0" in said
    assert "more than 0.1 eV/atom for 1 of 1" in said and "7net" not in sentence(section().content)
    evaluate(["NaBr", "SrZrO3", "XeAu2"], Reference()).with_structures(found).write(tmp_path / "report")
    for name in ("report.html", "report.md"):
        assert "both, of 1" in (tmp_path / "report" / name).read_text()


def test_shares_with_intervals() -> None:
    head, rows = share_rows(section().content)
    assert head[2] == "Of 3"
    shares = {row[0]: row for row in rows}
    low, high = wilson(1, 3)
    assert shares["Stable"][1:] == ["1", "33.3 %", f"{100 * low:.2f} to {100 * high:.2f} %"]
    assert "Novel crystal" not in shares
    assert anion_rows(section().content)[1][0] == ["Br", "1", "0", "1", "11", "+0.040", "0.050"]
    assert anion_rows(section().content)[1][1][-2:] == ["-", "-"]
    content = copy.deepcopy(section().content)
    content["protocol"]["finish"] = {"potential": "7net-l3i5"}
    content["by_anion_class"]["Br"] |= {"bias_of_finish": -0.01, "mae_of_finish": 0.02}
    head, rows = anion_rows(content)
    assert head[-2:] == ["Bias / eV/atom, 7net-l3i5", "MAE / eV/atom, 7net-l3i5"]
    assert rows[0][-4:] == ["+0.040", "0.050", "-0.010", "0.020"] and rows[1][-2:] == ["-", "-"]
    assert failure_rows(section().content)[1] == [["no template", "1"]]


def test_lowest_first_and_only_what_has_a_structure() -> None:
    assert [row[0] for row in section().rows()] == ["SrZrO3", "NaBr"]
    assert section().rows()[1] == ["NaBr", "yes", "0.050", "-", "-1.900", "225", "2", HOSTILE]


@pytest.mark.parametrize("written", [True, False])
def test_a_report_gets_its_structures(tmp_path: Path, written: bool) -> None:
    out = tmp_path / "report"
    report = evaluate(["NaBr", "SrZrO3", "XeAu2"], Reference(), out=out if written else None)
    found = report.with_structures(section())
    if not written:
        assert found.folder is None
        found.write(out)
    assert read_json(out / "report.json") == found.content
    assert found.content["structures"]["counts"]["msun"] == 1
    page = (out / "report.html").read_text()
    assert '<section id="structures">' in page and "window.hacked=1</script>" not in page
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 3
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "## Structures" in (out / "report.md").read_text()
    table = pd.read_parquet(out / "structures.parquet")
    assert table["formula"].tolist() == ["NaBr", "SrZrO3", "XeAu2"]


def test_a_page_without_structures_carries_no_viewer(tmp_path: Path) -> None:
    evaluate(["NaBr"], Reference(), out=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "3Dmol.js" not in page and 'class="matgen-scene"' not in page and len(page) < 400_000
