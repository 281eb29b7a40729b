"""Do predictions of stability hold where nobody has calculated? Splits that hold families out, and what users meet.

python -m benchmarks.shift --minutes 6                          all splits, and what needs no training
python -m benchmarks.shift --split oqmd-to-mp anonymous --minutes 6 --members 2
python -m benchmarks.shift --split oqmd-test mp-only made       bundled predictors; no training
python -m benchmarks.shift --split relaxed --relaxed draws.csv  novel draws that potentials have relaxed

Of each split a model is fitted to the training part (`--minutes` of one core) and asked about the test part: error and
intervals of the formation energy, and the probabilities to be at most 0, 0.05 and 0.1 eV/atom above the hull of all
other phases of the source. `shift_sets` holds the splits, `shift_models` the models: a function `say` is a row more.

Resumable: rows of the JSON with the same settings are not measured again, and trainings in `--work` go on.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.plots import drawing
from benchmarks.record import RESULTS, command_line, read_result, write_result
from benchmarks.shift_models import MODELS, FitOptions, Model, Say, checked
from benchmarks.shift_sets import ABOVE, NEAR, SHIFTS, Asked, asked_of_bundled, drawn, made, relaxed, task
from matgen.composition.batch import CompositionBatch
from matgen.datasets.labels import labeled_phases
from matgen.prediction.shifted_measures import (
    SURE,
    bootstrap_interval,
    error_measures,
    interval_coverage,
    probability_measures,
    roc_auc,
    spearman,
)
from matgen.prediction.stability import LIMITS, probability_column
from matgen.prediction.uncertainty import CONFIDENCES

NAME = "shift"
PLOTTED = ("random", "anonymous", "pairs", "near-hull", "oqmd-to-mp", "oqmd-test", "mp-only")
"""Splits in the plot of reliability."""
COLUMNS = tuple(probability_column(limit) for limit in LIMITS)
OPENED = {
    "oqmd-test": "OQMD's official test part",
    "mp-only": "only in the Materials Project, learned from OQMD",
    "oqmd-only": "only in OQMD, learned from the Materials Project",
}
"""What the bundled predictors are asked: of OQMD for the first two, of the Materials Project for the last."""
NAMES = (*SHIFTS, *OPENED, "made", "relaxed")
Json = dict[str, Any]


def said_of(say: Say, batch: CompositionBatch, source: str) -> pd.DataFrame:
    """What a model says, with `energy_above_hull` and intervals, which are made where it has none of its own."""
    said = checked(say(batch), len(batch), COLUMNS)
    if "energy_above_hull" not in said:
        said["energy_above_hull"] = said["formation_energy"] - labeled_phases(source).decompose(batch).energy
    for confidence in CONFIDENCES:
        if f"low_{confidence}" not in said:
            said[f"low_{confidence}"], said[f"high_{confidence}"] = _normal(said, confidence)
    return said


def _normal(said: pd.DataFrame, confidence: float) -> tuple[pd.Series, pd.Series]:
    from scipy.stats import norm

    half = norm.ppf(0.5 + confidence / 2) * said["std"]
    return said["formation_energy"] - half, said["formation_energy"] + half


def judged(said: pd.DataFrame, asked: Asked) -> Json:
    """All measures of all rows, of those near the hull, and of the hundredth predicted most stable."""
    near = asked.distance <= NEAR
    placed = np.flatnonzero(np.isfinite(said["energy_above_hull"].to_numpy()))
    order = placed[np.argsort(said["energy_above_hull"].to_numpy()[placed], kind="stable")]
    chosen = np.sort(order[: max(len(order) // 100, 1)])
    others = {
        name: of_limits(said, distance) for name, distance in asked.by_others.items() if np.isfinite(distance).any()
    }
    return {
        "n": len(said),
        "without_hull": len(said) - len(placed),
        "energy": of_energies(said, asked.energy),
        "energy_near_hull": of_energies(said[near], asked.energy[near]),
        **of_distances(said, asked.distance),
        "by_others": others,
        "most_stable_hundredth": {
            "energy": of_energies(said.iloc[chosen], asked.energy[chosen]),
            **of_distances(said.iloc[chosen], asked.distance[chosen]),
        },
    }


def of_energies(said: pd.DataFrame, energy: np.ndarray) -> Json:
    """Errors of formation energies, and how often their intervals hold the truth."""
    known = np.flatnonzero(np.isfinite(energy))
    said, energy = said.iloc[known], energy[known]
    coverage = {
        str(c): interval_coverage(said[f"low_{c}"].to_numpy(), said[f"high_{c}"].to_numpy(), energy)
        for c in CONFIDENCES
    }
    return {**error_measures(said["formation_energy"].to_numpy(), energy), "coverage": coverage}


def of_distances(said: pd.DataFrame, distance: np.ndarray) -> Json:
    """Errors and order of distances to the hull, means of those predicted and true, and probabilities by limit."""
    known = np.flatnonzero(np.isfinite(distance) & np.isfinite(said["energy_above_hull"].to_numpy()))
    predicted, true = said["energy_above_hull"].to_numpy()[known], distance[known]
    means = {"predicted": float(predicted.mean()), "true": float(true.mean())} if len(known) else {}
    return {
        "distance": {**error_measures(predicted, true), **means, "spearman": spearman(predicted, true)},
        "limits": of_limits(said, distance),
    }


def of_limits(said: pd.DataFrame, distance: np.ndarray) -> dict[str, Json]:
    """Measures of each probability, and the AUC of the predicted distance itself."""
    results = {}
    for limit, column in zip(LIMITS, COLUMNS, strict=True):
        probability = said[column].to_numpy(np.float64)
        known = np.flatnonzero(np.isfinite(distance) & np.isfinite(probability))
        happened = distance[known] <= limit
        above = said["energy_above_hull"].to_numpy()[known]
        results[f"{limit:g}"] = {
            **probability_measures(probability[known], happened), "auc_of_distance": roc_auc(-above, happened)
        }  # fmt: skip
    return results


def spread_of_what_is_said(said: pd.DataFrame) -> Json:
    """What is said of compositions whose truth nobody knows."""
    known = said[np.isfinite(said["energy_above_hull"])]
    tenths = np.linspace(0, 1, 11)
    return {
        "n": len(said),
        "without_hull": len(said) - len(known),
        "distance_quantiles": dict(
            zip(("10", "25", "50", "75", "90"),
                np.quantile(known["energy_above_hull"], (0.1, 0.25, 0.5, 0.75, 0.9)).tolist(), strict=True)
        ),
        "limits": {
            f"{limit:g}": {
                "said": float(known[column].mean()),
                "sure": float((known[column] >= SURE).mean()),
                "histogram": (np.histogram(known[column], tenths)[0] / max(len(known), 1)).tolist(),
            }
            for limit, column in zip(LIMITS, COLUMNS, strict=True)
        },
    }  # fmt: skip


def of_made(say: Say, source: str, most: int | None, work: Path, n: int) -> Json:
    """What is said of compounds that have been made, of novel valid draws, and how well it parts the two."""
    both = {"made": made(), "drawn": drawn(n, work / f"drawn-{n}.csv")}
    if most is not None:
        both = {name: batch[:most] for name, batch in both.items()}
    said = {name: said_of(say, batch, source) for name, batch in both.items()}
    together = pd.concat(said.values(), ignore_index=True)
    is_made = np.arange(len(together)) < len(said["made"])
    columns = {**dict.fromkeys(COLUMNS, 1.0), "energy_above_hull": -1.0}
    auc = {}
    for column, sign in columns.items():
        known = np.isfinite(together[column].to_numpy())
        auc[column] = roc_auc(sign * together[column].to_numpy()[known], is_made[known])
    return {**{name: spread_of_what_is_said(one) for name, one in said.items()}, "auc_of_made_against_drawn": auc}


def of_relaxed(say: Say, source: str, table: pd.DataFrame) -> Json:
    """What is said of relaxed draws against each potential, and the order that the first potential itself reaches.

    Args:
        say: the model.
        source: whose hull.
        table: what `relaxed` reads. With a column `model`, draws of each model are judged by themselves as well.
    """
    said = said_of(say, CompositionBatch.from_formulas(table["formula"]), source)
    groups = {"all": np.ones(len(table), dtype=bool)}
    if "model" in table:
        groups |= {str(name): (table["model"] == name).to_numpy() for name in table["model"].unique()}
    return {name: _of_potentials(said[rows], table[rows]) for name, rows in groups.items()}


def _of_potentials(said: pd.DataFrame, table: pd.DataFrame) -> Json:
    potentials = [name for name in table if name.startswith(ABOVE)]
    screening = table[potentials[0]].to_numpy()
    results: Json = {"n": len(table), "potentials": {}}
    for name in potentials:
        distance = table[name].to_numpy()
        row = of_distances(said, distance)
        row["order"] = order_with_intervals(said["energy_above_hull"].to_numpy(), distance)
        if name != potentials[0]:
            row["order_by_screening_potential"] = order_with_intervals(screening, distance)
        results["potentials"][name.removeprefix(ABOVE)] = row
    return results


def order_with_intervals(predicted: np.ndarray, distance: np.ndarray) -> Json:
    """AUC of being near the hull and Spearman's correlation, with bootstrap intervals of 95 %."""
    known = np.flatnonzero(np.isfinite(predicted) & np.isfinite(distance))
    columns = predicted[known], distance[known]

    def auc(one: np.ndarray, other: np.ndarray) -> float | None:
        return roc_auc(-one, other <= NEAR)

    return {
        "n": len(known),
        "auc": auc(*columns) if len(known) else None,
        "auc_interval": bootstrap_interval(auc, *columns) if len(known) else None,
        "spearman": spearman(*columns),
        "spearman_interval": bootstrap_interval(spearman, *columns),
    }


