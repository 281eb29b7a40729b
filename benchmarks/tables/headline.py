"""Rows of the table at the top of README.md: one for each stage, with the page of its figures."""

from __future__ import annotations

from benchmarks.tables import lift as lift_rows
from benchmarks.tables import prediction, structures, validity
from benchmarks.tables.render import Json
from matgen.models.locate import DEFAULT_CHECKPOINT


def with_smact(content: Json) -> Json:
    rows = [row for row in validity.compared(content) if row["title"].startswith("SMACT")]
    sums = {name: sum(row[name] for row in rows) for name in ("formulas", "disagreements")}
    return sums | {"rules": len(content["validity_agreement"]["bundled"])}


def unfiltered(content: Json) -> Json:
    """Novel draws of the default checkpoint that both potentials find near the hull, with the interval of 95 %."""
    return _near_hull(content["discovery"]["rows"][DEFAULT_CHECKPOINT]["relaxed"], "of_draws")


def ranked_first(content: Json) -> Json:
    """The same of the first candidates of the ranking as predicted."""
    table = content["discovery"]
    return _near_hull(table["rows"][table["roles"]["ranked"]]["relaxed"], "interval")


def settled_first(content: Json) -> Json:
    """The same of the first of the ranking that relaxation has settled, and how many are on the hull or below it."""
    table = content["discovery"]
    command = table["roles"]["settled"]
    relaxed = table["rows"][command]["relaxed"]
    near = _near_hull(relaxed, "interval")
    return near | {"command": command, "n": relaxed["n"], "stable": relaxed["by"]["all"]["stable"]["count"]}


def _near_hull(relaxed: Json, interval: str) -> Json:
    found = relaxed["by"]["all"]["metastable"]
    low, high = (round(100 * end) for end in found[interval])
    return {"msun": f"{found['count']} of {relaxed['n']} ({low} to {high} %)"}


def by_dft(content: Json) -> Json:
    """Of the campaign's candidates: near the hull by DFT, and of those that CHGNet found near it."""
    found = content["campaign"]["verdicts"]
    dft, chgnet = found["energy_above_hull_dft"], found["energy_above_hull_chgnet"]
    counts = {"near": dft["within_0.1"], "placed": dft["n"]}
    return counts | {"chgnet": chgnet["within_0.1"], "both": chgnet["within_0.1_by_both"]}


def novel_samples(content: Json) -> Json:
    """Novel draws of the default checkpoint: near the hull by both potentials, and far from the prediction."""
    relaxed = content["discovery"]["rows"][DEFAULT_CHECKPOINT]["relaxed"]
    off = relaxed["far_off"]["chgnet"]
    found = {"n": relaxed["novel"], "near": relaxed["by"]["all"]["metastable"]["count"]}
    return found | {"off": off["off"]["count"], "judged": off["n"]}


def known_compositions(content: Json) -> Json:
    """Share of the Materials Project's compositions that are not valid by the default rule."""
    return {"invalid": 1 - content["validity"]["valid"]["mp-mix"]["icsd24"]}


def best_published(content: Json) -> str:
    return prediction.PUBLISHED["oqmd"]


def one_core(content: Json) -> Json:
    return next(structures.relaxed_a_minute(content["relaxation"]))


def lift(content: Json) -> Json:
    rows = lift_rows.classification(content["lift_protocol"])
    # As published, to two decimals of a percent.
    reached = [round(100 * row["accuracy"], 2) >= row["published"]["LIFT GPT-J"] for row in rows]
    return {"reached": sum(reached), "tables": len(reached)}
