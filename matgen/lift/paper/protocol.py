"""Runs over tables, methods and seeds: every finished one a file, so that a run goes on where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from matgen.errors import MissingDependencyError
from matgen.io.files import read_json, write_json
from matgen.lift import measures
from matgen.lift.paper.baselines import CLASSIFIERS, REGRESSORS, baseline
from matgen.lift.paper.published import published
from matgen.lift.paper.tables import MATERIALS_TABLES, Table, materials_table, protocol_table

LIFT = "LIFT"
"""Name of our own estimator among the methods."""
Make = Callable[[Table, int], Any]
"""From a table and a seed an estimator that is not fitted."""


def open_table(name: str, seeds: tuple[int, ...]) -> Table:
    """A table of the protocol, or of materials (whose seeds are its official folds).

    Raises:
        OptionError: an unknown name.
    """
    return materials_table(name) if name in MATERIALS_TABLES else protocol_table(name, seeds)


def run(
    names: Iterable[str],
    methods: dict[str, Make],
    folder: Path,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Fit and score each method on each table and seed, or read what an earlier run wrote.

    Args:
        names: of tables.
        methods: by name, what makes an estimator.
        folder: one file a table, method and seed.
        seeds: of the splits and the methods; tables of materials have folds, and the first as many are taken.
        say: receives a line for each result.

    Returns:
        Rows with `table`, `method`, `seed`, scores and seconds.
    """
    rows = []
    for name in names:
        table = open_table(name, seeds)
        for method, make in methods.items():
            for i, parts in enumerate(table.parts):
                if i >= len(seeds):
                    break
                path = folder / f"{name}--{method}--{seeds[i]}.json".replace(" ", "_")
                if path.is_file():
                    rows.append(read_json(path))
                    continue
                try:
                    row = scored(table, parts, method, make(table, seeds[i]), seeds[i])
                except MissingDependencyError as error:
                    say(f"{method} is left out: {error}")
                    break
                write_json(path, row)
                rows.append(row)
                say(f"{name}, {method}, seed {seeds[i]}: {headline(row)}")
    return rows


def scored(table: Table, parts: tuple[np.ndarray, np.ndarray, np.ndarray], method: str, model: Any, seed: int) -> dict:
    """Fit an estimator on the training rows of a split and score it on the test rows."""
    train, valid, test = (table.of(rows) for rows in parts)
    began = time.perf_counter()
    if hasattr(model, "backend"):
        model.fit(*train, validation=valid)
    else:
        model.fit(*train)
    seconds = time.perf_counter() - began
    row: dict[str, Any] = {"table": table.name, "task": table.task, "method": method, "seed": seed}
    row |= {"n_train": len(parts[0]), "n_valid": len(parts[1]), "n_test": len(parts[2]), "seconds": round(seconds, 2)}
    if hasattr(model, "n_parameters_"):
        row["n_parameters"] = int(model.n_parameters_)
    of_task = classification_scores if table.task == "classification" else regression_scores
    row |= of_task(model, test[0], test[1].to_numpy())
    if hasattr(model, "raw_parse_rate"):
        row["raw_parse_rate"] = model.raw_parse_rate(test[0].head(200))
    return row


def classification_scores(model: Any, X: Any, y: np.ndarray) -> dict[str, Any]:
    """Accuracy, macro F1 and, of two labels, the area under the ROC curve, of a fitted model on test rows."""
    from sklearn.metrics import f1_score, roc_auc_score

    predicted = np.asarray(model.predict(X))
    row: dict[str, Any] = {"accuracy": float((predicted == y).mean())}
    row["f1"] = float(f1_score(y, predicted, average="macro"))
    if len(np.unique(y)) == 2 and hasattr(model, "predict_proba"):
        row["roc_auc"] = float(roc_auc_score(y, model.predict_proba(X)[:, 1]))
    return row


