"""The report: its keys, its files, what it refuses, and what a hostile formula may not do."""

from __future__ import annotations

import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from matgen.errors import DataError, OptionError, OutputError
from matgen.evaluation import evaluate, report
from matgen.evaluation.labels import BASELINES, COLUMNS, METRICS
from matgen.evaluation.page import html as pages
from matgen.evaluation.page import terminal
from matgen.validity import ValidityRules
from tests.frames import listed
from tests.progress import Recorder

from .standin import Reference

HOSTILE = "<script>alert(1)</script>"
ROWS = ["SrTiO3", "O3SrTi", "Sr2Ti2O6", "NaBr", "CuZn", "Cu2Zn5", HOSTILE, "[red]Fe|O[/red]"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> report.Report:
    frame = pd.DataFrame({"formula": ROWS, "log_prob": -1.5, "<b>note</b>": "a<i>b</i>"})
    return evaluate(frame, Reference(), out=tmp_path_factory.mktemp("run") / "report")


def test_keys_of_the_report(written: report.Report) -> None:
    content = json.loads((written.folder / "report.json").read_text())
    assert content == written.content
    promised = ["n", "parsed", "unique", "novel", "charge_neutral", "electronegativity_balanced", "valid"]
    promised += ["valid_unique_novel", "recovery", "baseline", "enrichment", "protocol"]
    assert set(promised) <= set(content)
    assert set(content["recovery"]) == {"train", "test"}
    assert {"charge_neutral", "valid"} <= set(content["baseline"]) == set(content["enrichment"])
    protocol = [
        "oxidation_states",
        "include_alloys",
        "mixed_valence",
        "reference",
        "reference_sha256",
        "seed",
        "versions",
    ]
    assert set(protocol) <= set(content["protocol"])
    assert set(content["protocol"]["versions"]) == {"matgen", "smact", "pymatgen-core", "numpy", "python"}
    assert content["protocol"]["oxidation_states"] == "icsd24"
    assert set(content["baselines"]) == set(BASELINES)
    assert set(content["groups"]) == {"ionic", "all_metal"}


def test_values_of_the_report(written: report.Report) -> None:
    content = written.content
    assert content["n"] == 8
    assert content["parsed"] == 6 / 8
    assert content["unique"] == 4 / 6
    assert content["novel"] == 2 / 4  # NaBr and Cu2Zn5
    assert content["valid"] == 4 / 8
    assert content["valid_unique_novel"] == 1 / 8
    assert content["groups"]["all_metal"]["n"] == 2
    assert content["counts"]["recovery"]["train"]["found"] == 2  # SrTiO3 and CuZn
    assert content["intervals"]["valid"][0] < content["valid"] < content["intervals"]["valid"][1]
    assert [(bad["row"], bad["formula"]) for bad in content["bad"]] == [(6, HOSTILE), (7, "[red]Fe|O[/red]")]
    assert content["enrichment"]["valid"] == content["valid"] / content["baseline"]["valid"]


def test_candidates_hold_the_input_in_order(written: report.Report) -> None:
    frame = pd.read_parquet(written.folder / "candidates.parquet")
    assert list(frame.columns) == ["formula", "log_prob", "<b>note</b>", *COLUMNS]
    assert frame["formula"].tolist() == ROWS
    assert [None if pd.isna(v) else int(v) for v in frame["duplicate_of"]] == [None, 0, 0] + [None] * 5
    assert frame["valid"].dtype == bool
    assert not [name for name in os.listdir(written.folder) if name not in report.FILES]


def test_an_earlier_report_can_be_evaluated_again(written: report.Report) -> None:
    again = evaluate(pd.read_parquet(written.folder / "candidates.parquet"), Reference())
    assert {k: v for k, v in again.content.items() if k != "protocol"} == {
        k: v for k, v in written.content.items() if k != "protocol"
    }


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_pages_escape_the_input(written: report.Report) -> None:
    page = (written.folder / "report.html").read_text()
    tags = _Tags()
    tags.feed(page)
    # No request: an empty icon, figures in the page itself, and places on it.
    assert all(link.startswith(("data:", "#")) for link in tags.links)
    assert HOSTILE not in page and "a<i>b</i>" not in page and "<b>note</b>" not in page
    tame = evaluate([*ROWS[:6], "Xx", "Yy"], Reference())
    harmless = pages.html(tame.content, tame.frame)
    plain = _Tags()
    plain.feed(harmless)
    assert tags.tags == plain.tags
    assert page.count("<script") == harmless.count("<script")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    text = (written.folder / "report.md").read_text()
    assert "<script" not in text and "\\[red\\]Fe\\|O" in text
    for row in re.findall(r"^\|.*\|$", text, flags=re.M):  # a bar in a formula makes no new column
        assert "Fe|O" not in row


def test_terminal_shows_the_input_as_text(written: report.Report) -> None:
    content = json.loads(json.dumps(written.content))
    content["bad"] = content["bad"][::-1]
    console = Console(record=True, width=160, file=io.StringIO())
    terminal.print_summary(content, console)
    shown = console.export_text()
    assert "[red]Fe|O[/red]" in shown
    assert "ICSD unchecked" in shown and "not in these snapshots" in shown
    assert all(label.title in shown for label in METRICS.values())


def test_without_baselines(tmp_path: Path) -> None:
    content = evaluate(["NaCl", "NaBr"], Reference(), baselines=False, out=tmp_path).content
    assert content["baseline"] == content["enrichment"] == content["baselines"] == {}
    assert pages.markdown(content) and terminal.summary(content)


def test_rules_and_seed_matter() -> None:
    rows = ["CuZn", "NaCl"]
    tested = evaluate(rows, Reference(), seed=1).content
    untested = evaluate(rows, Reference(), rules=ValidityRules(include_alloys=True), seed=1).content
    assert (tested["valid"], untested["valid"]) == (0.5, 1.0)
    assert untested["electronegativity_balanced"] == 0.5
    assert untested["protocol"]["include_alloys"] is True
    assert evaluate(rows, Reference(), seed=1).content == tested
    assert evaluate(rows, Reference(), seed=2).content["baselines"] != tested["baselines"]


def test_progress_counts_up() -> None:
    progress = Recorder()
    evaluate(["NaCl", "KCl"], Reference(), baselines=False, progress=progress)
    assert progress.begun == [(2, "candidates", "formulas", 0)]
    assert progress.updates == [2]
    evaluate(["NaCl", "KCl"], Reference(), progress=progress)
    total, description, _, _ = progress.begun[-1]
    assert description == "random baselines"
    assert 0 < sum(progress.updates) <= total


def test_files_and_folders_of_them(tmp_path: Path) -> None:
    pd.DataFrame({"formula": ["NaCl", "KCl"]}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"formula": ["LiF"], "x": [1]}).to_parquet(tmp_path / "b.parquet")
    one = evaluate(tmp_path / "a.csv", Reference(), baselines=False)
    assert one.frame["formula"].tolist() == ["NaCl", "KCl"]
    both = evaluate(str(tmp_path), Reference(), baselines=False, out=tmp_path / "report")
    assert both.frame["formula"].tolist() == ["NaCl", "KCl", "LiF"]
    assert (tmp_path / "report" / "report.json").exists()


