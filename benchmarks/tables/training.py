"""Rows of training: losses reached in some minutes, by architecture and by number of formulas."""

from __future__ import annotations

from benchmarks.tables.render import Json
from matgen.models import MODELS


def cores(content: Json) -> str:
    return "one core" if content["threads"] == 1 else f"{content['threads']} cores"


def architectures(content: Json) -> list[Json]:
    """Those with the most probable test formulas first."""
    rows = sorted(content["rows"].values(), key=lambda row: row["metrics"]["test_nats"])
    bounds = ["at most " if row["metrics"]["figure"] == "bound" else "" for row in rows]
    return [
        row | {"architecture": MODELS[row["model"]].title, "bound": bound}
        for row, bound in zip(rows, bounds, strict=True)
    ]
