"""Each architecture trained for equal minutes on the same dataset, 10,000 draws of each judged.

python -m benchmarks.architectures --minutes 3 --work runs/architectures

Resumable: a model whose checkpoint is in the work folder is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.record import write_result
from matgen.evaluate import evaluate
from matgen.models import MODELS
from matgen.models.checkpoint import METADATA, read_metadata
from matgen.progress import Progress
from matgen.sample import Sampler, SampleRequest, sample_to_file
from matgen.train import TrainingPlan, train_model
from matgen.train.run import default_settings

METRICS = ("charge_neutral", "electronegativity_balanced", "unique", "novel", "valid_unique_novel")


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
    drawn = sample_to_file(Sampler(folder), SampleRequest(options.n, seed=options.seed), samples, force=True)
    known = evaluate(samples, "hybrid", seed=options.seed, baselines=False).content
    own = evaluate(samples, options.dataset, seed=options.seed, baselines=options.baselines).content
    return {
        "title": MODELS[key].title,
        **{name: known[name] for name in METRICS},
        "recovery": own["recovery"],
        "novel_to_dataset": own["novel"],
        "canonical": drawn["canonical"] / drawn["rows"],
        "unfinished": drawn["unfinished"],
        "sampling_formulas_per_second": drawn["formulas_per_second"],
        "training": metadata["metrics"],
        "ionic": known["groups"]["ionic"],
        "all_metal": known["groups"]["all_metal"],
        "protocol": known["protocol"],
    }


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
    rows: dict[str, Any] = {}
    for key in options.models:
        rows[key] = measure(key, options)
        shown = ", ".join(f"{name} {rows[key][name]:.4f}" for name in METRICS)
        print(f"{key}: {shown}, recovery of test {rows[key]['recovery']['test']:.4f}", flush=True)
        common = {"minutes": options.minutes, "preset": options.preset, "dataset": options.dataset, "n": options.n}
        write_result(options.name, {**common, "notation": options.notation, "seed": options.seed, "models": rows})


if __name__ == "__main__":
    main()
