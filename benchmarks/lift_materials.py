"""LIFT on tables of materials by their official folds, beside usual methods and the composition network.

Every finished fit is a file in `--work`, so that a run goes on where it stopped; tables that are not named
keep the rows of the committed result.

python -m benchmarks.lift_materials [--tables matbench_steels ...] [--folds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.record import RESULTS, write_result
from matgen.lift import LiftClassifier, LiftRegressor
from matgen.lift.paper import protocol
from matgen.lift.paper.published import MATERIALS
from matgen.lift.paper.tables import MATERIALS_TABLES, Table

USUAL = ("majority", "mean", "logistic", "ridge", "random_forest", "xgboost")


def lift(table: Table, seed: int) -> Any:
    kind = LiftClassifier if table.task == "classification" else LiftRegressor
    return kind(random_state=seed, units=table.units, formulas_as="fractions")


class Network:
    """matgen's composition network, on the rows that the others learn from."""

    backend = "network"  # it takes rows to stop by, as ours do

    def __init__(self, table: Table, seed: int) -> None:
        self.table, self.seed = table, seed

    def fit(self, X: pd.DataFrame, y: pd.Series, *, validation: Any) -> None:
        from matgen.composition.batch import parse_formulas
        from matgen.prediction.fit import FitPlan, default_fit_settings, fit_predictor
        from matgen.prediction.training_tables import PropertyData

        both = pd.concat([X["formula"], validation[0]["formula"]], ignore_index=True)
        parsed = parse_formulas(both)
        answers = pd.concat([y, validation[1]], ignore_index=True).iloc[parsed.rows]
        classify = self.table.task == "classification"
        self.labels = sorted(set(y)) if classify else None
        target = (answers == self.labels[1]).to_numpy(float) if self.labels else answers.to_numpy(float)
        part = np.where(parsed.rows < len(X), "train", "valid").astype(object)
        task = "classification" if classify else "regression"
        # The predictor measures itself on a test part: some of the rows it stopped by, which is looked at by nobody.
        last = np.flatnonzero(part == "valid")[-2:]
        part[last] = "test"
        data = PropertyData(self.table.name, "file", "", parsed.batch, target, part, {}, task)
        settings = default_fit_settings("network", int((part == "train").sum()), epochs=60, seed=self.seed)
        with tempfile.TemporaryDirectory() as folder:
            plan = FitPlan(members=1, settings=settings)
            self.predictor = fit_predictor(data, plan, Path(folder) / "p")

    def _said(self, X: pd.DataFrame) -> np.ndarray:
        from matgen.composition.batch import parse_formulas

        parsed = parse_formulas(X["formula"])
        said = self.predictor.spread(parsed.batch)[0]
        out = np.full(len(X), np.median(said))  # of what cannot be read
        out[parsed.rows] = said
        return out

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        said = self._said(X)
        return said if self.labels is None else np.array(self.labels)[(said > 0.5).astype(int)]

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        said = self._said(X)
        return np.column_stack([1 - said, said])


def kept(tables: list[str]) -> list[dict[str, Any]]:
    """Rows of the committed result that are of other tables than those that are run now."""
    path = RESULTS / "lift_materials.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return [row for row in rows if row["table"] not in tables]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(MATERIALS_TABLES))
    parser.add_argument("--folds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--work", type=Path, default=RESULTS.parent / "work" / "lift_materials")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in options.tables:
        folds = tuple(options.folds) if name != "formation_energy" else (0,)
        table = protocol.open_table(name, folds)
        methods = {protocol.LIFT: lift, **protocol.baselines_of(table, USUAL), "composition network": Network}
        rows += protocol.run([name], methods, options.work, seeds=folds, say=lambda text: print(text, flush=True))
        summaries = [*kept(options.tables), *protocol.summary(rows)]
        write_result("lift_materials", {"rows": summaries, "published": MATERIALS})
    print(protocol.as_text(summaries))


if __name__ == "__main__":
    main()
