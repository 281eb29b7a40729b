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
        "{all[formulas]:,} samples of `hybrid-pure-gptj-small`": content["coverage"]["draws"],
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


def unconverged(content: Json) -> str:
    """How many are not at their end after the most steps, which are the same for both."""
    most = max(content["steps"]["matgen"])
    ours, theirs = (sum(taken >= most for taken in content["steps"][name]) for name in ("matgen", "chgnet"))
    stopped = f"{ours} of matgen's and {theirs} of the other's are stopped after {most} steps"
    return f"{stopped}, before their end, which makes energies differ"


def lowest_structures(content: Json) -> Iterator[Json]:
    """Of each set, BFGS with all to their ends, and the race, beside FIRE with all to their ends."""
    sets = {"draws": "unfiltered samples", "known": "compounds near the hull, own structures left out"}
    ways = {"bfgs": "BFGS, all to the end", "race": "BFGS, stopped early: the default"}
    for name, title in sets.items():
        measured = content[name]
        for way, how in ways.items():
            yield {"title": f"{title}; {how}", "n": measured["compositions"], **measured[f"{way} against before"],
                   "a_minute": measured["compositions_per_core_minute"][way]}  # fmt: skip


def raced(content: Json) -> str:
    parts = [content[name]["race against bfgs"] | {"n": content[name]["compositions"]} for name in ("draws", "known")]
    shares = " and ".join(f"{percent(part['same_or_lower'])} of {part['n']}" for part in parts)
    speeds = " and ".join(f"{part['faster']:.1f} times" for part in parts)
    return f"Stopping early alone makes it {speeds} as fast and keeps the lowest energy for {shares}."


def atoms_in_cells(content: Json) -> str:
    return f"{min(content['atoms'])} to {max(content['atoms'])}"


def steps_of_sevennet(content: Json) -> Iterator[Json]:
    """What a step costs by each of SevenNet's networks."""
    for row in content.values():
        ours, theirs, chgnet = row["cpu_seconds_per_step"].values()
        yield {"potential": row["potential"], "ours": ours, "theirs": theirs, "ratio": theirs / ours, "chgnet": chgnet}


def atoms_of_sevennet(content: Json) -> str:
    return atoms_in_cells(next(iter(content.values())))


def largest_difference(content: Json) -> float:
    """Between matgen's energies and those of SevenNet's own calculator, meV/atom."""
    return 1000 * max(row["largest_difference"]["energy_ev_per_atom"] for row in content.values())


TITLES = {"chgnet": "CHGNet", "7net-l3i5": "SevenNet-l3i5", "7net-0": "SevenNet-0"}
"""Potentials whose energies of known compounds are compared."""

HULLS = {
    "labels": "labels",
    "relaxed": "phases relaxed by the potential, else labels",
    "relaxed_compounds": "the same, elements as tabulated",
    "relaxed_shifted": "the same with elements, labels shifted by the mean error of their anion",
    "shifted": "labels shifted by the mean error of their anion",
    "relaxed_only": "phases relaxed by the potential, others left out",
}
"""Hulls of `benchmarks.hull_variants`."""

_NO_ANION = {"none": "no anion (intermetallics)"}


def anions(content: Json) -> Iterator[Json]:
    """Errors of formation energies by each potential, of all compounds and by anion."""
    potentials = content["potentials"]
    by_anion = potentials["chgnet"]["by_anion"]
    for name in [None, *sorted(by_anion, key=lambda name: by_anion[name]["before"]["bias"])]:
        groups = {potential: _group(potentials, potential, name) for potential in TITLES}
        yield {
            "title": "all" if name is None else _NO_ANION.get(name, name),
            "n": groups["chgnet"]["after"]["n"],
            "before": f"{groups['chgnet']['before']['bias']:+.3f}",
            **{potential: {"bias": f"{group['after']['bias']:+.3f}", "mae": f"{group['after']['mae']:.3f}"}
               if group else {"bias": "-", "mae": "-"} for potential, group in groups.items()},
        }  # fmt: skip


def _group(potentials: Json, potential: str, anion: str | None) -> Json:
    """What was measured of a potential, of all compounds or those of an anion; empty where nothing was."""
    content = potentials.get(potential, {"all": {}, "by_anion": {}})
    return dict(content["all"] if anion is None else content["by_anion"].get(anion, {}))


def medians(content: Json) -> str:
    return ", ".join(f"{TITLES[name]} {part['all']['after']['median']:.3f}"
                     for name, part in content["potentials"].items())  # fmt: skip


def stable_compounds(content: Json) -> int:
    return int(content["potentials"]["chgnet"]["hull"]["labels"]["stable"])


def hull_distances(content: Json) -> Iterator[Json]:
    """Errors of distances to each kind of hull, by each potential."""
    for name, part in content["potentials"].items():
        for hull, title in HULLS.items():
            if hull in part["hull"]:
                yield {**part["hull"][hull], "title": f"{TITLES[name]}; {title}"}


def hulls_by_anion(content: Json) -> Iterator[Json]:
    """Mean and mean absolute error of distances to the hulls of labels and of relaxed phases."""
    potentials = content["potentials"]
    by_anion = potentials["chgnet"]["by_anion"]
    for name in sorted(by_anion, key=lambda name: -by_anion[name]["labels"]["mae"]):
        row: Json = {"title": _NO_ANION.get(name, name), "n": by_anion[name]["labels"]["n"]}
        for potential in TITLES:
            group = _group(potentials, potential, name)
            row[potential] = {
                hull: f"{group[hull]['bias']:+.3f}, {group[hull]['mae']:.3f}" if group else "-"
                for hull in ("labels", "relaxed")
            }
        yield row


