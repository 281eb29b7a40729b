"""Rows of robustness: what matgen does when it is killed, given broken input, or runs out of something."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json, fill

PLACES = {
    "disk_full": "a disk with 0 to 4 MiB left, with and without an earlier result",
    "read_only": "an output that cannot be written",
    "vanished_input": "the input removed before or during the run",
    "clock_back": "the clock set back an hour every second",
    "two_at_once": "two simultaneous runs with the same output; then a run with the output of a killed one",
    "no_network": "no route to any network",
}


def kills(content: Json) -> Iterator[Json]:
    for name, row in content.get("kills", {}).items():
        if isinstance(row, dict) and "trials" in row:
            yield row | {"title": name.replace("_", " ").replace("dft", "DFT")}


def places(content: Json) -> Iterator[Json]:
    tried = content.get("places", {})
    for name, row in ((name, tried[name]) for name in PLACES if name in tried):
        outcome = row.get("left_out") or (
            f"{row['refused']} rejected in one line, {row['runs'] - row['refused']} succeeded, "
            f"{len(row['faults'])} faults"
        )
        yield row | {"title": PLACES[name], "outcome": outcome}


def mutated(content: Json) -> Iterator[Json]:
    if row := content.get("files"):
        refused = sum(kind.get("refused", 0) for kind in row["kinds"].values())
        yield row | {"kinds": ", ".join(row["kinds"]), "refused": refused, "faults": row["faults"] or "none"}


def loads(content: Json) -> list[Json]:
    sizes = content.get("load", {}).get("sizes", [])
    return [size | {"seconds": size["sample"]["seconds"] + size["evaluate"]["seconds"]} for size in sizes]


def dependencies(content: Json) -> Iterator[Json]:
    for name, age in {"lowest-direct": "oldest", "highest": "newest"}.items():
        if isinstance(row := content.get("versions", {}).get(name), dict):
            shown = fill("numpy {numpy}, pandas {pandas}, transformers {transformers}", row["versions"])
            failed = row.get("failed", 0) + row.get("error", 0)
            yield {"age": age, "shown": shown, "passed": row.get("passed", 0), "failed": failed}
