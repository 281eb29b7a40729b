"""Formation energies by CHGNet of known compounds against the bundled labels, before and after the labels' correction.

The compounds are drawn from those of the bundled table whose own structures the bundled templates hold (minerals,
prototypes), as many of each anion; of each the lowest of its relaxed structures counts. The label is the Materials
Project's lowest formation energy with its first corrections; after the correction, with those of 2020. Writes the bias
by anion that `matgen evaluate` shows into matgen/structures/hull_bias.json.

python -m benchmarks.structure_energies
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.plots import drawing
from benchmarks.record import RESULTS, command_line, write_result
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.io.files import write_json
from matgen.runtime.progress import TerminalProgress
from matgen.structures.energies import anion_class, formation_energies, mp2020_minus_legacy
from matgen.structures.judge import hull_bias
from matgen.structures.potentials.registry import load_potential
from matgen.structures.relax import RelaxSettings, relax
from matgen.structures.templates import bundled_templates

N = 206  # of which some fail
PER_FORMULA = 3  # polymorphs of a compound, the smallest cells
MOST_ATOMS = 24
SEED = 0
BIAS = Path(__file__).parent.parent / "matgen" / "structures" / "hull_bias.json"


def compounds() -> list[tuple[str, float, str, list[Any]]]:
    """Formula, label, anion and own structures of known compounds, spread evenly over the anions."""
    own = defaultdict(list)
    for template in bundled_templates().templates:
        if template.n_atoms <= MOST_ATOMS and len(template.counts) > 1:
            own[template.formula].append(template)
    dataset = load_dataset("hybrid")
    frame = dataset.frame.assign(formula=dataset.batch.formulas())
    frame = frame[frame["formula"].isin(list(own)) & frame["formation_energy_mp_min"].notna()]
    labels = dict(zip(frame["formula"], frame["formation_energy_mp_min"], strict=True))
    names = sorted(labels)
    classes = anion_class(CompositionBatch.from_formulas(names))
    generator = np.random.default_rng(SEED)
    queues = {name: list(generator.permutation(np.flatnonzero(classes == name))) for name in sorted(set(classes))}
    chosen: list[int] = []
    while len(chosen) < N and any(queues.values()):  # one of each anion in turn, so that no class is left out
        chosen += [queue.pop() for queue in queues.values() if queue]
    return [
        (names[i], labels[names[i]], str(classes[i]),
         [t.structure() for t in sorted(own[names[i]], key=lambda t: t.n_atoms)[:PER_FORMULA]])
        for i in sorted(chosen[:N])
    ]  # fmt: skip


def errors(values: np.ndarray) -> dict[str, float | int]:
    """Number, mean, mean absolute and median absolute error, eV/atom."""
    size = np.abs(values)
    return {"n": len(values), "bias": round(float(values.mean()), 4), "mae": round(float(size.mean()), 4),
            "median": round(float(np.median(size)), 4)}  # fmt: skip


def plot(rows: list[dict[str, Any]]) -> None:
    """Errors before and after by anion."""
    classes = sorted({row["anion"] for row in rows}, key=lambda name: -sum(row["anion"] == name for row in rows))
    with drawing(RESULTS / "structure_energies.png", "anion (known compounds); bars are means",
                 "CHGNet minus label / eV/atom") as axis:  # fmt: skip
        _points(axis, rows, classes)


def _points(axis: Any, rows: list[dict[str, Any]], classes: list[str]) -> None:
    for shift, key, label in ((-0.18, "before", "labels as bundled"), (0.18, "after", "corrected to MP2020")):
        measured = [[row["chgnet"] - row[key] for row in rows if row["anion"] == name] for name in classes]
        color = {"before": "#c8500a", "after": "#0b62a8"}[key]
        generator = np.random.default_rng(0)
        for place, values in enumerate(measured):
            x = place + shift + 0.12 * (generator.random(len(values)) - 0.5)
            axis.scatter(x, values, s=9, color=color, alpha=0.6, label=label if place == 0 else None)
            axis.plot([place + shift - 0.14, place + shift + 0.14], [np.mean(values)] * 2, color=color, lw=2)
    axis.axhline(0, color="gray", lw=0.8)
    axis.set_xticks(range(len(classes)), [f"{n}\n({sum(r['anion'] == n for r in rows)})" for n in classes], fontsize=8)
    axis.set_ylim(-0.6, 0.6)
    axis.legend(frameon=False)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    chosen = compounds()
    potential = load_potential("chgnet")
    structures = [structure for *_, own in chosen for structure in own]
    owner = [place for place, (*_, own) in enumerate(chosen) for _ in own]
    results = relax(structures, potential, RelaxSettings(max_steps=500), progress=TerminalProgress())
    lowest: dict[int, float] = {}
    for place, result in zip(owner, results, strict=True):
        if not result.reason and result.energy < lowest.get(place, np.inf):
            lowest[place] = result.energy
    places = sorted(lowest)
    batch = CompositionBatch.from_formulas([chosen[place][0] for place in places])
    measured = formation_energies(batch, np.array([lowest[place] for place in places]))
    before = np.array([chosen[place][1] for place in places])
    after = before + mp2020_minus_legacy(batch)
    rows = [
        {"formula": chosen[place][0], "anion": chosen[place][2], "chgnet": round(float(e), 4),
         "before": round(float(b), 4), "after": round(float(a), 4)}
        for place, e, b, a in zip(places, measured, before, after, strict=True) if np.isfinite(e)
    ]  # fmt: skip
    table = {}
    for name in sorted({row["anion"] for row in rows}):
        of_class = [row for row in rows if row["anion"] == name]
        table[name] = {key: errors(np.array([row["chgnet"] - row[key] for row in of_class]))
                       for key in ("before", "after")}  # fmt: skip
    whole = {key: errors(np.array([row["chgnet"] - row[key] for row in rows])) for key in ("before", "after")}
    failed = [
        {"formula": chosen[place][0], "reason": result.reason}
        for place, result in zip(owner, results, strict=True)
        if result.reason
    ]
    plot(rows)
    write_json(BIAS, {
        "command": command_line(), "potential": potential.name, "potential_version": potential.version, "n": len(rows),
        "classes": {name: {key: value["after"][key] for key in ("n", "bias", "mae")} for name, value in table.items()},
    })  # fmt: skip
    hull_bias.cache_clear()
    print(write_result("structure_energies", {
        "potential": f"{potential.name} {potential.version}", "compounds": len(rows), "structures": len(structures),
        "not_converged": sum(not result.converged and not result.reason for result in results), "failed": failed,
        "all": whole, "by_anion": table, "rows": rows,
    }), whole)  # fmt: skip


if __name__ == "__main__":
    main()