def test_a_named_column_of_ours_keeps_its_text() -> None:
    frame = evaluate(pd.DataFrame({"reduced_formula": ["Cl1Na1", "??"]}), Reference(), column="reduced_formula").frame
    assert frame["formula"].tolist() == ["Cl1Na1", "??"]
    assert listed(frame["reduced_formula"]) == ["NaCl", None]


def test_odd_columns_are_stored(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"formula": ["NaCl", "KCl", None], 7: [1, "two", None], "list": [[1], [2], None]}, dtype=object
    )
    result = evaluate(frame, Reference(), baselines=False, out=tmp_path / "r")
    stored = pd.read_parquet(result.folder / "candidates.parquet")
    assert listed(stored["7"]) == ["1", "two", None]
    assert stored["parsed"].tolist() == [True, True, False]


def test_one_bad_row_in_many_passes() -> None:
    rows = ["NaCl"] * 50_000 + ["Nope"] + ["KCl"] * 49_999
    content = evaluate(rows, Reference(), baselines=False).content
    assert content["counts"]["bad"] == 1
    assert content["bad"][0]["row"] == 50_000
    assert content["parsed"] == 0.99999


def test_only_a_hundred_bad_rows_are_listed() -> None:
    content = evaluate(["NaCl"] + ["Nope"] * 250, Reference(), baselines=False).content
    assert (len(content["bad"]), content["counts"]["bad"]) == (100, 250)


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        ([], "no rows"),
        (pd.DataFrame({"formula": []}), "no rows"),
        (["Nope", "Fe2)"], "none of the 2 formulas can be read; row 1: 'Nope': no element 'Nope'"),
        (pd.DataFrame({"a": ["NaCl"], "b": [1]}), "the table has no formula column (its columns: a, b)"),
        (pd.DataFrame([["NaCl", "KCl"]], columns=["formula", "formula"]), "two columns are called 'formula'"),
        (pd.DataFrame({"formula": ["NaCl"], "reason": ["KCl"]}), None),
    ],
)
def test_bad_input_is_one_line(candidates: object, words: str | None, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        evaluate(candidates, Reference(), out=tmp_path / "r", column=None if words else "reason")
    assert (words or "would be replaced") in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "r").exists()


