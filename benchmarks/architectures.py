"""Each architecture trained for equal minutes on the same dataset, 10,000 draws of each judged.

python -m benchmarks.architectures --minutes 10 --work runs/architectures
python -m benchmarks.architectures --minutes 5 --work runs/architectures-mp --dataset mp-pure --name architectures_mp

Resumable: a model whose checkpoint is in the work folder is not trained again, and rows measured with the same settings
stay in the JSON, so that the models can also be shared out over processes (`OMP_NUM_THREADS=1` and `--models` each).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import RESULTS, command_line, write_result
from matgen.datasets import load_dataset
from matgen.evaluate import evaluate
from matgen.files import read_json
from matgen.models import MODELS
from matgen.models.checkpoint import METADATA, read_metadata
from matgen.progress import Progress
from matgen.sample import Sampler, SampleRequest, sample_to_file
from matgen.train import TrainingPlan, train_model
from matgen.train.run import default_settings

METRICS = ("charge_neutral", "electronegativity_balanced", "unique", "novel", "valid_unique_novel")


SCORED = 1_000
"""Held-out formulas scored over all orders, for the models whose validation figure is a bound."""


def held_out_nats(sampler: Sampler, dataset: str) -> float:
    """Mean nats of the first held-out formulas, summed over the orders of writing (exactly up to 8 tokens)."""
    batch = load_dataset(dataset).part("test")
    every = np.random.default_rng(0).permutation(len(batch))[:SCORED]
    return float(-sampler.likelihood.summed(batch[every]).mean())


def measure(key: str, options: argparse.Namespace) -> dict[str, Any]:
    folder: Path = options.work / key
    if not (folder / METADATA).is_file():
        settings = default_settings(options.preset, key, max_minutes=options.minutes, evaluations=10, seed=options.seed)
        plan = TrainingPlan(
            model=key, dataset=options.dataset, preset=options.preset, notation=options.notation, settings=settings
        )
        train_model(plan, folder, force=True, progress=Progress(key, "steps"))
    metadata = read_metadata(folder)
    samples = options.work / f"{key}.parquet"
    sampler = Sampler(folder)
    drawn = sample_to_file(sampler, SampleRequest(options.n, seed=options.seed), samples, force=True)
    known = evaluate(samples, "hybrid", seed=options.seed, baselines=False).content
    own = evaluate(samples, options.dataset, seed=options.seed, baselines=options.baselines).content
    return {
        "title": MODELS[key].title,
        "command": command_line(),
        **{name: known[name] for name in METRICS},
        "recovery": own["recovery"],
        "novel_to_dataset": own["novel"],
        "canonical": drawn["canonical"] / drawn["rows"],
        "unfinished": drawn["unfinished"],
        "sampling_formulas_per_second": drawn["formulas_per_second"],
        "training": metadata["metrics"],
        "summed_nats": held_out_nats(sampler, options.dataset),
        "threads": torch.get_num_threads(),
        "ionic": known["groups"]["ionic"],
        "all_metal": known["groups"]["all_metal"],
        "protocol": known["protocol"],
    }


def measured(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Rows that are there already, by this or another process, with the same settings."""
    path = RESULTS / f"{name}.json"
    content = read_json(path) if path.is_file() else {}
    return content["models"] if all(content.get(key) == value for key, value in settings.items()) else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--notation", default="expanded")
    parser.add_argument("--dataset", default="hybrid-pure")
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/architectures"))
    parser.add_argument("--name", default="architectures")
    parser.add_argument("--baselines", action="store_true")
    options = parser.parse_args()
    names = ("minutes", "preset", "dataset", "n", "notation", "seed")
    common = {name: getattr(options, name) for name in names}
    for key in options.models:
        row = measure(key, options)
        shown = ", ".join(f"{name} {row[name]:.4f}" for name in METRICS)
        print(f"{key}: {shown}, recovery of test {row['recovery']['test']:.4f}", flush=True)
        rows = measured(options.name, common) | {key: row}
        write_result(options.name, {**common, "models": {key: rows[key] for key in MODELS if key in rows}})


if __name__ == "__main__":
    main()
