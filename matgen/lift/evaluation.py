"""What `matgen lift evaluate` does: a protocol, cross-validation of a table, or the scores of a fitted model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.datasets.column_types import as_texts
from matgen.errors import DataError, OptionError, OutputError
from matgen.io.files import read_json, write_json
from matgen.lift.paper import protocol
from matgen.lift.paper.baselines import CLASSIFIERS, REGRESSORS
from matgen.lift.paper.tables import MATERIALS_TABLES, PROTOCOL_TABLES, Table

PROTOCOLS = {"lift": PROTOCOL_TABLES, "materials": MATERIALS_TABLES}
REPORT = "summary.json"
_USUAL = {
    "classification": ("majority", "logistic", "random_forest", "gradient_boosting"),
    "regression": ("mean", "ridge", "random_forest", "gradient_boosting"),
}
Say = Callable[[str], None]


def by_protocol(
    name: str,
    make: protocol.Make,
    out: Path,
    *,
    tables: list[str] | None = None,
    methods: list[str] | None = None,
    seeds: tuple[int, ...] = (0, 1, 2),
    settings: dict[str, Any] | None = None,
    say: Say = lambda text: None,
) -> str:
    """Run a protocol into a folder, going on where an earlier run of the same settings stopped.

    Args:
        name: `lift` or `materials`.
        make: makes our estimator from a table and a seed.
        out: folder; one file a table, method and seed, and `summary.json`.
        tables, methods: some of them; methods None for all usual ones.
        seeds: of the splits (of materials: folds).
        settings: what the estimator was made with; a folder of other settings is not gone on with.
        say: receives a line for each result.

    Returns:
        A table of all scores, with what was published, as text.

    Raises:
        OptionError: an unknown protocol, table or method.
        OutputError: `out` holds results of other settings.
    """
    from matgen.errors import unknown_name

    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    for table_name in tables or ():
        if table_name not in PROTOCOLS[name]:
            raise unknown_name(f"table of the protocol {name}", table_name, PROTOCOLS[name])
    for method in methods or ():
        if method not in {*CLASSIFIERS, *REGRESSORS, "none"}:
            raise unknown_name("method", method, sorted({*CLASSIFIERS, *REGRESSORS}))
    _claim(out, settings or {})
    rows: list[dict[str, Any]] = []
    for table_name in tables or PROTOCOLS[name]:
        table = protocol.open_table(table_name, seeds)
        own = {protocol.LIFT: make, **protocol.baselines_of(table, methods)}
        rows += protocol.run([table_name], own, out / "runs", seeds=seeds, say=say)
    summaries = protocol.summary(rows)
    write_json(out / REPORT, {"protocol": name, "seeds": list(seeds), "settings": settings or {}, "rows": summaries})
    return protocol.as_text(summaries)


def _claim(out: Path, settings: dict[str, Any]) -> None:
    path = out / "settings.json"
    if path.is_file():
        if read_json(path) != settings:
            raise OutputError(f"{out} holds results of other settings: choose another --out, or remove it")
        return
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"{out} exists and holds no results of this kind: choose another --out")
    write_json(path, settings)


def cross_validated(
    X: pd.DataFrame,
    y: pd.Series,
    task: str,
    make: protocol.Make,
    *,
    folds: int = 5,
    methods: list[str] | None = None,
    seed: int = 0,
    say: Say = lambda text: None,
) -> list[dict[str, Any]]:
    """Scores of ours and the usual methods on a table, each row tested once; a tenth of each training part validates.

    Args:
        X, y: `n` rows and their targets.
        task: `classification` or `regression`.
        make: makes our estimator.
        folds: at least 2.
        methods: usual ones to compare with; None for some, `["none"]` for none.
        seed: of folds and methods.
        say: receives a line for each result.

    Raises:
        OptionError: fewer than 2 folds, or an unknown method.
        DataError: a label is rarer than there are folds.
    """
    labels = y.astype(str) if task == "classification" else None
    parts = _folds(X, pd.DataFrame({} if labels is None else {"label": labels}), folds, seed)
    table = Table("table", X, y, task, parts)
    usual = protocol.baselines_of(table, methods or _USUAL[task])
    rows = []
    for method, make_one in {protocol.LIFT: make, **usual}.items():
        for fold, split in enumerate(table.parts):
            row = protocol.scored(table, split, method, make_one(table, seed), seed + fold)
            rows.append(row)
            say(f"{method}, fold {fold + 1} of {folds}: {protocol.headline(row)}")
    return _with_intervals(protocol.summary(rows), len(y))


def _folds(
    X: pd.DataFrame, labels: pd.DataFrame, folds: int, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    """Rows to train on, to validate on and to test on, of each fold; labels are spread evenly."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if folds < 2:
        raise OptionError(f"folds is {folds}, it must be at least 2")
    if len(X) < 2 * folds:
        raise DataError(f"{len(X)} rows are too few for {folds} folds")
    for name in labels:
        rarest = labels[name].value_counts()
        if rarest.min() < folds:
            raise DataError(f"the label {rarest.idxmin()!r} occurs {rarest.min()} times, fewer than {folds} folds")
    together = labels.agg("\0".join, axis=1) if labels.shape[1] else pd.Series([""] * len(X))
    rare = together.map(together.value_counts()) < folds
    together = together.where(~rare, "") if rare.sum() >= folds or not rare.any() else labels.iloc[:, 0]
    if together.nunique() > 1:
        official = StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, together)
    else:
        official = KFold(folds, shuffle=True, random_state=seed).split(X)
    parts = []
    for train, test in official:
        order = np.random.default_rng(seed).permutation(train)
        kept = max(1, len(order) // 10)
        parts.append((np.sort(order[kept:]), np.sort(order[:kept]), test))
    return tuple(parts)


def _with_intervals(summaries: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Summaries of cross-validation, in which each of `n` rows was tested once, with intervals of accuracies."""
    from matgen.lift.measures import accuracy_interval

    for summary in summaries:
        if summary["task"] == "classification":
            summary["interval"] = list(accuracy_interval(summary["accuracy"], n))
    return summaries


def cross_validated_targets(
    X: pd.DataFrame,
    y: pd.DataFrame,
    tasks: Mapping[str, str],
    make: protocol.Make,
    *,
    folds: int = 5,
    methods: list[str] | None = None,
    seed: int = 0,
    say: Say = lambda text: None,
) -> list[dict[str, Any]]:
    """Scores of ours, which learns several targets at once, and of the usual methods, which learn each alone.

    Args:
        X: `n` rows.
        y: their targets, none missing; numbers as such.
        tasks: of each target, `classification` or `regression`.
        make: makes our estimator.
        folds, methods, seed, say: as of `cross_validated`.

    Returns:
        Summaries as of `cross_validated`; `table` is the name of the target.

    Raises:
        OptionError, DataError: as of `cross_validated`.
    """
    names = [str(name) for name in y]
    labels = pd.DataFrame({name: y[name].astype(str) for name in names if tasks[name] == "classification"})
    parts = _folds(X, labels, folds, seed)
    tables = {name: Table(name, X, y[name], tasks[name], parts) for name in names}
    rows = []
    for fold, (train, valid, test) in enumerate(parts):
        began = time.perf_counter()
        model = make(next(iter(tables.values())), seed)
        model.fit(X.iloc[train], y.iloc[train], validation=(X.iloc[valid], y.iloc[valid]))
        seconds = round(time.perf_counter() - began, 2)
        counts = {"n_train": len(train), "n_valid": len(valid), "n_test": len(test), "seconds": seconds}
        for name, scores in _scores_by_target(model, X.iloc[test], y.iloc[test]).items():
            row = {"table": name, "task": tasks[name], "method": protocol.LIFT, "seed": seed + fold, **counts, **scores}
            rows.append(row | {"n_parameters": model.n_parameters_})
            say(f"{protocol.LIFT}, {name}, fold {fold + 1} of {folds}: {protocol.headline(row)}")
    for name, table in tables.items():
        for method, make_one in protocol.baselines_of(table, methods or _USUAL[tasks[name]]).items():
            for fold, split in enumerate(parts):
                rows.append(protocol.scored(table, split, method, make_one(table, seed), seed + fold))
                say(f"{method}, {name}, fold {fold + 1} of {folds}: {protocol.headline(rows[-1])}")
    order = {name: place for place, name in enumerate(y)}
    return _with_intervals(protocol.summary(sorted(rows, key=lambda row: order[row["table"]])), len(y))


class _OneTarget:
    """What an estimator of several targets answers for one of them, as an estimator of that target."""

    def __init__(self, answers: pd.DataFrame, name: str, classes: np.ndarray | None) -> None:
        self.answers, self.name = answers, name
        if classes is None:
            self.predict_interval = self._interval
        else:
            self.columns = [f"{name}_probability_{label}" for label in classes]
            self.predict_proba = self._probabilities

    def predict(self, X: Any) -> np.ndarray:
        return self.answers[f"{self.name}_predicted"].to_numpy()

    def _probabilities(self, X: Any) -> np.ndarray:
        return self.answers[self.columns].to_numpy()

    def _interval(self, X: Any, confidence: float) -> np.ndarray:
        return self.answers[[f"{self.name}_low", f"{self.name}_high"]].to_numpy()


def _scores_by_target(model: Any, X: pd.DataFrame, y: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Scores of each target, on the rows that have it."""
    answers = model.predict_table(X, confidence=0.8)
    out = {}
    for name in model.targets_.names:
        there = y[name].notna().to_numpy()
        classes = model.classes_.get(name)
        one = _OneTarget(answers[there], name, classes)
        of_task = protocol.regression_scores if classes is None else protocol.classification_scores
        out[name] = of_task(one, X[there], y.loc[there, name].to_numpy())
    return out


def scores_of_targets(estimator: Any, X: pd.DataFrame, y: pd.DataFrame) -> dict[str, Any]:
    """Scores of a fitted estimator of several targets, each on the rows that have it, and of all labels together.

    Raises:
        DataError: a target or a column cannot be read.
    """
    from matgen.lift.measures import accuracy_interval

    read = estimator.targets_.read(y)
    truth = pd.DataFrame({name: read[name].to_numpy() for name in estimator.targets_.names})
    for name, classes in estimator.classes_.items():
        labels = dict(zip(as_texts(pd.Series(classes)), classes, strict=True))
        truth[name] = pd.Series([labels.get(cell) for cell in truth[name]], dtype=object)
    by_target = _scores_by_target(estimator, X, truth)
    for name, own in by_target.items():
        own["rows"] = int(truth[name].notna().sum())
        if "accuracy" in own:
            own["interval"] = list(accuracy_interval(own["accuracy"], own["rows"]))
    return {"rows": len(X), "targets": by_target}


def scores(estimator: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, Any]:
    """Scores of a fitted estimator on rows with targets: what `protocol.scored` gives, without fitting.

    Raises:
        DataError: a target or a column cannot be read.
    """
    from matgen.lift.measures import accuracy_interval

    classes = hasattr(estimator, "classes_")
    targets = y.to_numpy() if classes else pd.to_numeric(y, errors="coerce").to_numpy(np.float64)
    if classes:
        known = {str(label): label for label in estimator.classes_}
        targets = np.array([known.get(str(label), label) for label in targets], dtype=object)
        accuracy = float((np.asarray(estimator.predict(X), dtype=object) == targets).mean())
        result: dict[str, Any] = {"rows": len(y), "accuracy": accuracy}
        result["interval"] = list(accuracy_interval(accuracy, len(y)))
    else:
        if not np.isfinite(targets).all():
            row = int(np.flatnonzero(~np.isfinite(targets))[0])
            raise DataError(f"row {row + 1}: {y.iloc[row]!r} is not a number")
        result = {"rows": len(y), **protocol.regression_scores(estimator, X, targets)}
    return result | {"raw_parse_rate": estimator.raw_parse_rate(X.head(200))}
