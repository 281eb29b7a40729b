"""Known vulnerabilities of what `constraints.txt` pins, by pip-audit and by the index; for `benchmarks.trust`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"


def supply() -> dict[str, Any]:
    """What pip-audit says, and what the index says of projects whose newest version is the one that is pinned.

    pip-audit asks the index for single versions, which not every mirror answers: how many it could not audit is told.
    """
    pins = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", CONSTRAINTS.read_text(), re.MULTILINE))
    results: dict[str, Any] = {"pins": len(pins), "not_pinned": _not_pinned(pins)}
    results["pip_audit"] = _pip_audit()
    with ThreadPoolExecutor(8) as pool:
        told = dict(zip(pins, pool.map(_newest, pins), strict=True))
    newest = [name for name, answer in told.items() if answer and answer["version"] == pins[name].split("+")[0]]
    results["index"] = {
        "newest_version_is_pinned": len(newest),
        "older_version_is_pinned": sorted(name for name, answer in told.items() if answer and name not in newest),
        "not_in_the_index": sorted(name for name, answer in told.items() if answer is None),
        "vulnerabilities": {name: told[name]["vulnerabilities"] for name in newest if told[name]["vulnerabilities"]},
    }
    results["faults"] = len(results["index"]["vulnerabilities"]) + len(results["pip_audit"].get("vulnerabilities", {}))
    return results


def _not_pinned(pins: dict[str, str]) -> list[str]:
    """Lines of the constraints that name no single version."""
    lines = [line.split("#")[0].strip() for line in CONSTRAINTS.read_text().splitlines()]
    return [line for line in lines if line and re.split(r"[=\s;]", line)[0] not in pins]


def _pip_audit() -> dict[str, Any]:
    words = ["-m", "pip_audit", "-r", str(CONSTRAINTS), "--no-deps", "--disable-pip", "-f", "json"]
    done = subprocess.run(
        [sys.executable, *words, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        rows = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return {"did_not_run": (done.stderr.strip().splitlines() or ["no answer"])[-1][:300]}
    vulnerable = {row["name"]: [one["id"] for one in row["vulns"]] for row in rows if row.get("vulns")}
    skipped = sum("skip_reason" in row for row in rows)
    return {"audited": len(rows) - skipped, "could_not_be_audited": skipped, "vulnerabilities": vulnerable}


def _newest(name: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(f"https://pypi.org/pypi/{name}/json", timeout=60) as answer:
            content = json.load(answer)
    except (urllib.error.URLError, TimeoutError, ValueError):
        return None
    known = [one["id"] for one in content.get("vulnerabilities", []) if not one.get("withdrawn")]
    return {"version": content["info"]["version"], "vulnerabilities": known}
