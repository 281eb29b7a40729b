from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from matgen.cli import _parser, main
from matgen.cli.discover import _print_structures, closing_lines, plan_of
from matgen.cli.options import request_of
from matgen.discovery import Discovery
from matgen.structures.finish import Finish


def made() -> pd.DataFrame:
    """Four compositions: finished, where the potentials disagree, not finished, without structure."""
    return pd.DataFrame({
        "formula": ["KBr", "NaCl", "MgO", "XeAu2"],
        "structure_id": ["0001-KBr-1", "0002-NaCl-1", "0003-MgO-1", None],
        "template": ["halite", "sylvite", "periclase", None],
        "energy_above_hull": [0.01, 0.02, 0.03, 0.04],
        "energy_above_hull_chgnet": [0.3, 0.02, 0.001, None],
        "energy_above_hull_7net_l3i5": [0.05, 0.01, None, None],
        "potentials_disagree": pd.array([True, False, None, None], dtype="boolean"),
        "structure_reason": ["", "", "", "no template"],
        "energy_reason": "",
    })  # fmt: skip


def test_both_potentials_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _print_structures(made(), Finish(top=2))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].startswith("relaxed by chgnet, the first 2 further by 7net-l3i5 (!: they disagree); eV/atom")
    assert [line.split() for line in lines[1:]] == [
        ["NaCl", "0.020", "0.010", "(0.020)", "sylvite"],
        ["KBr", "0.300", "0.050!", "(0.010)", "halite"],
        ["MgO", "0.001", "-", "(0.030)", "periclase"],
        ["XeAu2", "-", "no", "template"],
    ]
    _print_structures(made(), None)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].startswith("relaxed by chgnet; eV/atom") and lines[1].split()[:3] == ["MgO", "0.001", "(0.030)"]


def test_every_option_that_says_what_sample_keeps_goes_with_discover() -> None:
    parser = _parser()
    options = [
        *("--contains", "Li-O", "--exclude", "toxic", "--num-elements", "3..4", "--max-atoms", "12", "--valid"),
        *("--count", "O:2..6", "--rejection", "--unique", "--novel-to", "hybrid", "--novel-to", "mp-pure"),
        *("--screen", "band_gap > 2", "--max-draws", "500", "--condition", "band_gap=2..3", "-n", "40", "--seed", "5"),
    ]
    sample, discover = (parser.parse_args([name, *options]) for name in ("sample", "discover"))
    asked = request_of(sample, "band_gap > 2")
    assert request_of(discover, "band_gap > 2") == asked
    plan = plan_of(discover)
    assert plan.request(plan.screen) == asked
    assert asked.constraints is not None and asked.novel_to == ("hybrid", "mp-pure") and asked.most_draws == 500


def test_a_reward_goes_with_what_discover_is_told() -> None:
    told = ["--reward", "band_gap * novel", "--diversity", "2", "--reference", "mp-pure", "--seed", "3"]
    how = plan_of(_parser().parse_args(["discover", *told])).reinforcement
    assert how is not None
    assert (how.reward, how.diversity, how.reference, how.seed) == ("band_gap * novel", 2.0, ("mp-pure",), 3)
    assert how.max_minutes == 5 and Path(how.predictors[0]).name == "formation_energy-oqmd"
    assert plan_of(_parser().parse_args(["discover"])).reinforcement is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reward", "novle"], "did you mean novel"),
        (["--reward", "novel", "--architecture", "blmm"], "the model to train is a BLMM, which cannot be reinforced"),
        (["--reward-minutes", "3"], "name one by --reward"),
    ],
)
def test_bad_rewards_are_refused_before_any_work(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["discover", *options, "--structures", "0", "--quiet", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1
    assert not (out / "model").exists() and not (out / "reinforced").exists()


def test_aims_that_contradict_each_other_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discover", "--chemsys", "Li-O", "--exclude", "O", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.startswith("matgen discover: ") for line in said] == [False, True]
    assert not (tmp_path / "out").exists()


def test_a_bad_number_of_structures_to_finish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discover", "--finish-top", "-1", "--out", str(tmp_path / "out")]) == 2
    assert "--finish-top is -1, it must be 0 (none) or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_terminal_ends_in_ten_lines_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_of(_parser().parse_args(["discover", "--contains", "Li-O", "--structures", "4"]))
    report = SimpleNamespace(content={"n": 2000, "valid": 0.981, "novel": 0.5, "unique": 0.99})
    ranked = pd.DataFrame({"formula": [f"Li{i}O" for i in range(2, 40)]})
    found = Discovery(tmp_path / "discovery", ranked, report, {}, made())
    lines = closing_lines(replace(plan, finish=Finish(top=2)), found)
    assert lines == [
        "2,000 compositions: 98.1 % valid, 50.0 % novel, 99.0 % unique",
        "38 valid, novel ones, ranked by stability, oxidation states and novelty; first: Li2O, Li3O, Li4O, Li5O, Li6O",
        "structures of 3 of 4: 2 within 0.1 eV/atom of the hull by chgnet; "
        "of the 2 that 7net-l3i5 relaxed too, 1 by both",
        "report: discovery/report/report.html (all metrics on the terminal: --verbose)",
        "files in discovery/: ranked.csv, candidates.csv; structures/ (CIF) and dft/ (vasp inputs)",
        "next: matgen sample -n 100000 --model hybrid-stable-gptj-small  (with the same constraints)",
        "      matgen structure discovery/ranked.csv --top 20",
    ]
    nothing = Discovery(tmp_path / "discovery", ranked.head(0), report, {})
    assert "0 valid, novel ones" in closing_lines(plan, nothing)[1]
    assert len(closing_lines(plan, nothing)) < len(lines)