def row_of(name: str, model: Model, options: argparse.Namespace) -> tuple[Json, Callable[[], Json]] | None:
    """The settings of a row and what measures it; None where the model has no such row, or there is no table for it."""
    settings: Json = {"rows": options.rows, "most": options.most}
    if name in SHIFTS:
        fitting = {"minutes": options.minutes, "members": options.members, "width": options.width}
        settings |= fitting | {"valid_alike": options.valid_alike}
        return (settings, lambda: of_split(name, model, options)) if model.fit is not None else None
    if model.open is None or (name == "relaxed" and options.relaxed is None):
        return None
    settings |= {"version": model.version(_source_of(name))}
    settings |= {"draws": options.draws} if name == "made" else {}
    settings |= {"table": _hash(options.relaxed)} if name == "relaxed" else {}
    return settings, lambda: of_opened(name, model, options)


def _source_of(name: str) -> str:
    """Whose labels the bundled model that is asked has learned."""
    return "mp" if name == "oqmd-only" else "oqmd"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def of_opened(name: str, model: Model, options: argparse.Namespace) -> Json:
    """What is measured of a bundled model."""
    assert model.open is not None
    source = _source_of(name)
    say = model.open(source)
    if name == "made":
        return of_made(say, source, options.rows, options.work, options.draws)
    if name == "relaxed":
        return {"groups": of_relaxed(say, source, relaxed(options.relaxed)), "table": str(options.relaxed)}
    return {"title": OPENED[name], **asked_and_judged(say, asked_of_bundled(name).at_most(options.most))}


