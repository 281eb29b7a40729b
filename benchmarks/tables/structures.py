"""Rows of structures: templates and what they find again, relaxation, energies, and DFT."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json, fill, percent
from matgen.evaluation.metrics import wilson

LARGE = 5
"""Compounds of a structure type that has a line of its own."""


def covered(content: Json) -> Iterator[Json]:
    """Share of compositions with a template, by number of elements."""
    parts = {
        "{all[formulas]:,} of the Materials Project, at most 20 atoms": content["coverage"]["materials_project"],
        "{all[formulas]:,} samples of the bundled model": content["coverage"]["draws"],
    }
    for template, part in parts.items():
        titles = {"covered": fill(template, part), "own_left_out": "the same, without templates of the compound itself"}
        for name, title in titles.items():
            shares = {n: row[name] for n, row in part["by_number_of_elements"].items()}
            yield {"title": title, "all": part["all"][name], **shares}


def refound(content: Json) -> Iterator[Json]:
    """All, structure types with many compounds, and the others together."""
    found, by_type = content["structures"]["refound"]["all"], content["structures"]["refound"]["by_type"]
    large = {name: row for name, row in by_type.items() if row["compounds"] >= LARGE}
    others = [row for name, row in by_type.items() if name not in large]
    rows = {
        f"all, of {len(by_type)} structure types": found,
        **large,
        f"the other {len(others)} types together": {key: sum(row[key] for row in others) for key in found},
    }
    for title, row in rows.items():
        shares = " | ".join(percent(row[f"at_{k}"] / row["compounds"]) for k in (1, 3, 5))
        yield {**row, "title": title, "shares": shares}


def missed(content: Json) -> str:
    rows = [row for row in content["structures"]["refound"]["compounds"] if row["rank"] is None]
    where = ", ".join(f"{row['formula']} ({row['rank_of_its_occupation'] or 'of no other compound'})" for row in rows)
    return f"Not in the top five (rank of the prototype in parentheses): {where}." if rows else ""


def by_weights(content: Json) -> str:
    titles = {
        "fitted": "all reasons",
        "fitted, the same for all compounds": "weights that do not depend on ionicity",
        "fitted, reasons of 0.2 alone": "the five reasons of matgen 0.2",
        "0.2": "these five with their weights of 0.2, set by hand",
        "substitution alone": "substitutions alone",
        "members alone": "the number of compounds of the prototype alone",
    }
    variants = content["structures_weights"]["variants"]

    def shares(name: str) -> str:
        judged = variants[name]["judged_half"]
        return f"{percent(judged['at_1']['value'])} and {percent(judged['at_5']['value'])}"

    return "; ".join(f"{shares(name)} with {title}" for name, title in titles.items())


def volume_errors(content: Json) -> str:
    estimates = content["structures"]["volumes"]["estimates"]
    return "; ".join(f"{name} {percent(row['median'])}" for name, row in estimates.items())


def relaxed_a_minute(content: Json) -> Iterator[Json]:
    """On one core, and on all of them beside chgnet with threads and with processes."""
    speeds, cores = content["structures_per_second"], content["cores"]
    rows = {
        "one core": ("matgen, one core", "chgnet, one core"),
        f"{cores} cores; `StructOptimizer` with {cores} threads": ("matgen, all cores", "chgnet, all cores, threads"),
        f"{cores} cores; `StructOptimizer` in {cores} processes": ("matgen, all cores", "chgnet, all cores, processes"),
    }
    for title, names in rows.items():
        ours, theirs = (speeds[name] for name in names)
        yield {"title": title, "matgen": 60 * ours, "chgnet": 60 * theirs, "ratio": ours / theirs}


def atoms_in_cells(content: Json) -> str:
    return f"{min(content['atoms'])} to {max(content['atoms'])}"


def anions(content: Json) -> list[Json]:
    titles = {"none": "no anion (intermetallics)"}
    rows = [{**row, "title": titles.get(name, name)} for name, row in content["by_anion"].items()]
    return sorted(rows, key=lambda row: row["before"]["bias"])


def stable(content: Json) -> Iterator[Json]:
    """Stable, unique and novel shares of the bundled model's draws."""
    n, counts = content["n"], content["counts"]

    def share(name: str) -> str:
        low, high = wilson(counts[name], n)
        return f"{percent(counts[name] / n)} ({100 * low:.1f} to {100 * high:.1f} %)"

    yield {"title": "stable by CHGNet", "stable": share("stable"), "metastable": share("metastable")}
    yield {"title": "stable, unique and novel", "stable": share("sun"), "metastable": share("msun")}


def failed(content: Json) -> int:
    return sum(content["failures"].values())


def novel(content: Json) -> float:
    return content["counts"]["novel"] / content["n"]


def unique(content: Json) -> float:
    return content["counts"]["unique"] / content["n"]


def calculated(content: Json) -> Iterator[Json]:
    """GPAW's formation energies, of known compounds first."""
    for row in sorted(content["compounds"], key=lambda row: not row["known"]):
        done = fill("{formation_energy_dft:.3f}", row) if row["state"] == "done" else row["reason"]
        known = "known" if row["known"] else "new"
        yield row | {"known_or_new": known, "result": done, "took": row["seconds"] or 0}


def offsets(content: Json) -> str:
    named = (f"{name} {value:.3f}" for name, value in content["reference_offsets_chgnet"].items())
    return ", ".join(named) or "none"
