"""Do samples of conditional models follow their conditions? By predictors, and by labels of held-out formulas.

matgen train --model gptj --preset tiny --dataset mp-pure --condition band_gap formation_energy --dropout 0.1 \\
    --optimizer muon --max-minutes 8 --out runs/conditional
matgen train --model gptj --preset tiny --dataset mp-pure --where "band_gap > 1.98" --dropout 0.1 \\
    --optimizer muon --max-minutes 4 --out runs/tailored
python -m benchmarks.conditional --model runs/conditional --tailored runs/tailored
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.judging import METRICS, shares
from benchmarks.plots import drawing
from benchmarks.record import RESULTS, write_result
from matgen.composition.batch import CompositionBatch, first_occurrence, parse_formulas
from matgen.composition.keys import KeySet
from matgen.datasets import Dataset, load_dataset
from matgen.prediction import Predictor
from matgen.prediction.locate import find_predictor
from matgen.sampling import Sampler, SampleRequest, sample_to_file

RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "unconditional": {},
    "band_gap=0": {"band_gap": (0.0, 0.0)},
    "band_gap=1.98..": {"band_gap": (1.98, np.inf)},
    "band_gap=2..3": {"band_gap": (2.0, 3.0)},
    "band_gap=4..6": {"band_gap": (4.0, 6.0)},
    "formation_energy=..-2.5": {"formation_energy": (-np.inf, -2.5)},
    "band_gap=2..3 formation_energy=..-1.5": {"band_gap": (2.0, 3.0), "formation_energy": (-np.inf, -1.5)},
}
TAILORED = "trained on band_gap > 1.98 alone"
METAL = 0.1
"""Predicted band gap in eV below which a composition counts as one of none."""


def inside(values: dict[str, np.ndarray], ranges: dict[str, tuple[float, float]]) -> np.ndarray:
    """Which rows lie in all ranges; predicted gaps are never exactly 0."""
    keep = np.ones(len(next(iter(values.values()))), dtype=bool)
    for name, (low, high) in ranges.items():
        keep &= (values[name] >= low) & (values[name] <= (METAL if low == high == 0 else high))
    return keep


def held_out_truth(dataset: Dataset, batch: CompositionBatch) -> dict[str, np.ndarray]:
    """Labels of the held-out formulas that occur among compositions."""
    rows = np.flatnonzero(dataset.split != "train")
    labeled = rows[KeySet(batch.keys()).contains(dataset.batch[rows].keys())]
    return {name: dataset.numbers(name)[labeled] for name in ("band_gap", "formation_energy")}


def measure(sampler: Sampler, conditions: tuple[str, ...], n: int, dataset: Dataset, by: list[Predictor]) -> Any:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "draws.parquet"
        sample_to_file(sampler, SampleRequest(n, conditions=conditions), path)
        judged = shares(path)
        batch = parse_formulas(pd.read_parquet(path)["formula"]).batch
    distinct = batch[np.flatnonzero(first_occurrence(batch.keys()) == np.arange(len(batch)))]
    novel = distinct[np.flatnonzero(~KeySet(dataset.batch.keys()).contains(distinct.keys()))]
    predicted = {one.name: one.spread(novel)[0] for one in by}
    return judged, predicted, held_out_truth(dataset, distinct)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("runs/conditional"))
    parser.add_argument("--tailored", type=Path, default=Path("runs/tailored"))
    parser.add_argument("-n", type=int, default=10_000)
    options = parser.parse_args()
    dataset = load_dataset("mp-pure")
    by = [Predictor.load(find_predictor(name)) for name in ("band_gap-mp", "formation_energy-mp")]
    sampler, tailored = Sampler(options.model), Sampler(options.tailored)
    rows, gaps = {}, {}
    free: dict[str, Any] = {}
    for name, ranges in {**RANGES, TAILORED: {"band_gap": (1.98, np.inf)}}.items():
        conditions = () if name in ("unconditional", TAILORED) else tuple(name.split())
        judged, predicted, truth = measure(
            tailored if name == TAILORED else sampler, conditions, options.n, dataset, by
        )
        gaps[name] = predicted["band_gap"]
        if name == "unconditional":
            free = {"predicted": predicted, "truth": truth}
        rows[name] = {
            **{metric: judged[metric] for metric in METRICS},
            "new_to_dataset": len(predicted["band_gap"]),
            "predicted_inside": float(inside(predicted, ranges).mean()),
            "unconditional_predicted_inside": float(inside(free["predicted"], ranges).mean()),
            "held_out_found": len(truth["band_gap"]),
            "held_out_inside": float(inside(truth, ranges).mean()),
            "unconditional_held_out_inside": float(inside(free["truth"], ranges).mean()),
            "median_gap": float(np.median(predicted["band_gap"])),
            "median_formation_energy": float(np.median(predicted["formation_energy"])),
        }
        print(name, rows[name], flush=True)
    metadata = sampler.checkpoint.metadata
    content = {
        "n": options.n,
        "dataset": "mp-pure",
        "training": {"conditional": metadata["metrics"], "tailored": tailored.checkpoint.metadata["metrics"]},
        "rows": rows,
    }
    write_result("conditional", content)
    with drawing(
        RESULTS / "conditional.png", "predicted band gap / eV", "share of new compositions / eV$^{-1}$"
    ) as axes:
        for name in ("unconditional", "band_gap=2..3", "band_gap=4..6", TAILORED):
            axes.hist(gaps[name], bins=np.linspace(0, 9, 46), density=True, histtype="step", linewidth=1.4, label=name)
        axes.legend(fontsize=8)
        axes.set_ylim(0, 1.2)


if __name__ == "__main__":
    main()