def asked_and_judged(say: Say, asked: Asked) -> Json:
    return judged(said_of(say, asked.batch, asked.source), asked)


def of_split(name: str, model: Model, options: argparse.Namespace) -> Json:
    """A model fitted to the training part of a split and asked about its test part."""
    assert model.fit is not None
    shift = SHIFTS[name]
    data, asked = task(shift, valid_alike=options.valid_alike, rows=options.rows, most=options.most)
    fit = FitOptions(options.minutes, options.members, options.width)
    alike = "-alike" * options.valid_alike
    folder = f"{options.model_name}-{name}-{fit.minutes:g}-{fit.members}-{fit.width}-{options.rows or 'all'}{alike}"
    began = time.monotonic()
    say = model.fit(data, fit, options.work / folder)
    seconds = round(time.monotonic() - began, 1)
    formulas = {part: int((data.part == part).sum()) for part in ("train", "valid")} | {"test": len(asked.batch)}
    return {
        "title": shift.title,
        "learns": shift.learns,
        "tested_by": shift.tested_by,
        "formulas": formulas,
        "seconds": seconds,
        **asked_and_judged(say, asked),
    }


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", nargs="+", default=list(NAMES), choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--model", nargs="+", default=list(MODELS), choices=MODELS, metavar="MODEL", help=", ".join(MODELS)
    )
    parser.add_argument(
        "--minutes", type=float, default=6.0, help="of one core, of all members of a split (default: 6)"
    )
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--valid-alike", action="store_true", help="stop and calibrate by further held-out families")
    parser.add_argument("--rows", type=int, help="learn from so many rows at most (to try it)")
    parser.add_argument("--most", type=int, default=50_000, help="test rows at most (default: 50,000)")
    parser.add_argument("--draws", type=int, default=4_000, help="novel draws beside made compounds (default: 4,000)")
    parser.add_argument("--relaxed", type=Path, help="CSV of relaxed draws, or the JSON of benchmarks.sun")
    parser.add_argument("--work", type=Path, default=Path("runs/shift"))
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser


