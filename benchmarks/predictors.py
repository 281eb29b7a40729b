"""Predictors on official splits: matbench's five folds, OQMD's own parts, CritExam's decomposition energies.

python -m benchmarks.predictors --tasks mp_e_form mp_gap --minutes 4
python -m benchmarks.predictors --tasks expt_gap expt_is_metal --kinds network trees language_model
python -m benchmarks.predictors --tasks expt_gap --init band_gap-mp --ensemble-size 3
python -m benchmarks.predictors --tasks oqmd --kinds trees
python -m benchmarks.predictors --tasks critexam_ed --minutes 4

Resumable: what is in the JSON with the same settings is not fitted again. Folds are those of matbench: `KFold(5,
shuffle=True, random_state=18012019)`, stratified for classes. A tenth of the training rows, by composition, says when
to stop and calibrates. Rows are used as they are, so a composition may occur with several targets; how many test rows
have their composition in the training part is reported. The minutes are those of all members of one fold.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks.record import command_line, read_result, write_result
from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.datasets.labels import OUTLIER_ENERGY
from matgen.datasets.load import load_task
from matgen.prediction import FitPlan, NetworkSize, Predictor, PropertyData, bundled_property, fit_predictor, measured
from matgen.prediction.fit import default_fit_settings
from matgen.runtime.progress import TerminalProgress

NAME = "predictors"
SEED_OF_FOLDS = 18012019
LOWEST = {"mp_gap": 0.0, "expt_gap": 0.0}


def folds_of(task: str) -> list[int]:
    return [0] if task in ("oqmd", "critexam_ed") else list(range(5))


def data_of(task: str, fold: int) -> PropertyData:
    """The rows of a task with their parts in one fold."""
    if task == "oqmd":
        return bundled_property("formation_energy", "oqmd")
    name = task.replace("_ed", "-ed") if task.startswith("critexam") else f"matbench-{task}"
    frame = load_task(name)
    target = frame["target"].to_numpy(np.float64)
    batch = CompositionBatch.from_formulas(frame["formula"])
    classify = set(np.unique(target)) <= {0.0, 1.0}
    if "split" in frame:
        part = frame["split"].replace({"val": "valid"}).to_numpy(object)
    else:
        kind = StratifiedKFold if classify else KFold
        cut = kind(n_splits=5, shuffle=True, random_state=SEED_OF_FOLDS).split(target, target)
        _, test = next(itertools.islice(cut, fold, None))
        by_composition = (batch.keys()[:, 0] >> np.uint64(11)).astype(np.float64) / 2.0**53
        part = np.where(by_composition < 0.1, "valid", "train").astype(object)
        part[test] = "test"
    task_kind = "classification" if classify else "regression"
    return PropertyData(task, name, "", batch, target, part, {}, task_kind, LOWEST.get(task))


def fit_fold(task: str, fold: int, options: argparse.Namespace, kind: str) -> dict[str, Any]:
    data = data_of(task, fold)
    minutes = None if options.minutes is None else options.minutes / options.ensemble_size
    learned = int((data.part == "train").sum())
    settings = default_fit_settings(
        kind,
        learned,
        max_minutes=minutes if kind != "trees" else None,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    init = options.init if kind != "trees" else None
    plan = FitPlan(
        kind, NetworkSize(width=options.width, feed_forward=2 * options.width), options.ensemble_size, init, settings
    )
    folder = options.work / f"{label(kind, options)}-{task}-{fold}".replace(" ", "_")
    began = time.monotonic()
    resume = (folder / "training").is_dir()
    results = fit_predictor(data, plan, folder, resume=resume, force=True, progress=TerminalProgress())
    assert results is not None
    test, truth = data.of("test")
    fresh = ~KeySet(data.of("train")[0].keys()).contains(test.keys())
    return {
        "task": task,
        "fold": fold,
        "kind": kind,
        "init": init,
        "members": options.ensemble_size,
        "minutes": options.minutes,
        "parameters": results.metadata["parameters"],
        "formulas": results.metadata["formulas"],
        "seconds": round(time.monotonic() - began, 1),
        "threads": torch.get_num_threads(),
        "command": command_line(),
        "compositions_in_training": float(1 - fresh.mean()),
        "metrics": results.metadata["metrics"],
        "metrics_of_new_compositions": measured(results, test[np.flatnonzero(fresh)], truth[fresh]),
        "history": results.metadata["training"],
    }


def label(kind: str, options: argparse.Namespace) -> str:
    return " ".join([kind, str(options.width), *([f"from {options.init}"] if options.init and kind != "trees" else [])])


def of_official_oqmd(predictor: Predictor) -> dict[str, Any]:
    """The official test part as it is, and without the few failed calculations in it."""
    data = bundled_property("formation_energy", "oqmd")
    batch, truth = data.of("test")
    usual = np.flatnonzero(np.abs(truth) <= OUTLIER_ENERGY)
    return {
        "test": measured(predictor, batch, truth),
        "test_without_outliers": measured(predictor, batch[usual], truth[usual]),
        "training": predictor.metadata["training"],
        "parameters": predictor.metadata["parameters"],
    }


def earlier() -> dict[str, Any]:
    content = read_result(NAME)
    return {"rows": content.get("rows", {}), "oqmd": content.get("oqmd")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["oqmd", "mp_e_form", "mp_gap", "expt_gap", "expt_is_metal"])
    parser.add_argument("--kinds", nargs="+", default=["network"])
    parser.add_argument("--folds", type=int, nargs="+")
    parser.add_argument("--init", help="predictor or checkpoint to go on from")
    parser.add_argument("--ensemble-size", type=int, default=1)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/predictors"))
    parser.add_argument("--open", type=Path, help="measure this predictor on OQMD's official test part; fits nothing")
    options = parser.parse_args()
    if options.open is not None:
        content = earlier()
        content["oqmd"] = of_official_oqmd(Predictor.load(options.open))
        print({name: content["oqmd"][name]["mae"] for name in ("test", "test_without_outliers")})
        write_result(NAME, content)
        return
    for task, kind in itertools.product(options.tasks, options.kinds):
        for fold in folds_of(task) if options.folds is None else options.folds:
            key = f"{task} {label(kind, options)} x{options.ensemble_size} {fold}"
            if key in earlier()["rows"] and earlier()["rows"][key]["minutes"] == options.minutes:
                continue
            results = fit_fold(task, fold, options, kind)
            metrics = results["metrics"]
            print(key, {name: metrics[name] for name in ("mae", "roc_auc") if name in metrics}, flush=True)
            content = earlier()  # another process may have written meanwhile
            content["rows"][key] = results
            write_result(NAME, content)


if __name__ == "__main__":
    main()
