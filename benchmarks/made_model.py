"""How well compounds that have been made are told from what a model draws: `probability_made`.

Trees learn from compounds that have been made and are in `hybrid`, against the rest of `hybrid` and novel draws of the
bundled model. Measured by areas under the ROC curve with whole chemical systems left out: of made compounds against
novel draws, the valid ones among them, and those of as many elements. Made compounds outside `hybrid`, which nothing
here has seen, are judged once by the finished model, as a test.

python -m benchmarks.made_model [--folder runs/made_model] [--bundle]

With --bundle, the finished model is written to `data/predictors/made.safetensors`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.commands import matgen
from benchmarks.record import write_result
from matgen.composition.batch import CompositionBatch, parse_formulas
from matgen.composition.keys import KeySet
from matgen.datasets import data_folder, load_dataset
from matgen.io.weights import save_arrays
from matgen.models.locate import find_checkpoint
from matgen.prediction.made_fit import fit_made, made_rows
from matgen.prediction.made_model import FILE
from matgen.validity import check

NAME = "made_model"
N, N_TEST = 20_000, 5_000
SEED, TEST_SEED = 101, 202
NEEDED = 0.65
"""Area under the curve against valid novel draws from which the probability may enter the ranking's score."""


def novel_draws(folder: Path, n: int = N, seed: int = SEED) -> CompositionBatch:
    """`n` distinct compositions that the bundled model draws and `hybrid` lacks; they are kept in the folder."""
    drawn = folder / f"novel-{seed}.csv"
    if not drawn.exists():
        matgen("sample", "-n", n, "--seed", seed, "--novel-to", "hybrid", "--unique", "--out", drawn)
    return parse_formulas(pd.read_csv(drawn, keep_default_na=False)["formula"]).batch


def areas(probability: np.ndarray, batch: CompositionBatch, origin: np.ndarray) -> dict[str, Any]:
    """Areas under the curve of made compositions against each kind of others.

    Args:
        probability: float64 `(n,)`.
        batch: `n` compositions.
        origin: of `made_fit.ORIGINS` each, object `(n,)`.
    """
    made, valid, n_elements = origin == "made", check(batch).valid, batch.n_elements
    drawn = origin == "drawn"
    found = {
        "drawn": _area(probability, made, drawn),
        "valid_drawn": _area(probability, made, drawn & valid),
        "valid_drawn_of_valid_made": _area(probability, made & valid, drawn & valid),
    }
    for n in (2, 3, 4):
        same = n_elements == n
        found[f"valid_drawn_of_{n}_elements"] = _area(probability, made & same, drawn & valid & same)
    if (origin == "database").any():
        found["database"] = _area(probability, made, origin == "database")
    return found


def _area(probability: np.ndarray, made: np.ndarray, others: np.ndarray) -> dict[str, Any]:
    chosen = made | others
    area = roc_auc_score(made[chosen], probability[chosen])
    return {"auc": round(float(area), 4), "made": int(made.sum()), "others": int(others.sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", action="store_true", help="write the model that comes with matgen")
    parser.add_argument("--folder", type=Path, default=Path("runs/made_model"))
    arguments = parser.parse_args()
    rows = made_rows(novel_draws(arguments.folder), N)
    model, probability = fit_made(rows)
    left_out = areas(probability, rows.batch, rows.origin)
    if arguments.bundle:
        save_arrays(model.arrays(), data_folder() / "predictors" / FILE)
    test, drawn = load_dataset("experimental-test").batch, novel_draws(arguments.folder, N_TEST, TEST_SEED)
    drawn = drawn[np.flatnonzero(~KeySet(np.concatenate([rows.batch.keys(), test.keys()])).contains(drawn.keys()))]
    batch = CompositionBatch.concatenate([test, drawn])
    origin = np.repeat(np.array(["made", "drawn"], dtype=object), [len(test), len(drawn)])
    content = {
        "checkpoint": find_checkpoint(None).name,
        "n": {str(name): int((rows.origin == name).sum()) for name in np.unique(rows.origin)},
        "needed": NEEDED,
        "qualifies": left_out["valid_drawn"]["auc"] >= NEEDED,
        "share_labeled": round(model.share_labeled, 4),
        "mean_of_drawn": round(float(probability[rows.origin == "drawn"].mean()), 4),
        "chemical_systems_left_out": left_out,
        "test_made_outside_hybrid": areas(model.probability(batch), batch, origin),
    }
    print(write_result(NAME, content), content)


if __name__ == "__main__":
    main()