def regression_scores(model: Any, X: Any, y: np.ndarray) -> dict[str, Any]:
    """Errors and, where the model has intervals, how many hold the target, of a fitted model on test rows."""
    predicted = np.asarray(model.predict(X), dtype=np.float64)
    row: dict[str, Any] = {
        "rae": measures.relative_absolute_error(y, predicted),
        "rae_trimmed": measures.trimmed_relative_absolute_error(y, predicted),
        "mae": float(np.abs(y - predicted).mean()),
        "rmse": measures.root_mean_square_error(y, predicted),
        "rae_interval": list(measures.error_interval(y, predicted, measures.relative_absolute_error)),
    }
    if hasattr(model, "predict_interval"):
        bounds = model.predict_interval(X, 0.8)
        row["covered"] = int(((bounds[:, 0] <= y) & (y <= bounds[:, 1])).sum())
    if hasattr(model, "rounding_floor_"):
        row["rounding_floor"] = model.rounding_floor_
    return row


def headline(row: dict[str, Any]) -> str:
    """The score of a row in words."""
    if row["task"] == "classification":
        return f"{100 * row['accuracy']:.2f} % right, {row['seconds']:.1f} s"
    return f"RAE {row['rae']:.4f} (trimmed {row['rae_trimmed']:.4f}), {row['seconds']:.1f} s"


def baselines_of(table: Table, names: Iterable[str] | None = None) -> dict[str, Make]:
    """The usual methods of a table's task, or those of them that are named."""
    known = CLASSIFIERS if table.task == "classification" else REGRESSORS
    chosen = [name for name in known if names is None or name in names]

    def make(name: str) -> Make:
        return lambda table, seed: baseline(name, table.X, table.task, seed)

    return {name: make(name) for name in chosen}


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds of each table and method, with an interval and what was published."""
    out = []
    for table, method in dict.fromkeys((row["table"], row["method"]) for row in rows):
        own = [row for row in rows if (row["table"], row["method"]) == (table, method)]
        made: dict[str, Any] = {"table": table, "method": method, "task": own[0]["task"], "seeds": len(own)}
        made["n_test"] = own[0]["n_test"]
        for key in ("accuracy", "f1", "roc_auc", "rae", "rae_trimmed", "mae", "rmse", "raw_parse_rate", "seconds"):
            values = [row[key] for row in own if key in row]
            if values:
                made[key], made[f"{key}_std"] = float(np.mean(values)), float(np.std(values))
        if "accuracy" in made:
            # Folds test other rows each time, seeds of the protocol the same ones.
            n = sum(row["n_test"] for row in own) if table in MATERIALS_TABLES else own[0]["n_test"]
            made["interval"] = list(measures.accuracy_interval(made["accuracy"], n))
        else:
            made["interval"] = np.mean([row["rae_interval"] for row in own], axis=0).tolist()
        if "n_parameters" in own[0]:
            made["n_parameters"] = int(np.mean([row["n_parameters"] for row in own]))
            made["seconds_most"] = max(row["seconds"] for row in own)
        if "covered" in own[0]:
            made["covered"], made["n"] = sum(r["covered"] for r in own), sum(r["n_test"] for r in own)
        out.append(made)
    return out


def as_text(summaries: list[dict[str, Any]]) -> str:
    """A table for the terminal: of each table every method's score, then what LIFT published."""
    lines = []
    for table in dict.fromkeys(row["table"] for row in summaries):
        own = [row for row in summaries if row["table"] == table]
        right = own[0]["task"] == "classification"
        lines.append(f"{table} ({'accuracy, %' if right else 'RAE: raw, and trimmed as published'})")
        lines += [f"  {row['method']:<28}{_score(row)}" for row in own]
        for method, figure in published(table).items():
            shown = f"{figure:6.2f}" if right else f"{figure:.3f}"
            lines.append(f"  {method + ', published':<28}{shown}")
    return "\n".join(lines)


def _score(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    area = f"  area under ROC {row['roc_auc']:.4f}" if "roc_auc" in row else ""
    if row["task"] == "classification":
        mean, spread = 100 * row["accuracy"], 100 * row["accuracy_std"]
        return f"{mean:6.2f} ± {spread:.2f}  [{100 * low:.1f}, {100 * high:.1f}]{area}"
    error = f"  MAE {row['mae']:.4f}" if row["table"] in MATERIALS_TABLES else ""
    return f"{row['rae']:.4f} ± {row['rae_std']:.4f}  [{low:.4f}, {high:.4f}]  trimmed {row['rae_trimmed']:.4f}{error}"
