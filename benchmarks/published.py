"""The published study with matgen: models x datasets, each trained for given minutes, its draws judged.

python -m benchmarks.published --minutes 10 --models gptj gpt2 gptneo
python -m benchmarks.published --minutes 10 --models gptj --datasets hybrid-mix hybrid-strict mp-mix oqmd-mix
python -m benchmarks.published --minutes 5 --datasets mp-pure
python -m benchmarks.published --minutes 10 --models gptj --split split_chemsys
python -m benchmarks.published --minutes 10 --models gptj --notations counted --optimizer muon

Resumable: a model whose checkpoint is in the work folder is not trained again (a run that was cut off goes on), a row
that is in the JSON with the same settings is not measured again. Rows can be shared out over processes
(`OMP_NUM_THREADS=1` and `--models` each). `--measure-only` leaves out what is not trained yet.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.judging import METRICS, recovered, recovery_expected, shares
from benchmarks.record import command_line, read_result, write_result
from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets import load_dataset
from matgen.evaluation.baselines import draw
from matgen.evaluation.labels import BASELINES
from matgen.models import MODELS
from matgen.models.checkpoint import METADATA, read_metadata
from matgen.runtime.progress import TerminalProgress
from matgen.sampling import Sampler, SampleRequest, sample_to_file
from matgen.sampling.scoring import DRAWS, expected_recovery
from matgen.training import TrainingPlan, default_settings, train_model

SCORED = 1_000
"""Held-out formulas scored over all orders, for the models that write in any order."""
MOST_OF_ANY_ORDER = 10_000
"""Draws of those models, which draw a hundred times more slowly."""
NAME = "published"


@dataclass(frozen=True)
class Row:
    """A trained model of the study."""

    model: str
    dataset: str
    notation: str
    preset: str
    split: str
    minutes: float
    seed: int
    optimizer: str = "adamw"

    @property
    def key(self) -> str:
        parts = [self.model, self.dataset, self.notation, self.preset]
        parts += [self.split] * (self.split != "split") + [self.optimizer] * (self.optimizer != "adamw")
        return " ".join(parts)

    def checkpoint(self, work: Path) -> Path:
        """The folder of its model; trained if it is not there."""
        folder = work / self.key.replace(" ", "_")
        done = (folder / METADATA).is_file()
        if done and read_metadata(folder)["settings"]["max_minutes"] != self.minutes:
            raise SystemExit(f"{folder} was not trained for {self.minutes:g} minutes: move it away")
        if not done:
            settings = default_settings(
                self.preset,
                self.model,
                max_minutes=self.minutes,
                evaluations=10,
                seed=self.seed,
                optimizer=self.optimizer,
            )
            plan = TrainingPlan(
                model=self.model, dataset=self.dataset, preset=self.preset, notation=self.notation,
                split=self.split, settings=settings,
            )  # fmt: skip
            resume = (folder / "training" / "latest.json").is_file()
            train_model(plan, folder, resume=resume, force=True, progress=TerminalProgress())
        return folder


def measure(row: Row, work: Path, samples: list[int]) -> dict[str, Any]:
    folder = row.checkpoint(work)
    metadata = read_metadata(folder)
    sampler, any_order = Sampler(folder), MODELS[row.model].any_order
    sizes = {}
    for n in samples:
        if not (any_order and n > MOST_OF_ANY_ORDER):
            sizes[str(n)] = judged(row, sampler, n, folder.with_name(f"{folder.name}-{n}.parquet"))
    test = load_dataset(row.dataset, split=row.split).part("test")
    if any_order:
        test = test[np.random.default_rng(0).permutation(len(test))[:SCORED]]
    log_prob = sampler.likelihood.summed(test) if any_order else sampler.log_prob(test)
    return {
        **dataclasses.asdict(row),
        "title": MODELS[row.model].title,
        "command": command_line(),
        "training": metadata["metrics"],
        "summed_nats": float(-log_prob.mean()) if any_order else None,
        "expected_recovery": recovery_expected(log_prob),
        "samples": sizes,
        "threads": torch.get_num_threads(),
    }


def judged(row: Row, sampler: Sampler, n: int, path: Path) -> dict[str, Any]:
    """What becomes of n draws: novelty against all that is known, recovery of the row's own dataset."""
    drawn = sample_to_file(sampler, SampleRequest(n, seed=row.seed), path, force=True)
    known = shares(path, row.seed)
    own = recovered(path, row.dataset, row.split, row.seed)
    return {
        **{name: known[name] for name in METRICS},
        "recovery": own["recovery"],
        "novel_to_dataset": own["novel"],
        "canonical": drawn["canonical"] / drawn["rows"],
        "unfinished": drawn["unfinished"],
        "formulas_per_second": drawn["formulas_per_second"],
        "balanced_ionic": known["groups"]["ionic"]["electronegativity_balanced"],
        "balanced_all_metal": known["groups"]["all_metal"].get("electronegativity_balanced"),
        "protocol": known["protocol"],
    }


def baseline_recovery(dataset: str, split: str, seed: int) -> dict[str, dict[str, float]]:
    """The share of a dataset's held-out formulas among random formulas, of each baseline."""
    whole = load_dataset(dataset, split=split)
    train, test = whole.part("train"), whole.part("test")
    return {
        name: {str(n): found_among(test, draw(name, train, n, seed)) for n in DRAWS}
        for name in BASELINES
    }  # fmt: skip


def found_among(held_out: CompositionBatch, drawn: CompositionBatch) -> float:
    return float(KeySet(drawn.keys()).contains(held_out.keys()).mean())


def ceiling(dataset: str, draws: int) -> float:
    """The recovery expected of a model that gives every formula of a dataset, known and held out, the same share."""
    return expected_recovery(np.full(1, -np.log(len(load_dataset(dataset).batch))), draws)


def earlier() -> dict[str, Any]:
    """Rows and baselines measured before, by this or another process."""
    content = read_result(NAME)
    return {name: content.get(name, {}) for name in ("rows", "baselines")}


def same(row: Row, samples: list[int], results: dict[str, Any] | None) -> bool:
    if results is None or any(results[name] != value for name, value in dataclasses.asdict(row).items()):
        return False
    return MODELS[row.model].any_order or set(map(str, samples)) <= set(results["samples"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--datasets", nargs="+", default=["hybrid-pure"])
    parser.add_argument("--notations", nargs="+", default=["expanded"])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--split", default="split")
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/published"))
    parser.add_argument("--measure-only", action="store_true")
    options = parser.parse_args()
    for dataset, notation, model in itertools.product(options.datasets, options.notations, options.models):
        row = Row(
            model, dataset, notation, options.preset, options.split, options.minutes, options.seed, options.optimizer
        )
        if same(row, options.samples, earlier()["rows"].get(row.key)):
            continue
        if options.measure_only and not (options.work / row.key.replace(" ", "_") / METADATA).is_file():
            continue
        results = measure(row, options.work, options.samples)
        at = results["samples"][str(options.samples[0])]
        shown = ", ".join(f"{name} {at[name]:.4f}" for name in METRICS)
        print(f"{row.key}: {shown}, recovery expected {results['expected_recovery']}", flush=True)
        place = f"{dataset} {options.split}"
        content = earlier()
        if place not in content["baselines"]:
            content["baselines"][place] = {
                **baseline_recovery(dataset, options.split, options.seed),
                "ceiling": {str(n): ceiling(dataset, n) for n in DRAWS},
            }
        content["rows"][row.key] = results
        write_result(NAME, content)


if __name__ == "__main__":
    main()
