"""Rows drawn by matgen's generator of rows and by be-great (GReaT), from the same rows in the same time of one core.

Iris: 100 rows to learn from, 50 held out, 100 drawn. be-great fine-tunes the SmolLM2-135M that matgen turns from a
wheel (its usual models are on the Hub), with its defaults but for the time; matgen's generator is trained from scratch,
with its defaults. Time is that of the process on one core, as other work may run beside it. Needs `pip install
be-great sdmetrics`; both are only compared with here.

great, matgen: train and draw, each in a process of its own; score: `matgen lift evaluate --drawn` of both, beside
be-great's own metrics and sdmetrics' of the same rows.

python -m benchmarks.lift_tables [--parts great matgen score] [--seconds 240] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import write_result
from matgen.io.files import read_json, write_json
from matgen.lift.drawn.comparison import compared
from matgen.runtime.cache import cache_folder

NAME, SEED = "lift_tables", 0
LEARNED, HELD_OUT, DRAWN = 100, 50, 100
TITLES = {"matgen": "matgen, from scratch", "great": "be-great, SmolLM2-135M"}


def iris() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and rows held out."""
    from sklearn.datasets import load_iris

    frame = load_iris(as_frame=True).frame
    frame["species"] = frame.pop("target").map({0: "setosa", 1: "versicolor", 2: "virginica"})
    frame.columns = [name.replace(" (cm)", "") for name in frame.columns]
    order = np.random.default_rng(SEED).permutation(len(frame))
    learned, held_out = order[:LEARNED], order[LEARNED : LEARNED + HELD_OUT]
    return frame.iloc[learned].reset_index(drop=True), frame.iloc[held_out].reset_index(drop=True)


def great(seconds: float, work: Path) -> dict[str, Any]:
    """Fine-tune for so many seconds of a core, draw, and keep the rows."""
    import be_great.great
    import torch
    from transformers import TrainerCallback, set_seed

    from matgen.lift.pretrained.smollm2 import smollm2_folder

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> Any:
            if time.process_time() - began > seconds:
                control.should_training_stop = True
            return control

    class Trainer(be_great.great.GReaTTrainer):
        def __init__(self, *positional: Any, callbacks: list[Any], **named: Any) -> None:
            super().__init__(*positional, callbacks=[*callbacks, Stop()], **named)

    be_great.great.GReaTTrainer = Trainer
    torch.set_num_threads(1)
    set_seed(SEED)
    model = be_great.GReaT(
        str(smollm2_folder()), experiment_dir=str(work / "great"), save_strategy="no", use_cpu=True, seed=SEED
    )
    began = time.process_time()
    trainer = model.fit(iris()[0])
    fitted = time.process_time()
    steps = int(trainer.state.global_step)
    print("fitted", fitted - began, steps, flush=True)
    rows = model.sample(DRAWN, k=50, max_length=80, device="cpu")
    rows.to_csv(work / "great.csv", index=False)
    return {
        "fit_core_seconds": fitted - began,
        "sample_core_seconds": time.process_time() - fitted,
        "steps": steps,
        "epochs": float(trainer.state.epoch),
        "parameters": sum(weight.numel() for weight in model.model.parameters()),
        "rows_drawn": len(rows),
    }


def matgen(seconds: float, work: Path) -> dict[str, Any]:
    """Train with the defaults, draw, and keep the rows."""
    import torch

    from matgen.lift import LiftGenerator

    torch.set_num_threads(1)
    began = time.process_time()
    model = LiftGenerator(random_state=SEED).fit(iris()[0])
    fitted = time.process_time()
    print("fitted", fitted - began, flush=True)
    rows = model.sample(DRAWN, seed=SEED)
    rows.to_csv(work / "matgen.csv", index=False)
    return {
        "fit_core_seconds": fitted - began,
        "sample_core_seconds": time.process_time() - fitted,
        "steps": model.row_model_.options.steps,
        "parameters": model.n_parameters_,
        "rows_drawn": len(rows),
    }


PARTS = {"great": great, "matgen": matgen}


def score(work: Path) -> dict[str, Any]:
    """What `matgen lift evaluate --drawn` says of the rows of each, beside the metrics of be-great and sdmetrics."""
    real, held_out = iris()
    rows = []
    for name, title in TITLES.items():
        if not (work / f"{name}.json").is_file():
            continue
        cost, drawn = read_json(work / f"{name}.json"), pd.read_csv(work / f"{name}.csv")
        report = compared(real, drawn, held_out, targets=["species"], quasi_identifiers=["species", "petal width"])
        rows.append({"name": name, "title": title, **cost, "report": report, "others": others(real, drawn, held_out)})
    baseline = {"rows": len(held_out), **rows[0]["report"]["held_out"]}
    absent = {title: "no rows were kept" for name, title in TITLES.items() if not (work / f"{name}.csv").is_file()}
    sizes = {"table": "iris", "learned": len(real), "held_out": len(held_out)}
    return {**sizes, "baseline": baseline, "rows": rows, "not_scored": absent}


def others(real: pd.DataFrame, drawn: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, Any]:
    """Metrics of be-great and sdmetrics: of columns and correlations by definitions that are ours, others by their own.

    be-great's discriminator is left out: it searches 180 forests, minutes of a core.
    """
    from be_great.metrics import ColumnShapes, DistanceToClosestRecord, MembershipInference, kAnonymization
    from sdmetrics.column_pairs import CorrelationSimilarity
    from sdmetrics.single_column import KSComplement, TVComplement

    numbers = [name for name in real.columns if name != "species"]
    shapes = {name: 1 - KSComplement.compute(real[name], drawn[name]) for name in numbers}
    shapes["species"] = 1 - TVComplement.compute(real["species"], drawn["species"])
    pairs = [
        2 * (1 - CorrelationSimilarity.compute(real[[one, other]], drawn[[one, other]]))
        for one, other in combinations(numbers, 2)
    ]
    closest = DistanceToClosestRecord().compute(real, drawn, num_cols=numbers, cat_cols=["species"])
    return {
        "sdmetrics": {"columns": shapes, "correlations": float(np.mean(pairs))},
        "be_great": {
            "columns": 1 - ColumnShapes().compute(real, drawn, numbers, ["species"])["column_shapes_mean"],
            "closest_record": closest["dcr_mean"],
            "copies": closest["ratio_copies"],
            "membership_inference": MembershipInference().compute(real, drawn, held_out, numbers, ["species"])[
                "membership_inference_score"
            ],
            "k_anonymization": kAnonymization().compute(real, drawn)["k_synthetic"],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=[*PARTS, "score"], choices=[*PARTS, "score"])
    parser.add_argument("--seconds", type=float, default=240, help="of a core, to fine-tune be-great for")
    parser.add_argument("--work", type=Path, default=cache_folder() / NAME)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts:
        if part in PARTS:
            write_json(arguments.work / f"{part}.json", PARTS[part](arguments.seconds, arguments.work))
        else:
            write_result(NAME, score(arguments.work))


if __name__ == "__main__":
    main()
