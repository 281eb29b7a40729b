"""The page and Markdown of a report: every text escaped, every number there, rows as data that no text can break."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.elements import SYMBOLS
from matgen.evaluation import evaluate
from matgen.evaluation.labels import DISTRIBUTIONS, METRICS
from matgen.evaluation.page import html as pages
from matgen.evaluation.page.candidates import MOST_ROWS, PAGE_ROWS, candidates, embedded_json
from matgen.evaluation.page.tables import curve_rows, percent, setting
from tests.evaluation.standin import FORMULAS, Reference

HOSTILE = "</script><script>alert(1)</script>"


class Tags(HTMLParser):
    """Tags and links of a page, and the text of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script" and self.scripts:
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def report():
    rows = [*FORMULAS, "NaBr", "Na2Cl", "O3SrTi", HOSTILE]
    return evaluate(pd.DataFrame({"formula": rows, "<b>note</b>": HOSTILE, "log_prob": -1.25}), Reference())


@pytest.fixture(scope="module")
def page(report) -> str:
    return pages.html(report.content, report.frame)


def test_nothing_of_the_input_is_html(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 3 and not {"img", "iframe", "object", "form"} & set(tags.tags)
    assert not tags.handlers
    assert {link for link in tags.links if not link.startswith("#")} == {"data:,"}
    assert "<b>note" not in page and "<script>alert" not in page
    assert unescape("&lt;/script&gt;") in json.loads(tags.scripts[0])["columns"][0]["values"][-1]


def test_the_policy_names_the_hash_of_the_script(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert len(scripts) == 2 and f"script-src {allowed};" in unescape(policy)
    assert "default-src 'none'" in unescape(policy)


def test_the_page_shows_what_the_report_holds(report, page: str) -> None:
    content = report.content
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    for label in [*METRICS.values(), *DISTRIBUTIONS.values()]:
        assert label.title in text or label.title == "Parsed"
    for name, value in content["protocol"].items():
        assert name.replace("_", " ") in text
        if name != "versions":
            assert setting(value) in text
    for package, version in content["protocol"]["versions"].items():
        assert f"{package} {version}" in text
    for system in content["chemical_systems"]["top"]:
        assert system["chemical_system"] in text
    assert content["memorization"]["verdict"][1:] in text
    assert "95 % interval" in text and "best random" in text


def test_the_same_report_gives_the_same_bytes(report, page: str) -> None:
    assert pages.html(report.content, report.frame) == page
    assert pages.markdown(report.content) == pages.markdown(report.content)


def test_without_baselines_and_with_two_references() -> None:
    result = evaluate(["NaCl", "NaBr"], [Reference(), Reference(["NaBr"], name="other & more")], baselines=False)
    page, text = pages.html(result.content, result.frame), pages.markdown(result.content)
    assert 'id="baselines"' not in page and "best random" not in page and "## Random baselines" not in text
    assert "<h3>References</h3>" in page and "other &amp; more" in page and "## References" in text


@pytest.mark.parametrize("n", [1, 2, 15, 16, 40])
def test_curves_as_numbers_are_thinned_and_keep_the_end(n: int) -> None:
    curve = list(range(1, n + 1))
    names = ("n", "unique", "novel", "valid", "valid_unique_novel")
    content = {"curves": dict.fromkeys(names, curve) | {"recovery": {"train": curve, "test": curve}}}
    rows = [row[0] for row in curve_rows(content)[1]]
    assert rows[0] == "1" and rows[-1] == str(n) and len(rows) <= 16 and len(set(rows)) == len(rows)


def test_markdown_escapes(report) -> None:
    text = pages.markdown(report.content)
    assert "<script" not in text and all(f"## {word}" in text for word in ("Metrics", "Protocol", "Recovery"))
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) >= 3


def test_rows_of_the_data_are_those_of_the_frame(report) -> None:
    shown = candidates(report.frame, len(report.frame))
    data = json.loads(str(shown.json()))
    columns = {column["name"]: column["values"] for column in data["columns"]}
    frame = report.frame
    assert data["n"] == len(frame)
    assert columns["formula"] == frame["formula"].tolist()
    assert columns["valid"] == "".join("1" if value else "0" for value in frame["valid"])
    assert columns["duplicate_of"] == [None if pd.isna(v) else int(v) + 1 for v in frame["duplicate_of"]]
    assert columns["log_prob"] == [-1.25] * len(frame)
    first = columns["unique"].index("0")
    assert frame["formula"][first] == "O3SrTi"


def test_rare_states_stand_out_and_can_be_filtered() -> None:
    result = evaluate(["CsPbSe", "NaCl", "Fe", "NaCl2"], Reference(), baselines=False)
    shown = candidates(result.frame, 4)
    columns = {column["name"]: column for column in json.loads(str(shown.json()))["columns"]}
    assert columns["rarest_state"]["values"] == ["Pb+1", "Cl-1", None, None]
    assert columns["rarest_state"]["marked"] == columns["rare_state"]["values"] == "1000"
    assert columns["balanced_common"]["values"] == "0110"
    place = [column.name for column in shown.shown()].index("rarest_state")
    assert [str(row[place]) for row in shown.first_rows()] == [
        '<strong class="rare">Pb+1</strong>', "Cl-1", "", "",
    ]  # fmt: skip
    page, text = pages.html(result.content, result.frame), pages.markdown(result.content)
    assert "Beside compounds that exist" in page and "Beside compounds that exist" in text
    assert "made compounds" in page and "Stable compounds, not all metal" in text
    without = candidates(evaluate(["NaCl"], Reference(), baselines=False).frame, 1)
    assert "rare_state" not in [column.name for column in without.columns]


def test_only_the_first_rows_are_embedded() -> None:
    frame = pd.DataFrame({"formula": ["NaCl"] * (MOST_ROWS + 5), "valid": True, "reason": None})
    shown = candidates(frame, 123_456)
    assert (shown.n, shown.total) == (MOST_ROWS, 123_456)
    assert len(json.loads(str(shown.json()))["columns"][0]["values"]) == MOST_ROWS
    assert len(shown.first_rows()) == PAGE_ROWS


def test_a_page_of_some_of_the_rows_says_so(report) -> None:
    content = {**report.content, "n": 5_000_000}
    page = pages.html(content, report.frame.head(40))
    assert "the first 40 of 5,000,000 candidates" in page and "candidates.parquet" in page


def test_odd_columns() -> None:
    frame = pd.DataFrame(
        {
            "formula": ["NaCl", None, "KCl"],
            7: [1.5, np.nan, np.inf],
            "flag": pd.array([True, None, False], dtype="boolean"),
            "when": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
            "list": [[1], "x" * 500, None],
            "surrogate": pd.Series(["\ud800", "\u2028", "&"], dtype=object),
            **{f"extra{i}": 1 for i in range(20)},
        }
    )
    shown = candidates(frame, 3)
    columns = {column["name"]: column for column in json.loads(str(shown.json()))["columns"]}
    assert columns["7"]["values"] == [1.5, None, None]
    assert columns["flag"]["values"] == "1-0" and columns["flag"]["kind"] == "flag"
    assert columns["when"]["values"][1] is None
    assert len(columns["list"]["values"][1]) == 200
    assert columns["surrogate"]["values"] == ["?", "\u2028", "&"]
    assert len(shown.left_out) == 13
    assert shown.json().encode("utf-8")


def test_formulas_and_ions_are_set_as_chemists_do() -> None:
    frame = pd.DataFrame(
        {"formula": ["Ba(FeO2)2"], "reduced_formula": ["Ba(FeO2)2"], "oxidation_states": ["Ba2+ 2Fe3+ 4O2-"]}
    )
    (row,) = candidates(frame, 1).first_rows()
    assert row[0] == "Ba(FeO<sub>2</sub>)<sub>2</sub>"
    assert row[1] == "Ba<sup>2+</sup> 2Fe<sup>3+</sup> 4O<sup>2-</sup>"


@given(st.recursive(st.text() | st.none() | st.booleans() | st.integers(), st.lists, max_leaves=8))
@settings(max_examples=200, deadline=None)
def test_embedded_json_is_the_data_and_cannot_end_its_element(data) -> None:
    text = str(embedded_json(data))
    assert not set("<>&\u2028\u2029") & set(text)
    readable = json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    assert json.loads(text) == readable


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.00 %"), (0.12345, "12.35 %"), (1.0, "100.00 %"), (1e-7, "1.0e-05 %"), (0.00005, "0.01 %")],
)
def test_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_ten_thousand_candidates_weigh_less_than_two_megabytes(report) -> None:
    long = pd.concat([report.frame.drop(columns="<b>note</b>")] * 200, ignore_index=True).head(10_000)
    assert len(long) == 10_000
    assert len(pages.html({**report.content, "n": 10_000}, long).encode()) < 2_000_000


@pytest.mark.parametrize(
    ("rows", "known"),
    [
        (["H"], FORMULAS),
        (["".join(SYMBOLS[1:90]), "NaCl", "Fe500O701"], FORMULAS),  # 89 elements, 1,201 atoms
        (["NaCl"], ["NaCl"]),  # no held-out part
        (["XeAr", "HeNe"], ["KCl"]),  # no witness, nothing in common
    ],
)
@pytest.mark.filterwarnings("error")
def test_odd_candidates_are_drawn_too(rows: list[str], known: list[str]) -> None:
    result = evaluate(rows, Reference(known), baselines=False)
    page = pages.html(result.content, result.frame)
    assert page.count("<svg") >= 8 and "nan" not in re.sub(r"<script.*", "", page, flags=re.DOTALL).lower().split()
