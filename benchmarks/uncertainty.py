"""Do spreads and probabilities mean what they say? And what do predictions say of experiments?

python -m benchmarks.uncertainty                     bundled predictors on their held-out test parts (minutes)
python -m benchmarks.uncertainty --leave-out Se      fits without an element (and without chemical systems: `systems`)

* coverage of conformal intervals, with the band that a binomial of as many rows would have, and by tenth of spread;
* stability: every test compound left out of its own hull, its energy predicted: Brier score and reliability of the
  probabilities, and the classification of Bartel et al. (npj Comput. Mater. 6, 97, 2020);
* selection: the hundredth predicted most stable, before and after the correction;
* out of domain: an element or chemical systems that training never saw, and whether the flag says so;
* 2,135 measured formation enthalpies (pymatgen), beside the error that the labels themselves have.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.plots import drawing
from benchmarks.record import RESULTS, read_result, write_result
from matgen.composition.batch import CompositionBatch, parse_formulas
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.composition.keys import KeySet
from matgen.datasets.labels import OUTLIER_ENERGY, SOURCES, labeled_phases
from matgen.prediction import FitPlan, NetworkSize, Predictor, PropertyData, bundled_property, fit_predictor, measured
from matgen.prediction.fit import default_fit_settings
from matgen.prediction.locate import bundled_predictors
from matgen.prediction.measure import coverage
from matgen.prediction.stability import LIMITS
from matgen.prediction.uncertainty import CONFIDENCES
from matgen.runtime.progress import TerminalProgress

NAME = "uncertainty"


def band(confidence: float, n: int) -> list[float]:
    """Where 95 of 100 coverages of `n` rows would lie, were the intervals exact."""
    half = 1.96 * math.sqrt(confidence * (1 - confidence) / n)
    return [confidence - half, confidence + half]


def of_intervals(predictor: Predictor, batch: CompositionBatch, truth: np.ndarray) -> dict[str, Any]:
    mean, spread, disagreement = predictor.spread(batch)
    tenths = np.array_split(np.argsort(spread), 10)
    return {
        "n": len(batch),
        "mae": float(np.abs(mean - truth).mean()),
        "coverage": coverage(predictor, mean, spread, truth),
        "band": {str(c): band(c, len(batch)) for c in CONFIDENCES},
        "by_spread": [
            {
                "spread": float(spread[rows].mean()),
                "mae": float(np.abs(mean - truth)[rows].mean()),
                "coverage": coverage(predictor, mean[rows], spread[rows], truth[rows]),
            }
            for rows in tenths
        ],
        "out_of_domain": float(1 - predictor.in_domain(batch, disagreement).mean()),
    }


def of_stability(predictor: Predictor, batch: CompositionBatch, truth: np.ndarray, most: int) -> dict[str, Any]:
    """Distances to the hull of test compounds, each left out of its own hull."""
    rows = np.random.default_rng(0).permutation(len(batch))[:most]
    batch, truth = batch[rows], truth[rows]
    began = time.perf_counter()
    hull = labeled_phases(predictor.metadata["source"]).decompose(batch).energy
    seconds = time.perf_counter() - began
    mean, spread, _ = predictor.spread(batch)
    distance, true_distance = mean - hull, truth - hull
    assert predictor.selection is not None
    limits = {}
    for limit in LIMITS:
        stable = true_distance <= limit
        limits[str(limit)] = {
            "stable": float(stable.mean()),
            "corrected": reliability(predictor.selection.probability_below(distance, spread, limit), stable),
            "plain": reliability(predictor.calibration.probability_below(distance, spread, limit), stable),
        }
    chosen = np.argsort(distance)[: len(distance) // 100]
    told, true = distance[chosen], true_distance[chosen]

    def selected(intervals: Any) -> dict[str, float]:
        results = {}
        for confidence in CONFIDENCES:
            low, high = intervals(told, spread[chosen], confidence).T
            results[str(confidence)] = float(((low <= true) & (true <= high)).mean())
        return results

    called, is_stable = distance <= 0, true_distance <= 0
    return {
        "n": len(batch),
        "seconds_of_hulls": round(seconds, 1),
        "mae_of_distance": float(np.abs(distance - true_distance).mean()),
        "called_stable": {
            "accuracy": float((called == is_stable).mean()),
            "precision": float(is_stable[called].mean()),
            "recall": float(called[is_stable].mean()),
            "false_positive_rate": float(called[~is_stable].mean()),
        },
        "limits": limits,
        "most_stable_hundredth": {
            "n": len(chosen),
            "mean_predicted": float(told.mean()),
            "mean_true": float(true.mean()),
            "truth_above_prediction": float((true > told).mean()),
            "coverage_plain": selected(predictor.calibration.intervals),
            "coverage_corrected": selected(predictor.selection.intervals),
            "band": {str(c): band(c, len(chosen)) for c in CONFIDENCES},
        },
    }


def reliability(probability: np.ndarray, happened: np.ndarray) -> dict[str, Any]:
    """Brier score, that of always saying the mean, and how often it happened by what was said."""
    place = np.minimum((probability * 10).astype(int), 9)
    return {
        "brier": float(((probability - happened) ** 2).mean()),
        "brier_of_the_mean": float(happened.mean() * (1 - happened.mean())),
        "said_and_happened": [
            [float(probability[place == i].mean()), float(happened[place == i].mean()), int((place == i).sum())]
            for i in range(10)
            if (place == i).any()
        ],
    }


def of_experiments(predictors: dict[str, Predictor]) -> dict[str, Any]:
    """Measured formation enthalpies, in eV/atom, beside predictions and beside the labels that they learned."""
    path = files("pymatgen.analysis.compatibility").joinpath("exp_compounds.json.gz")
    rows = json.loads(gzip.decompress(path.read_bytes()))
    parsed = parse_formulas([row["formula"] for row in rows])
    # Energies are of the formula as written; elements have none.
    atoms = np.array([_atoms(rows[i]["formula"]) for i in parsed.rows])
    measured_energy = np.array([rows[i]["exp energy"] for i in parsed.rows], dtype=np.float64) / atoms
    keep = np.flatnonzero((parsed.batch.n_elements > 1) & np.isfinite(measured_energy))
    batch, truth = parsed.batch[keep], measured_energy[keep]
    results: dict[str, Any] = {"listed": len(rows), "compounds": len(batch)}
    for name, predictor in predictors.items():
        data = bundled_property("formation_energy", predictor.metadata["source"])
        labels = _looked_up(batch, data.batch, data.target)
        trained = KeySet(data.of("train")[0].keys()).contains(batch.keys())
        mean, _, disagreement = predictor.spread(batch)
        inside = predictor.in_domain(batch, disagreement)
        known = np.isfinite(labels)
        results[name] = {
            "mae": float(np.abs(mean - truth).mean()),
            "mean_error": float((mean - truth).mean()),
            "not_trained_on": int((~trained).sum()),
            "mae_not_trained_on": float(np.abs(mean - truth)[~trained].mean()),
            "in_domain": float(inside.mean()),
            "mae_in_domain": float(np.abs(mean - truth)[inside].mean()),
            "with_label": int(known.sum()),
            "mae_of_labels": float(np.abs(labels - truth)[known].mean()),
            "mae_with_label": float(np.abs(mean - truth)[known].mean()),
        }
    return results


def _atoms(formula: str) -> float:
    from pymatgen.core import Composition

    return float(Composition(formula).num_atoms)


def _looked_up(asked: CompositionBatch, known: CompositionBatch, value: np.ndarray) -> np.ndarray:
    keys = asked.keys()
    place = {bytes(key): i for i, key in enumerate(known.keys())}
    return np.array([value[place[bytes(key)]] if bytes(key) in place else np.nan for key in keys])


def left_out(what: str, minutes: float, work: Path) -> dict[str, Any]:
    """A predictor that has never seen an element (or held-out chemical systems), and what it says of them."""
    data = bundled_property("formation_energy", "oqmd", "split_chemsys" if what == "systems" else "official")
    usual = np.abs(data.target) <= OUTLIER_ENERGY
    if what == "systems":
        strange = (data.part == "test") & usual
    else:
        strange = (data.batch.elements == ATOMIC_NUMBER[what]).any(axis=1) & usual
    part = np.where(strange, "test", np.where(data.part == "valid", "valid", "train"))
    keep = np.flatnonzero(usual & (strange | (data.part != "test") | (what == "systems")))
    told = PropertyData(
        data.name, f"oqmd without {what}", data.unit, data.batch[keep], data.target[keep], part[keep], {}
    )
    settings = default_fit_settings("network", len(keep), max_minutes=minutes / 2)
    plan = FitPlan("network", NetworkSize(), 2, None, settings)
    folder = work / f"without-{what}"
    results = fit_predictor(
        told, plan, folder, resume=(folder / "training").is_dir(), force=True, progress=TerminalProgress()
    )
    assert results is not None
    known = keep[part[keep] == "valid"]
    return {
        "minutes": minutes,
        "strange": of_intervals(results, *told.of("test")),
        "usual": of_intervals(results, data.batch[known], data.target[known]),
    }


def speed(predictor: Predictor, n: int) -> dict[str, float]:
    batch = bundled_property("formation_energy", "oqmd").batch[:n]
    alone = Predictor(predictor.members[:1], predictor.metadata, predictor.calibration)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        alone.spread(batch)
        times.append(time.perf_counter() - began)
    return {"n": len(batch), "threads": torch.get_num_threads(), "predictions_per_second": n / float(np.median(times))}


def plot(content: dict[str, Any]) -> None:
    with drawing(RESULTS / "reliability.png", "probability said", "share that is so") as axes:
        axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8)
        for limit, results in content["stability"]["limits"].items():
            said, happened, _ = zip(*results["corrected"]["said_and_happened"], strict=True)
            axes.plot(said, happened, marker="o", label=f"at most {limit} eV/atom above the hull")
        axes.legend(fontsize=8)
    with drawing(
        RESULTS / "spread.png", "mean predicted spread of a tenth", "mean absolute error of the tenth"
    ) as axes:
        for name, results in content["predictors"].items():
            if "by_spread" in results:
                x, y = zip(*((row["spread"], row["mae"]) for row in results["by_spread"]), strict=True)
                axes.plot(x, y, marker="o", label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="WHAT")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--most", type=int, default=51_255, help="test compounds placed on hulls")
    parser.add_argument("--work", type=Path, default=Path("runs/uncertainty"))
    options = parser.parse_args()
    content = read_result(NAME)
    content = {name: content.get(name, {}) for name in ("predictors", "stability", "experiments", "left_out", "speed")}
    for what in options.leave_out:
        content["left_out"][what] = left_out(what, options.minutes, options.work)
        print(what, content["left_out"][what]["strange"]["coverage"], flush=True)
    if not options.leave_out:
        opened = {name: Predictor.load(folder) for name, folder in bundled_predictors().items()}
        for name, predictor in opened.items():
            data = bundled_property(predictor.name, predictor.metadata["source"])
            test = data.of("test")
            content["predictors"][name] = (
                measured(predictor, *test) if predictor.classifies else of_intervals(predictor, *test)
            )
        energies = {name: one for name, one in opened.items() if one.name == "formation_energy"}
        content["experiments"] = of_experiments(energies)
        oqmd = opened[f"formation_energy-{next(iter(SOURCES))}"]
        content["speed"] = speed(oqmd, 100_000)
        batch, truth = bundled_property("formation_energy", "oqmd").of("test")
        usual = np.flatnonzero(np.abs(truth) <= OUTLIER_ENERGY)
        content["stability"] = of_stability(oqmd, batch[usual], truth[usual], options.most)
        plot(content)
    write_result(NAME, content)


if __name__ == "__main__":
    main()
