"""What share of draws is valid, unique and novel at once, over temperature, for models in either notation.

python -m benchmarks.yields --models RUN RUN ...      (runs of `benchmarks.published`; by default what is bundled)

Writes `results/yields.json` and `results/yields.png`. The prototype's point is that of a GPT-2 of four layers and 128
columns, trained for 15 minutes of one core, at temperature 1: about 35 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.judging import drawn
from benchmarks.plots import drawing
from benchmarks.record import RESULTS, write_result
from matgen.models.locate import bundled_checkpoints, find_checkpoint
from matgen.sampling import Decoding, Sampler, SampleRequest

PROTOTYPE = 0.35


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(bundled_checkpoints()))
    parser.add_argument(
        "--temperatures", type=float, nargs="+", default=[0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0]
    )
    parser.add_argument("-n", type=int, default=10_000)
    options = parser.parse_args()
    models = {}
    for name in options.models:
        sampler = Sampler(find_checkpoint(name))
        told = sampler.checkpoint.metadata
        rows = [
            {"temperature": t, **drawn(sampler, SampleRequest(options.n, decoding=Decoding(t)))}
            for t in options.temperatures
        ]
        models[Path(name).name] = {
            "architecture": told["architecture"],
            "preset": told["preset"],
            "notation": told["notation"],
            "test_nats": told["metrics"]["test_nats"],
            "rows": rows,
        }
        print(name, [(row["temperature"], row["valid_unique_novel"]) for row in rows], flush=True)
    write_result("yields", {"n": options.n, "reference": "hybrid", "prototype": PROTOTYPE, "models": models})
    plot(models)


def plot(models: dict[str, Any]) -> None:
    with drawing(RESULTS / "yields.png", "temperature", "valid, unique and novel / % of draws") as axes:
        for model in models.values():
            rows = model["rows"]
            label = f"{model['architecture']} {model['preset']}, {model['notation']}, {model['test_nats']:.2f} nats"
            axes.plot(
                [row["temperature"] for row in rows],
                [100 * row["valid_unique_novel"] for row in rows],
                marker="o",
                label=label,
            )
        axes.plot([1.0], [100 * PROTOTYPE], marker="*", markersize=12, linestyle="", label="prototype", color="black")
        axes.set_ylim(0)
        axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