def dopants(content: Json) -> Iterator[Json]:
    """What is known of dopants with the formation energies of both."""
    for case in content["cases"]:
        right, wrong = (content["variants"][case[name]]["dopant_formation_energy_min"] for name in ("right", "wrong"))
        yield {"gap_at_worst_limit": None} | case | {"energy": right, "energy_of_wrong": wrong}


def sites_at_every_limit(content: Json) -> str:
    sites = [case for case in content["cases"] if case["question"] == "site"]
    return f"{sum(case['found_at_every_limit'] for case in sites)} of {len(sites)}"


def oxygen_potentials(content: Json) -> str:
    cases = [case for case in content["cases"] if case["question"] == "compensation"]
    return ", ".join(f"{case['oxygen_potential_of_equal_energies']:.2f} eV ({case['wrong']})" for case in cases)


def atoms_of_dopants(content: Json) -> str:
    sizes = [variant["n_atoms"] for variant in content["variants"].values()]
    return f"{min(sizes)} to {max(sizes)}"


def stable(content: Json) -> Iterator[Json]:
    """Stable, unique and novel shares of the bundled model's draws."""
    n, counts = content["n"], content["counts"]

    def share(name: str) -> str:
        low, high = wilson(counts[name], n)
        return f"{percent(counts[name] / n)} ({100 * low:.1f} to {100 * high:.1f} %)"

    yield {"title": "stable by CHGNet", "stable": share("stable"), "metastable": share("metastable")}
    yield {"title": "stable, unique and novel", "stable": share("sun"), "metastable": share("msun")}


def phonon_heads(content: Json) -> str:
    return " | ".join(f"{name} | s" for name in content["potentials"])


def phonon_gaps(content: Json) -> str:
    return " | ".join(" | " for _ in content["potentials"])


def phonons_of_stable(content: Json) -> Iterator[Json]:
    """Lowest frequencies of known stable compounds by each potential."""
    return _phonons(content, unstable=False)


def phonons_of_unstable(content: Json) -> Iterator[Json]:
    """Lowest frequencies of known unstable crystals, and where their lowest modes lead."""
    return _phonons(content, unstable=True)


def _phonons(content: Json, *, unstable: bool) -> Iterator[Json]:
    from benchmarks.phonons import STABLE, UNSTABLE

    for name in UNSTABLE if unstable else STABLE:
        rows = [potential["compounds"].get(name) for potential in content["potentials"].values()]
        yield {"title": name, "cells": " | ".join(_phonon_cells(row, unstable) for row in rows)}


def _phonon_cells(row: Json | None, unstable: bool) -> str:
    """The lowest frequency and the seconds of one compound by one potential; verdicts that are wrong are bold."""
    if row is None or "reason" in row:
        return "- | -" if row is None else f"{row['reason']} | {row['seconds']:.1f}"
    text = f"{row['lowest_frequency']:.2f} ({row['lowest_frequency_at']})"
    if row["dynamically_stable"] is unstable:
        text = f"**{text}**"
    if unstable and (down := row.get("followed")):
        lower = f"{down['space_group']}, -{down['gain_mev']:.1f} meV/atom"
        then = "" if "reason" in down else f", {down['lowest_frequency']:.2f}"
        text += f", followed to {lower}{then}"
    return f"{text} | {row['seconds'] + row.get('seconds_following', 0):.0f}"


def phonon_counts(content: Json) -> str:
    """False alarms and detections of each potential."""
    texts = []
    for name, potential in content["potentials"].items():
        row = potential["summary"]
        alarms = f" ({', '.join(row['false_alarms'])})" if row["false_alarms"] else ""
        texts.append(
            f"{name}: {len(row['false_alarms'])} false alarms of {row['stable']}{alarms}, {len(row['detected'])} of "
            f"{row['unstable']} instabilities detected, {len(row['followed_lower'])} of these followed to a lower "
            f"structure, {len(row['followed_to_stable'])} to a stable one."
        )
    return " ".join(texts)


def phonon_spreads(content: Json) -> str:
    """What other displacements change."""
    texts = []
    for name, potential in content["potentials"].items():
        row = potential["summary"]
        if row["with_other_displacements"]:
            alarms = [f"{len(names)} at {length} Å" for length, names in row["false_alarms_by_displacement"].items()]
            n, largest = row["with_other_displacements"], row["largest_change_by_displacement"]
            texts.append(f"{name} {largest:.2f} THz of {n} compounds (false alarms: {', '.join(alarms)})")
    if not texts:
        return ""
    return (
        f"Largest change of a lowest frequency by displacements of 0.01 and 0.05 Å instead of 0.03: {'; '.join(texts)}."
    )


def failed(content: Json) -> int:
    return sum(content["failures"].values())


def novel(content: Json) -> float:
    return content["counts"]["novel"] / content["n"]


def unique(content: Json) -> float:
    return content["counts"]["unique"] / content["n"]


def novel_by_potential(content: Json) -> Iterator[Json]:
    """How many novel compositions are stable and nearly so by each potential and by both, on both hulls."""
    judged = content["novel_by_potential"]
    for name, title in {"chgnet": "CHGNet", "7net-l3i5": "SevenNet-l3i5", "all": "both"}.items():
        yield {"title": title} | {
            f"{hull}_{limit}": _counted(judged[hull][name][limit])
            for hull in ("labels", "relaxed")
            for limit in ("stable", "metastable")
        }


def _counted(found: Json) -> str:
    low, high = found["interval"]
    return f"{found['count']} ({100 * low:.0f} to {100 * high:.0f} %)"
