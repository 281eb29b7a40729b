"""The seven architectures at one size, each trained until validation stops getting better or its minutes are over.

python -m benchmarks.leaderboard [--preset paper] [--datasets hybrid-pure hybrid-mix] [--minutes 0.4] [--results FOLDER]

What is done is written at once; what the same kind of machine measured with the same settings is not measured again.
No model begins after `--seconds`.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path
from typing import Any

from matgen.runtime.processes import leave_cores_to_others

leave_cores_to_others()  # as `matgen train` does, before torch is imported

import torch  # noqa: E402

from benchmarks.judging import drawn  # noqa: E402
from benchmarks.record import RESULTS, continued  # noqa: E402
from benchmarks.training import DEVICE  # noqa: E402
from matgen.io.files import write_json  # noqa: E402
from matgen.models import MODELS  # noqa: E402
from matgen.sampling import Sampler, SampleRequest  # noqa: E402
from matgen.training import TrainingPlan, default_settings, train_model  # noqa: E402


def measure(model: str, dataset: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train one model; how good it is, and what it draws."""
    settings = default_settings(
        options.preset, model, max_minutes=options.minutes, batch_size=options.batch_size,
        precision="bf16" if DEVICE == "cuda" else "auto",
    )  # fmt: skip
    began = time.monotonic()
    train_model(TrainingPlan(model, dataset=dataset, preset=options.preset, settings=settings), folder)
    trained = time.monotonic() - began
    sampler = Sampler(folder, device=DEVICE)
    return {
        "model": model,
        "dataset": dataset,
        "minutes": options.minutes,
        "batch_size": options.batch_size,
        "seconds": round(trained, 1),
        "metrics": sampler.checkpoint.metadata["metrics"],
        "drawn": drawn(sampler, SampleRequest(options.n)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--datasets", nargs="+", default=["hybrid-pure", "hybrid-mix"])
    parser.add_argument("--minutes", type=float, default=0.4)
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10_000.0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    content = continued("leaderboard", options.results, preset=options.preset)
    content = {**content, "n": options.n, "rows": content.get("rows", {})}
    started = time.monotonic()
    for dataset in options.datasets:
        for model in options.models:
            name = f"{dataset} {model} {options.minutes:g} min, batches of {options.batch_size}"
            if name in content["rows"] or time.monotonic() - started > options.seconds:
                continue
            with tempfile.TemporaryDirectory() as work:
                content["rows"][name] = measure(model, dataset, options, Path(work) / "run")
            gc.collect()  # recordings of steps are part of cycles, and hold memory
            if DEVICE == "cuda":
                torch.cuda.empty_cache()
            write_json(options.results / "leaderboard.json", content)
            row = content["rows"][name]
            print(name, row["seconds"], row["metrics"], row["drawn"], flush=True)


if __name__ == "__main__":
    main()
