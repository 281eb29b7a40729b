"""What a run of `matgen structure` has made so far, a file for each composition, until it takes the result's place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from matgen.errors import DataError, first_line
from matgen.io.files import move_up, read_json, write_checksummed
from matgen.io.parquet import read_parquet
from matgen.io.parts import begun_otherwise
from matgen.structures.assemble import MadeStructures
from matgen.structures.folder import (
    ALL_CRYSTALS,
    CANDIDATES,
    CRYSTALS,
    PLAN,
    TABLE,
    TEMPLATES,
    read_plan,
    read_structures,
)
from matgen.structures.templates import TemplateLibrary, save_templates

PARTS = "parts"
"""Folder in the output of what is not complete yet."""

RESULT = (TABLE, CANDIDATES, ALL_CRYSTALS, CRYSTALS, TEMPLATES, PLAN)
"""What a result consists of; the plan says that the others are there."""


def require_same(out: Path, content: dict[str, Any]) -> None:
    """Raise a `DataError` where a folder was begun otherwise."""
    before = read_plan(plan_path(out).parent)
    differ = sorted(name for name, value in content.items() if before.get(name) != value)
    if differ:
        raise begun_otherwise(out, differ)


def begin(out: Path, content: dict[str, Any], fetched: TemplateLibrary | None) -> None:
    """A folder of parts with the templates that were fetched and, last, the plan; an earlier result stays for now."""
    if (out / PARTS).exists():
        shutil.rmtree(out / PARTS)
    (out / PARTS).mkdir(parents=True)
    if fetched is not None:
        save_templates(out / PARTS / TEMPLATES, fetched)
    write_checksummed(out / PARTS / PLAN, content)


def plan_path(out: Path) -> Path:
    """The plan of a run that goes on, or else of the one that has ended."""
    return out / PARTS / PLAN if (out / PARTS / PLAN).exists() else out / PLAN


def publish(out: Path) -> None:
    """Put what was made in the place of an earlier result, and remove the parts."""
    if not read_plan(out / PARTS)["templates_from"] and (out / TEMPLATES).exists():
        shutil.rmtree(out / TEMPLATES)
    move_up(out / PARTS, out, RESULT)
    shutil.rmtree(out / PARTS)


def finished_in(out: Path) -> MadeStructures | None:
    """What a folder holds where its run had come to its end, None where it had not."""
    if (out / PARTS / PLAN).exists():
        if "failures" not in read_plan(out / PARTS):
            return None
        publish(out)  # killed while it was at that
    shutil.rmtree(out / PARTS, ignore_errors=True)
    failures = read_plan(out)["failures"]
    frame, _ = read_structures(out)
    try:
        return MadeStructures(frame, read_parquet(out / CANDIDATES), failures)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {out / CANDIDATES}: {first_line(error)}") from error


def part_path(out: Path, rank: int) -> Path:
    """The file of the composition in a row of the candidates, from 1."""
    return out / PARTS / f"{rank:06d}.json"


def rows_of(out: Path, rank: int) -> list[dict[str, Any]]:
    """The structures of a composition, as the table has them, from its file."""
    rows: list[dict[str, Any]] = read_json(part_path(out, rank))
    return [row | {"rank": rank} for row in rows]