def main() -> None:
    options = arguments().parse_args()
    torch.set_num_threads(1)
    if options.relaxed is None and "novel_by_potential" in read_result("sun"):
        options.relaxed = RESULTS / "sun.json"
    for name, model in itertools.product(options.split, options.model):
        options.model_name = model
        found = row_of(name, MODELS[model], options)
        if found is None:
            print(f"{model} {name}: nothing to measure", flush=True)
            continue
        settings, run = found
        key = f"{model} {name}"
        earlier = read_result(NAME, options.results).get("rows", {})
        if key in earlier and earlier[key]["settings"] == settings:
            continue
        facts = {"model": model, "model_title": MODELS[model].title, "split": name, "settings": settings}
        row = {**facts, "command": command_line(), **run()}
        print(key, summary(row), flush=True)
        rows = read_result(NAME, options.results).get("rows", {})  # another process may have written meanwhile
        rows = in_order(rows | {key: row})
        write_result(NAME, {"rows": rows}, options.results)
        plot(rows, options.results)


def plot(rows: Json, folder: Path) -> None:
    """Reliability of the probability to be at most 0.05 eV/atom above the hull, by split and model."""
    with drawing(folder / "shift_reliability.png", "probability said", "share that is so") as axes:
        axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8)
        for row in rows.values():
            if row["split"] in PLOTTED:
                steps = row["limits"]["0.05"]["reliability"]
                title = f"{row['split']} {row['model']}" + ("" if "formulas" in row else " (bundled)")
                axes.plot(
                    *zip(*((step["said"], step["share"]) for step in steps), strict=True), marker="o", label=title
                )
        axes.legend(fontsize=6)


def in_order(rows: Json) -> Json:
    """Rows by split, as they are listed."""
    return dict(sorted(rows.items(), key=lambda item: NAMES.index(item[1]["split"])))


def summary(row: Json) -> Json:
    if "energy" not in row:
        return row.get("auc_of_made_against_drawn") or {name: group["n"] for name, group in row["groups"].items()}
    limits = {limit: round(found["brier"], 4) for limit, found in row["limits"].items() if found["n"]}
    return {"n": row["n"], "mae": row["energy"]["mae"], "brier": limits}


if __name__ == "__main__":
    main()
