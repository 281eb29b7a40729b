"""Reports side by side: the test against scipy's, differing settings first, and what is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import chi2_contingency

from matgen.datasets import load_dataset
from matgen.errors import DataError, OptionError, OutputError
from matgen.evaluation import evaluate
from matgen.evaluation.comparison import FILES, compare, read_report, two_proportions
from matgen.evaluation.labels import METRICS
from matgen.evaluation.page import comparison as page_compare
from matgen.evaluation.page import terminal
from matgen.validity import ValidityRules

from .standin import FORMULAS, Reference


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    mostly_bad = ["Na2Cl"] * 30 + ["NaCl"] * 10
    evaluate(FORMULAS[:40], Reference(), out=folder / "good", baselines=False)
    evaluate(mostly_bad, Reference(), out=folder / "bad" / "report", baselines=False)
    rules = ValidityRules(mixed_valence=True)
    evaluate(FORMULAS, Reference(), rules=rules, out=folder / "more", baselines=False, seed=5)
    return folder


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_the_test_is_scipys(of: int, of_first: int, data) -> None:
    found, found_first = data.draw(st.integers(0, of)), data.draw(st.integers(0, of_first))
    result = two_proportions(found, of, found_first, of_first)
    table = [[found, of - found], [found_first, of_first - found_first]]
    assert result["difference"] == pytest.approx(found / of - found_first / of_first)
    if min(map(sum, zip(*table, strict=True))) == 0:
        assert result["verdict"] == "too few to tell"
        return
    # The square of z is Pearson's chi-squared without Yates' correction.
    chi2, p, _, expected = chi2_contingency(table, correction=False)
    if expected.min() < 4.999999:
        assert (result["p"], result["verdict"]) == (None, "too few to tell")
    elif expected.min() > 5.000001:
        assert result["z"] ** 2 == pytest.approx(chi2, abs=1e-9)
        assert result["p"] == pytest.approx(p, abs=1e-12)
        assert (result["verdict"] == "within noise") == (p >= 0.05)


def test_no_trials() -> None:
    assert two_proportions(0, 0, 1, 2) is None and two_proportions(1, 2, 0, 0) is None


def test_content(runs: Path) -> None:
    found = compare([runs / "good", runs / "bad"]).content
    good, bad = (json.loads(path.read_text()) for path in (runs / "good/report.json", runs / "bad/report/report.json"))
    assert [report["name"] for report in found["reports"]] == ["good", "bad"]
    assert set(found["metrics"]) == set(METRICS)
    valid = found["metrics"]["valid"]
    assert valid["values"] == [good["valid"], bad["valid"]]
    assert valid["intervals"] == [good["intervals"]["valid"], bad["intervals"]["valid"]]
    assert valid["tests"][0] is None and valid["tests"][1]["verdict"] == "lower"
    assert found["metrics"]["unique"]["tests"] == [None, None]
    assert found["differing_settings"] == [] and found["at_equal_n"] is None
    assert page_compare.warning(found) is None


def test_settings_that_differ_come_first(runs: Path, tmp_path: Path) -> None:
    result = compare([runs / "good", runs / "more"], out=tmp_path)
    differing = {row["setting"]: row["values"] for row in result.content["differing_settings"]}
    assert differing == {"n": [40, len(FORMULAS)], "mixed_valence": [False, True], "seed": [0, 5]} | (
        {"name": ["default", "custom"]} if "name" in differing else {}
    )
    at = result.content["at_equal_n"]
    assert at["n"] == 20 and len(at["unique"]) == 2
    # More draws find more: no verdict on recovery.
    assert result.content["recovery"]["test"]["tests"] == [None, None]
    text = (tmp_path / "compare.md").read_text()
    assert text.index("protocols differ") < text.index("mixed valence") < text.index("## Metrics")
    page = (tmp_path / "compare.html").read_text()
    assert page.index('class="warning"') < page.index("<h2>")
    assert json.loads((tmp_path / "compare.json").read_text()) == result.content


def test_terminal(runs: Path) -> None:
    console = Console(record=True, width=140, file=io.StringIO())
    terminal.print_comparison(compare([runs / "good", runs / "more", runs / "bad"]).content, console)
    shown = console.export_text()
    assert shown.index("protocols differ") < shown.index("Metrics, each report against the first")
    assert all(name in shown for name in ("good", "more", "bad", "two-proportion z-test"))


def test_names_tell_reports_apart(runs: Path, tmp_path: Path) -> None:
    for name in ("a/x", "b/x", "b/y/report"):
        shutil.copytree(runs / "good", tmp_path / name)
    found = compare([tmp_path / "a/x", tmp_path / "b/x", tmp_path / "b/y", runs / "good/report.json"]).content
    assert [report["name"] for report in found["reports"]][:3] == ["a/x", "b/x", "b/y"]


def test_all_or_nothing_and_nothing_overwritten(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [runs / "good", runs / "bad"]
    compare(both, out=tmp_path / "c")
    assert sorted(os.listdir(tmp_path / "c")) == sorted(FILES)
    before = (tmp_path / "c" / "compare.json").read_bytes()
    with pytest.raises(OutputError, match="holds a comparison already"):
        compare([runs / "good", runs / "more"], out=tmp_path / "c")
    assert (tmp_path / "c" / "compare.json").read_bytes() == before
    compare([runs / "good", runs / "more"], out=tmp_path / "c", force=True)
    assert (tmp_path / "c" / "compare.json").read_bytes() != before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        compare(both, out=tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        compare(both, out=tmp_path / "file" / "below")
    monkeypatch.setattr(page_compare, "html", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compare(both, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no report.json in it"),
        ("{", "is not valid JSON"),
        ("[]", "is not a report"),
        ('{"n": 3}', "is not a report"),
        ('{"n": 3, "protocol": {"versions": {"matgen": "0.0.9"}}}', "written by matgen 0.0.9, without 'parsed'"),
        ('{"n": 3, "protocol": {"versions": 7}}', "written by matgen ?"),
    ],
)
def test_what_is_no_report_is_one_line(runs: Path, tmp_path: Path, text: str | None, words: str) -> None:
    (tmp_path / "run").mkdir()
    if text is not None:
        (tmp_path / "run" / "report.json").write_text(text)
    with pytest.raises(DataError) as error:
        compare([runs / "good", tmp_path / "run"])
    assert words in str(error.value) and "\n" not in str(error.value)


def test_an_older_report_is_refused(runs: Path, tmp_path: Path) -> None:
    content = json.loads((runs / "good" / "report.json").read_text())
    del content["curves"]
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="without 'curves': run matgen evaluate again"):
        read_report(tmp_path / "report.json")


def test_a_report_without_the_newer_metrics_is_compared_in_the_others(runs: Path, tmp_path: Path) -> None:
    content = json.loads((runs / "good" / "report.json").read_text())
    for name in ("balanced_common", "rare_state", "intermetallic"):
        for entries in (content, content["counts"], content["intervals"], content["baseline"]):
            entries.pop(name, None)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.json").write_text(json.dumps(content))
    found = compare([tmp_path / "old", runs / "bad"], out=tmp_path / "out")
    common = found.content["metrics"]["balanced_common"]
    assert common["values"][0] is None and common["values"][1] is not None and common["tests"] == [None, None]
    assert found.content["metrics"]["valid"]["tests"][1] is not None
    assert "Balanced by common states" in (tmp_path / "out" / "compare.html").read_text()


def test_too_few_too_many_and_twice(runs: Path) -> None:
    with pytest.raises(OptionError, match="1 reports to compare: 2 to 8"):
        compare([runs / "good"])
    with pytest.raises(OptionError, match="9 reports"):
        compare([runs / "good"] * 9)
    with pytest.raises(OptionError, match="given twice"):
        compare([runs / "good", runs / "good" / "report.json"])
    with pytest.raises(DataError, match="no such folder"):
        compare([runs / "good", runs / "none"])


@pytest.mark.slow
def test_shares_that_fall_with_n_are_tested_at_equal_n_only(tmp_path: Path) -> None:
    """The same pool drawn from less and more often: nothing differs but n."""
    pool = load_dataset("hybrid-pure").frame["formula"].to_numpy(object)[:1500]
    rng = np.random.default_rng(0)
    for name, n in (("few", 600), ("many", 9000), ("again", 600)):
        evaluate(rng.choice(pool, n).tolist(), "mp-mix", baselines=False, out=tmp_path / name)
    different = compare([tmp_path / "few", tmp_path / "many"]).content["metrics"]
    assert [different[name]["tests"][1] for name in ("novel", "valid_unique_novel")] == [None, None]
    assert different["valid"]["tests"][1] is not None
    alike = compare([tmp_path / "few", tmp_path / "again"]).content["metrics"]
    assert alike["valid_unique_novel"]["tests"][1]["verdict"] == "within noise"
