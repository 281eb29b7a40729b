"""How much data a model needs: the same model trained on shares of `hybrid-pure`, and on data of other quality.

python -m benchmarks.training_size --minutes 4

The held-out formulas are the same for all shares. Every training has the same minutes and stops early. `--plot-only`
draws the plots anew; the one of quality shows the rows `gptj hybrid-mix|pure|strict` of `published.json`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.judging import METRICS, drawn, recovery_expected
from benchmarks.plots import drawing
from benchmarks.record import RESULTS, read_result, write_result
from matgen.datasets import Dataset, load_dataset
from matgen.models.checkpoint import METADATA, read_metadata
from matgen.runtime.progress import TerminalProgress
from matgen.sampling import Sampler, SampleRequest
from matgen.training import TrainingPlan, default_settings, train_model

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
QUALITIES = ("hybrid-mix", "hybrid-pure", "hybrid-strict")


def table_of_share(dataset: Dataset, share: float, path: Path) -> None:
    """Write a share of the training formulas, and all held-out ones; a file's split is that of its formulas."""
    train = dataset.part("train")
    chosen = np.random.default_rng(0).permutation(len(train))[: round(share * len(train))]
    parts = [train[np.sort(chosen)], dataset.part("valid"), dataset.part("test")]
    pd.DataFrame({"formula": np.concatenate([part.formulas() for part in parts])}).to_csv(path, index=False)


def measure(share: float, options: argparse.Namespace, dataset: Dataset) -> dict[str, Any]:
    folder = options.work / f"{options.model}-{options.notation}-{share:g}"
    if not (folder / METADATA).is_file():
        table = options.work / f"share-{share:g}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table_of_share(dataset, share, table)
        settings = default_settings(options.preset, options.model, max_minutes=options.minutes, patience=4)
        plan = TrainingPlan(
            options.model, str(table), options.notation, options.preset, settings=settings, published_filter=False
        )
        train_model(plan, folder, force=True, progress=TerminalProgress())
    told, sampler = read_metadata(folder), Sampler(folder)
    assert told["formulas"]["test"] == len(dataset.part("test"))
    log_prob = sampler.log_prob(dataset.part("test"))
    return {
        "share": share,
        "formulas": told["formulas"]["train"],
        "training": told["metrics"],
        "test_nats": float(-log_prob.mean()),
        **drawn(sampler, SampleRequest(options.n), "hybrid-pure"),
        "expected_recovery": recovery_expected(log_prob),
    }


def plot(rows: list[dict[str, Any]]) -> None:
    with drawing(RESULTS / "training_size.png", "training formulas", "% of 10,000 draws") as axes:
        x = [row["formulas"] for row in rows]
        for name in METRICS:
            axes.plot(x, [100 * row[name] for row in rows], marker="o", label=name.replace("_", " "))
        other = axes.twinx()
        other.plot(x, [row["test_nats"] for row in rows], marker="s", color="black", linestyle="--", label="nats")
        other.set_ylabel("nats a held-out formula (dashed)")
        axes.set_xscale("log")
        axes.set_ylim(0, 102)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(0.02, 0.12))


def plot_qualities(rows: dict[str, Any]) -> None:
    results = {name: rows.get(f"gptj {name} expanded tiny") for name in QUALITIES}
    if not all(results.values()):
        return
    with drawing(RESULTS / "quality.png", "trained on", "% of 10,000 draws") as axes:
        width = 0.8 / len(METRICS)
        for i, metric in enumerate(METRICS):
            values = [100 * results[name]["samples"]["10000"][metric] for name in QUALITIES]
            bars = axes.bar(np.arange(len(QUALITIES)) + i * width, values, width, label=metric.replace("_", " "))
            axes.bar_label(bars, fmt="%.0f", fontsize=7)
        axes.set_xticks(np.arange(len(QUALITIES)) + 0.4 - width / 2, QUALITIES)
        axes.set_ylim(0, 125)
        axes.legend(fontsize=7, ncols=3, loc="upper center")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gptj")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--notation", default="counted")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--work", type=Path, default=Path("runs/training_size"))
    parser.add_argument("--plot-only", action="store_true")
    options = parser.parse_args()
    if options.plot_only:
        rows = read_result("training_size")["rows"]
    else:
        dataset = load_dataset("hybrid-pure")
        rows = [measure(share, options, dataset) for share in SHARES]
        told = {name: getattr(options, name) for name in ("model", "preset", "notation", "minutes", "n")}
        write_result("training_size", {**told, "dataset": "hybrid-pure", "rows": rows})
    plot(rows)
    plot_qualities(read_result("published")["rows"])


if __name__ == "__main__":
    main()
