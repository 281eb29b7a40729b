from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from matgen.cli import main
from matgen.io.files import read_json
from matgen.structure_report import evaluate_structures

from .relaxed_folder import ROWS


@pytest.mark.slow
def test_compositions_and_structures_in_one_report(relaxed_folder: Path, tmp_path: Path) -> None:
    report = evaluate_structures(relaxed_folder, "hybrid", out=tmp_path / "report", baselines=False)
    assert report.frame["formula"].tolist() == ROWS
    assert report.content["n"] == len(ROWS) and report.content["structures"]["with_structure"] == 4
    judged = pd.read_parquet(tmp_path / "report" / "structures.parquet")
    novel = report.frame["novel"].to_numpy(dtype=bool)
    assert judged["novel"].tolist() == novel.tolist() and novel.tolist()[:3] == [False] * 3
    assert judged["energy_above_hull"].tolist()[:3] == [0.0, 0.01, 0.0]
    assert (tmp_path / "report" / "report.html").read_text().count('class="matgen-scene"') == 4


@pytest.mark.slow
def test_the_verb(relaxed_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert main(["evaluate", str(relaxed_folder), "--no-baselines", "--verbose", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Metastable, unique and novel" in said and "By anion" in said
    assert read_json(out / "report.json")["structures"]["counts"]["metastable"] >= 3
    assert main(["evaluate", str(relaxed_folder), "--out", str(out)]) == 2
    assert "add --force" in capsys.readouterr().err


def test_reference_structures_need_structures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.csv").write_text("formula\nNaCl\n")
    command = [
        "evaluate",
        str(tmp_path / "c.csv"),
        "--reference-structures",
        str(tmp_path),
        "--out",
        str(tmp_path / "r"),
    ]
    assert main(command) == 2
    assert "matgen structure" in capsys.readouterr().err and not (tmp_path / "r").exists()
