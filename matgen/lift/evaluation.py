"""What `matgen lift evaluate` does: a protocol, cross-validation of a table, or the scores of a fitted model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
    from sklearn.model_selection import KFold, StratifiedKFold

    if folds < 2:
        raise OptionError(f"folds is {folds}, it must be at least 2")
    if len(y) < 2 * folds:
        raise DataError(f"{len(y)} rows are too few for {folds} folds")
    if task == "classification":
        rarest = y.astype(str).value_counts()
        if rarest.min() < folds:
            raise DataError(f"the label {rarest.idxmin()!r} occurs {rarest.min()} times, fewer than {folds} folds")
        official = StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y.astype(str))
    else:
        official = KFold(folds, shuffle=True, random_state=seed).split(X)
    parts = []
    for train, test in official:
        order = np.random.default_rng(seed).permutation(train)
        kept = max(1, len(order) // 10)
        parts.append((np.sort(order[kept:]), np.sort(order[:kept]), test))
    table = Table("table", X, y, task, tuple(parts))
    usual = protocol.baselines_of(table, methods or _USUAL[task])
    rows = []
    for method, make_one in {protocol.LIFT: make, **usual}.items():
        for fold, split in enumerate(table.parts):
            row = protocol.scored(table, split, method, make_one(table, seed), seed + fold)
            rows.append(row)
            say(f"{method}, fold {fold + 1} of {folds}: {protocol.headline(row)}")
    summaries = protocol.summary(rows)
    for summary in summaries:
        if task == "classification":  # every row was tested once
            from matgen.lift.measures import accuracy_interval

            summary["interval"] = list(accuracy_interval(summary["accuracy"], len(y)))
    return summaries


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
