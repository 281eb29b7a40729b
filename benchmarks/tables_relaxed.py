"""The README's tables of relaxed structures and of DFT, for `benchmarks.tables`."""

from __future__ import annotations

from typing import Any

from benchmarks.tables_predict import percent
from matgen.evaluation.metrics import wilson


def relaxation(content: dict[str, Any]) -> list[str]:
    """Structures relaxed a second, beside chgnet's own code."""
    found, difference = content["structures_per_second"], content["energy_difference_mev"]
    atoms, cores = content["atoms"], content["cores"]
    rows = (
        ("one core", "matgen, one core", "chgnet, one core"),
        (f"{cores} cores; `StructOptimizer` with {cores} threads", "matgen, all cores", "chgnet, all cores, threads"),
        (
            f"{cores} cores; `StructOptimizer` in {cores} processes",
            "matgen, all cores",
            "chgnet, all cores, processes",
        ),
    )
    lines = [
        "| structures relaxed a minute | matgen | chgnet's `StructOptimizer`, same run | ratio |",
        "|---" * 4 + "|",
    ]
    lines += [
        f"| {title} | {60 * found[ours]:.1f} | {60 * found[theirs]:.1f} | {found[ours] / found[theirs]:.1f} x |"
        for title, ours, theirs in rows
    ]
    how_far = (
        f"{difference['max']:.3f} at most, {difference['within_1']} of {content['structures']} by at most 1 meV/atom"
    )
    return [
        *lines,
        "",
        f"{content['structures']} proposed structures of {min(atoms)} to {max(atoms)} atoms, FIRE, same thresholds. "
        f"Relaxed energies differ by {difference['median']:.3f} meV/atom in the median; {how_far}.",
    ]


def structure_energies(content: dict[str, Any]) -> list[str]:
    """Errors of CHGNet's formation energies before and after the labels are shifted."""
    lines = [
        "| CHGNet minus label, eV/atom | compounds | mean, labels as bundled | mean, shifted | MAE, as bundled | "
        "MAE, shifted |",
        "|---" * 6 + "|",
    ]
    groups = sorted(content["by_anion"].items(), key=lambda entry: entry[1]["before"]["bias"])
    for name, group in (("all", content["all"]), *groups):
        before, after = group["before"], group["after"]
        title = {"none": "no anion (intermetallics)"}.get(name, name)
        lines.append(
            f"| {title} | {after['n']} | {before['bias']:+.3f} | {after['bias']:+.3f} | {before['mae']:.3f} | "
            f"{after['mae']:.3f} |"
        )
    return [
        *lines,
        "",
        f"Median absolute error {content['all']['after']['median']:.3f} eV/atom after the shift. Structures are the "
        f"compounds' own, relaxed; a positive mean is due in part to ground states that are not among them.",
    ]


def sun(content: dict[str, Any]) -> list[str]:
    """Stable, unique and novel shares of the bundled model's draws."""
    n, counts = content["n"], content["counts"]

    def share(name: str) -> str:
        low, high = wilson(counts[name], n)
        return f"{percent(counts[name] / n)} ({100 * low:.1f} to {100 * high:.1f} %)"

    settings = content["settings"]
    lines = [
        f"| of {n} compositions as drawn (95 % interval) | at most 0 eV/atom above the hull | at most 0.1 |",
        "|---|---|---|",
        f"| stable by CHGNet | {share('stable')} | {share('metastable')} |",
        f"| stable, unique and novel | {share('sun')} | {share('msun')} |",
    ]
    failures = sum(content["failures"].values())
    return [
        *lines,
        "",
        f"{content['with_structure']} have a structure, {counts['relaxed']} of these relaxed within "
        f"{settings['max_steps']} steps ({settings['per_formula']} structures a composition, cells of at most "
        f"{settings['max_atoms']} atoms; {failures} structures or compositions failed); {percent(counts['novel'] / n)} "
        f"are novel, {percent(counts['unique'] / n)} unique. Median {content['median_energy_above_hull']:.3f} eV/atom "
        f"above the hull. The hull's bias by anion, which is as large as what decides, is in the table above.",
    ]


def dft(content: dict[str, Any]) -> list[str]:
    """GPAW's formation energies beside CHGNet's and the predictor's."""
    lines = [
        "| compound | | structure from | atoms | PBE by GPAW | CHGNet, uncorrected | CHGNet | predicted (OQMD) | "
        "above the hull, CHGNet | s |",
        "|---" * 10 + "|",
    ]
    for row in sorted(content["compounds"], key=lambda row: not row["known"]):
        result = _energy(row["formation_energy_dft"]) if row["state"] == "done" else row["reason"]
        lines.append(
            f"| {row['formula']} | {'known' if row['known'] else 'new'} | `{row['template']}` | {row['n_atoms']} | "
            f"{result} | {_energy(row['formation_energy_chgnet_uncorrected'])} | "
            f"{_energy(row['formation_energy_chgnet'])} | {_energy(row['formation_energy'])} | "
            f"{_energy(row['energy_above_hull_chgnet'])} | {row['seconds'] or 0:.0f} |"
        )
    differences, settings = content["mean_absolute_difference"], content["settings"]
    offsets = ", ".join(f"{name} {value:.3f}" for name, value in content["reference_offsets_chgnet"].items())
    sentences = (
        f"Formation energies in eV/atom, at CHGNet's geometry, {settings['cutoff_ev']:.0f} eV,",
        f"{settings['kpoint_density']:g} k-points times angstrom,",
        f"{len(content['elements'])} elements calculated the same way.",
        "GPAW and CHGNet without corrections differ by",
        f"{differences['formation_energy_chgnet_uncorrected']:.3f} eV/atom on average, GPAW and the predictor,",
        f"which has learned OQMD's fitted references, by {differences['formation_energy']:.3f}.",
        "New is what no bundled snapshot holds; the ICSD is unchecked.",
        "The new ones were picked by the predictor's lowest distances to the hull, which picks its errors too.",
        f"References above their ground state by CHGNet, eV/atom: {offsets or 'none'}.",
        f"{content['dft_core_seconds'] / 60:.0f} core-minutes in all; inputs of {content['competing_inputs']}",
        "competing phases are exported beside them.",
    )
    return [*lines, "", " ".join(sentences)]


def _energy(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
