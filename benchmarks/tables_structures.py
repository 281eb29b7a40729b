"""The README's tables of structures proposed from the bundled ones, for `benchmarks.tables`."""

from __future__ import annotations

from typing import Any

from benchmarks.tables_predict import percent


def coverage(content: dict[str, Any]) -> list[str]:
    """Share of compositions with a template, by number of elements."""
    found, library = content["coverage"], content["library"]
    parts = {
        f"{found['materials_project']['all']['formulas']:,} of the Materials Project, at most 20 atoms": (
            found["materials_project"]
        ),
        f"{found['draws']['all']['formulas']:,} draws of the bundled model": found["draws"],
    }
    numbers = ("2", "3", "4", "5")
    lines = [
        "| compositions whose anonymous formula has a template | all | "
        + " | ".join(f"{n} elements" for n in numbers)
        + " |",
        "|---" * (len(numbers) + 2) + "|",
    ]
    for title, part in parts.items():
        for column, name in (("covered", title), ("own_left_out", "the same, their own structures left out")):
            rows = [part["all"], *(part["by_number_of_elements"][n] for n in numbers)]
            lines.append(f"| {name} | {' | '.join(percent(row[column]) for row in rows)} |")
    return [
        *lines,
        "",
        f"The bundled templates are {library['structures']:,} structures of {library['compounds']:,} compounds: "
        f"{library['prototypes']:,} labels of prototypes, {library['anonymous_formulas']} anonymous formulas. Of those "
        f"{library['structures_of_at_most_40_atoms']:,} have at most {content['max_atoms']} atoms in the cell.",
    ]


def refound(content: dict[str, Any], weights: dict[str, Any]) -> list[str]:
    """Known structures among the first proposals, by structure type; what the weights give; errors of volumes."""
    found = content["refound"]
    n = found["all"]["compounds"]
    lines = [
        f"| {n} well-known compounds, each left out | compounds | first | among 3 | among 5 |",
        "|---" * 5 + "|",
        _successes(f"all, of {len(found['by_type'])} structure types", found["all"]),
    ]
    large = {name: row for name, row in found["by_type"].items() if row["compounds"] >= LARGE}
    lines += [_successes(name, row) for name, row in large.items()]
    others = [row for name, row in found["by_type"].items() if name not in large]
    summed = {key: sum(row[key] for row in others) for key in found["all"]}
    lines.append(_successes(f"the other {len(others)} types together", summed))
    missed = [row for row in found["compounds"] if row["rank"] is None]
    if missed:
        named = ", ".join(f"{row['formula']} ({_where(row)})" for row in missed)
        lines += ["", f"Not among the first five (in brackets the place of its prototype): {named}."]
    judged = {name: row["judged_half"] for name, row in weights["variants"].items()}
    told = {
        "the weights as they are": "present",
        "those that a search on the other half found": "found",
        "all weights 1": "equal",
        "substitutions alone": "substitution alone",
        "the number of compounds of the prototype alone": "members alone",
    }
    rates = ", ".join(f"{percent(judged[name]['at_5']['value'])} by {title}" for title, name in told.items())
    lines += [
        "",
        f"Of {judged['present']['n']:,} other bundled compounds whose prototype others share, each left out, the own "
        f"prototype with every element in its place is among the first five in {rates}.",
    ]
    volumes = content["volumes"]
    errors = "; ".join(f"{name} {percent(row['median'])}" for name, row in volumes["estimates"].items())
    lines += [
        "",
        f"Volumes before relaxation, of {volumes['compounds_judged']:,} compounds in their own prototype, taken from "
        f"another compound, with atomic volumes fitted to others: median error of {errors}.",
    ]
    return lines


LARGE = 5
"""Compounds of a structure type that has a line of its own."""


def _successes(title: str, row: dict[str, Any]) -> str:
    n = row["compounds"]
    return f"| {title} | {n} | {' | '.join(percent(row[f'at_{k}'] / n) for k in (1, 3, 5))} |"


def _where(row: dict[str, Any]) -> str:
    """Place of the compound's prototype among the prototypes proposed, with its elements in the right places."""
    return str(row["rank_of_its_occupation"] or "of no other compound")
