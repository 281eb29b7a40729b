"""Several reports side by side: numbers, and whether their differences exceed what sampling alone would make.

Every report is compared with the first one. Shares of rows are tested by the two-proportion z-test with pooled variance
(two-sided, at 5 %; Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 3rd ed., 2003), without a
correction for the number of tests. It takes rows as independent draws; where an expected count is below five (Cochran,
Biometrics 10 (1954) 417) it says nothing. Recovered compositions of one part are tested alike, although two runs share
the part, which makes the test err on the side of no difference. `unique` is not tested: it is no share of
independent trials.

Reports are only as comparable as their protocols: settings that differ come first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matgen.errors import DataError, OptionError, OutputError
from matgen.evaluation.labels import METRICS
from matgen.evaluation.metrics import TRIALS
from matgen.evaluation.page import comparison as page_compare
from matgen.evaluation.page.svg import SERIES
from matgen.evaluation.page.tables import PARTS
from matgen.io.files import atomic_write_files, locked, read_json, write_json, write_text
from matgen.io.places import COMPARISON_FILES

FILES = COMPARISON_FILES
"""What a comparison consists of, in the order in which it is written."""

MOST = len(SERIES)
"""Reports side by side."""

SIGNIFICANCE = 0.05
TEST = "two-proportion z-test, pooled variance, two-sided, 5 %, each report against the first"

_SINCE_0_3 = ("balanced_common", "rare_state", "intermetallic")
"""Metrics that older reports lack."""

_NEEDED = (
    "n",
    *(name for name in METRICS if name not in _SINCE_0_3),
    *("intervals", "counts", "recovery", "baseline", "enrichment", "curves", "distributions", "protocol"),
    *("by_n_elements", "chemical_systems", "near_duplicates", "memorization", "references"),
)
_OF_N = ("novel", "valid_unique_novel")
"""Shares that change with n and with the references, so that a difference is no surprise unless these are equal."""

_FEWEST_EXPECTED = 5.0
_NOT_SETTINGS = ("source", "versions", "novel_means")
"""Of a protocol: what must differ, what is compared piece by piece, and what follows from the reference."""


@dataclass(frozen=True)
class Comparison:
    """Reports side by side.

    Attributes:
        content: what `compare.json` holds.
        reports: the content of each `report.json`, in the same order.
        folder: where it was written, or None.
    """

    content: dict[str, Any]
    reports: list[dict[str, Any]]
    folder: Path | None = None

    def write(self, out: Path | str, *, force: bool = False) -> Comparison:
        """Write the comparison's three files into a folder.

        Raises:
            OutputError: the folder holds a comparison already and `force` is off, or it cannot be written.
        """
        folder = Path(out)
        _refuse(folder, force=force)
        pages = {
            "compare.html": page_compare.html(self.content, self.reports),
            "compare.md": page_compare.markdown(self.content),
        }
        with atomic_write_files(folder, FILES) as stage:
            for name, text in pages.items():
                write_text(stage / name, text)
            write_json(stage / "compare.json", self.content)
        return Comparison(self.content, self.reports, folder)


@locked("out")
def compare(folders: Sequence[Path | str], *, out: Path | str | None = None, force: bool = False) -> Comparison:
    """Put reports side by side; the first one is what the others are compared with.

    Args:
        folders: of `matgen evaluate` (with `report.json`) or of `matgen discover` (with `report/report.json`), or the
            path of a `report.json` itself; 2 to `MOST`.
        out: a folder to write `compare.html`, `compare.md` and `compare.json` into.
        force: replace a comparison that is there.

    Raises:
        OptionError: fewer than two reports, or more than `MOST`, or one of them twice.
        DataError: a folder without a report, a damaged one, or one of a version with other contents.
        OutputError: `out` holds a comparison and `force` is off, or cannot be written.
    """
    if not 2 <= len(folders) <= MOST:
        raise OptionError(f"{len(folders)} reports to compare: 2 to {MOST}")
    if out is not None:
        _refuse(Path(out), force=force)
    paths = [_report_path(Path(folder)) for folder in folders]
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise OptionError(f"{path.parent} is given twice")
        seen.add(path.resolve())
    reports = [read_report(path) for path in paths]
    comparison = Comparison(_content(_short_names(paths), paths, reports), reports)
    return comparison.write(out, force=force) if out is not None else comparison


def read_report(path: Path | str) -> dict[str, Any]:
    """The content of a `report.json`.

    Raises:
        DataError: missing, not JSON, not a report, or written by a version of matgen with other contents.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("protocol"), dict):
        raise DataError(f"{path} is not a report of matgen evaluate")
    if "copied" in content:  # its name up to 0.2
        content.setdefault("memorization", content.pop("copied"))
    missing = [name for name in _NEEDED if name not in content]
    if missing:
        versions = content["protocol"].get("versions")
        version = versions.get("matgen", "?") if isinstance(versions, dict) else "?"
        raise DataError(f"{path} was written by matgen {version}, without {missing[0]!r}: run matgen evaluate again")
    return content


def two_proportions(successes: int, trials: int, successes_first: int, trials_first: int) -> dict[str, Any] | None:
    """The difference of two shares and whether sampling explains it.

    Args:
        successes: successes of `trials` trials.
        trials: trials.
        successes_first: successes of what it is compared with.
        trials_first: its trials.

    Returns:
        `difference` of the shares, `z`, two-sided `p` and `verdict` (`higher`, `lower` or `within noise`); without
        `z` and `p`, and `too few to tell`, where an expected count is below five. None without trials.
    """
    if not trials or not trials_first:
        return None
    difference = successes / trials - successes_first / trials_first
    pooled = (successes + successes_first) / (trials + trials_first)
    if min(trials, trials_first) * min(pooled, 1 - pooled) < _FEWEST_EXPECTED:
        return {"difference": difference, "z": None, "p": None, "verdict": "too few to tell"}
    z = difference / math.sqrt(pooled * (1 - pooled) * (1 / trials + 1 / trials_first))
    p = math.erfc(abs(z) / math.sqrt(2))
    verdict = "within noise" if p >= SIGNIFICANCE else "higher" if difference > 0 else "lower"
    return {"difference": difference, "z": z, "p": p, "verdict": verdict}


