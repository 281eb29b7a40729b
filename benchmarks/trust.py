"""Robustness: kills, full disks, hostile and damaged files, no network, no torch.

Every part is written when it is done; parts that are not asked for stay as they were.

python -m benchmarks.trust [--parts kills places formulas files load soak versions supply] [--short] [--results FOLDER]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # equal to the bit, whatever the machine's load

from benchmarks.record import RESULTS, command_line, machine, read_result
from benchmarks.trust_files import files
from benchmarks.trust_fuzz import formulas
from benchmarks.trust_kill import CASES, killed
from benchmarks.trust_load import load, soak
from benchmarks.trust_places import PLACES, places
from benchmarks.trust_supply import supply
from benchmarks.trust_versions import versions
from matgen.io.files import write_json


def imported() -> None:
    """Import what the commands import, once and before anything is forked; nothing is computed yet."""
    import matgen.cli
    import matgen.evaluation
    import matgen.lift
    import matgen.prediction.predictor
    import matgen.sampling
    import matgen.structures
    import matgen.training  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--cases", nargs="+", choices=list(CASES), help="of kills")
    parser.add_argument("--places", nargs="+", choices=list(PLACES), help="of places")
    parser.add_argument("--sizes", type=float, nargs="+", default=[5e6, 5e7], help="candidates of the load")
    parser.add_argument("--minutes", type=float, default=60, help="of the soak")
    parser.add_argument("--short", action="store_true", help="few trials of what is quick")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    path = options.results / "trust.json"
    content = read_result("trust", options.results)
    content["machine"] = machine()
    imported()
    faults = 0
    for name in options.parts:
        with tempfile.TemporaryDirectory() as work:
            found = PARTS[name](Path(work), options)
        merged = {**content.get(name, {}), "command": command_line(), **found}
        merged["faults"] = FAULTS[name](merged) if name in FAULTS else merged.get("faults", 0)
        content[name] = merged
        faults += merged["faults"]
        options.results.mkdir(parents=True, exist_ok=True)
        write_json(path, content)
    raise SystemExit(1 if faults else 0)


def _kills(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    cases = options.cases or (["training", "sampling", "evaluation"] if options.short else None)
    return killed(work, 3 if options.short else 20, cases)


def _places(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    return places(work, short=options.short, names=options.places)


def _load(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    return load(work, [200_000, 1_500_000] if options.short else [int(size) for size in options.sizes])


def _soak(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    return soak(work, 1 if options.short else options.minutes)


def _formulas(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    return formulas(20_000 if options.short else 1_000_000)


def _files(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    return files(work, 300 if options.short else 10_000)


def _versions(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    return versions(work)


def _supply(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    return supply()


PARTS = {
    "kills": _kills,
    "places": _places,
    "formulas": _formulas,
    "files": _files,
    "load": _load,
    "soak": _soak,
    "versions": _versions,
    "supply": _supply,
}

FAULTS: dict[str, Callable[[dict[str, Any]], int]] = {
    "kills": lambda found: sum(row["trials"] - row["equal"] for row in _rows(found) if "trials" in row),
    "places": lambda found: sum(len(row["faults"]) for row in _rows(found)),
    "versions": lambda found: sum(row.get("failed", 0) + row.get("error", 0) for row in _rows(found)),
}
"""How the faults of parts are counted of which some rows may be measured anew and the others stay."""


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in found.values() if isinstance(row, dict)]


if __name__ == "__main__":
    main()
