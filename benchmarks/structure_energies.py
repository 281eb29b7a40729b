"""Formation energies and distances to the hull by potentials, of known compounds, against the bundled labels.

The compounds are drawn from those of the bundled table whose own structures the bundled templates hold (minerals,
prototypes), as many of each anion; of each the lowest of its relaxed structures counts. CHGNet relaxes all polymorphs;
the others relax the one that CHGNet has lowest, from where CHGNet left it. The label is the Materials Project's lowest
formation energy with its first corrections; after the correction, with those of 2020.

Distances to the hull leave each compound's own phase out, as if it were new. The true one is that of the labels. The
potential's is that of its energy to the labels of the other phases, or to its own energies of them where their
structures are bundled, and to variants of both (`VARIANTS` of `benchmarks.hull_variants`).

What is relaxed is kept in the folder, so that an interrupted run goes on. Writes the bias by anion that
`matgen evaluate` shows into matgen/structures/hull_bias.json.

python -m benchmarks.structure_energies [--folder runs/structure-energies] [--potential chgnet 7net-l3i5] [--first N]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hull_variants import VARIANTS, distances, scores
from benchmarks.plots import drawing
from benchmarks.record import RESULTS, command_line, write_result
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.errors import MissingDependencyError
from matgen.io.files import write_json
from matgen.runtime.progress import TerminalProgress
from matgen.structures.energies import anion_class, mp2020_minus_legacy
from matgen.structures.phase_energies import PhaseEnergies, PhaseSettings
from matgen.structures.relax import RelaxSettings
from matgen.structures.templates import bundled_templates

N = 206  # of which some fail
SEED = 0
SETTINGS = PhaseSettings(per_formula=3, max_atoms=24, relaxation=RelaxSettings(max_steps=500))
SCREENING = "chgnet"
POTENTIALS = ("chgnet", "7net-l3i5", "7net-0")
BIAS = Path(__file__).parent.parent / "matgen" / "structures" / "hull_bias.json"


def compounds() -> list[tuple[str, float, str]]:
    """Formula, label and anion of known compounds with bundled structures, spread evenly over the anions.

    In the order of drawing: those at the front are a fair sample of all.
    """
    own = {
        template.formula for template in bundled_templates().templates
        if template.n_atoms <= SETTINGS.max_atoms and len(template.counts) > 1
    }  # fmt: skip
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
    return [(names[i], labels[names[i]], str(classes[i])) for i in chosen[:N]]


def energies_by(name: str) -> PhaseEnergies:
    """Energies of phases by a potential, from CHGNet's lowest structure unless it is CHGNet."""
    screened = PhaseEnergies(SCREENING, bundled_templates(), SETTINGS, progress=TerminalProgress())
    return screened if name == SCREENING else PhaseEnergies(name, screened, SETTINGS, progress=TerminalProgress())


def errors(values: np.ndarray) -> dict[str, Any]:
    """Number, mean, mean absolute and median absolute error, eV/atom, of those that are known."""
    values = values[np.isfinite(values)]
    size = np.abs(values)
    return {"n": len(values), "bias": round(float(values.mean()), 4), "mae": round(float(size.mean()), 4),
            "median": round(float(np.median(size)), 4)}  # fmt: skip