def _alike(report: dict[str, Any], first: dict[str, Any]) -> bool:
    """True where figures that depend on n and on the references may be tested against each other."""
    references = [[(one["name"], one["sha256"]) for one in some["references"]] for some in (report, first)]
    return report["n"] == first["n"] and references[0] == references[1]


def _content(names: Sequence[str], paths: Sequence[Path], reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "reports": [
            {"name": name, "folder": str(path.parent), "n": report["n"], "protocol": report["protocol"]}
            for name, path, report in zip(names, paths, reports, strict=True)
        ],
        "differing_settings": _differing(reports),
        "test": TEST,
        "metrics": {name: _metric(name, reports) for name in METRICS},
        "recovery": {part: _recovery(part, reports) for part in PARTS},
        "at_equal_n": _at_equal_n(reports),
        "distributions": {
            name: {
                key: [report["distributions"][name][key] for report in reports]
                for key in ("jensen_shannon", "jensen_shannon_floor", "coverage", "coverage_floor")
            }
            for name in reports[0]["distributions"]
            if all(name in report["distributions"] for report in reports)
        },
        "near_duplicates": [report["near_duplicates"] for report in reports],
        "memorization": [report["memorization"] for report in reports],
        "chemical_systems": [
            {name: report["chemical_systems"][name] for name in ("distinct", "novel")} for report in reports
        ],
    }


def _metric(name: str, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A fraction in every report, each tested against that of the first where the two may be compared."""
    tests: list[dict[str, Any] | None] = [None] * len(reports)
    if name in TRIALS:
        first, *others = [(report["counts"].get(name), report["counts"][TRIALS[name]]) for report in reports]
        for i, share in enumerate(others, 1):
            if first[0] is None or share[0] is None:
                continue
            if name not in _OF_N or _alike(reports[i], reports[0]):
                tests[i] = two_proportions(*share, *first)
    return {
        "values": [report.get(name) for report in reports],
        "intervals": [report["intervals"].get(name) for report in reports],
        "baseline": [report["baseline"].get(name) for report in reports],
        "tests": tests,
    }


def _recovery(part: str, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How much of a part of the first reference each report recovered, each tested against the first report."""
    first, *others = recovered = [report["counts"]["recovery"][part] for report in reports]
    tests: list[dict[str, Any] | None] = [None] * len(reports)
    for i, one in enumerate(others, 1):
        if _alike(reports[i], reports[0]):
            tests[i] = two_proportions(one["found"], one["of"], first["found"], first["of"])
    return {
        "values": [report["recovery"][part] for report in reports],
        "found": [one["found"] for one in recovered],
        "of": [one["of"] for one in recovered],
        "tests": tests,
    }


def _differing(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Settings that are not the same in all reports, the number of candidates first, versions last."""
    protocols = [{"n": report["n"], **report["protocol"]} for report in reports]
    names = dict.fromkeys(name for protocol in protocols for name in protocol if name not in _NOT_SETTINGS)
    rows = [(name, [protocol.get(name) for protocol in protocols]) for name in names]
    versions = [protocol.get("versions") or {} for protocol in protocols]
    packages = dict.fromkeys(name for one in versions for name in one)
    rows += [(f"version of {name}", [one.get(name) for one in versions]) for name in packages]
    return [
        {"setting": name, "values": values} for name, values in rows if any(value != values[0] for value in values[1:])
    ]


def _at_equal_n(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Values at the largest number of rows that is on every curve; None where all reports have the same number.

    Unique, novel and recovery depend on how many candidates there are.
    """
    if len({report["n"] for report in reports}) == 1:
        return None
    shared = set(reports[0]["curves"]["n"]).intersection(*(report["curves"]["n"] for report in reports[1:]))
    if not shared:
        return None
    n = max(shared)
    curves = [(report["curves"], report["curves"]["n"].index(n)) for report in reports]
    return {
        "n": n,
        **{name: [curve[name][at] for curve, at in curves] for name in ("unique", "novel", "valid")},
        "valid_unique_novel": [curve["valid_unique_novel"][at] / n for curve, at in curves],
        "recovery": {part: [curve["recovery"][part][at] for curve, at in curves] for part in PARTS},
    }


def _report_path(folder: Path) -> Path:
    if folder.is_file():
        return folder
    for path in (folder / "report.json", folder / "report" / "report.json"):
        if path.exists():
            return path
    what = "no such folder" if not folder.exists() else "no report.json in it"
    raise DataError(f"{folder}: {what}; matgen evaluate ... --out {folder} makes one")


def _short_names(paths: Iterable[Path]) -> list[str]:
    """The shortest ends of the folders' paths that tell them apart, without a last `report`."""
    parts = []
    for path in paths:
        folder = path.resolve().parent
        parts.append(folder.parts[:-1] if folder.name == "report" else folder.parts)
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-length:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    # x and x/report, say.
    return [f"{'/'.join(one[-1:])} ({number})" for number, one in enumerate(parts, 1)]


def _refuse(folder: Path, *, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: choose another folder for the comparison")
    taken = [name for name in FILES if (folder / name).exists()]
    if taken and not force:
        raise OutputError(f"{folder} holds a comparison already ({taken[-1]}): choose another --out, or add --force")
