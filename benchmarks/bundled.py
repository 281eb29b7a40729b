"""What the bundled checkpoints draw: 10,000 compositions of each, judged; recovery of their own held-out formulas.

python -m benchmarks.bundled
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.judging import METRICS, recovered, recovery_expected
from benchmarks.record import write_result
from matgen.datasets import load_dataset
from matgen.evaluation import evaluate
from matgen.models.locate import bundled_checkpoints
from matgen.sampling import Sampler, SampleRequest, sample_to_file


def measure(folder: Path) -> dict[str, Any]:
    sampler = Sampler(folder)
    metadata = sampler.checkpoint.metadata
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "draws.parquet"
        sample_to_file(sampler, SampleRequest(10_000), path)
        known = evaluate(path, "hybrid").content
        own = recovered(path, metadata["dataset"])
    log_prob = sampler.log_prob(load_dataset(metadata["dataset"], where=metadata["where"]).part("test"))
    return {
        **{name: metadata[name] for name in ("architecture", "preset", "notation", "dataset")},
        "parameters": metadata["metrics"]["parameters"],
        "megabytes": round((folder / "model.safetensors").stat().st_size / 1e6, 2),
        "test_nats": float(-log_prob.mean()),
        "expected_recovery": recovery_expected(log_prob),
        "metrics": {
            **{name: known[name] for name in METRICS},
            "baseline": known["baseline"],
            "groups": known["groups"],
            "recovery": own["recovery"],
        },
    }


def main() -> None:
    results = {name: measure(folder) for name, folder in bundled_checkpoints().items()}
    for name, row in results.items():
        shares = {metric: row["metrics"][metric] for metric in METRICS}
        print(name, row["test_nats"], shares, row["metrics"]["recovery"], row["expected_recovery"])
    write_result("bundled", {"n": 10_000, "checkpoints": results})


if __name__ == "__main__":
    main()