def test_missing_column_empty_reference_and_seed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the table has no column 'x'"):
        evaluate(pd.DataFrame({"formula": ["NaCl"]}), Reference(), column="x")
    with pytest.raises(DataError, match="reference stand-in: no formulas"):
        evaluate(["NaCl"], Reference([]))
    with pytest.raises(OptionError, match="seed -3"):
        evaluate(["NaCl"], Reference(), seed=-3)
    with pytest.raises(DataError, match="holds no table"):
        evaluate(tmp_path, Reference())


def test_an_existing_report_is_kept_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "candidates.csv").write_text("mine")
    evaluate(["NaCl"], Reference(), baselines=False, out=tmp_path)
    before = (tmp_path / "report.json").read_text()
    with pytest.raises(OutputError, match="holds a report already"):
        evaluate(["KCl", "LiF"], Reference(), baselines=False, out=tmp_path)
    with pytest.raises(OutputError, match="holds a report already"):
        evaluate(["KCl"], Reference(), baselines=False).write(tmp_path)
    assert (tmp_path / "report.json").read_text() == before
    evaluate(["KCl", "LiF"], Reference(), baselines=False, out=tmp_path, force=True)
    assert json.loads((tmp_path / "report.json").read_text())["n"] == 2
    assert (tmp_path / "candidates.csv").read_text() == "mine"


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    evaluate(["NaCl"], Reference(), baselines=False, out=tmp_path / "old")
    before = {name: (tmp_path / "old" / name).read_bytes() for name in os.listdir(tmp_path / "old")}
    monkeypatch.setattr(pages, "html", full_disk)
    for out, force in ((tmp_path / "new", False), (tmp_path / "old", True)):
        with pytest.raises(OutputError, match="No space left on device"):
            evaluate(["KCl"], Reference(), baselines=False, out=out, force=force)
    assert not (tmp_path / "new").exists()
    assert {name: (tmp_path / "old" / name).read_bytes() for name in os.listdir(tmp_path / "old")} == before


def test_an_output_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        evaluate(["NaCl"], Reference(), out=tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        evaluate(["NaCl"], Reference(), out=tmp_path / "file" / "below")


def test_bundled_reference(tmp_path: Path) -> None:
    """The default reference, and a file as a reference; every bundled formula is known."""
    (tmp_path / "known.txt").write_text("NaCl\nTi O2\n")
    rows = ["NaCl", "O3SrTi", "NaCl17"]
    content = evaluate(rows, baselines=False).content
    assert content["novel"] == 1 / 3
    assert content["protocol"]["reference"] == "hybrid"
    assert content["protocol"]["reference_size"] > 390_000
    own = evaluate(rows, tmp_path / "known.txt", baselines=False).content
    assert own["novel"] == 2 / 3


@pytest.mark.slow
def test_workers_of_a_scheduler_judge_the_same(tmp_path: Path) -> None:
    from dask.distributed import LocalCluster

    from matgen.evaluation.limits import Limits

    (tmp_path / "known.txt").write_text("NaCl\nTiO2\nSrTiO3\nLiFePO4\n")
    frame = pd.DataFrame({"formula": ["NaCl", "KCl", "?", "TiO2", "KCl", "CaTiO3", "NaBr", "Sr2Ti2O6", "LiCoPO4"] * 3})
    frame.to_parquet(tmp_path / "in.parquet")
    files, options = (tmp_path / "in.parquet", tmp_path / "known.txt"), {"limits": Limits(rows_per_chunk=5)}
    here = evaluate(*files, baselines=False, **options)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        there = evaluate(*files, baselines=False, scheduler=cluster.scheduler_address, **options)
    assert there.content == here.content
    pd.testing.assert_frame_equal(there.frame, here.frame)