def measured(name: str, chosen: list[tuple[str, float, str]], variants: Sequence[str]) -> dict[str, Any]:
    """All that is measured of one potential."""
    began = time.time()
    energies = energies_by(name)
    formation = energies.formation([formula for formula, *_ in chosen])
    sound = np.flatnonzero(np.isfinite(formation))
    batch = CompositionBatch.from_formulas([chosen[i][0] for i in sound])
    before = np.array([chosen[i][1] for i in sound])
    after = before + mp2020_minus_legacy(batch)
    anions = np.array([chosen[i][2] for i in sound], dtype=object)
    true, said = distances(batch, after, formation[sound], anions, energies, variants)
    rows = [
        {"formula": chosen[i][0], "anion": chosen[i][2], "said": round(float(formation[i]), 4),
         "before": round(float(b), 4), "after": round(float(a), 4), "above": _number(t),
         **{variant: _number(column[k]) for variant, column in said.items()}}
        for k, (i, b, a, t) in enumerate(zip(sound, before, after, true, strict=True))
    ]  # fmt: skip
    table: dict[str, dict[str, Any]] = {}
    for anion in sorted(set(anions)):
        of_class = [row for row in rows if row["anion"] == anion]
        table[anion] = errors_of(of_class) | {
            variant: errors((column - true)[anions == anion]) for variant, column in said.items()
        }
    failed = [{"formula": phase.formula, "reason": phase.reason}
              for phase in energies.of([formula for formula, *_ in chosen]) if phase.reason]  # fmt: skip
    return {
        "version": energies.potential.version, "compounds": len(rows), "failed": failed,
        "seconds_of_this_call": round(time.time() - began, 1),
        "all": errors_of(rows), "by_anion": table, "hull": scores(true, said), "rows": rows,
    }  # fmt: skip


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def errors_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors of formation energies against labels as bundled and corrected."""
    return {key: errors(np.array([row["said"] - row[key] for row in rows])) for key in ("before", "after")}


def plot(potentials: dict[str, dict[str, Any]]) -> None:
    """Points of each class of compounds for each potential, and their means."""
    rows = potentials[SCREENING]["rows"]
    classes = sorted({row["anion"] for row in rows}, key=lambda name: -sum(row["anion"] == name for row in rows))
    colors = ("#0b62a8", "#c8500a", "#3a8f4d")
    with drawing(RESULTS / "structure_energies.png", "anion (known compounds); bars are means",
                 "potential minus label (MP2020) / eV/atom") as axis:  # fmt: skip
        width = 0.72 / len(potentials)
        for number, (name, content) in enumerate(potentials.items()):
            shift = (number - (len(potentials) - 1) / 2) * width
            _points(axis, content["rows"], classes, shift, width, name, colors[number])
        axis.axhline(0, color="gray", lw=0.8)
        heads = [f"{name}\n({sum(row['anion'] == name for row in rows)})" for name in classes]
        axis.set_xticks(range(len(classes)), heads, fontsize=8)
        axis.set_ylim(-0.6, 0.6)
        axis.legend(frameon=False)


def _points(axis: Any, rows: list[dict[str, Any]], classes: list[str], shift: float, width: float, label: str,
            color: str) -> None:  # fmt: skip
    generator = np.random.default_rng(0)
    for place, name in enumerate(classes):
        values = [row["said"] - row["after"] for row in rows if row["anion"] == name]
        if not values:
            continue
        x = place + shift + 0.4 * width * (generator.random(len(values)) - 0.5)
        axis.scatter(x, values, s=9, color=color, alpha=0.6, label=label if place == 0 else None)
        axis.plot([place + shift - width / 2.5, place + shift + width / 2.5], [np.mean(values)] * 2, color=color, lw=2)


def write_bias(potentials: dict[str, dict[str, Any]]) -> None:
    """What `matgen evaluate` shows beside the compositions of each anion."""
    write_json(BIAS, {"command": command_line(), "potentials": {
        name: {
            "potential_version": content["version"], "n": content["compounds"],
            "classes": {anion: {key: row["after"][key] for key in ("n", "bias", "mae")}
                        for anion, row in content["by_anion"].items()},
        }
        for name, content in potentials.items()
    }})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/structure-energies"))
    parser.add_argument("--potential", nargs="+", default=list(POTENTIALS))
    parser.add_argument("--hulls", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--first", type=int, help="so many compounds only, to estimate the time; writes nothing")
    arguments = parser.parse_args()
    os.environ["MATGEN_CACHE"] = str(arguments.folder.resolve())
    chosen = compounds()[: arguments.first]
    potentials = {}
    for name in arguments.potential:
        try:
            potentials[name] = measured(name, chosen, arguments.hulls)
        except MissingDependencyError as error:
            print(error)
    if arguments.first:
        for name, content in potentials.items():
            print(name, {key: content[key] for key in ("compounds", "seconds_of_this_call", "all")})
            print(content["hull"])
        return
    plot(potentials)
    write_bias(potentials)
    print(write_result("structure_energies", {
        "screening": SCREENING, "per_formula": SETTINGS.per_formula, "max_atoms": SETTINGS.max_atoms,
        "potentials": potentials,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
